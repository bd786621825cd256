r"""File names as text: every name, whatever its bytes, as valid UTF-8 on one line, and back.

A name on a POSIX system is any bytes but `/` and NUL. Where such a name stands in a pack or a manifest it must not
break the line, hide what follows, or fail to encode. So a backslash is written `\\`, and each byte of a control
character, of a line separator, of a mark that turns the direction of writing, and of anything that is not UTF-8 is
written `\xNN`. All other names are shown as they are.
"""

from __future__ import annotations

import re

_MISLEADING = re.compile("[\x00-\x1f\x7f-\x9f\\\\\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\udc80-\udcff]")
_ESCAPED = re.compile(rb"\\(?:\\|x([0-9a-f]{2}))")


def show_name(raw: bytes) -> str:
    """A path's bytes as text that is valid UTF-8, one line, and unlike that of any other path.

    Args:
        raw: The path as the file system has it (UTF-8 with exceptions).
    """
    text = raw.decode("utf-8", "surrogateescape")
    if text.isascii() and text.isprintable() and "\\" not in text:
        return text  # as nearly all are; the expression takes four times as long
    return _MISLEADING.sub(_escape, text)


def read_name(shown: str) -> bytes:
    """The bytes of a path that `show_name` made; undoes it exactly.

    Args:
        shown: What `show_name` returned.
    """
    return _ESCAPED.sub(_unescape, shown.encode("utf-8", "surrogateescape"))


def _escape(match: re.Match[str]) -> str:
    if match[0] == "\\":
        return "\\\\"
    return "".join(f"\\x{byte:02x}" for byte in match[0].encode("utf-8", "surrogateescape"))


def _unescape(match: re.Match[bytes]) -> bytes:
    return bytes.fromhex(match[1].decode()) if match[1] else b"\\"
