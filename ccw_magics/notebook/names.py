"""What names mean in a notebook: the notebook's own, and those of types in it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any, Final

from ccw_magics.errors import SchemaError
from ccw_magics.journal.chats import NAME_CHARS

UNNAMED: Final = "notebook"
"""The conversation of a kernel whose front end does not say which notebook it is of."""
_SESSION: Final = "JPY_SESSION_NAME"
"""Set by Jupyter Server for each kernel of a notebook: the notebook's path (jupyter_server 2.0 and later)."""
_VSCODE: Final = "__vsc_ipynb_file__"
"""Set by VS Code in the kernel's namespace, likewise."""
_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
_TYPES: Final[Mapping[str, Any]] = {kind.__name__: kind for kind in (int, str, float, bool, list, dict, date, datetime)}
"""Types that need no definition; what the notebook calls by one of these names goes before."""
_LIST: Final = re.compile(r"list\[\s*(?P<one>[^\[\]]+?)\s*\]|(?P<other>.+?)\s*\[\]")


def notebook_name(namespace: Mapping[str, Any], root: Path) -> str:
    """The notebook's path below the project root, or as the front end tells it; `notebook` where it does not.

    Of a notebook outside the project its file's name alone: a footer is saved, and no place for paths of a machine.

    Args:
        namespace: The kernel's.
        root: The project root.
    """
    said = namespace.get(_VSCODE) or os.environ.get(_SESSION) or ""
    if not isinstance(said, str) or not said.endswith(".ipynb"):
        return UNNAMED
    path = Path(said)
    if path.is_absolute():
        folder = path.parent.resolve()
        path = folder.relative_to(root) / path.name if folder.is_relative_to(root) else Path(path.name)
    return path.as_posix()[-NAME_CHARS:]


def schema_named(text: str, namespace: Mapping[str, Any]) -> object:
    """What `--schema` stands for: a type, a list of one, or a short form.

    A single word is a name. Anything else, and a name with a type behind it, is a short form.

    Raises:
        SchemaError: Nothing goes by this name.
    """
    wanted = text.strip()
    if (match := _LIST.fullmatch(wanted)) and _NAME.fullmatch(name := match["one"] or match["other"]):
        return list[_found(name, namespace)]  # type: ignore[misc]  # a type that is known at run time
    return _found(wanted, namespace) if _NAME.fullmatch(wanted) else text


def _found(name: str, namespace: Mapping[str, Any]) -> Any:
    first, *rest = name.split(".")
    known = {**_TYPES, **namespace}
    if first not in known:
        raise SchemaError(
            f"--schema {name}: nothing goes by this name",
            hint=f"Define it in a cell first, or write a short form: --schema '{first}: str, line: int'.",
        )
    found = known[first]
    for part in rest:
        if not hasattr(found, part):
            raise SchemaError(f"--schema {name}: {first} has no {part}", hint="Look at how it is written.")
        found, first = getattr(found, part), part
    return found
