"""The shapes of what is sent and answered; the names are those of CCW's own routes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ccw_magics.config.models import Config, Endpoint, GlobalCacheSettings, Params, Provider, camel


class Shape(BaseModel):
    """An object with camelCase names, and none besides."""

    model_config = ConfigDict(alias_generator=camel, populate_by_name=True, extra="forbid", allow_inf_nan=False)


class Problem(Shape):
    """What went wrong.

    Attributes:
        error: In one line.
        hint: The next step; empty where there is none.
    """

    error: str
    hint: str


class ProviderList(Shape):
    """All providers."""

    providers: list[Provider]
    count: int


class ProviderDone(Shape):
    """A provider as it is now."""

    success: Literal[True]
    provider: Provider


class EndpointList(Shape):
    """All endpoints."""

    endpoints: list[Endpoint]
    count: int


class EndpointDone(Shape):
    """An endpoint as it is now."""

    success: Literal[True]
    endpoint: Endpoint


class Deleted(Shape):
    """What was done.

    Attributes:
        success: Always.
        message: What was done, in words.
        endpoints: Ids of the endpoints that went along.
    """

    success: Literal[True]
    message: str
    endpoints: list[str]


class Tested(Shape):
    """What came of the test of a provider.

    Attributes:
        success: Whether a call would get through; false too where the test cannot tell.
        provider: The provider's type.
        latency_ms: Milliseconds until it began to answer; null where it did not.
        error: What is wrong; null for success.
        outcome: What came, in words, for success and failure alike.
        hint: The next step; empty where there is none.
        models: The models that it serves, where it tells.
    """

    success: bool
    provider: str
    latency_ms: int | None
    error: str | None
    outcome: str
    hint: str
    models: list[str]


class KnownModel(Shape):
    """A model of a type of provider."""

    id: str
    name: str
    provider: str


class ModelNames(Shape):
    """The models that are known of a type of provider."""

    provider_type: str
    models: list[KnownModel]
    count: int


class CacheUse(BaseModel):
    """How full the cache is.

    Attributes:
        entries: How many packs there are, of all projects.
        total_bytes: What they take on disk.
        oldest_session: The one that was made first; null where there is none.
        newest_session: The one that was made last; likewise.
        max_bytes: The limit.
        directory: Where they lie; null for memory alone.
    """

    entries: int
    total_bytes: int
    oldest_session: str | None
    newest_session: str | None
    max_bytes: int
    directory: str | None


class Cleared(Shape):
    """How many packs were forgotten."""

    success: Literal[True]
    removed: int


class PackPage(BaseModel):
    """A part of a pack's text.

    Attributes:
        content: Whole characters.
        offset: Where it begins, in bytes; moved on to the next character where the one asked for was inside one.
        limit: At most so many bytes were asked for.
        total_bytes: Size of the whole text.
        has_more: Whether something follows.
        next_offset: Where the next part begins; null at the end.
    """

    content: str
    offset: int
    limit: int
    total_bytes: int
    has_more: bool
    next_offset: int | None


class SettingsDone(Shape):
    """The cache's settings as they are now."""

    success: Literal[True]
    settings: GlobalCacheSettings


class DefaultEndpoint(Shape):
    """The endpoint that is asked where none is named; null for none."""

    default_endpoint: str | None


class DefaultEndpointDone(DefaultEndpoint):
    """The default endpoint as it is now."""

    success: Literal[True]


class DefaultEndpointChange(Shape):
    """Which endpoint is to be asked where none is named; null, or nothing, for none."""

    endpoint_id: str | None = None


class Execution(Shape):
    """A question.

    Attributes:
        prompt: As it is typed; `@` references bring files along, from `?path=` or else the project's root.
        endpoint_id: Whom to ask; the default endpoint where it is left out.
        include_dirs: Folders below the server's root, outside the project, that references may reach.
        enable_cache: Overrides the endpoint's `cacheStrategy.enabled`.
        repack: Whether to drop the kept pack first.
        system: The system prompt.
        stream: Whether to ask for the answer piece by piece.
        retry_cut: Whether to ask again where an answer breaks off that was shown in part.
        chat: The conversation that this is the next turn of.
        replay: Whether to give a recorded answer where nothing it came of has changed.
        max_cost_usd: What it may cost at most, in US dollars.
        answer_schema: The answer's shape in the short form, such as `title, line: int`.
        params: Model parameters.
    """

    prompt: str = Field(min_length=1, pattern=r"\S")
    endpoint_id: str | None = None
    include_dirs: list[str] = Field(default_factory=list)
    enable_cache: bool | None = None
    repack: bool = False
    system: str = ""
    stream: bool = True
    retry_cut: bool = False
    chat: str | None = None
    replay: bool | None = None
    max_cost_usd: float | None = Field(default=None, ge=0)
    answer_schema: str | None = Field(default=None, alias="schema")
    params: Params = Field(default_factory=Params)


class ConfigShown(Config):
    """The whole config, the user's own file below the project's, every key masked."""


class Description(BaseModel):
    """This description."""

    model_config = ConfigDict(extra="allow")

    openapi: str
