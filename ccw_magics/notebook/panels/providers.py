"""The tab of the providers: whom to ask, with which key, and whether they can be reached."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ccw_magics.config.models import Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.notebook.panels.fields import FlagField, TextField
from ccw_magics.notebook.panels.form import Form
from ccw_magics.notebook.panels.record_tab import RecordTab
from ccw_magics.workspace import Workspace


class ProvidersTab(RecordTab[Provider]):
    """See the module."""

    kind = "provider"

    def __init__(self, workspace: Workspace, on_change: Callable[[], None]) -> None:
        """Lay it out; see `RecordTab`."""
        fields = [
            TextField("name", "Name"),
            TextField("type", "Type"),
            TextField("apiBase", "Base URL"),
            FlagField("enabled", "Enabled", default=True),
        ]
        advanced = [TextField("advancedSettings.timeout", "Timeout", hint="seconds", placeholder="300")]
        form = Form(Provider, [("", fields), ("Advanced settings", advanced)], lambda _: {})
        super().__init__(workspace, on_change, form)

    def _entries(self) -> list[Provider]:
        return self._workspace.config.get_all_providers()

    def _row(self, entry: Provider) -> str:
        return f"{'●' if entry.enabled else '○'} {entry.name or entry.id}"

    def _add(self, store: ConfigStore, entry: Mapping[str, Any]) -> Provider:
        return store.add_provider(entry)

    def _update(self, store: ConfigStore, entry: Provider, changed: Callable[[Any], Mapping[str, Any]]) -> Provider:
        return store.update_provider(entry.id, changed)

    def _remove(self, store: ConfigStore, entry: Provider) -> bool:
        return store.delete_provider(entry.id)
