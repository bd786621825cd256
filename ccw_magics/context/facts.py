"""Questions asked of the file system, kept with their answers, so that they can be asked again."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, TypeVar, cast

_Answer = TypeVar("_Answer")


class Facts:
    """What was asked and answered."""

    def __init__(self) -> None:
        self._answers: dict[tuple[Callable[..., object], tuple[Hashable, ...]], Any] = {}

    def ask(self, question: Callable[..., _Answer], *about: Hashable) -> _Answer:
        """The answer; asked once, however often it is needed.

        Args:
            question: A function that tells something of the file system, and raises nothing.
            about: Its arguments.
        """
        key = (question, about)
        if key not in self._answers:
            self._answers[key] = question(*about)
        return cast("_Answer", self._answers[key])

    def hold(self) -> bool:
        """Whether every question still has its answer."""
        return all(question(*about) == answer for (question, about), answer in self._answers.items())
