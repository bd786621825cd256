"""A tab of entries: what saving and deleting do, ask and say, and what somebody else did meanwhile."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import CcwError, ConfigConflict, ConfigUnsure, EndpointNotFound, ProviderNotFound
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.deletion import Deletion, deletion_of
from ccw_magics.notebook.panels.form import ChangedMeanwhile
from ccw_magics.notebook.panels.question import side_by_side
from ccw_magics.notebook.panels.record_page import EntryT, RecordPage


class RecordTab(RecordPage[EntryT]):
    """What the tabs of providers and endpoints share; see `RecordPage`."""

    _planned: Deletion
    """What the user was asked about last."""

    # --- what differs from kind to kind ------------------------------------------------------------------------

    @abstractmethod
    def _add(self, store: ConfigStore, entry: Mapping[str, Any]) -> EntryT:
        """Add an entry to a store."""

    @abstractmethod
    def _update(self, store: ConfigStore, entry: EntryT, changed: Callable[[Any], Mapping[str, Any]]) -> EntryT:
        """Change an entry in a store."""

    # --- saving ------------------------------------------------------------------------------------------------

    def save(self) -> None:
        """Save what was typed, all of it or nothing."""
        self._question.drop()
        if self._form.check():
            self._try(self._written)
        else:
            told = self._form.unseen or "see what is said beside the fields."
            self._status.say(f"Nothing was saved: {told}", "wrong")

    def _try(self, write: Callable[[], EntryT]) -> None:
        """Write, and show what came of it."""
        try:
            saved = write()
        except ChangedMeanwhile as error:
            self._ask_whose(error)
        except ConfigUnsure as error:
            self._written_unsurely(error)
        except (EndpointNotFound, ProviderNotFound) as error:
            self._status.fail(error)
            self._offer_again()
        except CcwError as error:
            self._status.fail(error)
        else:
            self._saved(saved)

    def _written(self) -> EntryT:
        base: Any = self._form.base
        if base is None:
            return self._add(self._home, self._form.entry())
        return self._update(self._home, base, self._form.changed)

    def _written_again(self) -> EntryT:
        return self._add(self._home, self._form.whole())

    def _saved(self, entry: EntryT) -> None:
        home, config = self._home, self._workspace.config  # another one may be shown below
        self._form.fill(entry)
        self._on_change()
        self._show_anew(entry.id)
        told = f"Saved {entry.id} in {style.place(home.path)}."
        if home is not config and config.origin(entry) == "project":
            told += f"\nHere it is hidden by the one of {style.place(config.path)}, which has the same id."
        self._status.say(told, "right")

    def _written_unsurely(self, error: ConfigUnsure) -> None:
        """What was typed stands in the file: to save it again would add it twice, or be a conflict with oneself."""
        opened = self._opened_id
        self._form.fill(None)
        self._on_change()
        self._show_anew(opened)
        self._status.fail(error)

    # --- deleting ----------------------------------------------------------------------------------------------

    def ask_delete(self) -> None:
        """Ask before the entry is deleted, and say what goes along."""
        self._ask_delete(self._form.base)

    def _ask_delete(self, entry: Any, first: str = "") -> None:
        try:
            self._planned = deletion_of(entry, self._workspace.config)
        except CcwError as error:
            self._status.fail(error)
            return
        self._question.sure(first + self._planned.question, "Delete it", lambda: self._really_delete(entry))

    def _really_delete(self, entry: Any) -> None:
        try:
            was_there = self._planned.do()
        except ConfigConflict:
            self._ask_delete_anew(entry.id)
        except CcwError as error:
            self._status.fail(error)
        else:
            self._form.fill(None, self._defaults())
            self._on_change()
            self._show_anew(None)
            self._status.say(f"Deleted {entry.id}." if was_there else f"{entry.id} was gone already.", "right")

    def _ask_delete_anew(self, entry_id: str) -> None:
        """The entry, or what goes along, is not what the user agreed to."""
        self.refresh()
        entry = self.find(entry_id)
        if entry is not None:
            self._ask_delete(entry, f"{entry_id}, or what goes along with it, was changed meanwhile by someone else.\n")

    # --- what somebody else did meanwhile ----------------------------------------------------------------------

    def _ask_whose(self, error: ChangedMeanwhile) -> None:
        """Show what somebody else has changed meanwhile beside what was typed here, and offer both."""
        stored: Any = error.stored
        when = style.said(f"{stored.id} was changed meanwhile by someone else, at {stored.updated_at}.", "doubt")
        mine = button("Save mine over it", lambda: self._save_over(stored), "check")
        theirs = button("Take theirs", lambda: self._take(stored), "undo")
        self._question.ask(when + side_by_side(self._form.against(stored)), [theirs, mine])

    def _save_over(self, stored: EntryT) -> None:
        self._form.base = stored
        self.save()

    def _take(self, stored: EntryT) -> None:
        self._form.fill(stored)
        self._status.say("")
        self.refresh()
        self._open(self.find(stored.id))

    def _offer_again(self) -> None:
        """Where somebody has deleted the entry meanwhile, what was typed can still be kept."""
        entry_id = self._opened_id
        with self._reading:
            if entry_id is None or any(entry.id == entry_id for entry in self._entries()):
                return  # it is something else that was not found
            again = button("Add it again", lambda: self._try(self._written_again), "plus")
            told = style.said(f"{entry_id} was deleted meanwhile by someone else.", "doubt")
            self._question.ask(told, [again, button("Let it go", self.revert, "undo")])
