"""A DataFrame that a notebook shows with sizes and times as a person reads them."""

from __future__ import annotations

import pandas as pd

from ccw_magics.stats import readable


class ReadableFrame(pd.DataFrame):
    """An ordinary DataFrame, and what is made from it is one too; only how it is shown differs."""

    def _repr_html_(self) -> str:
        return str(readable(pd.DataFrame(self)).to_html(index=False))

    def __repr__(self) -> str:
        return str(readable(pd.DataFrame(self)).to_string(index=False))
