"""The shape of an answer: from a Python type, or a short form, to a JSON Schema, and from a text back to an object."""

from __future__ import annotations

from ccw_magics.schema.shape import Schema

__all__ = ["Schema"]
