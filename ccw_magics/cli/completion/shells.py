"""bash, zsh and fish: the scripts that ask at each Tab, and the answers as each shell takes them.

click's own scripts split the line at characters that ids and references are full of (`:`, `=`, `@`), and let the shell
read what comes back as code. These pass the line as it stands and take each answer as text. What is added to the line
never holds a control character, so that none can steer a terminal; what was typed may, as a question of several lines.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import ClassVar, Final, NamedTuple

import click
from click.shell_completion import CompletionItem, ShellComplete, add_completion_class

from ccw_magics.cli.completion.command import continuations
from ccw_magics.cli.completion.suggestion import MOST, Suggestions
from ccw_magics.cli.completion.values import ProjectValues
from ccw_magics.cli.completion.words import BashWord, PlainWord, Word, words_of

LINE_VARIABLE: Final = "COMP_LINE"
"""Holds the command line up to the cursor, its first word the command's name."""
CURRENT_VARIABLE: Final = "COMP_CURRENT"
"""Holds what bash will replace: the end of that line."""
_NOTE_CHARS: Final = 60

_BASH: Final = r"""
_ccw_completion() {
    local line
    COMPREPLY=()
    while IFS= read -r -d '' line; do
        case $line in
            =*) COMPREPLY+=("${line#=}") ;;
            nospace) compopt -o nospace ;;
        esac
    done < <(COMP_LINE="${COMP_LINE:0:COMP_POINT}" COMP_CURRENT="$2" _CCW_COMPLETE=bash_complete \
        command ccw 2>/dev/null </dev/null)
} 2>/dev/null
complete -o nosort -F _ccw_completion ccw 2>/dev/null || complete -F _ccw_completion ccw
"""
_ZSH: Final = r"""
#compdef ccw

_ccw_completion() {
    local kind text shown
    local -a texts shown_texts
    while IFS= read -r -d '' kind && IFS= read -r -d '' text && IFS= read -r -d '' shown; do
        texts=("$text") shown_texts=("$shown")
        case $kind in
            whole) compadd -U -V ccw -l -d shown_texts -a texts ;;
            part) compadd -U -V ccw -S '' -l -d shown_texts -a texts ;;
            home) compadd -U -Q -V ccw -S '' -l -d shown_texts -- "~${(q)text#\~}" ;;
        esac
    done < <(COMP_LINE="${(j: :)words[1,CURRENT-1]} $IPREFIX$QIPREFIX$PREFIX" _CCW_COMPLETE=zsh_complete \
        command ccw 2>/dev/null </dev/null)
}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
    _ccw_completion "$@"
else
    (( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
    compdef _ccw_completion ccw
fi
"""
_FISH: Final = r"""
function __ccw_completion
    COMP_LINE=(commandline -cp | string collect) _CCW_COMPLETE=fish_complete command ccw 2>/dev/null </dev/null
end
complete --command ccw --no-files --keep-order --arguments '(__ccw_completion)'
"""


class Continuation(NamedTuple):
    """How the word at the cursor may go on.

    Attributes:
        text: The whole word, as the shell's kind of word is written.
        note: What it is.
        is_whole: Whether the next word may begin behind it.
    """

    text: str
    note: str
    is_whole: bool


