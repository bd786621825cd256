"""The config file as pydantic models: camelCase in the file, snake_case in Python, unknown keys kept. No I/O.

::

    Config
    ├── providers: Provider           whom to ask, with which key
    │   ├── advanced_settings: AdvancedSettings
    │   └── api_keys: ApiKeyEntry
    ├── endpoints: Endpoint           a provider's model under a name of the user's
    │   ├── cache_strategy: CacheStrategy
    │   └── params: Params
    ├── default_endpoint
    └── global_cache_settings: GlobalCacheSettings

Models are frozen: the store hands out the ones it keeps. `model_copy(update={...})` makes another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    PlainSerializer,
    ValidationInfo,
    model_validator,
)

from ccw_magics.config.credentials import Secret, is_mask
from ccw_magics.config.migration import VERSION
from ccw_magics.errors import ConfigError

RESERVED_VERBS = frozenset(
    {
        "budget",
        "cache",
        "chat",
        "cli",
        "completion",
        "default",
        "endpoint",
        "endpoints",
        "help",
        "history",
        "init",
        "panel",
        "provider",
        "providers",
        "serve",
        "stats",
        "trust",
    }
)
"""Words after `%ccw` that no endpoint may take as its id. `local` is a verb too, but also the embedded model's id."""

STORED = "ccw_magics.stored"
"""Key of the validation context of what stands in a file: CCW lets an endpoint take ids that none may newly take."""

LOCAL_ID = "local"
"""Id of the endpoint, and of the provider, that exist without being configured: the embedded model."""

STANDARD_KEY_NAMES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "google": "GOOGLE_API_KEY",
    "azure": "AZURE_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
}
"""Provider type to the environment variable its key usually stands in: for examples and hints, never read by itself."""

DEFAULT_CACHE_DIR = "~/.ccw/cache/context"

WEIGHT_MAX = 1e6
"""Largest weight of a key: shares finer than one in a million mean nothing, and the sum of all must stay finite."""


ID_MAX_CHARS = 200
"""An id stands in lines, in lists and in the addresses of the HTTP routes."""
_NOT_IN_ADDRESSES = frozenset({".", ".."})

TTL_MINUTES_MAX = 100 * 365 * 24 * 60
"""A century: not much further on, Python's calendar ends."""

TOTAL_SIZE_MB_MAX = 2**40
"""An exabyte: its bytes still fit into 64 bits, which are all that sqlite has."""


def camel(name: str) -> str:
    """`max_size_kb` to `maxSizeKB`, as CCW spells it."""
    first, *rest = name.split("_")
    return first + "".join(word.upper() if word in {"kb", "mb"} else word.capitalize() for word in rest)


def _check_id(text: str) -> str:
    if text.split() != [text]:
        raise ValueError("an id must be non-empty and without white space")
    if text.startswith("-"):
        raise ValueError("an id must not start with '-', which starts an option")
    if len(text) > ID_MAX_CHARS or text in _NOT_IN_ADDRESSES:
        raise ValueError(f"an id must have at most {ID_MAX_CHARS} characters, and more than dots")
    return text


def _check_endpoint_id(text: str, info: ValidationInfo) -> str:
    if isinstance(info.context, dict) and info.context.get(STORED):
        if not text:
            raise ValueError("an id must be non-empty")
        return text
    if text in RESERVED_VERBS:
        raise ValueError(f"{text!r} is a word of the %ccw command, which no endpoint may take as its id")
    return _check_id(text)


def _whole(number: float) -> float:
    """300 stays 300 in the file and does not become 300.0."""
    return int(number) if number == int(number) else number


_ID_SCHEMA: dict[str, JsonValue] = {
    "pattern": r"^[^\s-]\S*$",
    "maxLength": ID_MAX_CHARS,
    "not": {"enum": [*sorted(_NOT_IN_ADDRESSES)]},
}
Id = Annotated[str, AfterValidator(_check_id), Field(json_schema_extra=_ID_SCHEMA)]
EndpointId = Annotated[
    str,
    AfterValidator(_check_endpoint_id),
    Field(json_schema_extra={**_ID_SCHEMA, "not": {"enum": [*sorted(_NOT_IN_ADDRESSES | RESERVED_VERBS)]}}),
]
Number = Annotated[float, PlainSerializer(_whole, return_type=float)]


