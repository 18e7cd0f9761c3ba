"""Sizes, times, keys and records as people read them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["count", "plain", "seconds", "short", "size", "times"]


def size(nbytes: float | None) -> str:
    """Bytes with three digits and a decimal unit.

    Examples
    --------
    >>> size(617), size(1_234_567), size(None)
    ('617 B', '1.23 MB', '–')
    """
    if nbytes is None:
        return "–"
    if abs(nbytes) < 1000:
        return f"{nbytes:.0f} B"
    for unit in ("kB", "MB", "GB", "TB"):
        nbytes /= 1000
        if abs(nbytes) < 999.5 or unit == "TB":
            break
    return f"{_three(nbytes)} {unit}"


def seconds(value: float | None) -> str:
    """A duration with three digits.

    Examples
    --------
    >>> seconds(0.0000123), seconds(0.5), seconds(61.4)
    ('12.3 µs', '500 ms', '61.4 s')
    """
    if value is None:
        return "–"
    for unit, factor in (("µs", 1e6), ("ms", 1e3)):
        if value * factor < 999.5:
            return f"{_three(value * factor)} {unit}"
    return f"{_three(value)} s"


def times(theirs: float | None, ours: float | None) -> str:
    """How many times `ours` fits into `theirs`.

    Examples
    --------
    >>> times(10.0, 0.004), times(1.0, 4.0), times(None, 1.0)
    ('2,500x', '0.25x', '–')
    """
    if theirs is None or ours is None or ours <= 0 or theirs <= 0:
        return "–"
    return f"{_three(theirs / ours)}x"


def _three(number: float) -> str:
    if number >= 99.95:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}"


def count(number: int, noun: str) -> str:
    """A number with its noun.

    Examples
    --------
    >>> count(1, "record"), count(1200, "record"), count(2, "entry")
    ('1 record', '1,200 records', '2 entries')
    """
    if number != 1:
        noun = noun[:-1] + "ies" if noun.endswith("y") else noun + "s"
    return f"{number:,} {noun}"


def plain(value: Any) -> Any:
    """`value` with every mapping turned into a dict, so that `json` can write it."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return value


def short(value: Any, width: int = 72) -> str:
    """One line for a key or a value, cut to `width` characters.

    Examples
    --------
    >>> short({"name": "Ada", "born": 1815})
    '{"name": "Ada", "born": 1815}'
    >>> short("x" * 100, width=10)
    'xxxxxxxxx…'
    """
    if isinstance(value, str):
        text = value
    else:
        try:
            text = json.dumps(plain(value), ensure_ascii=False, default=repr)
        except (ValueError, RecursionError):
            text = repr(value)
    text = "".join(char if char.isprintable() else "�" for char in " ".join(text.split()))
    return text if len(text) <= width else text[: width - 1] + "…"
