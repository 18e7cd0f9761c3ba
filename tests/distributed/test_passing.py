"""Collections given to tasks, returned from them, or put, without a handle in sight."""

from __future__ import annotations

import gc
import logging
import re
from typing import Any

import pytest

from pstructs import pmap, pset
from pstructs.distributed import AUTO_SHARE_ENTRIES

pytestmark = pytest.mark.ray
N = AUTO_SHARE_ENTRIES + 1000


def squares(n: int = N) -> dict[int, int]:
    return {i: i * i for i in range(n)}


def test_a_large_map_reaches_a_task_by_handle_and_is_sent_once(cluster: Any, owner: Any) -> None:
    source = squares()
    m = pmap(source)
    before = owner.stats()["put"]
    seen = [cluster.run(lambda m: (type(m).__name__, len(m), m[777]), m) for _ in range(3)]
    assert seen == [("PMap", N, 777 * 777)] * 3
    assert 100_000 < owner.stats()["put"] - before < 500_000
    assert m == source


def test_a_small_map_is_pickled(cluster: Any, owner: Any) -> None:
    before = owner.stats()["put"]
    assert cluster.run(lambda m: m.set("b", 2), pmap({"a": 1})) == {"a": 1, "b": 2}
    assert owner.stats()["put"] == before


def test_a_large_set_and_a_map_nested_in_arguments_arrive(cluster: Any) -> None:
    def look(first: Any, *rest: Any, **named: Any) -> Any:
        return len(first["set"]), rest[0][0][5], named["m"][6], named["m"] == rest[0][0]

    m = pmap(squares())
    seen = cluster.run(look, {"set": pset(range(N))}, [m, "x"], m=m)
    assert seen == (N, 25, 36, True)


def test_object_references_beside_a_large_map_stay_alive(cluster: Any) -> None:
    def look(sent: Any) -> Any:
        import ray

        return [ray.get(sent[0], timeout=30), len(sent[1]), ray.get(sent[2], timeout=30)]

    # The map lies between the references and is shared in the middle of the pickling.
    sent = [cluster.ray.put("before"), pmap(squares()), cluster.ray.put("after")]
    ref = cluster.ray.remote(look).remote(sent)
    del sent
    gc.collect()
    assert cluster.get(ref) == ["before", N, "after"]


def test_a_large_map_returned_from_a_task_sends_new_nodes_only(cluster: Any, owner: Any) -> None:
    m = pmap(squares())
    cluster.run(lambda m: len(m), m)
    before = owner.stats()["put"]
    returned = cluster.run(lambda m: m.set(3, "three"), m)
    assert owner.stats()["put"] == before
    assert returned == m.set(3, "three")
    assert m[3] == 9


def test_a_large_map_made_in_a_task_comes_back(cluster: Any) -> None:
    def make() -> Any:
        from pstructs import pmap

        return pmap({i: str(i) for i in range(N)})

    assert cluster.run(make) == {i: str(i) for i in range(N)}
    assert cluster.run_in_new_worker(make) == {i: str(i) for i in range(N)}


def test_an_async_actor_takes_and_returns_large_maps(cluster: Any) -> None:
    class Counter:
        async def add(self, m: Any) -> Any:
            return m.set("more", 1)

    actor = cluster.ray.remote(num_cpus=0)(Counter).remote()
    m = pmap(squares())
    assert cluster.get(actor.add.remote(m)) == m.set("more", 1)


def test_a_large_map_can_be_put_and_got(cluster: Any, owner: Any) -> None:
    m = pmap(squares())
    before = owner.stats()["put"]
    ref = cluster.ray.put(m)
    assert owner.stats()["put"] > before
    assert cluster.get(ref) == m
    assert cluster.run(lambda got: got[9], ref) == 81


def test_a_large_map_that_packs_cannot_hold_is_pickled_and_says_so(
    cluster: Any, caplog: pytest.LogCaptureFixture
) -> None:
    m = pmap(squares()).set("pattern", re.compile("x+"))
    with caplog.at_level(logging.WARNING, "pstructs.distributed"):
        got = cluster.run(lambda m: (len(m), m["pattern"].pattern), m)
    assert got == (N + 1, "x+")
    assert "is pickled whole" in caplog.text


def test_pickling_outside_of_tasks_writes_all_entries(cluster: Any) -> None:
    import ray.cloudpickle

    m = pmap(squares())
    written = ray.cloudpickle.dumps(m)
    assert len(written) > N
    assert b"pstructs.distributed" not in written
    assert ray.cloudpickle.loads(written) == m


def test_a_map_in_the_closure_of_a_task_arrives(cluster: Any) -> None:
    m = pmap(squares())
    assert cluster.run(lambda: m[11]) == 121


def test_a_worker_shares_before_the_driver_did(cluster: Any) -> None:
    def make() -> Any:
        from pstructs import pmap
        from pstructs.distributed import enable, share

        enable(owner="made by a worker")
        return share(pmap(squares()))

    handle = cluster.run_in_new_worker(make)  # that worker is gone by now
    assert cluster.run(lambda h: h.open()[9], handle) == 81
    assert handle.open() == squares()
    from pstructs.distributed.owner import Owner

    Owner.attach("made by a worker").end()