class _Model(BaseModel):
    # Input is hidden in errors since it may be a key.
    model_config = ConfigDict(
        alias_generator=camel,
        populate_by_name=True,
        extra="allow",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
    )


class ApiKeyEntry(_Model):
    """One of several keys of a provider.

    Attributes:
        id: Unique within the provider.
        key: The key or a reference to it.
        label: A name for display.
        weight: Share of the calls under weighted routing, up to `WEIGHT_MAX`.
        enabled: Whether the key is used.
    """

    id: Id
    key: Secret
    label: str | None = None
    weight: Number = Field(default=1, ge=0, le=WEIGHT_MAX)
    enabled: bool = True


RoutingStrategy = Literal["simple-shuffle", "weighted", "latency-based", "cost-based", "least-busy"]
"""How several keys of a provider take turns; the names are CCW's."""


class AdvancedSettings(_Model):
    """How a provider is called. All times are seconds.

    Attributes:
        timeout: For a whole call, all its tries and the waits between them, from the moment that its first request
            leaves; CCW's default.
        connect_timeout: Until there is a connection.
        first_token_timeout: Until the first sign of an answer; None for as long as `timeout` allows, since a model that
            reasons may think for minutes.
        between_tokens_timeout: Between two signs of an answer that has begun.
        max_retries: Further tries after a transient failure; CCW's default.
        organization: OpenAI's organization.
        api_version: Azure's API version.
        custom_headers: Further HTTP headers; values may hold `${NAME}`.
        rpm: Requests a minute, held by each kernel for itself.
        tpm: Tokens a minute, likewise.
        proxy: An HTTP proxy's URL, which may hold a password.
    """

    timeout: Number = Field(default=300, gt=0)
    connect_timeout: Number = Field(default=10, gt=0)
    first_token_timeout: Number | None = Field(default=None, gt=0)
    between_tokens_timeout: Number = Field(default=60, gt=0)
    max_retries: int = Field(default=3, ge=0)
    organization: str | None = None
    api_version: str | None = None
    custom_headers: dict[str, Secret] = Field(default_factory=dict)
    rpm: int | None = Field(default=None, gt=0)
    tpm: int | None = Field(default=None, gt=0)
    proxy: Secret | None = None


class Provider(_Model):
    """A service, or a machine, that answers calls, and the key to it.

    Attributes:
        id: Unique; empty only for a provider that is still to be added, which the store then names.
        name: A name for display.
        type: `openai`, `anthropic`, `google`, `azure`, `mistral`, `deepseek`, `ollama`, `custom`, `local`, or any
            provider name litellm knows.
        api_key: The key, a reference to it, or empty where none is needed.
        api_base: The base URL, or None for the type's own.
        enabled: Whether its endpoints may be used.
        advanced_settings: How it is called.
        api_keys: Several keys to take turns, ids unique; `api_key`, where there is one, is the first of them.
        routing_strategy: How they take turns; None for the first one that works, which keeps the provider's own cache
            of the context, since that belongs to a key's organization.
        created_at: ISO 8601, UTC, with milliseconds.
        updated_at: Likewise.
    """

    id: str = ""
    name: str = ""
    type: Id
    api_key: Secret = Field(default_factory=lambda: Secret(""))
    api_base: str | None = None
    enabled: bool = True
    advanced_settings: AdvancedSettings = Field(default_factory=AdvancedSettings)
    api_keys: list[ApiKeyEntry] = Field(default_factory=list)
    routing_strategy: RoutingStrategy | None = None
    created_at: str | None = None
    updated_at: str | None = None

    @model_validator(mode="after")
    def _check_unique_keys(self) -> Self:
        _check_unique("apiKeys", [entry.id for entry in self.api_keys])
        return self

    def secrets(self) -> Iterator[Secret]:
        """Yield every key, header value and proxy, as they are: what must be redacted, what may hold references."""
        yield self.api_key
        yield from (entry.key for entry in self.api_keys)
        yield from self.advanced_settings.custom_headers.values()
        if self.advanced_settings.proxy is not None:
            yield self.advanced_settings.proxy

    def with_masked_keys_from(self, stored: Provider | None) -> Provider:
        """Return a copy in which every mask is the key that `stored` has in the same place.

        A form shows masks and hands them back unchanged; a mask must never be stored as a key.

        Raises:
            ConfigError: There is no stored key for a mask.
        """
        old_keys = {entry.id: entry.key for entry in stored.api_keys} if stored else {}
        changed = {
            "api_key": _unmasked(self.api_key, stored.api_key if stored else None, "apiKey"),
            "api_keys": [
                entry.model_copy(update={"key": _unmasked(entry.key, old_keys.get(entry.id), f"apiKeys {entry.id}")})
                for entry in self.api_keys
            ],
            "advanced_settings": self._unmasked_settings(stored),
        }
        # Naming a field in `update` marks it as set; only set fields are written.
        return self.model_copy(update={name: changed[name] for name in changed.keys() & self.model_fields_set})

    def _unmasked_settings(self, stored: Provider | None) -> AdvancedSettings:
        new, old = self.advanced_settings, stored.advanced_settings if stored else AdvancedSettings()
        headers = {
            name: _unmasked(value, old.custom_headers.get(name), f"customHeaders {name}")
            for name, value in new.custom_headers.items()
        }
        changed = {"custom_headers": headers, "proxy": new.proxy and _unmasked(new.proxy, old.proxy, "proxy")}
        return new.model_copy(update={name: changed[name] for name in changed.keys() & new.model_fields_set})


