"""`parallel`: chains of steps over every kind of collection give what plain Python gives."""

from __future__ import annotations

import collections
import operator
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pstructs import PMap, PSet, pdeque, pmap, pset, psortedmap, psortedset, pvector
from pstructs.cache import SnapshotStore
from pstructs.distributed import ShareError, WorkCancelledError, parallel, share
from pstructs.distributed.chain import Chain, Filter

pytestmark = pytest.mark.ray
N = 3000
NUMBERS = {i * 7919 % 100_003: i for i in range(N)}

MAPS = {"pmap": pmap(NUMBERS), "psortedmap": psortedmap(NUMBERS)}
REVERSED = psortedset(NUMBERS, key=operator.neg)
SEQUENCES = {
    "pset": pset(NUMBERS),
    "pvector": pvector(NUMBERS),
    "psortedset": psortedset(NUMBERS),
}


@pytest.fixture(params=MAPS)
def a_map(request: Any, cluster: Any) -> Any:
    return MAPS[request.param]


@pytest.fixture(params=SEQUENCES)
def elements(request: Any, cluster: Any) -> Any:
    return SEQUENCES[request.param]


def work(source: Any) -> Any:
    return parallel(source, partitions=7, timeout=60)


def test_filters_and_maps_of_a_map_are_one_map_of_its_type(a_map: Any) -> None:
    found = (
        work(a_map)
        .filter(lambda key, value: key % 3)
        .map_values(lambda value: value * 2)
        .filter(lambda key, value: value % 5)
        .collect()
    )
    assert type(found) is type(a_map)
    assert found == {k: 2 * v for k, v in NUMBERS.items() if k % 3 and 2 * v % 5}
    if isinstance(a_map, type(MAPS["psortedmap"])):
        assert list(found) == sorted(found)


def test_filters_of_elements_keep_their_type_and_order(elements: Any) -> None:
    found = work(elements).filter(lambda x: x % 3 == 0).collect()
    assert type(found) is type(elements)
    assert sorted(found) == sorted(x for x in elements if x % 3 == 0)
    assert isinstance(elements, PSet) or list(found) == [x for x in elements if x % 3 == 0]
    assert work(elements).filter(lambda x: False).collect() == type(elements)()
    assert work(elements).filter(lambda x: True).collect() == elements


def test_elements_of_a_vector_are_mapped_in_place(cluster: Any) -> None:
    vector = SEQUENCES["pvector"]
    assert work(vector).map_values(str).collect() == pvector(map(str, vector))
    with pytest.raises(TypeError, match="PSet decide where they are"):
        work(SEQUENCES["pset"]).map_values(str)


def test_reductions_equal_plain_python(a_map: Any, elements: Any) -> None:
    assert work(a_map).reduce(operator.add) == sum(NUMBERS.values())
    assert work(elements).reduce(max) == max(NUMBERS)
    assert work(elements).reduce(operator.add, 1000) == sum(NUMBERS) + 1000
    assert work(elements).filter(lambda x: False).reduce(operator.add, 5) == 5
    with pytest.raises(TypeError):
        work(elements).filter(lambda x: False).reduce(operator.add)


def test_counts_and_largest_equal_plain_python(a_map: Any, elements: Any) -> None:
    assert work(a_map).count() == N
    assert work(a_map).filter(lambda k, v: v < 100).count() == 100
    assert work(elements).filter(lambda x: x < 1000).count() == sum(x < 1000 for x in NUMBERS)
    assert work(elements).top_k(5) == sorted(NUMBERS, reverse=True)[:5]
    by_value = sorted(a_map.items(), key=lambda e: e[1], reverse=True)
    assert work(a_map).top_k(4) == by_value[:4]
    assert work(a_map).top_k(4, lambda k, v: -v) == by_value[::-1][:4]
    if not isinstance(elements, PSet):
        first = sorted(elements, key=lambda x: x % 10, reverse=True)[:8]
        assert work(elements).top_k(8, lambda x: x % 10) == first


def test_groups_hold_the_entries(a_map: Any, elements: Any) -> None:
    def in_order(entries: Any) -> list[Any]:
        return sorted(entries) if isinstance(entries, PSet | PMap) else list(entries)

    groups = work(elements).group_by(lambda x: x % 4)
    assert groups.keys() == {0, 1, 2, 3}
    for rest, members in groups.items():
        expected = [x for x in in_order(elements) if x % 4 == rest]
        assert (sorted(members) if isinstance(elements, PSet) else list(members)) == expected
    groups = work(a_map).group_by(lambda k, v: v % 2)
    assert {k: sorted(v) for k, v in groups.items()} == {
        rest: sorted((k, v) for k, v in a_map.items() if v % 2 == rest) for rest in (0, 1)
    }


def test_joins_pair_the_values_of_equal_keys(a_map: Any) -> None:
    other = pmap({k: str(k) for k in NUMBERS if k % 2})
    inner = work(a_map).join(share(other)).collect()
    assert inner == {k: (v, str(k)) for k, v in NUMBERS.items() if k % 2}
    left = work(a_map).join(other, "left").map_values(lambda pair: pair[1]).collect()
    assert left == {k: str(k) if k % 2 else None for k in NUMBERS}
    with pytest.raises(ValueError, match="'outer'"):
        work(a_map).join(other, "outer")
    with pytest.raises(TypeError, match="PSet"):
        work(SEQUENCES["pset"]).join(other)


def test_a_key_function_stays_with_a_sorted_collection() -> None:
    found = Chain((Filter(lambda x: x % 2),)).collect(REVERSED)
    assert list(found) == [x for x in sorted(NUMBERS, reverse=True) if x % 2]
    few = Chain((Filter(lambda x: x < 100),)).collect(REVERSED)
    assert list(few) == [x for x in sorted(NUMBERS, reverse=True) if x < 100]
    assert few.key is REVERSED.key


