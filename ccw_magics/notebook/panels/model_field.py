"""The field of an endpoint's model: what its provider serves, and what is known of the one that is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, Final

import ipywidgets

from ccw_magics.calls import worker
from ccw_magics.config.models import Provider
from ccw_magics.errors import CcwError
from ccw_magics.journal import readable_usd
from ccw_magics.notebook.panels.background import Background
from ccw_magics.notebook.panels.buttons import WRAPPED, button
from ccw_magics.notebook.panels.fields import INDENT, SuggestField
from ccw_magics.notebook.panels.last_tests import models_of, remember

if TYPE_CHECKING:
    from ccw_magics.calls.model_facts import ModelFacts

PAUSE_S: Final = 0.4
"""Of typing, before something is looked up for what was typed."""


class ModelField(SuggestField):
    """A model's name, with suggestions, its context window and its price.

    Its provider is asked for its models when the user asks for it, never by itself: that sends the key. Until then,
    those are suggested that it was last found to serve, or else those that are known of its type.

    Args:
        name: Its place in the entry.
        label: What stands before it.
        provider: The provider to ask, once the config is trusted; raises `CcwError` where there is none.
    """

    def __init__(self, name: str, label: str, provider: Callable[[], Provider]) -> None:
        super().__init__(name, label, hint="as the provider names it")
        self._provider = provider
        self._facts_of: tuple[str, str] | None = None
        self._facts: Future[None] | None = None
        self._known_of: str | None = None
        self._known: Future[None] | None = None
        self._status = Background()
        self._ask = button("List its models", self.ask, "list")
        self._ask.layout.margin = f"2px 8px 2px {INDENT}"
        row = ipywidgets.HBox([self._ask, self._status.widget], layout=ipywidgets.Layout(**WRAPPED))
        self._status.widget.layout.flex = "1 1 200px"
        self.widget = ipywidgets.VBox([self.widget, row])

    def ask(self) -> None:
        """Ask the provider what it serves; where it does not say, suggest what is known of its type."""
        try:
            provider = self._provider()
        except CcwError as error:
            self._status.fail(error)
            return
        doing = f"Asking {provider.name or provider.id} for its models …"
        self._status.start(doing, _served(provider), lambda found: self._show_served(*found))

    def forget(self) -> None:
        """Another provider is meant: what was suggested is not its, but what it was last found to serve."""
        self._known_of = None
        self._status.stop()
        self._status.say("")
        try:
            self.suggest(models_of(self._provider()))
        except CcwError:  # said where the config is used
            self.suggest(())

    def look_up(self, provider_type: str | None) -> None:
        """Show beside the input what is known of the model, once typing pauses; nothing where nothing is known.

        Where no model is suggested yet, those are that are known of the type; nobody is asked for either.

        Args:
            provider_type: The provider's; None where there is none.
        """
        is_another, self._known_of = provider_type != self._known_of, provider_type
        if provider_type and is_another and not self._control.options:
            self._known = self._submit(self._suggest_known(provider_type))
        wanted = (provider_type, str(self.value)) if provider_type and self.value else None
        if wanted == self._facts_of:
            return
        self._facts_of = wanted
        if self._facts is not None:
            self._facts.cancel()
        self.advise("")
        self._facts = self._submit(self._looked_up(*wanted)) if wanted else None

    def _submit(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        future = worker.submit(work)
        future.add_done_callback(self._tell_failure)
        return future

    def _tell_failure(self, future: Future[None]) -> None:
        """Nobody waits for what is looked up, so that nobody else would say that it failed."""
        error = None if future.cancelled() else future.exception()
        if error is not None:
            why = error.message if isinstance(error, CcwError) else type(error).__name__
            self.advise(f"what is known of it could not be looked up: {why}", "doubt")

    async def _suggest_known(self, provider_type: str) -> None:
        from ccw_magics.calls.model_facts import known_models

        known = await known_models(provider_type)
        if self._known_of == provider_type and not self._control.options:
            self.suggest(known)

    async def _looked_up(self, provider_type: str, model: str) -> None:
        from ccw_magics.calls.model_facts import model_facts

        await asyncio.sleep(PAUSE_S)
        known = await model_facts(provider_type, model)
        if self._facts_of == (provider_type, model):
            self.advise(facts_in_words(known))

    def _show_served(self, models: tuple[str, ...], told: str) -> None:
        self.suggest(models)
        self._status.say(told, "faint")


def facts_in_words(facts: ModelFacts) -> str:
    """Window and prices in one line; empty where neither is known."""
    window = f"{facts.context_window_tokens:,} tokens" if facts.context_window_tokens else ""
    prices = {
        "in": facts.input_usd_per_mtok,
        "cached": facts.cached_input_usd_per_mtok,
        "out": facts.output_usd_per_mtok,
    }
    known = {what: price for what, price in prices.items() if price is not None}
    if known and not any(known.values()):
        price = "free"
    else:
        price = ", ".join(f"{readable_usd(price)} {what}" for what, price in known.items())
        price = price and f"{price} per million tokens"
    return "; ".join(filter(None, (window, price)))


async def _served(provider: Provider) -> tuple[tuple[str, ...], str]:
    """The models to suggest, and where they come from."""
    from ccw_magics.calls.model_facts import known_models
    from ccw_magics.calls.probe import probe

    told = await probe(provider)
    remember(provider, told)
    if told.models:
        return told.models, f"{_count(told.models)} served by {provider.name or provider.id}: type to choose."
    known = await known_models(provider.type)
    said = ". ".join(filter(None, (told.outcome, told.hint.rstrip("."))))
    if not known:
        return (), f"{said}. Type the model's name."
    return known, f"{said}. Suggested instead: {_count(known)} known of {provider.type}."


def _count(models: tuple[str, ...]) -> str:
    return "1 model" if len(models) == 1 else f"{len(models):,} models"
