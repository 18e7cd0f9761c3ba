"""Records and their evolvers at the edges."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import pytest

from pstructs import PClass, PRecord, field


class Pair(PClass):
    a: Any = field()
    b: Any = field(factory=str)


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda evolver: pickle.loads(pickle.dumps(evolver))],
    ids=["copy", "deepcopy", "pickle"],
)
def test_the_evolver_of_a_pclass_can_be_copied(duplicate: Any) -> None:
    """The copy looked for its own data among the fields: a RecursionError."""
    evolver = Pair(a=1, b=2).evolver()
    assert duplicate(evolver).persistent() == Pair(a=1, b=2)
    evolver.a = 5
    twin = duplicate(evolver)
    twin.b = 7
    assert evolver.persistent() == Pair(a=5, b=2)
    assert twin.persistent() == Pair(a=5, b=7)


def test_a_name_that_takes_the_fields_of_its_class_away_is_looked_up_safely() -> None:
    """The layout was freed while a name was compared, and then read: AddressSanitizer saw it."""

    class Name(str):
        def __hash__(self) -> int:
            return hash("b")

        def __eq__(self, other: object) -> bool:
            delattr(Bare, "_record_layout")
            gc.collect()
            return True

    class Bare(PRecord):
        a: Any = field()
        b: Any = field()

    bare = Bare(a=1, b=2)
    assert bare[Name("b")] == 2
