"""The tab of the endpoints: a provider's model under a name of the user's, what it sends, and the cell that asks it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import ipywidgets

from ccw_magics.calls.routing import embedded_route, known_endpoints
from ccw_magics.config.lookup import find, provider_not_found
from ccw_magics.config.models import LOCAL_ID, Config, Endpoint, Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import CcwError, ConfigError
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.endpoint_fields import EndpointFields
from ccw_magics.notebook.panels.example_cell import example_html
from ccw_magics.notebook.panels.form import Form, patched
from ccw_magics.notebook.panels.record_tab import RecordTab
from ccw_magics.workspace import Workspace

_ITS_OWN: Final = {"id", "name", "created_at", "updated_at"}
"""What a duplicate does not take over."""
_NO_LOCAL: Final = 'A small model that needs no key and no provider: pip install "ccw_magics[local]".'
_LOCAL: Final = "The endpoint `local`, a small embedded model, works without an entry here: %%ccw local"


class EndpointsTab(RecordTab[Endpoint]):
    """The list of endpoints, and the form of one.

    Args:
        workspace: The project.
        on_change: To be called after each change of the config.
    """

    kind = "endpoint"

    def __init__(self, workspace: Workspace, on_change: Callable[[], None]) -> None:
        self._source: Endpoint | None = None
        self._default: str | None = None
        self._fields = EndpointFields(workspace, self._trusted_provider)
        self._intro = ipywidgets.HTML()
        self._cell = ipywidgets.HTML()
        super().__init__(workspace, on_change, Form(Endpoint, self._fields.groups(), self._judge))

    # --- what differs from kind to kind ------------------------------------------------------------------------

    def _entries(self) -> list[Endpoint]:
        return self._workspace.config.get_all_endpoints()

    def _row(self, entry: Endpoint) -> str:
        state = "●" if entry.enabled else "○"
        told = [f"{state} {entry.id}{' ★' if entry.id == self._default else ''}", entry.model]
        told += ["" if entry.enabled else "disabled", self._workspace.config.origin(entry)]
        return " · ".join(filter(None, told))

    def _add(self, store: ConfigStore, entry: Mapping[str, Any]) -> Endpoint:
        return store.add_endpoint(entry if self._source is None else {**self._copied(self._source), "id": entry["id"]})

    def _copied(self, source: Endpoint) -> dict[str, Any]:
        """All that the source has, what this form does not show included, under what was typed."""
        kept = source.model_dump(by_alias=True, exclude_unset=True, exclude=_ITS_OWN)
        return {**kept, **patched(source, self._form.changes())}

    def _update(self, store: ConfigStore, entry: Endpoint, changed: Callable[[Any], Mapping[str, Any]]) -> Endpoint:
        return store.update_endpoint(entry.id, changed)

    def _defaults(self) -> Mapping[str, Any]:
        return {"enabled": True, "cacheStrategy.enabled": True}

    def _actions(self) -> Sequence[Any]:
        self._duplicate = button("Duplicate", self.duplicate, "copy")
        self._make_default = button("Make default", self.make_default, "star")
        return self._duplicate, self._make_default

    def _above(self) -> Sequence[Any]:
        return (self._intro,)

    def _below(self) -> Sequence[Any]:
        return (self._cell,)

    # --- what is shown -----------------------------------------------------------------------------------------

    def _refreshing(self) -> None:
        self._default = self._workspace.default_endpoint_id()
        self._fields.offer(self._workspace.config.get_all_providers(), self._form.base)

    def _refreshed(self) -> None:
        self._intro.value = "" if self._shown else style.said(self._first_steps(), "faint")

    def _first_steps(self) -> str:
        config = self._config()
        has_local = any(endpoint.id == LOCAL_ID for endpoint in known_endpoints(config))
        if config.providers:
            todo = "No endpoints yet: name a provider's model below, and Add."
        else:
            todo = "No endpoints yet, and no provider that could serve one: begin in the tab Providers."
        return f"{todo}\n{_LOCAL if has_local else _NO_LOCAL}"

    def _opened(self, entry: Endpoint | None) -> None:
        self._source = None
        self._fields.show(entry, self._config().providers)
        self._cell.value = "" if entry is None else example_html(self._workspace.root, entry.id)
        self._tell()

    def _edited(self) -> None:
        super()._edited()
        self._fields.follow()
        self._tell()

    def _tell(self) -> None:
        """Say what follows from what the form has now."""
        provider = self._provider()
        self._fields.look_up(provider.type if provider is not None else None)
        self._fields.tell_missing([LOCAL_ID, *(endpoint.id for endpoint in self._config().endpoints)])

    def _show_buttons(self) -> None:
        super()._show_buttons()
        entry: Any = self._form.base
        self._duplicate.disabled = entry is None
        self._make_default.disabled = entry is None or entry.id == self._default

    # --- what the buttons do -----------------------------------------------------------------------------------

    def duplicate(self) -> None:
        """Begin a new endpoint with the settings of this one."""
        source = self._form.base
        assert isinstance(source, Endpoint)
        if self._form.is_edited:
            self._select(None)
            return
        self.show_rows(None)
        self._open(None)
        self._source = source.model_copy(update={"name": ""})
        self._form.fill(self._source, is_copied=True)
        self._fields.show(None, self._config().providers)
        self._fields.rename(_free_id(source.id, {known.id for known in self._shown or ()}))
        self._status.say(f"A copy of {source.id}: give it an id, then Add.", "faint")

    def make_default(self) -> None:
        """Have this endpoint asked where none is named, in this project."""
        entry = self._form.base
        assert isinstance(entry, Endpoint)
        try:
            self._workspace.config.set_default_endpoint(entry.id)
        except CcwError as error:
            self._status.fail(error)
            return
        self._on_change()
        self._show_buttons()
        self._status.say(f"{entry.id} is now asked where none is named, in this project.", "right")

    # --- what is wrong -----------------------------------------------------------------------------------------

    def _judge(self, entry: Mapping[str, Any]) -> Mapping[str, str]:
        found = {}
        if self._form.base is None and self._is_taken(str(entry.get("id", ""))):
            found["id"] = "is taken"
        if entry.get("providerId") not in {None, LOCAL_ID} and not entry.get("model"):
            found["model"] = "is missing: the model, as the provider names it"
        return found

    def _is_taken(self, endpoint_id: str) -> bool:
        """Whether the file that a new endpoint would go to has one of this id."""
        store = self._store(self._where.value)
        try:
            known = store.get_endpoint(endpoint_id)
            return known is not None and store.origin(known) == self._where.value
        except CcwError:
            return False

    def _config(self) -> Config:
        """The config as it is now; an empty one where it cannot be read, which the panel says above."""
        try:
            return self._workspace.config.load()
        except CcwError:
            return Config()

    def _provider(self) -> Provider | None:
        """The provider that the form names."""
        return _known_provider(self._config(), self._fields.provider.value)

    def _trusted_provider(self) -> Provider:
        """Likewise, once the config is trusted: what it is asked goes out with the key."""
        config, wanted = self._workspace.config.require_trust(), self._fields.provider.value
        if not wanted:
            raise ConfigError("choose a provider first")
        provider = _known_provider(config, wanted)
        if provider is None:
            raise provider_not_found(wanted, config)
        return provider


def _known_provider(config: Config, provider_id: str | None) -> Provider | None:
    """The provider of a config that an id names; the embedded model's too, which need not be in it."""
    known = find(config.providers, provider_id) if provider_id else None
    return embedded_route().provider if known is None and provider_id == LOCAL_ID else known


def _free_id(endpoint_id: str, taken: set[str]) -> str:
    """`my-gpt4o-2`, or the next number that is free."""
    number = 2
    while f"{endpoint_id}-{number}" in taken:
        number += 1
    return f"{endpoint_id}-{number}"
