"""What a head was made with, beside what a later caller asks of it.

The first one decides. Whoever asks for something else is told, since neither way is right: to
ignore it would let values in that the caller's validator refuses, to follow it would change the
head for all others. Functions that have travelled are other objects, so validators are compared
by what they do: their code and what it uses.
"""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Iterator
from typing import Any

from pstructs.distributed.head_actor import Opening

__all__ = ["check_settings", "same_function"]


def check_settings(there: Opening, asked: dict[str, Any]) -> None:
    """Raise ValueError when a head was not made as asked.

    Parameters
    ----------
    there : Opening
        How it was made.
    asked : dict
        Fields of an Opening and their values; None for one that does not matter.
    """
    for field, value in asked.items():
        found = getattr(there, field)
        if value is None or (same_function(found, value) if callable(value) else found == value):
            continue
        if field == "store":
            kept = f"in the store {found!r}" if found else "in memory"
            raise ValueError(f"the head {there.name!r} is there and kept {kept}, not in {value!r}")
        raise ValueError(
            f"the head {there.name!r} is there with {field}={found!r}, not {value!r}. Leave "
            f"{field}= out to use the head as it is, or end() it first; it can then be made anew"
        )


def same_function(one: Any, other: Any) -> bool:
    """Whether two callables may be the same, or one a copy of the other that was pickled.

    They are not when their types, names, code, or captured values differ. What can't be compared
    counts as equal.

    Examples
    --------
    >>> def above(limit):
    ...     return lambda n: n > limit
    >>> same_function(above(1), above(1)), same_function(above(1), above(2))
    (True, False)
    """
    if type(one) is not type(other):
        return False
    if isinstance(one, types.MethodType):
        return same_function(one.__func__, other.__func__)
    if isinstance(one, functools.partial):
        return same_function(one.func, other.func) and _same(one.args, other.args)
    if not isinstance(one, types.FunctionType):
        return _same(one, other)
    return (
        one.__qualname__ == other.__qualname__
        and one.__code__ == other.__code__
        and _same(one.__defaults__, other.__defaults__)
        and all(map(_same, _captured(one), _captured(other)))
    )


def _captured(function: types.FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        with contextlib.suppress(ValueError):  # not set yet
            yield cell.cell_contents


def _same(one: Any, other: Any) -> bool:
    """Whether two values are equal, or of a type whose equality is identity."""
    if type(one) is not type(other):
        return False
    by_identity: bool = type(one).__eq__ is getattr(object, "__eq__")  # noqa: B009
    return by_identity or bool(one == other)
