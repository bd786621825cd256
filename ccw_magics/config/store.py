"""The config store: a project's file, the user's own one under it, and everything that is done to them."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel

from ccw_magics.config import configfile, entries, trust
from ccw_magics.config.document import ConfigDocument, empty
from ccw_magics.config.layers import USER_PATH, Origin, merged, of_the_project
from ccw_magics.config.lookup import endpoint_not_found, find, index_of, provider_not_found, require_provider
from ccw_magics.config.models import LOCAL_ID, Budget, Config, Endpoint, GlobalCacheSettings, Provider
from ccw_magics.config.resolution import resolved
from ccw_magics.errors import AlreadyExists, ConfigConflict, EndpointNotFound, ProviderNotFound

CONFIG_PATH = Path(".ccw", "storage", "config", "litellm-api-config.json")
"""The file below a project's root; the name and place are CCW's."""

_README = "README.md"
NotFound = TypeVar("NotFound", EndpointNotFound, ProviderNotFound)
Settings = TypeVar("Settings", GlobalCacheSettings, Budget)
ProviderChanges = Provider | Mapping[str, Any]
EndpointChanges = Endpoint | Mapping[str, Any]
Changes = BaseModel | Mapping[str, Any]
CacheChanges = GlobalCacheSettings | Mapping[str, Any]


class ConfigStore:
    """The config of one project: what `get_*` hands out is of the files as they are now, whoever wrote them.

    Under the project's file lies the user's own one, `~/.ccw/config/litellm-api-config.json`, of the same shape: the
    project wins by id. Changes go to the project's file; `user` is the store of the other.

    Providers and endpoints go in as models or as dicts (with the file's names or Python's), and come out as models.
    Every change is a read, a change and a replacement of the file under one lock. A file that cannot be understood
    is never written to.

    Args:
        root: The project's root; nothing needs to exist there yet. None for the user's own file alone.
    """

    def __init__(self, root: Path | None) -> None:
        if root is None:
            self._document = ConfigDocument(Path.home() / USER_PATH, None, lambda _: [], empty)
        else:
            folder = Path(root).joinpath(*CONFIG_PATH.parts[:1])
            self._document = ConfigDocument(Path(root) / CONFIG_PATH, folder, self._risks_of, self._start)
        self._is_user = root is None
        self._merged: tuple[Config, Config, Config] | None = None
        self._trusted: Config | None = None

    def __repr__(self) -> str:
        return f"ConfigStore({str(self.path)!r})"

    @property
    def path(self) -> Path:
        """The config file, whether it exists or not."""
        return self._document.path

    @cached_property
    def user(self) -> ConfigStore:
        """The store of the user's own file; a change there is one for every project."""
        return self if self._is_user else ConfigStore(None)

    def origin(self, entry: Provider | Endpoint) -> Origin:
        """Which file a provider or an endpoint comes from, and where an edit of it goes."""
        config = self._document.current().config
        own = config.providers if isinstance(entry, Provider) else config.endpoints
        return "user" if self._is_user or all(known.id != entry.id for known in own) else "project"

    def load(self) -> Config:
        """Return the config as the file has it now: empty where there is none, from memory where nothing changed.

        Raises:
            ConfigError: The file cannot be read or understood.
        """
        project = self._document.current().config
        return project if self._is_user else self._over_user(project)

    def _over_user(self, project: Config) -> Config:
        user = self.user.load()
        last = self._merged
        if last is None or last[0] is not project or last[1] is not user:
            self._merged = last = (project, user, merged(project, user))
        return last[2]

    def _known(self, own: Config) -> Config:
        """What an entry of this file may refer to: the user's own providers and endpoints too."""
        return own if self._is_user else merged(own, self.user.load())

    def _start(self) -> entries.Entry:
        """A project's first config, without cache settings where the user's own has some: they would hide them."""
        start = empty()
        if "global_cache_settings" in self.user.load().model_fields_set:
            del start["globalCacheSettings"]
        return start

    def _risks_of(self, own: Config) -> list[trust.Risk]:
        if self._is_user:
            return []
        return of_the_project(own, self.user.load())

    def _elsewhere(self, error: NotFound, is_there: bool) -> NotFound:
        """The same error; where the user's own file has what is missing here, it says so."""
        if is_there and not self._is_user:
            error.hint = f"It is in {self.user.path}: --user changes that file."
        return error

    def init(self, *, example: bool = True) -> Path:
        """Write a first config, with a README beside it that explains its fields.

        Args:
            example: Write the example config; without, an empty one.

        Returns:
            The config file.

        Raises:
            ConfigError: There is one already.
        """
        from importlib.resources import files

        folder = files("ccw_magics").joinpath("examples")
        content = folder.joinpath(CONFIG_PATH.name).read_bytes() if example else configfile.encode(empty())
        self._document.create(content, {_README: folder.joinpath(_README).read_text(encoding="utf-8")})
        return self.path

    # --- providers ---------------------------------------------------------------------------------------------

    def get_all_providers(self) -> list[Provider]:
        """Return the providers, in the file's order."""
        return list(self.load().providers)

    def get_provider(self, provider_id: str) -> Provider | None:
        """Return a provider, or None."""
        return find(self.load().providers, provider_id)

    def get_provider_with_resolved_env_vars(self, provider_id: str) -> Provider | None:
        """Return a copy of a provider with every reference replaced by the key it stands for, or None.

        Call `require_trust` before.

        Raises:
            SecretMissing: A variable is not set.
        """
        provider = self.get_provider(provider_id)
        return None if provider is None else resolved(provider)

    def add_provider(self, provider: Provider | Mapping[str, Any]) -> Provider:
        """Add a provider, under the id `<type>-<milliseconds>` unless it brings one.

        Raises:
            AlreadyExists: Its id is taken.
            ConfigError: It is not of the right shape, or the file cannot be written.
        """

        def edit(data: entries.Entry, config: Config) -> Provider:
            taken = {known.id for known in config.providers}
            entry = entries.new_provider(provider, taken)
            if entry["id"] in taken:
                raise AlreadyExists(f"there is a provider {entry['id']} already")
            data["providers"].append(entry)
            return configfile.validate(Provider, entry)

        return self._document.change(edit)

    def update_provider(
        self, provider_id: str, changes: ProviderChanges | Callable[[Provider], ProviderChanges]
    ) -> Provider:
        """Change a provider; None removes a value, and a mask given for a key keeps the stored one.

        Args:
            provider_id: The provider's id.
            changes: What is to be different; or a function of the stored provider that says so. It is called under the
                lock, so that a change of one of several headers or keys loses none that came meanwhile; what it raises
                is raised, and nothing is written.

        Raises:
            ProviderNotFound: No provider has this id.
            ConfigError: The result is not of the right shape, or the file cannot be written.
        """

        def edit(data: entries.Entry, config: Config) -> Provider:
            index = index_of(config.providers, provider_id)
            if index is None:
                there = index_of(self.user.load().providers, provider_id) is not None
                raise self._elsewhere(provider_not_found(provider_id, config), there)
            wanted = changes(config.providers[index]) if callable(changes) else changes
            entry = entries.changed(Provider, data["providers"][index], wanted)
            data["providers"][index] = entry
            return configfile.validate(Provider, entry)

        return self._document.change(edit)

    def delete_provider(
        self, provider_id: str, *, expected: Provider | None = None, along: Collection[str] | None = None
    ) -> bool:
        """Delete a provider and its endpoints, and say whether there was one.

        Args:
            provider_id: The provider's id.
            expected: What somebody was shown and agreed to delete; None for whatever is there.
            along: Ids of the endpoints that they agreed to; None for whatever there is.

        Raises:
            ConfigConflict: Provider or endpoints are others by now; nothing is deleted.
        """

        def edit(data: entries.Entry, config: Config) -> None:
            index = index_of(config.providers, provider_id)
            if index is None:
                raise provider_not_found(provider_id, config)
            going = {item.id for item in config.endpoints if item.provider_id == provider_id}
            _require_same(provider_id, expected, config.providers[index])
            _require_same(f"what goes along with {provider_id}", None if along is None else set(along), going)
            del data["providers"][index]
            _delete_endpoints(data, config, going)

        try:
            self._document.change(edit)
        except ProviderNotFound:
            return False
        return True

    # --- endpoints ---------------------------------------------------------------------------------------------

    def get_all_endpoints(self) -> list[Endpoint]:
        """Return the endpoints, in the file's order."""
        return list(self.load().endpoints)

    def get_endpoint(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint, or None."""
        return find(self.load().endpoints, endpoint_id)

    def find_endpoint_by_id(self, endpoint_id: str) -> Endpoint | None:
        """Return an endpoint, or None: `get_endpoint` under its other name in CCW."""
        return self.get_endpoint(endpoint_id)

    def add_endpoint(self, endpoint: Endpoint | Mapping[str, Any]) -> Endpoint:
        """Add an endpoint.

        Raises:
            ProviderNotFound: Its provider does not exist.
            AlreadyExists: Its id is taken.
            ConfigError: Its id is reserved, it is not of the right shape, or the file cannot be written.
        """

        def edit(data: entries.Entry, config: Config) -> Endpoint:
            entry = entries.new_endpoint(endpoint)
            if index_of(config.endpoints, entry["id"]) is not None:
                raise AlreadyExists(f"there is an endpoint {entry['id']} already")
            require_provider(self._known(config), entry["providerId"])
            data["endpoints"].append(entry)
            return configfile.validate(Endpoint, entry)

        return self._document.change(edit)

    def update_endpoint(
        self, endpoint_id: str, changes: EndpointChanges | Callable[[Endpoint], EndpointChanges]
    ) -> Endpoint:
        """Change an endpoint; None removes a value.

        Args:
            endpoint_id: The endpoint's id.
            changes: What is to be different; or a function of the stored endpoint that says so, called under the lock.

        Raises:
            EndpointNotFound: No endpoint has this id.
            ProviderNotFound: Its new provider does not exist.
            ConfigError: The result is not of the right shape, or the file cannot be written.
        """

        def edit(data: entries.Entry, config: Config) -> Endpoint:
            index = index_of(config.endpoints, endpoint_id)
            if index is None:
                there = index_of(self.user.load().endpoints, endpoint_id) is not None
                raise self._elsewhere(endpoint_not_found(endpoint_id, config), there)
            wanted = changes(config.endpoints[index]) if callable(changes) else changes
            entry = entries.changed(Endpoint, data["endpoints"][index], wanted)
            if entry["providerId"] != config.endpoints[index].provider_id:
                require_provider(self._known(config), entry["providerId"])
            data["endpoints"][index] = entry
            return configfile.validate(Endpoint, entry, is_stored=True)

        return self._document.change(edit)

    def delete_endpoint(self, endpoint_id: str, *, expected: Endpoint | None = None) -> bool:
        """Delete an endpoint, and say whether there was one; a default that names it is cleared.

        Args:
            endpoint_id: The endpoint's id.
            expected: What somebody was shown and agreed to delete; None for whatever is there.

        Raises:
            ConfigConflict: It is another by now; nothing is deleted.
        """

        def edit(data: entries.Entry, config: Config) -> None:
            stored = find(config.endpoints, endpoint_id)
            if stored is None:
                raise endpoint_not_found(endpoint_id, config)
            _require_same(endpoint_id, expected, stored)
            _delete_endpoints(data, config, {endpoint_id})

        try:
            self._document.change(edit)
        except EndpointNotFound:
            return False
        return True

    def get_default_endpoint(self) -> str | None:
        """Return the default endpoint's id as the file names it, or None. The endpoint may have gone."""
        return self.load().default_endpoint

    def set_default_endpoint(self, endpoint_id: str | None) -> None:
        """Name the endpoint of cells that name none; None clears it. `local` needs no entry.

        Raises:
            EndpointNotFound: No endpoint has this id.
        """

        def edit(data: entries.Entry, config: Config) -> None:
            if endpoint_id is None:
                data.pop("defaultEndpoint", None)
                return
            known = self._known(config)
            if endpoint_id != LOCAL_ID and index_of(known.endpoints, endpoint_id) is None:
                raise endpoint_not_found(endpoint_id, known)
            data["defaultEndpoint"] = endpoint_id

        self._document.change(edit)

    # --- cache settings ----------------------------------------------------------------------------------------

    def get_global_cache_settings(self) -> GlobalCacheSettings:
        """Return the settings that hold for every endpoint's cache."""
        return self.load().global_cache_settings

    def update_global_cache_settings(
        self, changes: CacheChanges | Callable[[GlobalCacheSettings], CacheChanges]
    ) -> GlobalCacheSettings:
        """Change the settings that hold for every endpoint's cache; None puts a default back.

        Args:
            changes: What is to be different; or a function of the stored settings that says so, called under the lock.

        Raises:
            ConfigError: The result is not of the right shape, or the file cannot be written.
        """
        return self._update_settings(GlobalCacheSettings, "globalCacheSettings", changes)

    def update_budget(self, changes: Mapping[str, Any]) -> Budget:
        """Change what calls may cost: `per_kernel_usd`, `per_day_usd`; None takes a limit away.

        Raises:
            ConfigError: The result is not of the right shape, or the file cannot be written.
        """
        return self._update_settings(Budget, "budget", changes)

    def _update_settings(
        self, kind: type[Settings], place: str, changes: Changes | Callable[[Settings], Changes]
    ) -> Settings:
        def edit(data: entries.Entry, _config: Config) -> Settings:
            stored = data.get(place, {})
            wanted = changes(configfile.validate(kind, stored)) if callable(changes) else changes
            data[place] = entries.changed_settings(kind, stored, wanted, place)
            return configfile.validate(kind, data[place])

        return self._document.change(edit)

    # --- trust -------------------------------------------------------------------------------------------------

    def risks(self) -> list[trust.Risk]:
        """List what the config would do that needs the user's consent, given or not."""
        return self.judged()[0]

    def judged(self) -> tuple[list[trust.Risk], str]:
        """What the config would do that needs the user's consent, and the digest of the content that says so."""
        snapshot = self._document.current()
        return self._risks_of(snapshot.config), snapshot.digest

    def trust(self, *, digest: str | None = None) -> list[trust.Risk]:
        """Accept the file's present content, and return the risks accepted with it.

        Args:
            digest: Of the content whose risks somebody was shown, as `judged` gives it; None for whatever is there.

        Raises:
            ConfigConflict: The content is another by now.
            ConfigError: The file cannot be read or understood, or the acceptance cannot be written down.
        """
        snapshot = self._document.current()
        _require_same(str(self.path), digest, snapshot.digest)
        if snapshot.signature is not None:
            trust.record(snapshot.digest)
        return self._risks_of(snapshot.config)

    def require_trust(self) -> Config:
        """Refuse a risky config that this user has not accepted; call it before a config is used for a call.

        Returns:
            The config that was judged. Use this one: the file may change before the next `load`.

        Raises:
            NotTrusted: Naming host, variable and file.
            ConfigError: The file cannot be read or understood.
        """
        snapshot = self._document.current()
        config = snapshot.config if self._is_user else self._over_user(snapshot.config)
        # What is risky may change with either file.
        if self._trusted is not config and os.environ.get("CCW_TRUST") != "1":
            trust.require_trust(self._risks_of(snapshot.config), snapshot.digest, self.path)
            self._trusted = config
        return config


def _require_same(what: str, seen: object, found: object) -> None:
    """Refuse to go on with what is no longer as somebody saw it; None where nobody looked."""
    if seen is not None and seen != found:
        raise ConfigConflict(f"{what} was changed meanwhile by someone else", hint="Nothing was done. Look again.")


def _delete_endpoints(data: entries.Entry, config: Config, ids: set[str]) -> None:
    # The parsed endpoints stand in the file's order, so that one decides about the other.
    pairs = zip(data["endpoints"], config.endpoints, strict=True)
    data["endpoints"] = [entry for entry, endpoint in pairs if endpoint.id not in ids]
    if config.default_endpoint in ids:
        data.pop("defaultEndpoint", None)
