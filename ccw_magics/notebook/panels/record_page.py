"""A page of entries: the list beside the form, which entry is open in it, and the file that this one stands in."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

import ipywidgets

from ccw_magics.config.models import Endpoint, Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import CcwError
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.background import Background
from ccw_magics.notebook.panels.buttons import WRAPPED, button
from ccw_magics.notebook.panels.form import Form
from ccw_magics.notebook.panels.question import Question
from ccw_magics.notebook.panels.reading import Reading
from ccw_magics.notebook.panels.record_list import RecordList
from ccw_magics.workspace import Workspace

EntryT = TypeVar("EntryT", Provider, Endpoint)


class RecordPage(ABC, Generic[EntryT]):
    """What is shown of entries, and how another one is opened.

    Args:
        workspace: The project.
        on_change: To be called after each change of the config.
        form: Of one entry.

    Attributes:
        widget: What is shown.
    """

    kind: str
    """What an entry is called: `provider`."""

    def __init__(self, workspace: Workspace, on_change: Callable[[], None], form: Form) -> None:
        self._workspace = workspace
        self._on_change = on_change
        self._form = form
        self._shown: list[EntryT] | None = None
        self._stored_in: ConfigStore | None = None
        self._status = Background()
        self._reading = Reading(self._status)
        self._list = RecordList(
            f"{self.kind.capitalize()}s", [button(f"New {self.kind}", self.add, "plus")], self._select
        )
        self._where = ipywidgets.Dropdown(
            description="Kept in",
            style={"description_width": "9em"},
            options=[("this project", "project"), ("my own config, for every project", "user")],
            layout=ipywidgets.Layout(width="auto"),
        )
        self._title = ipywidgets.HTML()
        self._question = Question()
        self._save = button("Save", self.save, "check", kind="primary")
        self._revert = button("Revert", self.revert, "undo")
        self._delete = button("Delete", self.ask_delete, "trash")
        form.on_edit(self._edited)
        self.widget = self._laid_out()
        self._open(None)

    def _laid_out(self) -> Any:
        buttons = ipywidgets.HBox(
            [self._save, self._revert, *self._actions(), self._delete], layout=ipywidgets.Layout(**WRAPPED)
        )
        page = ipywidgets.VBox(
            [
                self._title,
                self._where,
                *self._above(),
                self._form.widget,
                *self._below(),
                buttons,
                self._question.widget,
            ],
            layout=ipywidgets.Layout(flex="3 1 420px", min_width="0", max_width="100%"),
        )
        row = ipywidgets.HBox([self._list.widget, page], layout=ipywidgets.Layout(**WRAPPED, grid_gap="4px 16px"))
        return ipywidgets.VBox([row, self._status.widget])

    # --- what differs from kind to kind ------------------------------------------------------------------------

    @abstractmethod
    def _entries(self) -> list[EntryT]:
        """All there are."""

    @abstractmethod
    def _row(self, entry: EntryT) -> str:
        """How an entry looks in the list, its id and state."""

    def _defaults(self) -> Mapping[str, Any]:
        """Place to value of a new entry."""
        return {"enabled": True}

    def _actions(self) -> Sequence[Any]:
        """Further buttons beside Save."""
        return ()

    def _above(self) -> Sequence[Any]:
        """What stands above the form."""
        return ()

    def _below(self) -> Sequence[Any]:
        """What stands below the form."""
        return ()

    def _opened(self, entry: EntryT | None) -> None:
        """Another entry is shown in the form, or a new one."""

    def _refreshing(self) -> None:
        """The entries are about to be read anew: read what else is shown."""

    def _refreshed(self) -> None:
        """The entries were read anew, and are shown."""

    def _edited(self) -> None:
        """Something was typed."""
        self._show_buttons()

    # --- what the buttons do -----------------------------------------------------------------------------------

    @abstractmethod
    def save(self) -> None:
        """Save what was typed, all of it or nothing."""

    @abstractmethod
    def ask_delete(self) -> None:
        """Ask before the entry is deleted, and say what goes along."""

    def add(self) -> None:
        """Begin a new entry."""
        if self._form.is_edited:
            self._select(None)
            return
        self.show_rows(None)
        self._status.say("")
        self._open(None)

    def revert(self) -> None:
        """Forget what was typed."""
        self._status.say("")
        self._show_anew(self._opened_id)

    # --- the list ----------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the entries that there are now; what is being typed stays."""
        with self._reading:
            self._refreshing()
            self._shown = self._entries()
            self.show_rows(self._opened_id)  # a row depends on more than its entry
            if not self._form.is_edited:
                self._reopen(self._opened_id)
            self._refreshed()

    def show_rows(self, selected: str | None) -> None:
        """Show the list anew, with an entry selected."""
        self._list.show([(self._row(entry), entry.id) for entry in self._shown or ()], selected)

    def find(self, entry_id: str | None) -> EntryT | None:
        """The entry with an id, of those that are shown."""
        return next((entry for entry in self._shown or () if entry.id == entry_id), None)

    @property
    def _opened_id(self) -> str | None:
        """The id of the entry in the form; None for a new one."""
        found: str | None = getattr(self._form.base, "id", None)
        return found

    def _reopen(self, entry_id: str | None) -> None:
        entry = self.find(entry_id)
        if entry != self._form.base or entry is None:
            self._open(entry)

    def _select(self, entry_id: str | None) -> None:
        if self._form.is_edited:
            self.show_rows(self._opened_id)
            name = self._opened_id or f"the new {self.kind}"
            self._status.say(f"Save or revert your changes to {name} first.", "doubt")
            return
        self._status.say("")
        self._show_anew(entry_id)
        self.show_rows(self._opened_id)  # which is another one where that has gone, or cannot be read

    def _show_anew(self, entry_id: str | None) -> None:
        """Read the entries, and open one of them; what was typed goes."""
        with self._reading:
            self._shown = self._entries()
            self.show_rows(entry_id)
            self._open(self.find(entry_id))

    # --- the form ----------------------------------------------------------------------------------------------

    def _open(self, entry: EntryT | None) -> None:
        try:
            self._stored_in = None if entry is None else self._store_of(entry)
        except CcwError as error:
            self._status.fail(error)
            return
        self._question.drop()
        self._form.fill(entry, self._defaults())
        self._where.layout.display = None if entry is None else "none"
        if entry is None:
            self._title.value = f"<b>A new {self.kind}</b>"
        else:
            self._title.value = f"{style.said(entry.id)} {style.said(f'in {style.place(self._home.path)}', 'faint')}"
        self._show_buttons()
        self._opened(entry)

    def _show_buttons(self) -> None:
        is_new = self._form.base is None
        self._save.description = "Add" if is_new else "Save"
        self._save.disabled = self._revert.disabled = not (self._form.is_edited or is_new)
        self._delete.disabled = is_new

    @property
    def _home(self) -> ConfigStore:
        """The store of the file that the form's entry stands in, or will."""
        return self._stored_in or self._store(self._where.value)

    def _store(self, origin: str) -> ConfigStore:
        config = self._workspace.config
        return config.user if origin == "user" else config

    def _store_of(self, entry: EntryT) -> ConfigStore:
        """The store of the file that an entry comes from, and an edit of it goes to."""
        return self._store(self._workspace.config.origin(entry))
