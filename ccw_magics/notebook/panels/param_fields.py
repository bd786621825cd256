"""The fields of an endpoint's model parameters."""

from __future__ import annotations

import json
from typing import Any, Final

from ccw_magics.notebook.panels.fields import Field, LinesField, SuggestField, TextField

_ESCAPES: Final = (("\\", "\\\\"), ("\n", "\\n"), ("\t", "\\t"))
_LEVELS: Final = ("low", "medium", "high")


class StopsField(LinesField):
    r"""Where an answer ends, one text a line; a line break in one is written `\n`."""

    @property
    def value(self) -> list[str] | None:
        """The texts as they are; None where there are none."""
        return [_unescaped(line) for line in self._control.value.split("\n") if line] or None

    def _put(self, value: Any) -> None:
        super()._put([_escaped(text) for text in ([value] if isinstance(value, str) else value or ())])


class JsonField(TextField):
    """A JSON object in one line."""

    @property
    def value(self) -> Any:
        """What it says; the text itself where it is no JSON, which the model then refuses."""
        text = super().value
        try:
            return None if text is None else json.loads(text)
        except (ValueError, RecursionError):
            return text

    def _put(self, value: Any) -> None:
        super()._put(None if value is None else json.dumps(value, ensure_ascii=False))


def param_fields() -> list[Field]:
    """A field for each of `config.models.Params`; what is left empty is not sent."""
    effort = SuggestField("params.reasoningEffort", "Reasoning effort", hint="how long it thinks, where it does")
    effort.suggest(("minimal", *_LEVELS))
    verbosity = SuggestField("params.verbosity", "Verbosity")
    verbosity.suggest(_LEVELS)
    return [
        TextField("params.temperature", "Temperature", hint="0 for the likeliest answer, up to 2"),
        TextField("params.topP", "Top p", hint="share of the likeliest tokens to choose from"),
        TextField("params.maxTokens", "Max tokens", hint="of the answer"),
        TextField("params.maxCompletionTokens", "Max completion", hint="likewise, thoughts included"),
        StopsField("params.stop", "Stop", hint="where the answer ends, one a line; \\n is a line break", lines=2),
        TextField("params.seed", "Seed", hint="for answers that can be had again"),
        effort,
        verbosity,
        TextField("params.presencePenalty", "Presence", hint="penalty for what was said, -2 to 2"),
        TextField("params.frequencyPenalty", "Frequency", hint="penalty for what was said often, -2 to 2"),
        TextField("params.serviceTier", "Service tier", hint="such as flex or priority"),
        JsonField("params.thinking", "Thinking", hint="Anthropic's, as JSON"),
        JsonField("params.extraBody", "Extra body", hint="further fields of the request, as JSON"),
    ]


def _escaped(text: str) -> str:
    for plain, escaped in _ESCAPES:
        text = text.replace(plain, escaped)
    return text


def _unescaped(line: str) -> str:
    parts = line.split("\\\\")
    for plain, escaped in _ESCAPES[1:]:
        parts = [part.replace(escaped, plain) for part in parts]
    return "\\".join(parts)
