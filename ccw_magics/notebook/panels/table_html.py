"""Rows as one HTML table in a box that scrolls: a widget a cell would take seconds."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ccw_magics.notebook.panels import style


def table_html(label: str, headings: Sequence[str], rows: Sequence[Sequence[str]], numbers: Collection[str]) -> str:
    """A table; all of it plain text.

    Args:
        label: What it lists, for screen readers.
        headings: Of the columns.
        rows: Their cells.
        numbers: Headings of those columns whose cells stand to the right.
    """
    kinds = [' class="ccw-number"' if heading in numbers else "" for heading in headings]
    head = "".join(
        f'<th scope="col"{kind}>{style.escaped(heading)}</th>' for heading, kind in zip(headings, kinds, strict=True)
    )
    body = "".join(f"<tr>{_cells(row, kinds)}</tr>" for row in rows)
    table = f'<table class="ccw-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="ccw-scroll" role="region" tabindex="0" aria-label="{style.escaped(label)}">{table}</div>'


def meter_html(label: str, share: float, told: str) -> str:
    """A bar that is full to a share, and the same in words.

    Args:
        label: What it measures, for screen readers.
        share: From 0 to 1.
        told: The words beside it.
    """
    bar = f'<meter class="ccw-meter" min="0" max="1" high="0.9" optimum="0" value="{min(max(share, 0.0), 1.0):.4f}"'
    return f'<div class="ccw-measure">{bar} aria-label="{style.escaped(label)}"></meter> {style.said(told)}</div>'


def _cells(row: Sequence[str], kinds: Sequence[str]) -> str:
    return "".join(f"<td{kind}>{style.escaped(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
