"""`pstructs.testing`: strategies for hypothesis."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st

from pstructs import PDeque, PList, PMap, PSet, PVector, testing
from pstructs.bags import PBag
from pstructs.interop.kinds import Kind, Shape
from support.interop_samples import annotation, every

numbers = st.integers(0, 50)
STRATEGIES: list[tuple[type[Any], Any]] = [
    (PMap, lambda **size: testing.pmaps(numbers, numbers, **size)),
    (PSet, lambda **size: testing.psets(numbers, **size)),
    (PVector, lambda **size: testing.pvectors(numbers, **size)),
    (PList, lambda **size: testing.plists(numbers, **size)),
    (PDeque, lambda **size: testing.pdeques(numbers, **size)),
    (PBag, lambda **size: testing.pbags(numbers, **size)),
]
every_strategy = pytest.mark.parametrize(
    ("cls", "strategy"), STRATEGIES, ids=[cls.__name__ for cls, _ in STRATEGIES]
)
quiet = settings(database=None, suppress_health_check=list(HealthCheck))


def test_every_collection_has_a_strategy() -> None:
    from pstructs.interop.kinds import KINDS

    assert {cls for cls, _ in STRATEGIES} == {kind.cls for kind in KINDS}
    assert len(testing.__all__) == len(KINDS) + 1


@every_strategy
def test_values_are_of_the_type_and_within_the_bounds(cls: type[Any], strategy: Any) -> None:
    sizes = set()

    @given(strategy(min_size=2, max_size=5))
    @quiet
    def check(value: Any) -> None:
        assert type(value) is cls and 2 <= len(value) <= 5
        assert all(0 <= element <= 50 for element in value)
        sizes.add(len(value))

    check()
    assert sizes == {2, 3, 4, 5}


@every_strategy
def test_values_shrink_to_few_and_simple_elements(cls: type[Any], strategy: Any) -> None:
    value = find(strategy(), lambda value: len(value) >= 2 and max(value) >= 7, settings=quiet)
    assert sorted(value) == [0, 7]
    assert list(find(strategy(), lambda value: True, settings=quiet)) == []


@every()
def test_from_type_finds_every_collection_without_being_told(kind: Kind) -> None:
    lengths = set()

    @given(st.from_type(annotation(kind, bool)), st.from_type(kind.cls))
    @quiet
    def check(value: Any, bare: Any) -> None:
        assert type(value) is kind.cls and type(bare) is kind.cls
        parts = [*value, *(value.values() if kind.shape is Shape.MAPPING else ())]
        assert {type(part) for part in parts} <= {bool}
        lengths.add(len(value))

    check()
    assert len(lengths) > 1
