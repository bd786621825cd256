"""Trust: a config that came with somebody else's project must not send this user's keys away.

A config is risky where it would send a key from the environment or the keyring to a host that is not its provider
type's own, through a proxy, in a custom header, or inside a URL, where an endpoint falls back to one that sends
prompt and files such a way, with or without a key, since the user never named it, or where it keeps the cache outside
`~/.ccw`. A risky config is used only once this user has accepted this very content. What was accepted is an empty file
named by the content's SHA-256 under `~/.ccw/trusted/`: creating a file is atomic, so no lock is needed.

Addresses are judged narrowly. HTTP clients disagree on odd URLs (user names, backslashes, missing schemes, numbers
for addresses), so everything that is not plain is a risk, whatever host it may turn out to mean.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ccw_magics.config.credentials import Secret, references
from ccw_magics.config.lookup import find
from ccw_magics.config.models import Config, Endpoint, Provider
from ccw_magics.errors import ConfigError, NotTrusted

OWN_HOSTS = {
    "openai": ("api.openai.com",),
    "anthropic": ("api.anthropic.com",),
    "google": ("generativelanguage.googleapis.com",),
    "azure": (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"),
    "mistral": ("api.mistral.ai",),
    "deepseek": ("api.deepseek.com",),
}
"""Provider type to the hosts its keys belong to, from the providers' API references; a leading dot is a domain."""

_PLAIN_URL = re.compile(
    r"(?P<scheme>[a-z][a-z0-9]*)://(?P<host>[a-z0-9.-]+|\[[0-9a-f:]+\])(?::[0-9]{1,5})?(?:/[!-~]*)?", re.IGNORECASE
)
_PLAIN_TYPE = re.compile(r"[A-Za-z0-9_.-]+")
_LONGEST_SHOWN = 100


@dataclass(frozen=True)
class Risk:
    """One thing that a config would do only for a user who trusts it.

    Attributes:
        provider_id: The provider concerned, or None for a setting of the whole config.
        target: The host that would receive the keys or files, or the folder that would be written.
        variables: The references concerned: `NAME` of an environment variable, or `keyring:NAME`.
        why: What is wrong with it, as the end of a sentence.
        fallback: Ids of an endpoint and of the one that would be asked instead, where that is the risk.
    """

    provider_id: str | None
    target: str
    variables: tuple[str, ...]
    why: str
    fallback: tuple[str, str] | None = None

    def __str__(self) -> str:
        if self.provider_id is None:
            return f"{self.target}: {self.why}"
        if self.fallback is not None:
            asked, instead = map(_shown, self.fallback)
            return f"endpoint {asked} falls back to {instead}, which sends your files to {self.target}: {self.why}"
        names = ", ".join(_shown(name) for name in self.variables)
        return f"provider {_shown(self.provider_id)} would send {names} to {self.target}: {self.why}"


def risks(config: Config) -> list[Risk]:
    """List what the config would do that needs the user's consent. Disabled entries count: enabling is one edit."""
    found = [risk for provider in config.providers for risk in _provider_risks(config, provider)]
    found += [risk for endpoint in config.endpoints for risk in _fallback_risks(config, endpoint)]
    if not _is_inside_ccw_home(config.global_cache_settings.cache_dir):
        target = _shown(config.global_cache_settings.cache_dir)
        found.append(Risk(None, target, (), "this cacheDir is not among the folders under ~/.ccw for caches"))
    return found


def _provider_risks(config: Config, provider: Provider) -> Iterator[Risk]:
    settings, base = provider.advanced_settings, provider.api_base or ""
    key_names = _names([provider.api_key, *(entry.key for entry in provider.api_keys)])
    header_names = _names(settings.custom_headers.values())
    proxy = settings.proxy.reveal() if settings.proxy is not None else ""
    everything = _unique([*key_names, *header_names, *references(proxy), *references(base)])
    if not everything:
        return

    for target, why in _ways_elsewhere(provider):
        yield Risk(provider.id, target, everything, why)
    if header_names and not _is_loopback_url(base) and not _why_not_own(provider.type, base):
        yield Risk(provider.id, _shown_host(base) or provider.type, header_names, "it stands in customHeaders")
    for endpoint in config.endpoints:
        if endpoint.provider_id == provider.id:
            yield from (Risk(provider.id, target, everything, why) for target, why in _model_elsewhere(endpoint))


def _fallback_risks(config: Config, endpoint: Endpoint) -> Iterator[Risk]:
    """The fallbacks that would take prompt and files elsewhere than the endpoint which the user named."""
    for fallback_id in _unique(endpoint.fallback):
        instead = find(config.endpoints, fallback_id)
        provider = find(config.providers, instead.provider_id) if instead is not None else None
        if instead is None or provider is None:
            continue
        ways = [*_model_elsewhere(instead)]
        if instead.provider_id != endpoint.provider_id:
            ways += _ways_elsewhere(provider)
        for target, why in ways:
            yield Risk(provider.id, target, (), why, fallback=(endpoint.id, instead.id))


