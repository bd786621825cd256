"""Edits the config in a kernel, or in a `ccw` process, and keeps a model of what must be there; or reads it all the time.

python tests/soaks/config_probe.py edit ROOT NAME COUNT SEED
python tests/soaks/config_probe.py read ROOT
"""

from __future__ import annotations

import io
import json
import os
import random
import shlex
import stat
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from ccw_magics import Workspace
from ccw_magics.config.credentials import Secret
from ccw_magics.config.models import Provider
from ccw_magics.config.store import ConfigStore

WRITERS = ("a", "b", "ccw")
SHARED = "shared"
"""The provider whose headers everybody edits, in each file."""
DONE = "done"
"""Once there is a file of this name, the reader ends."""
OWN_PROCESS = 40
"""One in so many verbs of the `ccw` process is run in a process of its own."""
Run = Callable[[list[str]], None]


def mark(name: str) -> str:
    """Id of the provider that counts a writer's edits."""
    return f"mark-{name}"


def keep(name: str) -> str:
    """Id of the endpoint of a writer that is never deleted, which may be the default."""
    return f"keep-{name}"


def in_kernel(words: list[str]) -> None:
    """Run a verb as a line of a cell."""
    from IPython.core.getipython import get_ipython
    from IPython.utils.capture import capture_output

    shell = get_ipython()
    assert shell is not None
    with capture_output():
        shell.run_line_magic("ccw", shlex.join(words))


def in_shell(words: list[str]) -> None:
    """Run a verb as the `ccw` command does."""
    from ccw_magics.cli.shell.command import _run

    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as said:
        code = _run(words)
    if code:
        raise RuntimeError(f"{words}: {said.getvalue()}")


def in_shell_or_process(chance: random.Random) -> Run:
    """Run a verb as the `ccw` command does, now and then in a process of its own."""

    def run(words: list[str]) -> None:
        if chance.randrange(OWN_PROCESS):
            in_shell(words)
        else:
            command = [sys.executable, "-c", "from ccw_magics.cli.shell.command import main; main()", *words]
            subprocess.run(command, capture_output=True, check=True, text=True)

    return run


