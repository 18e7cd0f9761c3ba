"""The methods by which other libraries learn about a collection written in Python.

The same that `type_interop.c` gives to those written in C: they lead to `pstructs.interop`, which
is imported when one of them is called for the first time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["InteropMethods"]


class InteropMethods:
    """What pydantic, IPython and Rich look for on a class."""

    __slots__ = ()

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any, /) -> Any:
        """Return how pydantic validates and serializes a field of this type."""
        from pstructs.interop.pydantic import core_schema

        return core_schema(cls, source, handler)

    def _repr_pretty_(self, printer: Any, cycle: bool, /) -> None:
        """Print to IPython's pretty printer."""
        from pstructs.interop.pretty import ipython_pretty

        ipython_pretty(self, printer, cycle)

    def __rich_repr__(self) -> Iterator[Any]:
        """Yield what Rich prints between the parentheses."""
        from pstructs.interop.pretty import rich_parts

        return rich_parts(self)
