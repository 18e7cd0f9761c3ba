"""What IPython's pretty printer and Rich show of a collection.

Both look for a method on the class: `_repr_pretty_` and `__rich_repr__` of each collection lead
here. Neither library is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pstructs.interop.kinds import Kind, Shape, kind_of, plain
from pstructs.interop.records import fields_of

__all__ = ["ipython_pretty", "rich_parts"]


def ipython_pretty(value: Any, printer: Any, cycle: bool) -> None:
    """Print a collection as IPython prints its own: indented, and cut when it is long.

    Parameters
    ----------
    value : collection
        What to print.
    printer : IPython.lib.pretty.PrettyPrinter
        Where to.
    cycle : bool
        Whether `value` is being printed further out already.

    Notes
    -----
    Cost: O(printer.max_seq_length).
    """
    kind = _kind(value)
    opening, closing = kind.brackets(value)
    if cycle:
        printer.text(f"{opening}...{closing}")
        return
    limit = printer.max_seq_length or len(value)
    with printer.group(len(opening), opening, closing):
        for at, entry in enumerate(value.items() if kind.shape is Shape.MAPPING else value):
            if at:
                printer.text(",")
                printer.breakable()
            if at == limit:
                printer.text("...")
                break
            if kind.shape is Shape.MAPPING:
                printer.pretty(entry[0])
                printer.text(": ")
                printer.pretty(entry[1])
            else:
                printer.pretty(entry)


def rich_parts(value: Any) -> Iterator[Any]:
    """Yield what Rich shows in the parentheses after the name of the class.

    That is a dict or a list, or the fields of a record.

    Rich indents it, cuts it at its `max_length` and finds cycles. Cost: O(n).
    """
    fields = fields_of(value)
    if fields is not None:
        yield from fields.items()
        return
    kind = _kind(value)
    yield plain(value, kind)
    yield from kind.settings_of(value).items()


def _kind(value: Any) -> Kind:
    kind = kind_of(type(value))
    assert kind is not None, "the method is on collections only"
    return kind
