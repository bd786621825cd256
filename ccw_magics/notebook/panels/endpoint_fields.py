"""The fields of an endpoint, and what some of them say about others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from pydantic import BaseModel

from ccw_magics.config.models import LOCAL_ID, CacheStrategy, Provider
from ccw_magics.notebook.panels.fields import ChoiceField, Field, FlagField, LinesField, TextField
from ccw_magics.notebook.panels.form import Fields
from ccw_magics.notebook.panels.model_field import ModelField
from ccw_magics.notebook.panels.param_fields import param_fields
from ccw_magics.notebook.panels.patterns_field import PatternsField
from ccw_magics.workspace import Workspace

_NOBODY: Final = ("choose one", None)
_PROVIDER_TTL: Final = [("5 minutes", "5m"), ("1 hour, written at twice the price", "1h")]
_LAYOUTS: Final = [("stable: sent text stays in place", "stable"), ("fresh: in the order of paths", "fresh")]
_DEFAULTS: Final = CacheStrategy()


class EndpointFields:
    """The fields of an endpoint's form.

    Args:
        workspace: The project.
        trusted_provider: As `ModelField` takes it.

    Attributes:
        provider: Whose model it is.
    """

    def __init__(self, workspace: Workspace, trusted_provider: Callable[[], Provider]) -> None:
        self.provider = ChoiceField("providerId", "Provider", [_NOBODY])
        self._last_provider: str | None = None
        self._id = TextField("id", "Id", hint="what is typed after %%ccw")
        self._model = ModelField("model", "Model", trusted_provider)
        self._fallback = LinesField("fallback", "Fallback", hint="endpoints to ask where it fails, one a line", lines=2)
        default_kb = str(_DEFAULTS.max_size_kb)
        self._limit = TextField("cacheStrategy.maxSizeKB", "Largest context", hint="KiB", placeholder=default_kb)
        self._patterns = PatternsField(workspace, self._limit_kb)

    def groups(self) -> list[tuple[str, Fields]]:
        """All fields, as a form takes them."""
        first: list[Field] = [
            self._id,
            self.provider,
            self._model,
            TextField("name", "Name", hint="for display"),
            TextField("description", "Description"),
            FlagField("enabled", "Enabled", default=True),
        ]
        window = TextField("contextWindow", "Context window", hint="tokens; empty for what is known of the model")
        replay = FlagField("replay", "Replay answers", default=False, hint="a recorded one, where nothing has changed")
        return [
            ("", first),
            ("Context and its cache", self._cache_fields()),
            ("System prompt and parameters", _call_fields),
            ("Fallback, replay, window", [self._fallback, replay, window]),
        ]

    def _cache_fields(self) -> list[Field]:
        minutes = f"{_DEFAULTS.ttl_minutes:g}"
        return [
            FlagField("cacheStrategy.enabled", "Keep packs from call to call", default=True),
            TextField("cacheStrategy.ttlMinutes", "Kept for", hint="minutes", placeholder=minutes),
            self._limit,
            self._patterns,
            ChoiceField("cacheStrategy.layout", "Layout", _LAYOUTS),
            ChoiceField("providerTtl", "Provider's cache", _PROVIDER_TTL, hint="how long Anthropic keeps it"),
        ]

    def offer(self, providers: Sequence[Provider], shown: BaseModel | None) -> None:
        """Offer the providers there are, and the one that the shown entry names, whether there is one or not."""
        choices: list[tuple[str, Any]] = [_NOBODY]
        choices += [(_described(provider), provider.id) for provider in providers]
        ids = {provider.id for provider in providers}
        if LOCAL_ID not in ids:
            choices.append((f"{LOCAL_ID} — the embedded model", LOCAL_ID))
        named = {getattr(shown, "provider_id", None), self.provider.value} - {None, LOCAL_ID, *ids}
        choices += [(f"{provider_id} — there is no such provider", provider_id) for provider_id in named]
        self.provider.offer(choices)

    def show(self, entry: BaseModel | None, providers: Sequence[Provider]) -> None:
        """The form was filled from another entry, or for a new one: None."""
        self._id.widget.layout.display = "none" if entry is not None else None
        self.offer(providers, entry)
        self._last_provider = self.provider.value
        self._model.forget()
        self._patterns.forget()

    def rename(self, endpoint_id: str) -> None:
        """Give a new entry an id, as if it had been typed."""
        self._id.type_in(endpoint_id)

    def follow(self) -> None:
        """Something was typed."""
        self._patterns.follow()
        if self.provider.value != self._last_provider:
            self._last_provider = self.provider.value
            self._model.forget()

    def look_up(self, provider_type: str | None) -> None:
        """Say what is known of the model, where there is a provider."""
        self._model.look_up(provider_type)

    def tell_missing(self, known: Sequence[str]) -> None:
        """Say which fallbacks there are not."""
        missing = [named for named in self._fallback.value or () if named not in known]
        self._fallback.advise(f"there is no endpoint {', '.join(missing)} yet" if missing else "", "doubt")

    def _limit_kb(self) -> int | None:
        try:
            limit_kb = int(self._limit.value or 0)
        except ValueError:  # no number, or one of thousands of digits
            return None
        return limit_kb if limit_kb > 0 else None


def _call_fields() -> list[Field]:
    return [TextField("systemPrompt", "System prompt", hint="of calls that say none", lines=3), *param_fields()]


def _described(provider: Provider) -> str:
    name = f" — {provider.name}" if provider.name and provider.name != provider.id else ""
    return f"{provider.id}{name} ({provider.type}){'' if provider.enabled else ', disabled'}"
