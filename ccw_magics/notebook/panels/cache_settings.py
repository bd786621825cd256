"""The settings that hold for every endpoint's cache, in the project's file or in the user's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import ipywidgets

from ccw_magics.config.models import DEFAULT_CACHE_DIR, GlobalCacheSettings
from ccw_magics.errors import CcwError
from ccw_magics.notebook.panels import style
from ccw_magics.notebook.panels.background import Background
from ccw_magics.notebook.panels.buttons import WRAPPED, button
from ccw_magics.notebook.panels.fields import ChoiceField, FlagField, TextField
from ccw_magics.notebook.panels.form import ChangedMeanwhile, Form
from ccw_magics.notebook.panels.reading import Reading
from ccw_magics.workspace import Workspace

_FILES: Final = [("this project", "project"), ("my own config, for every project", "user")]


class CacheSettingsForm:
    """`globalCacheSettings`, folded away.

    Args:
        workspace: The project.
        on_saved: Called with what was done, in words.

    Attributes:
        widget: What is shown.
    """

    def __init__(self, workspace: Workspace, on_saved: Callable[[str], None]) -> None:
        self._workspace = workspace
        self._on_saved = on_saved
        self._status = Background()
        self._reading = Reading(self._status)
        self._file = ChoiceField("", "Kept in", _FILES)
        fields = [
            FlagField("enabled", "Keep packs on disk", default=True),
            TextField("cacheDir", "Folder", placeholder=DEFAULT_CACHE_DIR, hint="~ is the home directory"),
            TextField("maxTotalSizeMB", "Limit", hint="MiB, all packs together", placeholder="100"),
        ]
        self._form = Form(GlobalCacheSettings, [("", fields)], lambda _: {})
        self._form.on_edit(self._show_buttons)
        self._save = button("Save", self.save, "check", kind="primary")
        self._revert = button("Revert", self.revert, "undo")
        buttons = ipywidgets.HBox([self._save, self._revert], layout=ipywidgets.Layout(**WRAPPED))
        page = ipywidgets.VBox([self._form.widget, self._file.widget, buttons, self._status.widget])
        self.widget = ipywidgets.Accordion([page], titles=["Settings of the cache"], selected_index=None)

    def refresh(self) -> None:
        """Show what holds now; what is being typed stays."""
        if self._form.is_edited:
            return
        with self._reading:
            settings = self._workspace.config.get_global_cache_settings()
            is_users = settings == self._workspace.config.user.get_global_cache_settings() != GlobalCacheSettings()
            if settings != self._form.base:
                self._form.fill(settings)
                self._file.fill("user" if is_users else "project")
            self._show_buttons()

    def revert(self) -> None:
        """Forget what was typed."""
        self._form.fill(None)
        self._status.say("")
        self.refresh()

    def save(self) -> None:
        """Save what was typed, unless somebody else changed the settings meanwhile."""
        if not self._form.check():
            self._status.say("Nothing was saved: see what is said beside the fields.", "wrong")
            return
        config = self._workspace.config
        store: Any = config.user if self._file.value == "user" else config

        def changed(_stored: GlobalCacheSettings) -> dict[str, Any]:
            present = config.get_global_cache_settings()
            # All of them: a file that has one of these settings hides all of the other file's.
            return {**present.model_dump(by_alias=True), **self._form.changed(present)}

        try:
            saved = store.update_global_cache_settings(changed)
            is_hidden = config.get_global_cache_settings() != saved
        except ChangedMeanwhile as error:
            self._tell_theirs(error)
        except CcwError as error:
            self._status.fail(error)
        else:
            self.revert()
            told = f"Saved the settings in {style.place(store.path)}."
            hidden = f"\nHere those of {style.place(config.path)} stay in force." if is_hidden else ""
            self._on_saved(told + hidden)

    def _tell_theirs(self, error: ChangedMeanwhile) -> None:
        """Show what somebody else has set; a second Save goes over it."""
        places = self._form.against(error.stored)
        told = "; ".join(f"{place}: theirs {theirs}, yours {mine}" for place, theirs, mine in places)
        self._form.base = error.stored
        self._status.say(f"Changed meanwhile by someone else: {told}.\nSave goes over it, Revert takes it.", "doubt")

    def _show_buttons(self) -> None:
        self._save.disabled = self._revert.disabled = not self._form.is_edited
