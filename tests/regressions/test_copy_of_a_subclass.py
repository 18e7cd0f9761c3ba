"""`copy.copy` of an instance of a subclass returned the instance, attributes and all.

An attribute set on the copy was set on the original. Collections never change, but what a
subclass adds to them may; copies of tuples and frozensets of a subclass are new as well.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest

from pstructs import PMap, PSet, _core


class Tagged(PMap[Any, Any]):
    """With a dict of attributes."""


class Slotted(PSet[Any]):
    """With a dict and a slot."""

    __slots__ = ("__dict__", "note", "unset")


class Frozen(PMap[Any, Any]):
    """With a say in what its state is."""

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(name)

    def __getstate__(self) -> object:
        return "state"

    def __setstate__(self, state: object) -> None:
        self.__dict__["was"] = state


class Bare(PSet[Any]):
    """With nothing of its own."""

    __slots__ = ()


def test_copy_has_attributes_of_its_own() -> None:
    original = Tagged({1: [2]})
    original.tag = ["a"]
    other = copy.copy(original)
    assert type(other) is Tagged and other == original and other is not original
    assert other.tag is original.tag and other[1] is original[1]
    other.tag = "b"
    assert original.tag == ["a"]
    assert _core._check(other) is None


def test_copy_has_slots_of_its_own() -> None:
    original = Slotted([1, 2])
    original.note, original.more = "note", 5
    other = copy.copy(original)
    assert (other.note, other.more, hasattr(other, "unset")) == ("note", 5, False)
    other.note = "other"
    assert original.note == "note"


def test_copy_asks_for_the_state() -> None:
    assert copy.copy(Frozen({1: 2})).__dict__ == {"was": "state"}
    assert copy.copy(Bare([1])) == {1}


def test_error_in_the_state_comes_out() -> None:
    class Fails(Tagged):
        def __getstate__(self) -> object:
            raise LookupError

    with pytest.raises(LookupError):
        copy.copy(Fails({1: 2}))

    class Refuses(Tagged):
        def __setstate__(self, state: object) -> None:
            raise LookupError

    refuses = Refuses({1: 2})
    refuses.tag = 1
    with pytest.raises(LookupError):
        copy.copy(refuses)


def test_state_that_says_nothing_is_an_error() -> None:
    for state in ("text", (None, 1), (1, None), 5):

        class Odd(Tagged):
            def __getstate__(self, state: object = state) -> object:
                return state

        with pytest.raises((TypeError, ValueError, AttributeError)):
            copy.copy(Odd({1: 2}))