def _unmasked(new: Secret, old: Secret | None, where: str) -> Secret:
    if not is_mask(new.reveal()):
        return new
    if old is None or not old or is_mask(old.reveal()):
        raise ConfigError(f"{where} was given a mask ({new}), and no key is stored there")
    return old


class CacheStrategy(_Model):
    """How an endpoint's context is packed and kept.

    Attributes:
        enabled: Whether packs are kept; without, files are packed for one call alone.
        ttl_minutes: Minutes a pack is kept, up to `TTL_MINUTES_MAX`.
        max_size_kb: Limit of a whole pack in KiB.
        file_patterns: Globs of the files that a reference to a directory brings in; empty for every text file.
        layout: `stable` keeps sent text in place through edits; `fresh` is path order, always.
    """

    enabled: bool = True
    ttl_minutes: Number = Field(default=60, ge=0, le=TTL_MINUTES_MAX)
    max_size_kb: int = Field(default=512, gt=0)
    file_patterns: list[str] = Field(default_factory=list)
    layout: Literal["stable", "fresh"] = "stable"


class Params(_Model):
    """Model parameters, under OpenAI's names or in camelCase; what a model does not take, its provider refuses.

    A closed list: what is not in it goes into `extra_body`, which reaches the model's server and nothing on the way.

    Attributes:
        temperature: 0 for the likeliest answer, up to 2.
        top_p: Share of the likeliest tokens to choose from.
        max_tokens: Limit of the answer.
        max_completion_tokens: The same for models that reason, whose thoughts count.
        stop: Where the answer ends.
        seed: For answers that can be had again.
        presence_penalty: Against what was said.
        frequency_penalty: Against what was said often.
        reasoning_effort: Such as `minimal`, `low`, `medium` or `high`.
        thinking: Anthropic's own form of it.
        verbosity: Such as `low`, `medium` or `high`.
        service_tier: Such as `flex` or `priority`.
        extra_body: Further fields of the request's body.
    """

    model_config = ConfigDict(extra="forbid")

    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, ge=0, le=1)
    max_tokens: int | None = Field(default=None, gt=0)
    max_completion_tokens: int | None = Field(default=None, gt=0)
    stop: str | list[str] | None = None
    seed: int | None = None
    presence_penalty: float | None = Field(default=None, ge=-2, le=2)
    frequency_penalty: float | None = Field(default=None, ge=-2, le=2)
    reasoning_effort: str | None = None
    thinking: dict[str, Any] | None = None
    verbosity: str | None = None
    service_tier: str | None = None
    extra_body: dict[str, Any] | None = None

    def chosen(self) -> dict[str, Any]:
        """Those that are set, under OpenAI's names."""
        return self.model_dump(exclude_none=True)