def _ways_elsewhere(provider: Provider) -> Iterator[tuple[str, str]]:
    """Who else than its type's own hosts, or this machine, a provider's calls would reach, and why."""
    settings, base = provider.advanced_settings, provider.api_base or ""
    proxy = settings.proxy.reveal() if settings.proxy is not None else ""
    why_not_own = _why_not_own(provider.type, base)
    if why_not_own:
        yield _shown_host(base), why_not_own
    if any(name.lower() == "host" for name in settings.custom_headers) and not _is_loopback_url(base):
        yield "another host", "customHeaders sets Host"
    if proxy and not _is_loopback_url(proxy):
        yield _shown_host(proxy), "this is a proxy"
    if not _PLAIN_TYPE.fullmatch(provider.type):
        yield _shown(provider.type), "this type is not the name of a provider"


def _model_elsewhere(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    if "://" in endpoint.model:
        yield _shown_host(endpoint.model), f"the model of {_shown(endpoint.id)} is a URL"


def _names(secrets: Iterable[Secret]) -> tuple[str, ...]:
    return _unique(name for secret in secrets for name in references(secret.reveal()))


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _why_not_own(provider_type: str, base: str) -> str:
    """Say why a base URL is not its provider type's own; empty where it is, or where there is none."""
    if not base or _is_loopback_url(base):
        return ""
    if references(base):
        return "apiBase holds a variable"
    plain = _PLAIN_URL.fullmatch(base)
    if plain is None:
        return "apiBase is not a plain URL"
    if not _is_own_host(provider_type, plain["host"].lower()):
        return f"this is not a host of {_shown(provider_type)}"
    return "" if plain["scheme"].lower() == "https" else "apiBase is not https, so anyone on the way could read it"


def _is_own_host(provider_type: str, host: str) -> bool:
    return any(
        (host.endswith(own) and not host.startswith(".")) if own.startswith(".") else host == own
        for own in OWN_HOSTS.get(provider_type, ())
    )


def _is_loopback_url(url: str) -> bool:
    plain = _PLAIN_URL.fullmatch(url)
    if plain is None or references(url):
        return False
    host = plain["host"].lower().strip("[]")
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback


def _shown_host(url: str) -> str:
    """The host that a URL most likely means, for display only; never a user name or password in it."""
    authority = re.split(r"[/\\?#]", url.split("://", 1)[-1].lstrip("/\\"), maxsplit=1)[0]
    return _shown(authority.rpartition("@")[2])


def _shown(text: str) -> str:
    """ASCII without control characters, and not endless: the text may be hostile."""
    plain = ascii(text)[1:-1]
    return plain if len(plain) <= _LONGEST_SHOWN else f"{plain[:_LONGEST_SHOWN]}…"


def _ccw_home() -> Path:
    return Path.home() / ".ccw"


def _is_inside_ccw_home(folder: str) -> bool:
    """Tell whether a folder is `~/.ccw` or below, and not the one that says what is trusted."""
    try:
        path = Path(folder).expanduser().resolve()
        home = _ccw_home().resolve()
    except (OSError, RuntimeError, ValueError):  # a loop of links, an unknown ~user, a NUL character
        return False
    return path.is_relative_to(home) and not path.is_relative_to(home / "trusted")


def content_hash(content: bytes) -> str:
    """Return the SHA-256 of a config file's content in hexadecimal: what is trusted."""
    return hashlib.sha256(content).hexdigest()


def is_trusted(digest: str) -> bool:
    """Tell whether this user has accepted the content with this hash. `CCW_TRUST` is not asked.

    Raises:
        ConfigError: It cannot be looked up.
    """
    place = _ccw_home() / "trusted" / digest
    try:
        return place.is_file()
    except OSError as error:
        problem = error.strerror
    raise ConfigError(f"whether the config is trusted cannot be read from {place.parent}: {problem}")


def record(digest: str) -> None:
    """Remember that the content with this hash is trusted.

    Raises:
        ConfigError: The folder `~/.ccw/trusted` cannot be written.
    """
    folder = _ccw_home() / "trusted"
    try:
        for directory in (folder.parent, folder):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / digest).touch(mode=0o600)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error.strerror}") from None


def risks_of(provider: Provider) -> list[Risk]:
    """Where the keys of one provider go that is not its type's own place, be they references or keys themselves."""
    if not any(provider.secrets()):
        return []
    return risks(Config(providers=[provider.model_copy(update={"id": "p", "api_key": Secret("${KEY}")})]))


def trust(path: Path) -> str:
    """Accept a config file's present content, and return its hash.

    Raises:
        ConfigError: The file cannot be read, or the acceptance cannot be written down.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    digest = content_hash(content)
    record(digest)
    return digest


def require_trust(found: list[Risk], digest: str, path: Path) -> None:
    """Refuse a risky config whose content this user has not accepted.

    `CCW_TRUST=1` in the environment accepts everything, for unattended runs, and is not remembered.

    Args:
        found: What the config that is about to be used would do.
        digest: The `content_hash` of the very content that it was read from.
        path: The file, for the message.

    Raises:
        NotTrusted: Naming host, variable and file.
    """
    if os.environ.get("CCW_TRUST") == "1" or is_trusted(digest):
        return
    if found:
        raise NotTrusted(
            f"{path} is not trusted: " + "; ".join(str(risk) for risk in found),
            hint="Read the file; `%ccw trust` (or `ccw trust`) then accepts this content, CCW_TRUST=1 any content.",
        )
