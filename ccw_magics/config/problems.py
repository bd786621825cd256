"""What is wrong with an entry that is still being written, place by place: for a form to say beside each field."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ccw_magics.config import entries
from ccw_magics.config.configfile import in_words
from ccw_magics.config.models import STORED


def problems(model: type[BaseModel], given: Mapping[str, Any], *, is_stored: bool = False) -> dict[str, str]:
    """What the model finds wrong, in its own words, which hold none of the values.

    Args:
        model: Such as `Provider` or `Endpoint`.
        given: The entry, under the file's names or Python's; None for what is left out.
        is_stored: Whether the entry stands in a file already, where its id may be what a new one's may not.

    Returns:
        Place to words: places are the file's names, joined by dots, such as `advancedSettings.timeout`; the empty one
        is the entry as a whole.
    """
    fields = {name: value for name, value in entries.canonical(model, given).items() if value is not None}
    try:
        model.model_validate(fields, context={STORED: is_stored})
    except ValidationError as error:
        found: dict[str, str] = {}
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            found.setdefault(".".join(map(str, item["loc"])), in_words(item["msg"]))
        return found
    except RecursionError:
        return {"": "nested too deeply"}
    return {}
