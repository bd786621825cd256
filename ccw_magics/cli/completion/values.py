"""What may stand for a parameter: ids, names, choices and paths of the project and the notebook.

What reads the config or the disk is imported where it is needed: a shell starts a process for each Tab.
"""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from ccw_magics.cli.completion.suggestion import Suggestion, Suggestions
from ccw_magics.cli.completion.words import Word
from ccw_magics.errors import CcwError, ConfigError

if TYPE_CHECKING:
    from ccw_magics.config.models import Config
    from ccw_magics.workspace import Workspace

_SEPARATOR: Final = " · "


class ProjectValues:
    """The values that parameters may have here.

    Args:
        workspace: Gives the project.
        namespace: The notebook's, for types.
        words: The words before the cursor, whose options say where references start.
    """

    def __init__(
        self, workspace: Callable[[], Workspace], namespace: Mapping[str, Any], words: Sequence[str] = ()
    ) -> None:
        self._workspace = workspace
        self._namespace = namespace
        self._words = words
        self._kinds: dict[str, Callable[[], Iterable[Suggestion]]] = {
            "endpoint": self._endpoints,
            "endpoint_id": self._endpoints,
            "provider": self._providers,
            "provider_id": self._providers,
            "key_id": self._keys,
            "type": _types,
            "model": self._models,
            "chat": self._chats,
            "session_id": self._packs,
            "schema": self._schemas,
        }

    def of(self, path: tuple[str, ...], parameter: click.Parameter, word: Word) -> Suggestions:
        """What may stand for a parameter; nothing where that is anybody's guess.

        Args:
            path: The words that name the command.
            parameter: One of its parameters.
            word: What is typed of the value.
        """
        if parameter.name == "prompt":
            return self._references(word)
        if parameter.name in {"cd", "include_dirs"} or isinstance(parameter.type, click.Path | click.File):
            return _paths(parameter, word)
        texts = ((word.whole(text), text, note) for text, note in self._all(path, parameter))
        found = (Suggestion(whole, note) for whole, text, note in texts if whole and text.startswith(word.value))
        return Suggestions(word.raw, tuple(found))

    def _references(self, word: Word) -> Suggestions:
        """How a reference in the question may go on, as the shell's word has to be written."""
        from ccw_magics.cli.completion import paths

        try:
            found = paths.references(word.value, *paths.reach(self._words))
        except (CcwError, OSError):
            return Suggestions()
        fragment = word.part(found.fragment)
        if fragment is None or not word.raw.endswith(fragment):
            return Suggestions()
        written = ((word.part(text), note) for text, note in found.found)
        return Suggestions(fragment, tuple(Suggestion(text, note) for text, note in written if text), goes_on=True)

    def _all(self, path: tuple[str, ...], parameter: click.Parameter) -> Iterator[Suggestion]:
        if isinstance(parameter.type, click.Choice):
            yield from (Suggestion(str(choice), "choice") for choice in parameter.type.choices)
            return
        kind = self._kinds.get(_kind(path, parameter.name or ""))
        try:
            yield from kind() if kind else ()
        except (CcwError, OSError):  # what is wrong is told when the cell runs
            return

    def _config(self) -> Config:
        """The config; an empty one where it cannot be read, since the embedded model is there all the same."""
        from ccw_magics.config.models import Config

        try:
            return self._workspace().config.load()
        except ConfigError:
            return Config()

    def _endpoints(self) -> Iterator[Suggestion]:
        from ccw_magics.calls.routing import default_endpoint_id, known_endpoints

        config = self._config()
        default = default_endpoint_id(config)
        for endpoint in known_endpoints(config):
            name = endpoint.name if endpoint.name != endpoint.id else ""
            states = ("default" if endpoint.id == default else "", "" if endpoint.enabled else "disabled")
            yield Suggestion(endpoint.id, _note(name, endpoint.model, *states))

    def _providers(self) -> Iterator[Suggestion]:
        for provider in self._config().providers:
            state = "" if provider.enabled else "disabled"
            yield Suggestion(provider.id, _note(provider.name, provider.type, state))

    def _keys(self) -> Iterator[Suggestion]:
        for provider in self._config().providers:
            for entry in provider.api_keys:
                yield Suggestion(entry.id, _note(entry.label or "", f"of {provider.id}"))

    def _models(self) -> Iterator[Suggestion]:
        from ccw_magics.calls.routing import known_endpoints

        users: dict[str, str] = {}
        for endpoint in known_endpoints(self._config()):
            users.setdefault(endpoint.model, endpoint.id)
        yield from (Suggestion(model, f"as in {user}") for model, user in users.items() if model)

    def _chats(self) -> Iterator[Suggestion]:
        for row in self._workspace().journal.chats.names():
            yield Suggestion(row.name, _note(f"{row.turns} turns" if row.turns != 1 else "1 turn", row.endpoint))

    def _packs(self) -> Iterator[Suggestion]:
        for row in self._workspace().cache.rows():
            yield Suggestion(row.session_id, " ".join(f"@{reference}" for reference in row.key.references))

    def _schemas(self) -> Iterator[Suggestion]:
        for name, found in self._namespace.items():
            if not name.startswith("_") and isinstance(found, type) and (kind := _schema_kind(found)):
                yield Suggestion(name, kind)


def _types() -> Iterator[Suggestion]:
    """The types of providers that have a name of their own here; litellm knows many more."""
    from ccw_magics.config.models import STANDARD_KEY_NAMES

    yield from (Suggestion(name, f"its key is usually in {key}") for name, key in STANDARD_KEY_NAMES.items())
    yield Suggestion("ollama", "models on this machine; needs no key")
    yield Suggestion("custom", "any server that speaks OpenAI's language, at --api-base")


def _paths(parameter: click.Parameter, word: Word) -> Suggestions:
    from ccw_magics.cli.completion import paths

    if parameter.name == "include_dirs":
        return paths.directories(word.behind(","))
    takes_files = isinstance(parameter.type, click.File) or getattr(parameter.type, "file_okay", True)
    try:
        return paths.files(word) if takes_files and parameter.name != "cd" else paths.directories(word)
    except OSError:
        return Suggestions()


def _kind(path: tuple[str, ...], name: str) -> str:
    """What a parameter stands for: its name tells, but for these."""
    if path[1:] == ("add",) and name.endswith("_id") and f"{path[0]}_id" == name:
        return ""  # the id of something new
    if path[:1] == ("chat",) and name == "name":
        return "chat"
    return "endpoint" if name == "model" and path in {(), ("cli",)} else name


def _schema_kind(found: type) -> str:
    from pydantic import BaseModel

    if issubclass(found, BaseModel):
        return "pydantic model" if found is not BaseModel else ""
    if dataclasses.is_dataclass(found):
        return "dataclass"
    return "typed dict" if typing.is_typeddict(found) else ""


def _note(*parts: str) -> str:
    return _SEPARATOR.join(part for part in parts if part)
