"""Small projects made from a seed, edited over some rounds, and questions about what holds afterwards.

The edits: values changed, functions added, removed and moved to another file, files renamed, deleted and new. Each
question has one short answer, which no other fact of the project shares.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

Tree = dict[str, str]

QUESTIONS_A_PROJECT: Final = 30
FACTS: Final = 36
MOVED_AND_CHANGED: Final = 0.5
GROUPS: Final = ("changed", "unchanged", "moved")

_VERBS, _NOUNS, _WORDS = (
    words.split()
    for words in (
        "load save parse send fetch merge count check build resize encode format split sort lock sign trim rank",
        "users orders invoices images reports tokens events sessions themes pages regions labels drafts alerts",
        "amber birch cedar delta ember falcon garnet harbor indigo jasper kestrel lagoon maple nickel onyx pearl",
    )
)
_PARAMS = ("limit", "width", "timeout", "depth", "size", "retries")
_SUFFIXES = {"python": "py", "typescript": "ts", "json": "json", "markdown": "md"}
_KINDS = {
    "python": ("constant", "default", "default", "return"),
    "typescript": ("constant", "default", "return"),
    "json": ("key",),
    "markdown": ("prose",),
}


@dataclass
class Fact:
    """One thing a file says; `former` and `places` hold what was true of it before."""

    kind: str
    name: str
    value: str
    param: str
    former: list[str] = field(default_factory=list)
    places: list[str] = field(default_factory=list)


@dataclass
class File:
    path: str
    language: str
    facts: list[Fact]

    def text(self) -> str:
        if self.language == "json":
            return json.dumps({fact.name: _json_value(fact.value) for fact in self.facts}, indent=2) + "\n"
        title = Path(self.path).stem.replace("_", " ")
        if self.language == "markdown":
            facts = "".join(f"- The {fact.name} is {fact.value}.\n" for fact in self.facts)
            return f"# {title.capitalize()}\n\nWhat the team agreed on:\n\n{facts}"
        if self.language == "python":
            return f'"""The {title} of the service."""\n\n' + "\n".join(map(_python, self.facts))
        return f"// The {title} of the service.\n\n" + "\n".join(map(_typescript, self.facts))


def _json_value(value: str) -> str | int:
    return int(value) if value.isdigit() else value


def _quoted(value: str) -> str:
    return value if value.isdigit() else f'"{value}"'


def _python(fact: Fact) -> str:
    words = fact.name.replace("_", " ")
    if fact.kind == "constant":
        return f"{fact.name} = {_quoted(fact.value)}\n"
    if fact.kind == "return":
        result = "int" if fact.value.isdigit() else "str"
        return f'\ndef {fact.name}() -> {result}:\n    """What the rules say for {words}."""\n    return {_quoted(fact.value)}\n'
    return (
        f"\ndef {fact.name}(path: str, {fact.param}: int = {fact.value}) -> list[str]:\n"
        f'    """{words.capitalize()} in the file at `path`."""\n'
        f"    rows = [row.strip() for row in open(path)]\n    return rows[:{fact.param}]\n"
    )


def _typescript(fact: Fact) -> str:
    if fact.kind == "constant":
        return f"export const {fact.name} = {_quoted(fact.value)};\n"
    if fact.kind == "return":
        result = "number" if fact.value.isdigit() else "string"
        return f"export function {fact.name}(): {result} {{\n  return {_quoted(fact.value)};\n}}\n"
    return (
        f"export function {fact.name}(rows: string[], {fact.param} = {fact.value}): string[] {{\n"
        f"  const kept = rows.filter((row) => row.length > 0);\n  return kept.slice(0, {fact.param});\n}}\n"
    )


@dataclass(frozen=True)
class Question:
    """`wrong` are the answers that were right once, or are right of a namesake in a file that is gone."""

    group: str
    text: str
    right: str
    wrong: tuple[str, ...]

    def is_answered_by(self, answer: str) -> bool:
        return _names(answer, self.right) and not any(_names(answer, wrong) for wrong in self.wrong)


def _names(answer: str, value: str) -> bool:
    return re.search(rf"(?<![\w/.-]){re.escape(value)}(?![\w/-]|\.\w)", answer.replace(",", "")) is not None


class Project:
    """A project that is edited; `versions` holds its trees, oldest first."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._names = rng.sample([f"{verb}_{noun}" for verb in _VERBS for noun in _NOUNS], k=len(_VERBS) * len(_NOUNS))
        self._stems = rng.sample(_NOUNS + _WORDS, k=len(_NOUNS + _WORDS)) + [f"part_{n}" for n in range(30)]
        self._numbers = rng.sample(range(12, 4000), k=1000)
        self._labels = rng.sample([f"{one}-{two}" for one in _WORDS for two in _WORDS], k=len(_WORDS) ** 2)
        self.files = self._first_files(rng.randint(8, 30))
        self.namesakes = [self._add_namesake()]
        self.versions = [self._tree()]

    def edit(self, rounds: int) -> None:
        """Edit over so many rounds."""
        steps = [
            self._rename,
            self._move,
            *self._rng.sample([self._new_file, self._add, self._remove, self._move], k=1),
        ]
        steps += [functools.partial(self._delete, path) for _, path in self.namesakes]
        steps += [self._change] * max(3, rounds - len(steps))
        self._rng.shuffle(steps)
        for number in range(rounds):
            for step in steps[number::rounds]:
                step()
            self.versions.append(self._tree())

    def questions(self, count: int) -> list[Question]:
        """At most `count` questions, no more about facts that never changed than about others."""
        found = list(self._all_questions())
        self._rng.shuffle(found)
        groups = [
            [question for question in found if question.group == group] for group in ("moved", "changed", "unchanged")
        ]
        moved, changed, unchanged = groups
        chosen = [*moved, *changed, *unchanged[: len(moved) + len(changed)]]
        return self._rng.sample(chosen, k=min(count, len(chosen)))

    def _all_questions(self) -> Iterator[Question]:
        gone = {fact.name: fact for fact, _ in self.namesakes}
        for file in self.files:
            for fact in file.facts:
                wrong = tuple(fact.former)
                if fact.name in gone:
                    twin = gone[fact.name]
                    yield Question("moved", _asked(fact, None), fact.value, (*wrong, twin.value, *twin.former))
                    continue
                former_paths = sorted(set(fact.places) - {file.path})
                if former_paths:
                    choice = " or ".join(self._rng.sample([file.path, former_paths[-1]], k=2))
                    text = f"Which file contains `{fact.name}`: {choice}? Answer with the path only."
                    yield Question("moved", text, file.path, tuple(former_paths))
                group = "moved" if wrong and former_paths else "changed" if wrong else "unchanged"
                yield Question(group, _asked(fact, file.path), fact.value, wrong)

    def _first_files(self, count: int) -> list[File]:
        return [self._file(max(1, round(FACTS / count) + self._rng.randint(-1, 1))) for _ in range(count)]

    def _file(self, facts: int) -> File:
        language = self._rng.choice(("python", "python", "typescript", "json", "markdown"))
        folder = {"json": "config", "markdown": "docs"}.get(language) or self._rng.choice(("src", "src/core", "lib"))
        path = f"{folder}/{self._stems.pop(0)}.{_SUFFIXES[language]}"
        return File(path, language, [self._fact(language, path) for _ in range(facts)])

    def _fact(self, language: str, path: str) -> Fact:
        kind = self._rng.choice(_KINDS[language])
        name = self._names.pop()
        if kind == "constant":
            name = name.upper()
        elif kind == "prose":
            verb, _, noun = name.partition("_")
            name = f"{verb} limit of {noun}"
        elif language != "python":
            verb, _, noun = name.partition("_")
            name = verb + noun.capitalize()
        return Fact(kind, name, self._value(kind), self._rng.choice(_PARAMS), places=[path])

    def _value(self, kind: str) -> str:
        if kind in {"default", "prose"} or self._rng.random() < 0.6:
            return str(self._numbers.pop())
        return self._labels.pop()

    def _add_namesake(self) -> tuple[Fact, str]:
        owner = self._rng.choice(
            [file for file in self.files if file.language in {"python", "typescript"}] or self.files
        )
        fact = self._rng.choice(owner.facts)
        path = f"legacy/{self._stems.pop(0)}.{_SUFFIXES[owner.language]}"
        twin = Fact(fact.kind, fact.name, self._value(fact.kind), fact.param)
        self.files.append(File(path, owner.language, [twin, self._fact(owner.language, path)]))
        return twin, path

    def _tree(self) -> Tree:
        return {file.path: file.text() for file in self.files}

    def _some_file(self, *, facts: int = 1) -> File:
        fitting = [file for file in self.files if len(file.facts) >= facts and not file.path.startswith("legacy/")]
        return self._rng.choice(fitting)

    def _change(self) -> None:
        file = self._some_file()
        for fact in self._rng.sample(file.facts, k=min(len(file.facts), self._rng.randint(1, 3))):
            self._change_fact(fact)

    def _change_fact(self, fact: Fact) -> None:
        fact.former.append(fact.value)
        fact.value = str(self._numbers.pop()) if fact.value.isdigit() else self._labels.pop()

    def _add(self) -> None:
        file = self._some_file()
        file.facts.insert(self._rng.randint(0, len(file.facts)), self._fact(file.language, file.path))

    def _remove(self) -> None:
        kept = {fact.name for fact, _ in self.namesakes}
        file = self._some_file(facts=2)
        fact = self._rng.choice(file.facts)
        if fact.name not in kept:
            file.facts.remove(fact)

    def _move(self) -> None:
        source = self._some_file(facts=2)
        others = [
            file for file in self.files if file.language == source.language and not file.path.startswith("legacy/")
        ]
        target = self._rng.choice(others)
        fact = self._rng.choice(source.facts)
        source.facts.remove(fact)
        target.facts.append(fact)
        fact.places.append(target.path)
        if self._rng.random() < MOVED_AND_CHANGED:
            self._change_fact(fact)

    def _rename(self) -> None:
        file = self._some_file()
        file.path = f"{Path(file.path).parent}/{self._stems.pop(0)}{Path(file.path).suffix}"
        for fact in file.facts:
            fact.places.append(file.path)
        self._change_fact(self._rng.choice(file.facts))

    def _new_file(self) -> None:
        self.files.append(self._file(2))

    def _delete(self, path: str) -> None:
        self.files = [file for file in self.files if file.path != path]


def _asked(fact: Fact, path: str | None) -> str:
    where = f" in {path}" if path else ""
    asked = {
        "default": f"What is the default of `{fact.param}` in the function `{fact.name}`{where}?",
        "return": f"What does the function `{fact.name}`{where} return?",
        "prose": f"What is the {fact.name}{where}?",
    }.get(fact.kind, f"What is the value of `{fact.name}`{where}?")
    return f"{asked} Answer with the value only."


def projects(seed: int, questions: int) -> Iterator[tuple[list[Tree], list[Question]]]:
    """Projects and their questions until there are enough; the rounds of edits go through one to ten."""
    asked = number = 0
    while asked < questions:
        rng = random.Random(f"{seed}-{number}")
        project = Project(rng)
        project.edit(rounds=1 + (3 * number + 4) % 10)
        chosen = project.questions(min(QUESTIONS_A_PROJECT, questions - asked))
        asked += len(chosen)
        number += 1
        yield project.versions, chosen
