"""Vectors and sorted collections that are shared: workers read them in place."""

from __future__ import annotations

from typing import Any

import pytest

from pstructs import PSortedMap, PVector, psortedmap, pvector
from pstructs.distributed import share

pytestmark = pytest.mark.ray


def test_a_shared_vector_is_read_in_a_task(cluster: Any) -> None:
    def look(handle: Any) -> Any:
        vector = handle.open()
        return type(vector).__name__, len(vector), vector[7], vector[-1], sum(vector[100:200])

    handle = share(pvector(range(10_000)))
    assert cluster.run(look, handle) == ("PVector", 10_000, 7, 9999, sum(range(100, 200)))


def test_a_shared_sorted_map_is_searched_in_a_task(cluster: Any) -> None:
    def look(handle: Any) -> Any:
        tree = handle.open()
        return tree["k00500"], list(tree.irange("k00010", "k00013")), tree.floor("k00500x")[0]

    handle = share(psortedmap({f"k{i:05}": i for i in range(5000)}))
    expected = (500, [f"k{i:05}" for i in range(10, 14)], "k00500")
    assert cluster.run(look, handle) == expected


def test_vectors_and_sorted_maps_are_arguments_and_results_of_tasks(cluster: Any) -> None:
    def change(vector: PVector[int], tree: PSortedMap[int, str]) -> Any:
        return vector.append(-1), tree.set(-1, "new")

    vector, tree = pvector(range(5000)), psortedmap({i: str(i) for i in range(3000)})
    assert cluster.run(change, vector, tree) == (vector.append(-1), tree.set(-1, "new"))
