"""`partitions` and `map_reduce` give what plain Python gives."""

from __future__ import annotations

import collections
import functools
import operator
import time
from typing import Any

import pytest

from pstructs import partition, pmap, pset
from pstructs.distributed import ShareError, map_reduce, partitions, share

pytestmark = pytest.mark.ray


def people(n: int) -> dict[str, dict[str, Any]]:
    return {f"p{i}": {"age": i % 90, "city": "abcdefg"[i % 7]} for i in range(n)}


def test_counting_by_category_equals_plain_python(cluster: Any) -> None:
    source = people(5000)
    counted = map_reduce(
        share(pmap(source)),
        lambda part: collections.Counter(v["city"] for v in part.values()),
        operator.add,
        partitions=5,
    )
    assert counted == collections.Counter(v["city"] for v in source.values())


def test_a_collection_need_not_be_shared_first(cluster: Any) -> None:
    numbers = pset(range(3000))
    assert map_reduce(numbers, sum, operator.add) == sum(range(3000))


def test_the_initial_value_goes_in_first(cluster: Any) -> None:
    m = pmap({i: i for i in range(100)})
    keys = map_reduce(m, list, operator.add, initial=["first"], partitions=3)
    assert keys[0] == "first"
    assert sorted(keys[1:]) == list(range(100))


def test_results_come_in_the_order_of_the_parts(cluster: Any) -> None:
    m = pmap({i: 0.1 * i for i in range(40_000)})

    def add_up(part: Any) -> float:
        return sum(part.values())

    parts = [add_up(partition(m, i, 3)) for i in range(3)]
    # Sums of floats depend on the order, so this is equal only when nothing differs.
    assert map_reduce(m, add_up, operator.add, partitions=3) == functools.reduce(
        operator.add, parts
    )


def test_an_empty_map_gives_the_result_of_one_empty_part(cluster: Any) -> None:
    assert map_reduce(pmap(), len, operator.add) == 0


def test_partitions_are_disjoint_and_complete_in_tasks(cluster: Any) -> None:
    source = people(1000)
    parts = partitions(pmap(source), 7)
    found = [cluster.run(lambda part: dict(part.open()), part) for part in parts]
    assert sum(map(len, found)) == 1000
    assert functools.reduce(operator.or_, found) == source


def test_results_may_be_collections(cluster: Any) -> None:
    m = pmap({i: i for i in range(2000)})
    doubled = map_reduce(
        m,
        lambda part: part.update({k: 2 * v for k, v in part.items()}),
        lambda a, b: a.update(b),
        partitions=3,
    )
    assert doubled == {i: 2 * i for i in range(2000)}


def test_what_a_task_raises_is_raised(cluster: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        map_reduce(pmap({"a": 1}), lambda part: 1 // 0, operator.add, partitions=2)


def test_what_the_reduction_raises_is_raised(cluster: Any) -> None:
    def refuse(a: int, b: int) -> int:
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        map_reduce(pmap({"a": 1}), len, refuse, partitions=2)


@pytest.mark.parametrize("n", [0, -3])
def test_a_number_of_parts_below_one_is_refused(cluster: Any, n: int) -> None:
    with pytest.raises(ValueError, match=str(n)):
        partitions(pmap({"a": 1}), n)
    with pytest.raises(ValueError, match=str(n)):
        map_reduce(pmap({"a": 1}), len, operator.add, partitions=n)


def test_work_that_takes_too_long_is_cancelled_with_a_clear_error(cluster: Any) -> None:
    def dawdle(part: Any) -> int:
        for _ in range(600):  # a cancelled task stops between two Python instructions
            time.sleep(0.05)
        return 0

    with pytest.raises(ShareError, match=r"2 of 2 parts .* timeout="):
        map_reduce(pmap({"a": 1}), dawdle, max, partitions=2, timeout=1.0)