class File:
    """What a writer did to one of the two files, and what must therefore be there.

    Args:
        store: The file.
        name: The writer's, which begins everything that is its own.
        run: Runs a verb.
        chance: Draws what is done.
    """

    def __init__(self, store: ConfigStore, name: str, run: Run, chance: random.Random) -> None:
        self._store, self._name, self._run, self._chance = store, name, run, chance
        self._user = ["--user"] if store is store.user else []
        self._place = "u" if self._user else "p"
        self._count = 0
        self.providers: dict[str, dict[str, Any]] = {}
        self.endpoints: dict[str, dict[str, Any]] = {}
        self.headers: dict[str, str] = {}
        self.setting: float | None = None
        self.default: str | None = None
        self.mark = 0

    def edit(self) -> str:
        """Make one edit, drawn at random, through the API or as a verb, and see that it is there; its name."""
        self._count += 1
        choices: list[Callable[[], None]] = [
            self._add_provider,
            self._add_endpoint,
            self._edit_shared,
            self._edit_shared,
        ]
        choices += [self._make_default, self._set, self._edit_mark]
        choices += [self._edit_provider, self._delete_provider] if self.providers else []
        choices += [self._edit_endpoint, self._delete_endpoint] if self.endpoints else []
        act = self._chance.choice(choices)
        act()
        if lost := list(self.missing()):
            raise RuntimeError(f"{self._name} {act.__name__}: {lost}")
        return act.__name__.strip("_")

    def missing(self) -> Iterator[str]:
        """What must be in the file and is not, or is and must not be."""
        config = json.loads(self._store.path.read_bytes())
        for kind, own in (("providers", self.providers), ("endpoints", self.endpoints)):
            found = {entry["id"]: entry for entry in config[kind] if entry["name"].startswith(f"{self._name} ")}
            if found.keys() != own.keys():
                yield f"{kind}: {sorted(found.keys() ^ own.keys())}"
            for entry_id in found.keys() & own.keys():
                if _fields(found[entry_id]) != own[entry_id]:
                    yield f"{entry_id}: {_fields(found[entry_id])} and not {own[entry_id]}"
        entries = {entry["id"]: entry for entry in config["providers"]}
        headers = entries[SHARED].get("advancedSettings", {}).get("customHeaders", {})
        if {name: text for name, text in headers.items() if name.startswith(f"X-{self._name}-")} != self.headers:
            yield f"headers: {headers} and not {self.headers}"
        if int(entries[mark(self._name)]["name"]) != self.mark:
            yield f"mark: {entries[mark(self._name)]['name']} and not {self.mark}"
        if self.setting is not None and self._setting(config) != self.setting:
            yield f"setting: {self._setting(config)} and not {self.setting}"

    def _verb(self, *words: str) -> bool:
        """Run a verb instead of calling the API, half the time."""
        if self._chance.random() < 0.5:
            return False
        self._run([*words, *self._user])
        return True

    def _number(self) -> int:
        return self._chance.randrange(1, 1000)

    def _add_provider(self) -> None:
        name = f"{self._name} {self._place}{self._count}"
        if self._verb("provider", "add", "--type", "openai", "--name", name, "--timeout", "7"):
            added = next(known.id for known in self._store.get_all_providers() if known.name == name)
        else:
            added = self._store.add_provider({"type": "openai", "name": name, "advancedSettings": {"timeout": 7}}).id
        self.providers[added] = {"name": name, "timeout": 7, "headers": {}}

    def _edit_provider(self) -> None:
        own, number = self._chance.choice(sorted(self.providers)), self._number()
        header = f"X-{number}"
        if not self._verb("provider", "edit", own, "--timeout", str(number), "--header", f"{header}: {number}"):
            self._store.update_provider(own, lambda stored: _with_header(stored, header, str(number), timeout=number))
        self.providers[own]["timeout"] = number
        self.providers[own]["headers"][header] = str(number)

    def _delete_provider(self) -> None:
        own = self._chance.choice(sorted(self.providers))
        if not self._verb("provider", "delete", own, "--yes"):
            assert self._store.delete_provider(own)
        del self.providers[own]
        self.endpoints = {name: entry for name, entry in self.endpoints.items() if entry["provider"] != own}

    def _add_endpoint(self) -> None:
        own, name = f"{self._name}-{self._place}{self._count}", f"{self._name} {self._place}{self._count}"
        provider = self._chance.choice([SHARED, *self.providers])
        if not self._verb("endpoint", "add", own, "--provider", provider, "--model", "m", "--name", name):
            self._store.add_endpoint({"id": own, "providerId": provider, "model": "m", "name": name})
        self.endpoints[own] = {"name": name, "provider": provider, "ttl": 60}

    def _edit_endpoint(self) -> None:
        own, number = self._chance.choice(sorted(self.endpoints)), self._number()
        if not self._verb("endpoint", "edit", own, "--ttl-minutes", str(number)):
            self._store.update_endpoint(own, lambda stored: {
                "cacheStrategy": stored.cache_strategy.model_copy(update={"ttl_minutes": number})
            })  # fmt: skip
        self.endpoints[own]["ttl"] = number

    def _delete_endpoint(self) -> None:
        own = self._chance.choice(sorted(self.endpoints))
        if not self._verb("endpoint", "delete", own, "--yes"):
            assert self._store.delete_endpoint(own)
        del self.endpoints[own]

    def _edit_shared(self) -> None:
        header, number = f"X-{self._name}-{self._chance.randrange(10)}", str(self._number())
        if not self._verb("provider", "edit", SHARED, "--header", f"{header}: {number}"):
            self._store.update_provider(SHARED, lambda stored: _with_header(stored, header, number))
        self.headers[header] = number

    def _make_default(self) -> None:
        if not self._verb("default", keep(self._name)):
            self._store.set_default_endpoint(keep(self._name))
        self.default = keep(self._name)

    def _edit_mark(self) -> None:
        if not self._verb("provider", "edit", mark(self._name), "--name", str(self.mark + 1)):
            self._store.update_provider(mark(self._name), {"name": str(self.mark + 1)})
        self.mark += 1

    def _set(self) -> None:
        """Each writer has a setting of its own."""
        number = self._number()
        match self._name:
            case "a":
                self._store.update_global_cache_settings({"max_total_size_mb": number})
            case "b":
                self._store.update_budget({"per_kernel_usd": number})
            case _:
                self._store.update_budget({"per_day_usd": number})
        self.setting = number

    def _setting(self, config: dict[str, Any]) -> object:
        place, name = {"a": ("globalCacheSettings", "maxTotalSizeMB"), "b": ("budget", "perKernelUsd")}.get(
            self._name, ("budget", "perDayUsd")
        )
        return config.get(place, {}).get(name)


