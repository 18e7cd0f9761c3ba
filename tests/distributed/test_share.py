"""`share` and `Handle.open` in the driver, in tasks and in actors."""

from __future__ import annotations

import gc
import os
import pickle
import random
import re
from typing import Any

import pytest

import pstructs
from pstructs import pmap, pset
from pstructs.distributed import backend, share
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.errors import UnsavableError

pytestmark = pytest.mark.ray
VERSIONS = int(os.environ.get("PSTRUCTS_SHARED_VERSIONS", "600"))


def close_all() -> None:
    gc.collect()
    OPEN_PACKS.clear()
    gc.collect()


def numbers(n: int) -> dict[str, int]:
    return {f"key {i}": i for i in range(n)}


def uss() -> int:
    """Bytes of memory that only this process has."""
    with open("/proc/self/smaps_rollup") as rollup:
        return sum(
            int(line.split()[1]) * 1024
            for line in rollup
            if line.startswith(("Private_Clean", "Private_Dirty"))
        )


def test_a_shared_map_opens_in_the_driver(cluster: Any) -> None:
    source = numbers(1000)
    handle = share(pmap(source))
    assert backend() == handle.where == "ray"
    assert handle.open() == source


def test_a_shared_map_opens_in_a_task(cluster: Any) -> None:
    def look(handle: Any) -> Any:
        m = handle.open()
        return type(m).__name__, len(m), m["key 7"], m.get("none"), dict(m)

    source = numbers(1000)
    expected = ("PMap", 1000, 7, None, source)
    assert cluster.run(look, share(pmap(source))) == expected


def test_a_shared_set_opens_in_an_actor_and_stays_open(cluster: Any) -> None:
    class Reader:
        def __init__(self, handle: Any) -> None:
            self.members = handle.open()

        def has(self, member: object) -> bool:
            return member in self.members

    reader = cluster.ray.remote(num_cpus=0)(Reader).remote(share(pset(range(500))))
    assert cluster.get([reader.has.remote(i) for i in (0, 499, 500)]) == [True, True, False]


def test_values_that_hold_collections_are_shared_whole(cluster: Any) -> None:
    value = {"names": pset(["a", "b"]), "ages": [pmap({"a": 1}), (2, "x")]}
    assert cluster.run(lambda handle: handle.open(), share(value)) == value


def test_a_handle_is_small_and_equal_to_its_copy(cluster: Any) -> None:
    handle = share(pmap(numbers(5000)))
    sent = pickle.dumps(handle)
    assert len(sent) < 200
    assert pickle.loads(sent) == handle
    assert hash(pickle.loads(sent)) == hash(handle)
    assert handle != share(pmap(numbers(5001)))


def test_a_handle_stays_itself_when_shared(cluster: Any) -> None:
    handle = share(pmap({"a": 1}))
    assert share(handle) is handle


def test_a_handle_from_before_the_cluster_is_shared_in_it(cluster: Any) -> None:
    from pstructs.distributed import Handle

    local = Handle(b"1" * 16, None, pmap({"a": 1}))
    assert local.where == "process"
    assert cluster.run(lambda h: h.open(), local) == {"a": 1}
    assert share(local).where == "ray"


def test_sharing_the_same_map_again_sends_nothing(cluster: Any, owner: Any) -> None:
    m = pmap(numbers(3000))
    first = share(m)
    before = owner.stats()["put"]  # packs of others may still leave
    assert share(m) == first
    assert share(first.open()) == first
    assert owner.stats()["put"] == before


def test_a_derived_version_sends_its_new_nodes_only(cluster: Any, owner: Any) -> None:
    m = pmap(numbers(50_000))
    before = owner.stats()["put"]
    share(m)
    whole = owner.stats()["put"] - before
    derived = m.set("key 123", -1).remove("key 4567")
    handle = share(derived)
    assert owner.stats()["put"] - before == whole > 1_000_000
    assert cluster.sent(handle) < 8_000

    def look(handle: Any) -> Any:
        d = handle.open()
        return len(d), d["key 123"], "key 4567" in d, d["key 49999"], sum(d.values())

    expected = (49_999, -1, False, 49_999, sum(derived.values()))
    assert cluster.run_in_new_worker(look, handle) == expected


def test_a_map_derived_in_a_worker_sends_its_new_nodes_only(cluster: Any, owner: Any) -> None:
    handle = share(pmap(numbers(30_000)))
    before = owner.stats()["put"]
    derived = cluster.run(lambda h: share(h.open().set("new", 0)), handle)
    assert owner.stats()["put"] == before
    assert cluster.sent(derived) < 8_000
    m = derived.open()
    assert (len(m), m["new"], m["key 29999"]) == (30_001, 0, 29_999)


def test_a_chain_of_versions_opens_anywhere(cluster: Any) -> None:
    m = pmap(numbers(2000))
    share(m)
    for i in range(30):
        m = m.set(f"key {i}", -i)
        handle = share(m)
    expected = numbers(2000) | {f"key {i}": -i for i in range(30)}
    assert cluster.run_in_new_worker(lambda h: dict(h.open()), handle) == expected


def test_the_heap_map_is_unchanged_by_sharing(cluster: Any) -> None:
    source = numbers(5000)
    m = pmap(source)
    digest = hash(m)
    share(m)
    assert m == source
    assert hash(m) == digest
    assert m.set("x", 1).remove("x") == m
    assert pickle.loads(pickle.dumps(m)) == m


def test_a_process_opens_a_pack_once(cluster: Any) -> None:
    def look(handle: Any) -> bool:
        from pstructs.distributed.opened import OPEN_PACKS

        handle.open()
        first = OPEN_PACKS.get(handle.uuid)
        handle.open()
        return first is not None and OPEN_PACKS.get(handle.uuid) is first

    assert cluster.run_in_new_worker(look, share(pmap(numbers(100))))


