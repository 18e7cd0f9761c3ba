"""Saving collections that are deep tries and nest deep ended in a crash of the process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pstructs import pmap, psortedmap, pvector
from pstructs.packs import PackWriter, dumps, loads


def nested(levels: int) -> object:
    """Maps of two NaN keys, which share all hash bits, each in the one before."""
    first, second = float("nan"), float("nan")
    value: object = pmap({first: 1, second: 2})
    for _ in range(levels):
        value = pmap({first: value, second: 2})
    return value


def test_saving_deep_tries_that_nest_deep_raises() -> None:
    with pytest.raises(RecursionError, match="nest deeper than"):
        dumps(nested(20_000))


def test_shallow_ones_are_saved_in_full() -> None:
    value = pmap({"a": pmap({"b": pmap({"c": 1})})})
    for _ in range(100):
        value = pmap({"a": value})
    assert loads(dumps(value)) == value
    assert PackWriter(value).new_records > 100


VECTOR = pvector(range(40_000))
SORTED = psortedmap((i, i) for i in range(30_000))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda x: pvector([x]),
        lambda x: psortedmap({1: x}),
        lambda x: VECTOR.set(15, x),
        lambda x: SORTED.set(9, x),
    ],
)
def test_saving_vectors_and_trees_that_nest_deep_in_opened_packs_raises(
    wrap: Callable[[Any], Any],
) -> None:
    # What one save may nest is bounded, but what it wraps may have been opened.
    value: Any = None
    with pytest.raises(RecursionError, match="nest deeper than"):
        for _ in range(30):
            for _ in range(150):
                value = wrap(value)
            value = loads(dumps(value), trusted=True)
