r"""The short form: fields, as one would jot them down, to a pydantic model.

::

    title, severity: high|medium|low, line: int            three fields; a field without a type is a text
    title, tags: str[], where?: {file, line: int}          a list, and an object that may be null
    [{title, line: int}]     {title, line: int}[]          a list of objects

    short form = fields | "{" fields "}" | "[" fields "]" | "[" "{" fields "}" "]" | "{" fields "}" "[" "]"
    fields     = field, separated by commas or line ends
    field      = name ["?"] [":" type]                     "?": may be null, and then is None
    type       = part ("|" part)*
    part       = ( name of a type | word | "quoted words" | "list[" type "]" | "[" type "]" | "(" type ")"
                 | "{" fields "}" ) ("[]" | "?")*

The names of types: `str string text`, `int integer`, `float number`, `bool boolean`, `date`, `datetime`, `time`, `any`.
Parts that are not all types are the words to choose from (`high|medium|low`); words that are all whole numbers are
numbers (`1|2|3`); `null` beside them is the same as `?`. A list of such words: `(high|low)[]`.
There is no form for a dict: its keys are the fields of an object, or a `{key, value}[]`.
"""

from __future__ import annotations

import re
import threading
import unicodedata
import warnings
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from types import GenericAlias
from typing import Annotated, Any, ClassVar, Final, Literal, NoReturn, Union, get_origin

from pydantic import AllowInfNan, BaseModel, ConfigDict, create_model

from ccw_magics.errors import SchemaError
from ccw_magics.schema.tokens import EXAMPLE, Token, Tokens

MAX_DEPTH: Final = 10
"""Objects and lists within each other: OpenAI's limit for a strict schema."""
MAX_KEPT: Final = 256
"""So many short forms keep the models made for them: what is read by one of them twice is of one class, and equal."""

TYPES: Final[dict[str, Any]] = {
    **dict.fromkeys(("str", "string", "text"), str),
    **dict.fromkeys(("int", "integer"), int),
    **dict.fromkeys(("float", "number"), Annotated[float, AllowInfNan(False)]),
    **dict.fromkeys(("bool", "boolean"), bool),
    "date": date,
    "datetime": datetime,
    "time": time,
    "any": Any,
    "null": type(None),
}
"""The names of types."""

_DICTS: Final = frozenset({"dict", "map", "object", "json"})
_LISTS: Final = frozenset({"list", "array"})
_WHOLE_NUMBER: Final = re.compile(r"[+-]?\d{1,15}", re.ASCII)
_making: Final = threading.Lock()  # else two threads at once would make two classes of one short form
_CLOSING: Final = {"{": "}", "[": "]", "(": ")"}

# Subscripted with what is known at run time only, which no type checker follows.
_UNION: Final[Any] = Union
_LITERAL: Final[Any] = Literal


def parse(text: str) -> Any:
    """The type that a short form means: a model class named `Answer`, or a list of one.

    Raises:
        SchemaError: It is none; the message names the place, the hint shows what would be right.
    """
    with _making:
        return _parsed(text)[0]


@lru_cache(maxsize=MAX_KEPT)
def _parsed(text: str) -> tuple[Any, tuple[type[_Made], ...]]:
    """The type, and the models made for it, in the order in which they end in the text."""
    parser = _Parser(text)
    kind, models = parser.whole(), tuple(parser.models)
    for place, model in enumerate(models):
        model.__short_form__, model.__place__ = text, place
    return kind, models


class _Made(BaseModel):
    """Base of the models that are made of short forms: no module has them, so a pickle names the short form instead."""

    model_config = ConfigDict(protected_namespaces=())
    __short_form__: ClassVar[str]
    __place__: ClassVar[int]

    def __reduce__(self) -> tuple[Any, ...]:
        return _blank, (self.__short_form__, self.__place__), self.__getstate__()


def _blank(text: str, place: int) -> _Made:
    """An instance without its values, of the model that stands in this place of a short form."""
    with _making:
        model = _parsed(text)[1][place]
    return model.__new__(model)


@dataclass(frozen=True)
class _Word:
    """A part of a type that is one of the words to choose from, unless it is the name of a type."""

    text: str
    is_quoted: bool

    @property
    def is_type(self) -> bool:
        return not self.is_quoted and self.text in TYPES


@dataclass(frozen=True)
class _Type:
    """A part of a type that can be nothing but a type."""

    type: Any