def test_opening_takes_no_memory_of_the_worker(cluster: Any) -> None:
    n = 200_000

    def grow(what: Any) -> tuple[int, int]:
        import ray

        ray.get(ray.put(0))
        before = uss()
        m = what.open() if hasattr(what, "open") else ray.get(what[0])
        total = sum(m[f"key {i}"] for i in range(0, n, 200))
        return total, uss() - before

    source = numbers(n)
    handle = share(pmap(source))
    total, in_place = cluster.run_in_new_worker(grow, handle)
    assert total == sum(range(0, n, 200))
    same, copied = cluster.run_in_new_worker(grow, [cluster.ray.put(source)])
    assert same == total
    assert in_place < copied / 5


def test_a_pack_buffer_is_a_view_of_the_object_store(cluster: Any) -> None:
    numpy = pytest.importorskip("numpy")
    from pstructs.distributed.buffers import PackBuffer

    def where(sent: Any) -> Any:
        view = sent[0].view
        address = numpy.frombuffer(view, dtype="u1").ctypes.data
        with open("/proc/self/maps") as maps:
            for line in maps:
                start, end = (int(x, 16) for x in re.split("[- ]", line)[:2])
                if start <= address < end:
                    return line.split()[5], view.readonly, address % 64
        return None

    path, readonly, misaligned = cluster.run(where, [PackBuffer(b"x" * 1_000_000)])
    assert "plasma" in path
    assert readonly
    assert misaligned == 0


def test_what_packs_cannot_hold_is_refused_and_nothing_is_kept(cluster: Any, owner: Any) -> None:
    before = owner.stats()
    with pytest.raises(UnsavableError):
        share(pmap({"pattern": re.compile("x")}))
    assert owner.stats() == before


def test_an_open_map_survives_the_release_of_its_pack(cluster: Any) -> None:
    source = numbers(40_000)
    handle = share(pmap(source))
    opened = handle.open()
    handle.release()
    assert opened == source
    assert opened.set("key 1", 2)["key 1"] == 2


def test_a_pack_leaves_the_store_with_the_last_that_reaches_it(
    cluster: Any, new_owner: Any
) -> None:
    m = pmap(numbers(20_000))
    first = share(m)
    second = share(m.set("key 1", 0))
    assert new_owner.stats()["packs"] == 1  # the second is small and travels in its handle
    del m, first
    close_all()
    assert new_owner.stats()["packs"] == 1
    assert cluster.run_in_new_worker(lambda h: len(h.open()), second) == 20_000
    del second
    close_all()
    cluster.eventually(lambda: new_owner.stats()["packs"] == 0)


def test_many_versions_leave_nothing_behind(cluster: Any, new_owner: Any) -> None:
    cluster.by_value(close_all)
    reader = cluster.new_worker()
    m = pmap(numbers(20_000))
    dice = random.Random(3)
    most = 0
    for i in range(VERSIONS):
        m = m.set(f"key {dice.randrange(20_000)}", i)
        handle = share(m)
        if i % 50 == 0:
            most = max(most, new_owner.stats()["packs"])
            assert cluster.get(reader.run.remote(lambda h: len(h.open()), handle)) == 20_000
    assert most < 20
    del m, handle
    close_all()
    cluster.ray.kill(reader)
    cluster.eventually(lambda: new_owner.stats()["packs"] == 0)
    assert new_owner.stats()["kept"] == 0


def test_a_worker_closes_what_it_has_not_used_for_a_while(cluster: Any, new_owner: Any) -> None:
    class Idle:
        def read(self, handle: Any) -> int:
            from pstructs.distributed.opened import OPEN_PACKS

            OPEN_PACKS._idle = 0.2
            return len(handle.open())

    cluster.by_value(Idle)
    idle = cluster.ray.remote(num_cpus=0)(Idle).remote()
    handle = share(pmap(numbers(20_000)))
    assert cluster.get(idle.read.remote(handle)) == 20_000
    assert new_owner.stats()["packs"] == 1
    del handle
    close_all()
    cluster.eventually(lambda: new_owner.stats()["packs"] == 0)
    cluster.ray.kill(idle)


def test_a_version_of_a_released_map_is_shared_whole(cluster: Any) -> None:
    m = pmap(numbers(5000))
    share(m).release()
    handle = share(m.set("key 1", 0))
    assert cluster.run_in_new_worker(lambda h: sum(h.open().values()), handle) == (
        sum(range(5000)) - 1
    )


def test_workers_use_the_package_of_the_driver(cluster: Any) -> None:
    assert cluster.run(lambda: __import__("pstructs").__file__) == pstructs.__file__


def test_threads_share_and_open_at_the_same_time(cluster: Any) -> None:
    import concurrent.futures

    m = pmap(numbers(20_000))

    def work(name: str) -> list[int]:
        return [share(m.set(name, i)).open()[name] for i in range(10)]

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, "abcd")) == [list(range(10))] * 4


def test_nothing_is_left_open_when_the_collections_are_gone(cluster: Any) -> None:
    from pstructs.distributed.handle import _SHARED

    close_all()
    open_before, known_before = len(OPEN_PACKS), len(_SHARED._handles)
    m = pmap(numbers(1000))
    for i in range(20):
        m = m.set("key 1", i)
        share(m).open()
    assert open_before < len(OPEN_PACKS) <= open_before + 20
    del m
    close_all()
    assert len(OPEN_PACKS) == open_before
    assert len(_SHARED._handles) == known_before
