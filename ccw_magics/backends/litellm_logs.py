"""What litellm and the libraries below it log, without keys."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Final

from ccw_magics.config.credentials import Secret, redact

LOGGERS: Final = ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai._base_client", "httpx", "httpcore.http11")
PIECE_CHARS: Final = 8
"""So much of a key counts as a piece of it in a log; its well-known prefix is shorter, or no loss there."""


def watch_logs() -> None:
    """Put the filter in place; once for each process."""
    for name in LOGGERS:
        logging.getLogger(name).addFilter(_FILTER)


def redact_logs(secrets: Iterable[Secret]) -> None:
    """Keep these out of the logs from now on."""
    # Replaced, not changed: litellm logs from threads of its own, which may be reading it.
    _FILTER.secrets = _FILTER.secrets.union(secrets)


class _RedactingFilter(logging.Filter):
    """Masks keys in what litellm and the libraries below it log: at DEBUG they log whole requests."""

    def __init__(self) -> None:
        super().__init__()
        self.secrets: frozenset[Secret] = frozenset()

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = self._redacted(record.getMessage())
        record.args = None
        if record.exc_info:
            record.exc_text = self._redacted(logging.Formatter().formatException(record.exc_info))
            record.exc_info = None
        return True

    def _redacted(self, text: str) -> str:
        """The text without keys, nor the pieces of one: each chunk of a stream is logged by itself."""
        text = redact(text, self.secrets)
        for secret in self.secrets:
            key = secret.reveal()
            for start in range(len(key) - PIECE_CHARS + 1):
                text = text.replace(key[start : start + PIECE_CHARS], "…")
        return text


_FILTER: Final = _RedactingFilter()
