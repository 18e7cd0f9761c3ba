"""The methods by which other libraries learn about a collection written in Python.

The same that `type_interop.c` gives to those written in C: they lead to `pstructs.interop`, which
is imported when one of them is called for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["InteropMethods"]


class InteropMethods:
    """What pydantic and Rich look for on a class and its bases.

    IPython takes the first class that has `_repr_pretty_` or a repr, so a class with a repr needs
    the former in its own body.
    """

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any, /) -> Any:
        """Return how pydantic validates and serializes a field of this type."""
        from pstructs.interop.pydantic import core_schema

        return core_schema(cls, source, handler)

    def __rich_repr__(self) -> Iterator[Any]:
        """Yield what Rich prints between the parentheses."""
        from pstructs.interop.pretty import rich_parts

        return rich_parts(self)
