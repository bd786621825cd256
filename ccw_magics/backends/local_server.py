"""The embedded model's process: llama.cpp's OpenAI-compatible server on loopback, until standard input ends.

Run as a script under `python -I` by `local_process`, never imported by the package: it must start without the rest of
it. Standard input's first line is a JSON object (see `main`), and its end is the order to stop: the pipe closes when
the kernel ends, even by SIGKILL. Standard output carries one JSON line, `{"url": "http://127.0.0.1:PORT"}`.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from typing import Any

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
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt is meant for the call, not for the model
    settings = json.loads(sys.stdin.buffer.readline())
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever native code prints is not an answer
    ending = threading.Thread(target=_end_with_parent)
    ending.start()
    server = _serve(settings)
    with answer:
        answer.write(json.dumps({"url": server.listening_address}) + "\n")
    ending.join()


def _end_with_parent() -> None:
    while sys.stdin.buffer.read(4096):
        pass
    os._exit(0)  # llama.cpp's own shutdown waits for the answer under way


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
    params.endpoint_slots = False
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
