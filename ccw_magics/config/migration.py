"""Earlier shapes of the config file, and the ladder from them to the present one. No I/O: JSON objects in and out.

Steps are chosen by the file's `version`. Beside them stand mendings, which are chosen by shape: CCW has written
`"version": 1` since its first day (`ccw/src/config/litellm-api-config-manager.ts`), and its forms wrote some things
that it reads as something else. A file that is newer than `VERSION` is left alone: nobody knows here what it means.

What is not of the expected shape is passed on as it is; the models refuse it, with its place.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import reduce
from typing import Any, Final

VERSION: Final = 1
"""The version that is written. A file of a later one can be read where its shape fits, and is never written."""

Json = dict[str, Any]
Step = Callable[[Json], Json]

_ZERO_IS_UNSET = ("rpm", "tpm")
_NULL_IS_UNSET = ("timeout", "maxRetries", "customHeaders", "rpm", "tpm")


def version_of(data: Json) -> int | None:
    """Return a file's version, 0 where it has none; None where what stands there is not one."""
    found = data.get("version", 0)
    if isinstance(found, bool) or not isinstance(found, int | float) or found != found // 1 or found < 0:
        return None
    return int(found)


def is_newer(data: Json) -> bool:
    """Tell whether a file is of a version that is not known here."""
    return (version_of(data) or 0) > VERSION


def migrated(data: Json) -> Json:
    """Return a file's object in the present shape: the same one where it has it already, or is newer."""
    version = version_of(data)
    if version is None or version > VERSION:
        return data
    return reduce(lambda shape, step: step(shape), (*MIGRATIONS[version:], *MENDINGS), data)


def _to_1(data: Json) -> Json:
    """Files without a version were written by hand: this shape."""
    return {"version": 1, **{key: value for key, value in data.items() if key != "version"}}


MIGRATIONS: Final[tuple[Step, ...]] = (_to_1,)
"""Step n makes version n + 1 of version n."""


def _with_file_patterns(data: Json) -> Json:
    """The old dashboard wrote an endpoint's patterns as `autoCachePatterns`, which nothing but its form read.

    Source: `ccw/src/templates/dashboard-js/views/api-settings.js`, until bcb73670. What it wrote stays beside.
    """

    def mend(strategy: Json) -> Json:
        if "filePatterns" in strategy or "autoCachePatterns" not in strategy:
            return strategy
        return {**strategy, "filePatterns": strategy["autoCachePatterns"]}

    return _in_each(data, "endpoints", lambda endpoint: _inside(endpoint, "cacheStrategy", mend))


def _without_empty_cache_dir(data: Json) -> Json:
    """The cache's form sends an empty folder unless one is typed, and shows the default for it.

    Source: `ccw/frontend/src/components/api-settings/CacheSettings.tsx`.
    """
    return _inside(data, "globalCacheSettings", lambda settings: _without(settings, ("cacheDir",), ""))


def _without_unset_settings(data: Json) -> Json:
    """The provider's form takes 0 for "no limit"; null is what JSON makes of a number that was not one.

    Source: `ccw/frontend/src/components/api-settings/ProviderModal.tsx`, `api-settings.js` until bcb73670.
    """

    def mend(settings: Json) -> Json:
        return _without(_without(settings, _ZERO_IS_UNSET, 0), _NULL_IS_UNSET, None)

    return _in_each(data, "providers", lambda provider: _inside(provider, "advancedSettings", mend))


def _without_null_weights(data: Json) -> Json:
    """A key's weight, once its field is cleared, is `parseInt("")`, which JSON writes as null.

    Source: `updateApiKeyField` of `api-settings.js` until bcb73670.
    """

    def mend(provider: Json) -> Json:
        return _in_each(provider, "apiKeys", lambda entry: _without(entry, ("weight", "label"), None))

    return _in_each(data, "providers", mend)


def _with_header_texts(data: Json) -> Json:
    """Headers are typed as JSON, unchecked: a number or a switch is the text that it is spelled as, null is nothing.

    Source: `customHeaders` of `ProviderModal.tsx`, of `api-settings.js` until bcb73670.
    """

    def mend(headers: Json) -> Json:
        given = {name: value for name, value in headers.items() if value is not None}
        return {name: json.dumps(value) if isinstance(value, int | float) else value for name, value in given.items()}

    def inside_settings(settings: Json) -> Json:
        return _inside(settings, "customHeaders", mend)

    return _in_each(data, "providers", lambda provider: _inside(provider, "advancedSettings", inside_settings))


def _without_null_parts(data: Json) -> Json:
    """A part that an update set to null is one that CCW takes for absent (`config.apiKeys || []`).

    Source: `PUT /api/litellm-api/providers/:id` of `ccw/src/core/routes/litellm-api-routes.ts`, which checks nothing.
    """
    mended = _in_each(data, "providers", lambda entry: _without(entry, ("advancedSettings", "apiKeys"), None))
    return _in_each(mended, "endpoints", lambda entry: _without(entry, ("cacheStrategy",), None))


MENDINGS: Final[tuple[Step, ...]] = (
    _with_file_patterns,
    _without_empty_cache_dir,
    _without_unset_settings,
    _without_null_weights,
    _with_header_texts,
    _without_null_parts,
)
"""What CCW's forms wrote under version 1 and its code does not mean as it stands; each names the form."""


def _inside(data: Json, place: str, step: Step) -> Json:
    """The same with a step applied to the object in one place."""
    inner = data.get(place)
    return {**data, place: step(inner)} if isinstance(inner, dict) else data


def _in_each(data: Json, place: str, step: Step) -> Json:
    """The same with a step applied to each object of the list in one place."""
    items = data.get(place)
    if not isinstance(items, list):
        return data
    return {**data, place: [step(item) if isinstance(item, dict) else item for item in items]}


def _without(data: Json, names: tuple[str, ...], unset: object) -> Json:
    """The same without the named values that are `unset`; False is not 0."""

    def is_unset(value: object) -> bool:
        return value == unset and not isinstance(value, bool)

    return {key: value for key, value in data.items() if key not in names or not is_unset(value)}
