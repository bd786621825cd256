"""Amounts of money as a person reads them."""

from __future__ import annotations

from typing import Final

_LEAST_USD: Final = 1e-9
"""Below every price of a token; what is smaller is not worth its digits."""


def readable_usd(amount: float) -> str:
    """US dollars: `$1,234.50`, `$0.0123`, and below a cent two significant digits, `$0.000012`.

    Args:
        amount: US dollars; below 0 for a loss.
    """
    sign, size = "-" if amount < 0 else "", abs(amount)
    if 0 < size < _LEAST_USD:
        return f"{sign}<${_LEAST_USD:.9f}"
    return f"{sign}${size:,.{_decimals(size)}f}"


def _decimals(size: float) -> int:
    if size == 0 or size >= 0.99995:  # noqa: PLR2004 - what four decimals round to 1
        return 2
    return max(4, 1 - int(f"{size:.1e}".partition("e")[2]))
