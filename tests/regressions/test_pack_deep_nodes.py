"""Saving collections that are deep tries and nest deep ended in a crash of the process."""

from __future__ import annotations

import pytest

from pstructs import pmap
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
