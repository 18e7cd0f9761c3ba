"""Every type of collection goes to tasks and comes back by handle when it is large."""

from __future__ import annotations

from typing import Any

import pytest

from pstructs import (
    PDeque,
    b,
    pbag,
    pdeque,
    plist,
    pmap,
    pset,
    psortedmap,
    psortedset,
    pvector,
)
from pstructs.distributed import AUTO_SHARE_ENTRIES
from pstructs.distributed.pickling import entries_in

pytestmark = pytest.mark.ray
N = AUTO_SHARE_ENTRIES + 2000
TEXTS = [f"element {i:06}" for i in range(N)]

COLLECTIONS: dict[str, tuple[Any, Any]] = {
    "PMap": (pmap(dict.fromkeys(TEXTS, 1)), lambda x: x.set("new", 2)),
    "PSet": (pset(TEXTS), lambda x: x.add("new")),
    "PVector": (pvector(TEXTS), lambda x: x.set(77, "new")),
    "PSortedMap": (psortedmap(dict.fromkeys(TEXTS, 1)), lambda x: x.set("new", 2)),
    "PSortedSet": (psortedset(TEXTS), lambda x: x.add("new")),
    "PDeque": (pdeque(TEXTS), lambda x: x.appendleft("new")),
    "PBag": (pbag(TEXTS), lambda x: x.add("new")),
    "PList": (plist(TEXTS), lambda x: x.cons("new")),
}


@pytest.mark.parametrize("name", COLLECTIONS)
def test_a_large_collection_is_sent_once_and_changed_there(
    cluster: Any, owner: Any, name: str
) -> None:
    value, change = COLLECTIONS[name]
    before = owner.stats()["put"]
    assert cluster.run(lambda x: (type(x).__name__, len(x)), value) == (name, N)
    sent = owner.stats()["put"] - before
    assert sent > 100_000
    assert cluster.run(change, value) == change(value)
    if name != "PList":  # a list is one record, written anew
        assert owner.stats()["put"] - before == sent
    assert cluster.sent(value) < 20_000


def test_a_small_collection_of_large_ones_goes_by_handle(cluster: Any, owner: Any) -> None:
    value = pvector([pmap({i: i + j for i in range(N)}) for j in range(2)])
    before = owner.stats()["put"]
    assert cluster.run(lambda x: [len(x), x[1][5]], value) == [2, 6]
    assert owner.stats()["put"] > before


def test_a_small_collection_of_any_type_is_pickled(cluster: Any, owner: Any) -> None:
    before = owner.stats()["put"]
    value = [pvector([1, 2]), psortedset("ab"), pdeque([1], maxlen=3), b(1, 1), plist([1])]
    assert cluster.run(lambda x: x, value) == value
    returned: PDeque[int] = cluster.run(lambda x: x[2], value)
    assert returned.maxlen == 3
    assert owner.stats()["put"] == before


def test_counting_entries_looks_at_a_few_only() -> None:
    assert entries_in(pvector()) == 0
    assert entries_in(pvector(range(1000))) == 1000
    assert entries_in(pmap({i: pvector(range(9)) for i in range(100)})) == 1000
    assert entries_in(pvector(["text"] * 50)) == 50
    assert entries_in(pvector([[[[[1] * 1000] * 10] * 10] * 10] * 10)) < 100_000