class _Parser:
    """Reads one short form, each method a rule of the grammar."""

    def __init__(self, text: str) -> None:
        self.models: list[type[_Made]] = []
        self._tokens = Tokens(text)
        self._depth = 0

    def whole(self) -> Any:
        """The type of the whole text."""
        tokens = self._tokens
        tokens.skip_lines()
        if tokens.here.kind == "end":
            raise SchemaError("The schema is empty", hint=f"For example: {EXAMPLE}")
        result = self._root()
        tokens.skip_lines()
        if tokens.here.kind != "end":
            tokens.complain("the end")
        return result

    def _root(self) -> Any:
        tokens = self._tokens
        if tokens.takes("{"):
            result = self._fields("Answer", "}")
            if not tokens.takes("["):
                return result
        elif tokens.takes("["):
            tokens.skip_lines()
            if not tokens.takes("{"):
                return _list_of(self._fields("Answer", "]"))
            result = self._fields("Answer", "}")
            tokens.skip_lines()
        else:
            return self._fields("Answer", None)
        tokens.expect("]")
        return _list_of(result)

    def _fields(self, name: str, closing: str | None) -> type[BaseModel]:
        """Fields up to and with `closing` (None: the end), as a model of this name."""
        tokens, start = self._tokens, self._tokens.here
        self._enter()
        fields: dict[str, Any] = {}
        while not self._closes(closing):
            if tokens.here.kind == "line" or tokens.is_sign(","):
                tokens.take()
                continue
            token = tokens.here
            key, field = self._field(is_alone=name == "Answer" and not fields, closing=closing)
            if key in fields:
                tokens.fail(f"the field {key!r} is there twice", token)
            fields[key] = field
        if not fields:
            tokens.fail("there is no field", start)
        self._depth -= 1
        self.models.append(_model(name, fields))
        return self.models[-1]

    def _closes(self, closing: str | None) -> bool:
        """Whether the fields end here."""
        return self._tokens.here.kind == "end" if closing is None else self._tokens.takes(closing)

    def _field(self, *, is_alone: bool, closing: str | None) -> tuple[str, Any]:
        """A name, and what `create_model` takes for it."""
        tokens, token = self._tokens, self._tokens.here
        name = self._name()
        is_optional, is_typed = tokens.takes("?"), tokens.takes(":")
        wanted: Any = self._type(name) if is_typed else str
        is_last = tokens.here.kind == "end" or (closing is not None and tokens.is_sign(closing))
        is_bare = not is_typed and (is_last or tokens.is_sign("["))
        if is_alone and is_bare and name in {*TYPES, *_DICTS, *_LISTS}:
            tokens.fail(f"{name!r} is a type, and a field needs a name before it", token)
        if not (is_last or tokens.here.kind == "line" or tokens.is_sign(",")):
            tokens.complain("','" if is_typed or is_optional else "':', '?' or ','")
        wanted = _or_null(wanted) if is_optional else wanted
        may_miss = wanted is Any or (get_origin(wanted) is Union and type(None) in wanted.__args__)
        return name, (wanted, None) if may_miss else (wanted, ...)

    def _name(self) -> str:
        """The name of a field, as Python would read an attribute's."""
        tokens, token = self._tokens, self._tokens.here
        if token.kind != "word":
            tokens.complain("the name of a field")
        name = unicodedata.normalize("NFKC", tokens.take().text)
        if not name.isidentifier() or name.startswith("_"):
            better = re.sub(r"\W+", "_", name).strip("_")
            hint = f"Letters, digits and '_': {better if better.isidentifier() else 'line'}"
            tokens.fail(f"a field cannot be called {name[:40]!r}", token, hint)
        if name.startswith("model_") and hasattr(BaseModel, name):
            tokens.fail(f"{name!r} is a method of every pydantic model", token, f"Another name, such as: the_{name}")
        return name

    def _type(self, field: str) -> Any:
        """A type, of the field of this name."""
        tokens, start = self._tokens, self._tokens.here
        self._enter()
        part, is_optional = self._part(field)
        parts = [part]
        while tokens.takes("|"):
            part, may_be_null = self._part(field)
            parts.append(part)
            is_optional |= may_be_null
        self._depth -= 1
        wanted = self._joined(parts, start)
        return _or_null(wanted) if is_optional else wanted

    def _part(self, field: str) -> tuple[_Word | _Type, bool]:
        """One part of a type, and whether a `?` behind it lets the whole be null."""
        tokens = self._tokens
        part, is_optional, lists = self._bare_part(field), False, 0
        while True:
            token = tokens.here
            if tokens.takes("["):
                tokens.expect("]")
                inner = self._joined([part], token)
                part, is_optional = _Type(_list_of(_or_null(inner) if is_optional else inner)), False
                lists += 1
                if lists > MAX_DEPTH:
                    self._too_deep()
            elif tokens.takes("?"):
                is_optional = True
            else:
                return part, is_optional

    def _bare_part(self, field: str) -> _Word | _Type:
        """A part of a type without what is behind it."""
        tokens = self._tokens
        token = tokens.here
        if tokens.takes("{"):
            return _Type(self._fields(_class_name(field), "}"))
        if tokens.takes("(") or tokens.takes("["):
            return self._enclosed(field, token.text)
        if token.kind not in ("word", "quoted"):
            tokens.complain("a type")
        tokens.take()
        if token.kind == "word" and token.text in _DICTS:
            self._unknown(token.text, token)
        if token.kind == "word" and token.text in _LISTS and tokens.takes("["):
            return self._enclosed(field, "[")
        return _Word(token.text, is_quoted=token.kind == "quoted")

    def _enclosed(self, field: str, opening: str) -> _Type:
        """What is between brackets whose opening one is taken: the type itself, or a list of it."""
        inner = self._type(field)
        self._tokens.expect(_CLOSING[opening])
        return _Type(inner if opening == "(" else _list_of(inner))

    def _joined(self, parts: list[_Word | _Type], start: Token) -> Any:
        """The parts of a type as one: a union of types, or the words to choose from."""
        words = [part for part in parts if isinstance(part, _Word) and not part.is_type]
        others = [part.type if isinstance(part, _Type) else TYPES[part.text] for part in parts if part not in words]
        if not words:
            return self._union(others, start)
        if len(parts) == 1 and not words[0].is_quoted:
            self._unknown(words[0].text, start)
        if any(isinstance(part, _Type) for part in parts):
            self._tokens.fail("words and types are mixed", start, "A list of words: (high|low)[]")
        choices = [part for part in parts if isinstance(part, _Word) and (part.is_quoted or part.text != "null")]
        literal = _LITERAL[_values(choices)]
        return literal if len(choices) == len(parts) else _or_null(literal)

    def _union(self, types: list[Any], start: Token) -> Any:
        if all(one is type(None) for one in types):
            self._tokens.fail("'null' alone says nothing", start, "For example: int|null")
        return Any if Any in types else _UNION[tuple(types)]

    def _unknown(self, name: str, start: Token) -> NoReturn:
        if name in _DICTS:
            self._tokens.fail(f"the short form has no {name!r}", start, "Name its fields: {file, line: int}")
        if name in _LISTS:
            self._tokens.fail(f"{name!r} of what?", start, "For example: tags: list[str]")
        known = "str, int, float, bool, date, datetime, time, any"
        hint = f"Types: {known}; words to choose from: high|medium|low"
        self._tokens.fail(f"{name[:40]!r} is not a type", start, hint)

    def _enter(self) -> None:
        self._depth += 1
        if self._depth > 2 * MAX_DEPTH:  # a field's type counts too, beside the object that it is
            self._too_deep()

    def _too_deep(self) -> NoReturn:
        self._tokens.fail("too many within each other", self._tokens.here, f"At most {MAX_DEPTH} lists and objects")


def _list_of(inner: Any) -> Any:
    return GenericAlias(list, (inner,))


def _or_null(wanted: Any) -> Any:
    return wanted if wanted is Any else _UNION[wanted, None]


def _values(choices: list[_Word]) -> tuple[str | int, ...]:
    """The words to choose from; as numbers, where all of them are whole ones."""
    if all(not word.is_quoted and _WHOLE_NUMBER.fullmatch(word.text) for word in choices):
        return tuple(int(word.text) for word in choices)
    return tuple(word.text for word in choices)


def _class_name(field: str) -> str:
    """A class's name for the object in a field: `where_from` becomes `WhereFrom`."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_"))


def _model(name: str, fields: dict[str, Any]) -> type[_Made]:
    with warnings.catch_warnings():
        # A field may well be called `json` or `copy`: pydantic's old methods of these names are not missed.
        warnings.filterwarnings("ignore", message="Field name .* shadows an attribute", category=UserWarning)
        return create_model(name, __base__=_Made, **fields)
