"""The tab of the providers: whom to ask, with which key, and whether they can be reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import ipywidgets

from ccw_magics.config import configfile, entries, keyring
from ccw_magics.config.lookup import find, provider_not_found
from ccw_magics.config.models import Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.errors import CcwError
from ccw_magics.notebook.panels import last_tests, style
from ccw_magics.notebook.panels.buttons import button
from ccw_magics.notebook.panels.form import ChangedMeanwhile, Form, patched
from ccw_magics.notebook.panels.key_text import entries_named
from ccw_magics.notebook.panels.keyring_deposit import deposited, with_keys
from ccw_magics.notebook.panels.provider_fields import ProviderFields
from ccw_magics.notebook.panels.record_tab import RecordTab
from ccw_magics.workspace import Workspace

if TYPE_CHECKING:
    from ccw_magics.calls.probe import Probe

_KINDS = {True: "right", False: "wrong", None: "doubt"}


class ProvidersTab(RecordTab[Provider]):
    """The list of providers, and the form of one.

    Args:
        workspace: The project.
        on_change: To be called after each change of the config.
    """

    kind = "provider"

    def __init__(self, workspace: Workspace, on_change: Callable[[], None]) -> None:
        self._fields = ProviderFields()
        self._tested = ipywidgets.HTML()
        super().__init__(workspace, on_change, Form(Provider, self._fields.groups(), self._fields.judge))
        self._where.observe(lambda _: self._adapt(), "value")

    # --- what differs from kind to kind ------------------------------------------------------------------------

    def _entries(self) -> list[Provider]:
        return self._workspace.config.get_all_providers()

    def _row(self, entry: Provider) -> str:
        test = last_tests.last_test(entry)
        state = "●" if entry.enabled else "○"
        parts = [f"{state} {entry.name or entry.id}", entry.type, "" if entry.enabled else "disabled"]
        parts += ["my own" if self._workspace.config.origin(entry) == "user" else "", test.words() if test else ""]
        return " · ".join(filter(None, parts))

    def _add(self, store: ConfigStore, entry: Mapping[str, Any]) -> Provider:
        with self._deposited():
            return store.add_provider(entry)

    def _update(self, store: ConfigStore, entry: Provider, changed: Callable[[Any], Mapping[str, Any]]) -> Provider:
        with self._deposited():
            return store.update_provider(entry.id, changed)

    def _defaults(self) -> Mapping[str, Any]:
        return {"enabled": True, "type": "openai"}

    def _actions(self) -> Sequence[Any]:
        return (button("Test", self.test, "plug"),)

    def _above(self) -> Sequence[Any]:
        return (self._tested,)

    # --- what is shown -----------------------------------------------------------------------------------------

    def _refreshed(self) -> None:
        self._adapt()  # a cell may have set a variable
        self._show_test()

    def _opened(self, _entry: Provider | None) -> None:
        self._fields.place.provider_type = ""
        self._adapt()
        self._show_test()

    def _edited(self) -> None:
        super()._edited()
        self._adapt()

    def _adapt(self) -> None:
        base: Any = self._form.base
        if base is None:
            entry = self._form.entry()
        else:
            entry = {**base.model_dump(by_alias=True), **patched(base, self._form.changes())}
        self._fields.adapt(entry, str(self._home.path), is_new=base is None)

    def _show_test(self) -> None:
        base = self._form.base
        test = last_tests.last_test(base) if isinstance(base, Provider) else None
        words = f"Last test: {test.words(is_short=False)}" if test is not None else ""
        self._tested.value = style.said(words, "faint") if words else ""
        self._tested.layout.display = None if words else "none"

    # --- the test ----------------------------------------------------------------------------------------------

    def test(self) -> None:
        """See whether the provider can be reached as the form has it, saved or not; the kernel stays free."""
        from ccw_magics.calls.probe import probe

        self._question.drop()
        if self._form.is_edited and not self._form.check():
            self._status.say("Nothing was tested: see what is said beside the fields.", "wrong")
            return
        try:
            provider = self._as_typed()
        except ChangedMeanwhile as error:
            self._ask_whose(error)
        except CcwError as error:
            self._status.fail(error)
        else:
            name, sent = provider.id or f"the new {self.kind}", with_keys(provider, self._fields.pending)
            self._status.start(f"Testing {name} …", probe(sent), lambda found: self._told(provider, name, found))

    def _as_typed(self) -> Provider:
        """The provider as it would be saved now; that it may be asked is settled by the files as they are."""
        base: Any = self._form.base
        if base is None:
            self._home.require_trust()
            added = configfile.validate(Provider, entries.new_provider(self._form.entry(), ()))
            return added.model_copy(update={"id": ""})
        config = self._home.require_trust()
        stored = find(config.providers, base.id)
        if stored is None:
            raise provider_not_found(base.id, config)
        if not self._form.is_edited:
            return stored
        changes = self._form.changed(stored)
        return configfile.validate(Provider, entries.changed(Provider, entries.given_fields(Provider, stored), changes))

    def _told(self, provider: Provider, name: str, found: Probe) -> None:
        """Say what came of a test; this is called on another thread."""
        last_tests.remember(provider, found)
        self.show_rows(self._list.selected)
        self._show_test()
        self._status.say("\n".join(filter(None, [f"{name}: {found.outcome}", found.hint])), _KINDS[found.is_ok])

    # --- keys on their way into the keyring --------------------------------------------------------------------

    @contextmanager
    def _deposited(self) -> Iterator[None]:
        """As `deposited`; where the keyring does not take the keys, the file is offered to hold them."""
        is_taken = False
        try:
            with deposited(self._fields.pending):
                is_taken = True
                yield
        except CcwError:
            if not is_taken:
                told = style.said("Nothing was saved, since the keyring did not take the key.", "doubt")
                self._question.ask(told, [button("Keep it in the file instead", self._keep_in_file)])
            raise

    def _keep_in_file(self) -> None:
        self._fields.keep_in_file()
        self.save()

    # --- keys that stay in the keyring -------------------------------------------------------------------------

    def _saved(self, entry: Provider) -> None:
        before = self._form.base
        if before is None:
            last_tests.adopt(entry)
        super()._saved(entry)
        if isinstance(before, Provider):
            self._ask_about_entries(before)

    def _really_delete(self, entry: Provider) -> None:
        super()._really_delete(entry)
        if self.find(entry.id) is None:
            self._ask_about_entries(entry)

    def _ask_about_entries(self, former: Provider) -> None:
        """Say which entries of the keyring a provider no longer needs, and offer to take them out."""
        config = self._workspace.config
        known = [*config.get_all_providers(), *config.user.get_all_providers()]
        still = {name for provider in known for name in _entries_of(provider)}
        left = [name for name in _entries_of(former) if name not in still]
        if not left:
            return
        named = ", ".join(left)
        told = f"The system keyring may still hold {named} of {keyring.SERVICE}, which another project may use."
        out = button("Take it out", lambda: self._take_out(left), "trash", kind="danger")
        self._question.ask(
            style.said(told), [button("Leave it there", self._question.drop), *([out] if keyring.is_usable() else [])]
        )

    def _take_out(self, names: Sequence[str]) -> None:
        self._question.drop()
        try:
            gone = [name for name in names if keyring.delete(name)]
        except CcwError as error:
            self._status.fail(error)
            return
        self._status.say(f"Taken out of the keyring: {', '.join(gone) or 'nothing, it was gone already'}.", "right")


def _entries_of(provider: Provider) -> list[str]:
    return entries_named(secret.reveal() for secret in provider.secrets())