class Endpoint(_Model):
    """A provider's model under a name of the user's.

    Attributes:
        id: What is typed after `%%ccw`.
        name: A name for display.
        provider_id: The provider's id.
        model: The model as the provider names it; for `local`, empty or the path of a GGUF file.
        description: A word about it.
        cache_strategy: How its context is packed and kept.
        provider_ttl: How long the provider is asked to keep the context (Anthropic): `1h` is written at twice the
            input price, `5m` at 1.25 times, and each hit begins the time anew.
        params: Model parameters of every call; what a call says itself goes first.
        system_prompt: The system prompt of every call that says none itself.
        context_window: Tokens that the model takes, its answer included; None for what is known of the model.
        fallback: Ids of endpoints to ask in order where this one fails before it said anything.
        replay: Whether an answer that was recorded is given again, at no cost; a call may say otherwise.
        enabled: Whether it may be used.
        created_at: ISO 8601, UTC, with milliseconds.
        updated_at: Likewise.
    """

    id: EndpointId
    name: str = ""
    provider_id: str
    model: str = ""
    description: str | None = None
    cache_strategy: CacheStrategy = Field(default_factory=CacheStrategy)
    provider_ttl: Literal["5m", "1h"] = "5m"
    params: Params = Field(default_factory=Params)
    system_prompt: str | None = None
    context_window: int | None = Field(default=None, gt=0)
    fallback: list[str] = Field(default_factory=list)
    replay: bool = False
    enabled: bool = True
    created_at: str | None = None
    updated_at: str | None = None


class GlobalCacheSettings(_Model):
    """Where packs are kept, for all endpoints.

    Attributes:
        enabled: Whether any pack is kept.
        cache_dir: The folder; `~` is the home directory.
        max_total_size_mb: Limit of all packs together in MiB, up to `TOTAL_SIZE_MB_MAX`.
    """

    enabled: bool = True
    cache_dir: str = Field(default=DEFAULT_CACHE_DIR, min_length=1)
    max_total_size_mb: Number = Field(default=100, gt=0, le=TOTAL_SIZE_MB_MAX)


class Budget(_Model):
    """What calls may cost, in US dollars; None for no limit.

    Attributes:
        per_kernel_usd: All calls of one kernel, or of one process.
        per_day_usd: All calls of this project since midnight, local time, from whatever kernel.
    """

    per_kernel_usd: Number | None = Field(default=None, ge=0)
    per_day_usd: Number | None = Field(default=None, ge=0)


def _check_has_id(provider: Provider) -> Provider:
    _check_id(provider.id)
    return provider


class Config(_Model):
    """The whole file.

    Attributes:
        version: Of the file's format.
        providers: Whom to ask; ids are unique.
        endpoints: What can be asked; ids are unique.
        default_endpoint: The endpoint of a cell that names none; it may have gone.
        global_cache_settings: Where packs are kept.
        budget: What calls may cost.
        journal: What is recorded of each call: `full` with prompt and answer, `meta` without, `off` nothing.
    """

    version: int = Field(default=VERSION, ge=1)
    providers: list[Annotated[Provider, AfterValidator(_check_has_id)]] = Field(default_factory=list)
    endpoints: list[Endpoint] = Field(default_factory=list)
    default_endpoint: str | None = None
    global_cache_settings: GlobalCacheSettings = Field(default_factory=GlobalCacheSettings)
    journal: Literal["full", "meta", "off"] = "full"
    budget: Budget = Field(default_factory=Budget)

    @model_validator(mode="after")
    def _check_unique_ids(self) -> Self:
        _check_unique("providers", [provider.id for provider in self.providers])
        _check_unique("endpoints", [endpoint.id for endpoint in self.endpoints])
        return self


def _check_unique(what: str, ids: Sequence[str]) -> None:
    first: dict[str, int] = {}
    for index, text in enumerate(ids):
        if first.setdefault(text, index) != index:
            raise ValueError(f"{what}[{index}].id {text!r} is already that of {what}[{first[text]}]")