def _with_header(stored: Provider, name: str, text: str, **settings: Any) -> dict[str, Any]:
    old = stored.advanced_settings
    return {
        "advancedSettings": old.model_copy(
            update={"custom_headers": {**old.custom_headers, name: Secret(text)}, **settings}
        )
    }


def _fields(entry: dict[str, Any]) -> dict[str, Any]:
    """What the model knows of an entry of the file."""
    if "providerId" in entry:
        return {"name": entry["name"], "provider": entry["providerId"], "ttl": entry["cacheStrategy"]["ttlMinutes"]}
    settings = entry.get("advancedSettings", {})
    return {"name": entry["name"], "timeout": settings.get("timeout"), "headers": settings.get("customHeaders", {})}


class Writer:
    """Edits both files.

    Args:
        root: The project.
        name: `a` and `b` for kernels, `ccw`.
        seed: Of what is drawn.
        run: Runs a verb.
    """

    def __init__(self, root: Path, name: str, seed: int, run: Run) -> None:
        self._chance = random.Random(f"{name} {seed}")
        config = Workspace(root).config
        stores = {"project": config, "user": config.user}
        self._files = {place: File(store, name, run, self._chance) for place, store in stores.items()}
        self._report = root / f"{name}.json"
        self._done: Counter[str] = Counter()

    def edit(self, count: int) -> None:
        """Make so many edits, a quarter of them of the user's own file."""
        for _ in range(count):
            place = self._chance.choice(["project", "project", "project", "user"])
            self._done[f"{place}: {self._files[place].edit()}"] += 1

    def report(self) -> None:
        """Write into the project, as `NAME.json`, what was done, what of it is not there, and the last defaults."""
        lost = [f"{place}: {what}" for place, file in self._files.items() for what in file.missing()]
        defaults = {place: file.default for place, file in self._files.items()}
        self._report.write_text(json.dumps({"done": self._done, "lost": lost, "defaults": defaults}))


def read_until_done(root: Path) -> dict[str, Any]:
    """Read both files until there is one named `DONE`; how often, and what was wrong with them."""
    store = ConfigStore(root)
    wrong: list[str] = []
    marks: dict[str, int] = {}
    reads = 0
    while not (root / DONE).exists():
        for place in (store, store.user):
            reads += 1
            try:
                wrong += _wrong_with(place, marks)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is what the soak looks for
                wrong.append(f"{type(error).__name__}: {error}")
    return {"reads": reads, "wrong": wrong[:20]}


def _wrong_with(store: ConfigStore, marks: dict[str, int]) -> Iterator[str]:
    with store.path.open("rb") as file:
        mode, content = stat.S_IMODE(os.fstat(file.fileno()).st_mode), file.read()
    if mode != 0o600:
        yield f"mode {mode:o}"
    config = json.loads(content)
    for name in (entry["id"] for entry in config["providers"] if entry["id"].startswith("mark-")):
        count = next(int(entry["name"]) for entry in config["providers"] if entry["id"] == name)
        if count < marks.get(f"{store.path} {name}", 0):
            yield f"{name} went back to {count}"
        marks[f"{store.path} {name}"] = count
    loaded = store.load()  # what a long-lived store says, which may have kept what it read
    if not {SHARED, *(mark(name) for name in WRITERS)} <= {known.id for known in loaded.providers}:
        yield "a provider has gone"
    if not {keep(name) for name in WRITERS} <= {known.id for known in loaded.endpoints}:
        yield "an endpoint has gone"


def main() -> None:
    what, root, *given = sys.argv[1:]
    if what == "read":
        print(json.dumps(read_until_done(Path(root))))
        return
    name, count, seed = given[0], int(given[1]), int(given[2])
    writer = Writer(Path(root), name, seed, in_shell_or_process(random.Random(seed)))
    print("ready", flush=True)
    sys.stdin.readline()
    writer.edit(count)
    print("edited", flush=True)
    sys.stdin.readline()
    writer.report()


if __name__ == "__main__":
    main()
