"""What a user is told before an entry is deleted; what is deleted is what they were told, or nothing."""

from __future__ import annotations

from dataclasses import dataclass

from ccw_magics.config.models import Endpoint, Provider
from ccw_magics.config.store import ConfigStore
from ccw_magics.notebook.panels import style


@dataclass(frozen=True)
class Deletion:
    """A deletion that is still to be agreed to.

    Attributes:
        entry: As it was shown.
        store: Of its file.
        along: Ids of the endpoints that go with a provider.
        also: What else goes along, in words.
        orphans: Ids of the endpoints that lose their provider, and stay.
        warning: What else will no longer work, in words.
    """

    entry: Provider | Endpoint
    store: ConfigStore
    along: tuple[str, ...] = ()
    also: str = ""
    orphans: tuple[str, ...] = ()
    warning: str = ""

    @property
    def question(self) -> str:
        """What the user is asked."""
        going = ", ".join(filter(None, [*self.along, self.also]))
        asked = f"Delete {self.entry.id}, and with it {going}?" if going else f"Delete {self.entry.id}?"
        left = f"Without a provider then: {', '.join(self.orphans)}." if self.orphans else ""
        return "\n".join(filter(None, [asked, left, self.warning]))

    def do(self) -> bool:
        """Delete what the user was asked about, and say whether it was there.

        Raises:
            ConfigConflict: It is another by now; nothing is deleted.
            ConfigError: The file cannot be read or written.
        """
        if isinstance(self.entry, Provider):
            return self.store.delete_provider(self.entry.id, expected=self.entry, along=self.along)
        return self.store.delete_endpoint(self.entry.id, expected=self.entry)


def deletion_of(entry: Provider | Endpoint, config: ConfigStore) -> Deletion:
    """What deleting an entry comes to.

    Args:
        entry: As it is shown.
        config: The project's store.

    Raises:
        ConfigError: A file cannot be read.
    """
    if isinstance(entry, Provider):
        return _of_provider(entry, config)
    return _of_endpoint(entry, config)


def _of_provider(entry: Provider, config: ConfigStore) -> Deletion:
    origin = config.origin(entry)
    store = config.user if origin == "user" else config
    along = [item.id for item in _served(entry, store) if store.origin(item) == origin]
    has_another = origin == "project" and config.user.get_provider(entry.id) is not None
    others = [] if has_another else [item.id for item in _served(entry, config) if config.origin(item) != origin]
    return Deletion(entry, store, tuple(along), orphans=tuple(others))


def _served(entry: Provider, store: ConfigStore) -> list[Endpoint]:
    return [item for item in store.get_all_endpoints() if item.provider_id == entry.id]


def _of_endpoint(entry: Endpoint, config: ConfigStore) -> Deletion:
    is_users = config.origin(entry) == "user"
    store = config.user if is_users else config
    is_default = config.get_default_endpoint() == entry.id
    is_users_default = config.user.get_default_endpoint() == entry.id
    # A project's own word is the first, so that what the user's file does not say is the project's.
    if is_users_default if is_users else is_default and not is_users_default:
        return Deletion(entry, store, also="its place as the default")
    if not is_default or (not is_users and config.user.get_endpoint(entry.id) is not None):
        return Deletion(entry, store)
    named = style.place(config.user.path if is_users_default else config.path)
    return Deletion(entry, store, warning=f"{named} names it as the default, and will then name none that there is.")
