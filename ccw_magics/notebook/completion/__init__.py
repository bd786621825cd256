"""Tab inside `%ccw` and `%%ccw`: verbs, options, ids, names and `@paths`; imported with the first Tab there."""

from ccw_magics.notebook.completion.cell import complete

__all__ = ["complete"]