def test_map_reduce_gets_parts_after_the_steps(a_map: Any) -> None:
    found = (
        work(a_map)
        .filter(lambda k, v: v % 2)
        .map_reduce(lambda part: collections.Counter(v % 10 for v in part.values()), operator.add)
    )
    assert found == collections.Counter(v % 10 for v in NUMBERS.values() if v % 2)


def test_results_of_a_filter_share_their_nodes_with_the_source(cluster: Any, owner: Any) -> None:
    m = pmap({i: f"value {i}" for i in range(60_000)})
    handle = share(m)
    before = owner.stats()["put"]
    found = parallel(handle).filter(lambda k, v: k % 6000).collect()
    assert len(found) == 59_990
    assert 6000 not in found
    assert owner.stats()["put"] == before


def test_large_results_are_spliced_without_copying_them_here(cluster: Any, owner: Any) -> None:
    m = pmap({i: i for i in range(120_000)})
    found = parallel(m, partitions=4).map_values(lambda v: -v).collect()
    before = owner.stats()["put"]
    handle = share(found)  # the parts are in the store already
    assert owner.stats()["put"] == before
    assert cluster.sent(handle) < 20_000
    assert found == {i: -i for i in range(120_000)}


def test_a_snapshot_is_saved_of_a_result(cluster: Any, tmp_path: Path) -> None:
    with SnapshotStore(tmp_path / "store") as store:
        version = work(MAPS["pmap"]).map_values(str).to_snapshot(store, message="as text")
        assert store.load(version) == {k: str(v) for k, v in NUMBERS.items()}


def test_records_become_tables(cluster: Any) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("pandas")
    people = pmap({f"p{i}": {"age": i % 90, "city": "abc"[i % 3]} for i in range(500)})
    chain = work(people).filter(lambda name, person: person["age"] > 50)
    expected = sorted(p["age"] for p in people.values() if p["age"] > 50)
    assert sorted(chain.to_arrow()["age"].to_pylist()) == expected
    assert sorted(chain.to_pandas()["age"]) == expected
    assert sorted(row["age"] for row in chain.to_ray_data().take_all()) == expected


def test_progress_tells_of_every_part(cluster: Any) -> None:
    told: list[tuple[int, int]] = []
    parallel(MAPS["pmap"], partitions=9, progress=lambda *at: told.append(at)).reduce(max)
    assert told[-1] == (9, 9)
    assert told == sorted(told)


def test_work_is_given_up_when_it_is_cancelled(cluster: Any) -> None:
    cancel = threading.Event()

    def slow(x: int) -> int:
        time.sleep(0.001)
        return x

    chain = parallel(
        pvector(range(100_000)),
        partitions=500,
        cancel=cancel,
        progress=lambda done, parts: cancel.set(),
    ).map_values(slow)
    start = time.monotonic()
    with pytest.raises(WorkCancelledError, match=r"cancelled after \d+ of 500 parts"):
        chain.collect()
    assert time.monotonic() - start < 30
    assert work(MAPS["pmap"]).count() == N


def test_parts_that_take_long_are_shared_out(cluster: Any) -> None:
    """All the work is in the first eighth: one run of parts, which two workers end up doing."""

    def where(part: Any) -> list[Any]:
        import os

        if len(part) and part[0] < 20:
            time.sleep(0.25)
        return [(part[0] // 2, os.getpid())]

    found = parallel(pvector(range(160)), partitions=80).map_reduce(where, operator.add)
    assert [index for index, _ in found] == list(range(80))
    assert len({pid for index, pid in found if index < 10}) == 2


def test_what_a_function_raises_is_raised_and_the_rest_is_left(cluster: Any) -> None:
    with pytest.raises(ZeroDivisionError):
        work(MAPS["pmap"]).map_values(lambda v: 1 // v).collect()


def test_work_out_of_time_is_a_clear_error(cluster: Any) -> None:
    def dawdle(x: int) -> int:
        for _ in range(600):
            time.sleep(0.05)
        return x

    with pytest.raises(ShareError, match=r"2 of 2 parts .* timeout="):
        parallel(pvector([1, 2]), partitions=2, timeout=1.0).map_values(dawdle).collect()


def test_what_has_no_parts_is_refused() -> None:
    with pytest.raises(TypeError, match="PDeque"):
        parallel(pdeque([1]))
    with pytest.raises(ValueError, match="not 0"):
        parallel(pvector([1]), partitions=0)


@pytest.mark.parametrize("make", [pmap, pset, psortedmap], ids=["pmap", "pset", "psortedmap"])
def test_a_filter_keeps_what_comes_after_a_key_that_is_not_itself(
    make: Any, tmp_path: Any
) -> None:
    nan = float("nan")
    keys = (
        [nan, *range(50)]
        if make is not psortedmap
        else [("a", nan), *(("b", i) for i in range(50))]
    )
    whole = make(keys) if make is pset else make(dict.fromkeys(keys, 0))
    with SnapshotStore(tmp_path) as store:
        store.save(whole)
        loaded = store.load()  # where each look at the key gives another object
        left = parallel(loaded, partitions=1).filter(lambda *entry: entry[0] not in (7, ("b", 7)))
        assert len(left.collect()) == 50
        assert sorted(map(repr, left.collect())) == sorted(
            repr(k) for k in keys if k not in (7, ("b", 7))
        )


def test_records_of_nothing_are_an_empty_table() -> None:
    pytest.importorskip("pyarrow")
    assert parallel(pmap()).to_arrow().num_rows == 0