class _Shell(ShellComplete):
    """What the three have in common: the line comes as it was typed, and any failure is silence."""

    word: ClassVar[type[Word]] = PlainWord
    end: ClassVar[str] = "\0"

    def source(self) -> str:
        """The script, which asks by itself; it holds no name that would have to be filled in."""
        return self.source_template.lstrip()

    def complete(self) -> str:
        """The answer; what is wrong is told by running the command."""
        with suppress(Exception):
            before, word = words_of(os.environ[LINE_VARIABLE])
            if before:
                return "".join(f"{part}{self.end}" for part in self.parts(self._found(before[1:], word)))
        return ""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem[str]]:
        """The same as click's items, for a program that asks click."""
        found = self._found(args, Word(incomplete, incomplete))
        return [CompletionItem(one.text, help=one.note or None) for one in found]

    def format_completion(self, item: CompletionItem[str]) -> str:
        """One of those as a line."""
        return str(item.value)

    def parts(self, found: list[Continuation]) -> Iterator[str]:
        """The parts of the answer, each of which `end` is put behind.

        Args:
            found: What may stand at the cursor.
        """
        raise NotImplementedError

    def _found(self, before: list[str], typed: Word) -> list[Continuation]:
        word = self.word(typed.raw, typed.value, typed.quote)
        if self.word is PlainWord:
            word = PlainWord(typed.value, typed.value)
        door = self.ctx_args["obj"]
        values = ProjectValues(lambda: door.workspace, {}, before)
        assert isinstance(self.cli, click.Group)
        return list(_whole_words(continuations(self.cli, before, word, values.of), word))


class _Bash(_Shell):
    name = "bash"
    source_template = _BASH
    word = BashWord

    def parts(self, found: list[Continuation]) -> Iterator[str]:
        """The replacements for what bash takes for the current word; it may begin at a `:` in the middle of an id."""
        line, current = os.environ[LINE_VARIABLE], os.environ.get(CURRENT_VARIABLE, "")
        if not line.endswith(current):
            return
        _, word = words_of(line)
        kept = len(word.raw) - len(current)
        fitting = [one for one in found if kept <= 0 or one.text.startswith(word.raw[:kept])]
        lead = current[: max(0, -kept)]
        for one in fitting:
            yield f"={lead}{one.text[max(0, kept) :]}"
        if len(fitting) == 1 and not fitting[0].is_whole:
            yield "nospace"
            if word.quote:
                # Of a single completion bash would close the quote; two that differ in their end leave it open.
                yield f"={lead}{fitting[0].text[max(0, kept) :]} "


class _Zsh(_Shell):
    name = "zsh"
    source_template = _ZSH

    def parts(self, found: list[Continuation]) -> Iterator[str]:
        """Three for each: what it is, the text, and the row in the list. zsh puts in quotes what needs them."""
        columns = max((len(one.text) for one in found), default=0)
        for one in found:
            is_home = one.text.startswith("~/") and not one.is_whole
            yield "home" if is_home else "whole" if one.is_whole else "part"
            yield one.text
            shown = _in_one_line(one.text)
            yield f"{shown:<{columns}}  -- {one.note}" if one.note else shown


class _Fish(_Shell):
    name = "fish"
    source_template = _FISH
    end = "\n"

    def parts(self, found: list[Continuation]) -> Iterator[str]:
        """The text, a tab, and the note. fish puts in quotes what needs them, and takes each line for a word."""
        for one in found:
            if one.text.isprintable():
                yield f"{one.text}\t{one.note}"


_CLASSES: Final = (_Bash, _Zsh, _Fish)
NAMES: Final = tuple(shell.name for shell in _CLASSES)
"""The shells there are scripts for."""


def register() -> None:
    """Have click answer these shells by this module."""
    for shell in _CLASSES:
        add_completion_class(shell)


def script(name: str) -> str:
    """The script that completes `ccw` in a shell.

    Args:
        name: One of `NAMES`.
    """
    (shell,) = (known for known in _CLASSES if known.name == name)
    return shell.source_template.lstrip()


def _whole_words(suggestions: Suggestions, word: Word) -> Iterator[Continuation]:
    """The suggestions as whole words; without those that no line can hold, and notes of one short line."""
    kept = word.raw[: len(word.raw) - len(suggestions.fragment)]
    for text, note in suggestions.found[:MOST]:
        is_whole = not suggestions.goes_on and not text.endswith("/")
        if text.isprintable() and (is_whole or kept + text != word.raw):
            short = note if len(note) <= _NOTE_CHARS else f"{note[: _NOTE_CHARS - 1].rstrip()}…"
            yield Continuation(kept + text, _in_one_line(short), is_whole)


def _in_one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
