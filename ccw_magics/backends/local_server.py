"""The embedded model's process: llama.cpp's OpenAI-compatible server on loopback, until standard input ends.

Run as a script under `python -I` by `local_process`, never imported by the package: it must start without the rest of
it. Standard input's first line is a JSON object (see `main`), and its end is the order to stop: the pipe closes when
the kernel ends, even by SIGKILL. Each further line, `{"slots_dir": PATH}`, says where slots are saved and restored from
then on. Standard output carries one JSON line, `{"url": "http://127.0.0.1:PORT"}`, and then one for each such order:
`{"entered": true}`, or false.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any, TextIO

BATCH_TOKENS = 256
"""Between batches llama.cpp reports progress and notices that the asker has gone: every second on two cores.

Reading takes SmolLM2 the same processor time with 128, 256, 512 and 2,048.
"""

LOG_WARNINGS = 2
"""llama.cpp's verbosity: errors and warnings, which the parent keeps for its error messages."""


def main() -> None:
    """Serve the model that standard input's first line names.

    Its keys: `model` (path), `api_key`, `context_tokens`, `generation_threads`, `cache_mib` (memory for the prefixes of
    earlier prompts), `idle_sleep_s` (seconds until an idle model leaves memory), `packages` (where xllamacpp lives).
    """
    os.umask(0o077)  # a saved slot holds the contents of files
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is meant for the call, not for the model
    settings = json.loads(sys.stdin.buffer.readline())
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever native code prints is not an answer
    obeying = threading.Thread(target=_obey_parent, args=[answer])
    obeying.start()
    server = _serve(settings)
    _say(answer, {"url": server.listening_address})
    obeying.join()


def _obey_parent(answer: TextIO) -> None:
    try:
        for line in sys.stdin.buffer:
            _say(answer, {"entered": _entered(json.loads(line)["slots_dir"])})
    finally:  # the last line may be half of one
        os._exit(0)  # llama.cpp's own shutdown waits for the answer under way


def _entered(directory: str) -> bool:
    try:
        os.chdir(directory)
    except OSError:
        return False
    return True


def _say(answer: TextIO, document: dict[str, Any]) -> None:
    answer.write(json.dumps(document) + "\n")
    answer.flush()


def _serve(settings: dict[str, Any]) -> Any:
    # `-I` hides packages that live in the user's site or on PYTHONPATH; the parent says where it found this one.
    sys.path.append(settings["packages"])
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = settings["model"]
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [settings["api_key"]]
    params.cors_origins = ""
    params.ui = False
    params.endpoint_slots = False  # they tell what was asked; saving and restoring stay open
    params.slot_save_path = "./"  # of many caches: the parent says which, and the working directory follows
    params.offline = True
    params.verbosity = LOG_WARNINGS
    params.n_ctx = settings["context_tokens"]
    params.n_parallel = 1
    params.n_batch = BATCH_TOKENS
    params.cache_ram_mib = settings["cache_mib"]
    params.sleep_idle_seconds = settings["idle_sleep_s"]
    params.cpuparams.n_threads = settings["generation_threads"]
    params.cpuparams_batch.n_threads = os.cpu_count() or 1
    return xllamacpp.Server(params)


if __name__ == "__main__":
    try:
        main()
    except BaseException as error:  # noqa: BLE001 - the thread that waits for the parent would keep the process alive
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        sys.stderr.flush()
        os._exit(1)
