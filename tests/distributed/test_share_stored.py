"""Values that are in a `SnapshotStore` too: shared as they are, and found again on the disk."""

from __future__ import annotations

import gc
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.distributed import ShareError, share
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.distributed.owner import Owner

pytestmark = pytest.mark.ray
N = 30_000


@pytest.fixture
def folder(tmp_path: Path) -> str:
    path = str(tmp_path / "store")
    with SnapshotStore(path) as store:
        store.save(pmap({i: str(i) for i in range(N)}))
    return path


def close_all() -> None:
    gc.collect()
    OPEN_PACKS.clear()
    gc.collect()


def look(handle: Any) -> Any:
    m = handle.open()
    return len(m), m[7], sum(map(int, m.values()))


EXPECTED = (N, "7", sum(range(N)))


def test_a_version_derived_from_a_stored_one_sends_its_new_nodes_only(
    cluster: Any, owner: Any, folder: str
) -> None:
    store = SnapshotStore(folder)
    m = store.load()
    before = owner.stats()["put"]
    first = share(m.set(7, "seven"))
    pack = bytes.fromhex(store.version().pack)
    assert owner.stats()["put"] - before == store._folder.open_pack(pack).nbytes
    second = share(m.set(8, "eight"))
    assert owner.stats()["put"] - before == store._folder.open_pack(pack).nbytes
    assert cluster.sent(second) < 8_000
    shutil.rmtree(folder)  # the workers need no store
    reader = cluster.run_in_new_worker(
        lambda *handles: [(h.open()[7], h.open()[8], len(h.open())) for h in handles],
        first,
        second,
    )
    assert reader == [("seven", "8", N), ("7", "eight", N)]


def test_a_saved_snapshot_comes_again_from_the_store(cluster: Any, folder: str) -> None:
    with SnapshotStore(folder) as store:
        handle = share(store.load())
    names = pickle.dumps(handle)
    del handle
    close_all()
    cluster.ray.kill(Owner.connect().look_up())
    assert cluster.run_in_new_worker(lambda names: look(pickle.loads(names)), names) == EXPECTED
    assert look(pickle.loads(names)) == EXPECTED


def test_the_stored_part_of_a_version_comes_again_from_the_store(
    cluster: Any, folder: str
) -> None:
    with SnapshotStore(folder) as store:
        handle = share(store.load().set(-1, "-1"))
    ref = cluster.ray.put(handle)
    del handle
    close_all()
    cluster.ray.kill(Owner.connect().look_up())
    expected = (N + 1, "7", sum(range(N)) - 1)
    assert cluster.run_in_new_worker(look, ref) == expected


def test_a_store_that_is_gone_as_well_is_a_clear_error(cluster: Any, folder: str) -> None:
    with SnapshotStore(folder) as store:
        handle = share(store.load())
    names = pickle.dumps(handle)
    del handle, store
    close_all()
    cluster.ray.kill(Owner.connect().look_up())
    shutil.rmtree(folder)

    def complaint(names: bytes) -> str:
        from pstructs.distributed import owner

        owner.RECOVERY = 1.0  # nobody will help
        with pytest.raises(ShareError) as caught:
            pickle.loads(names).open()
        return str(caught.value)

    assert "share() again" in cluster.run_in_new_worker(complaint, names)


def test_two_processes_send_a_pack_of_a_store_once(cluster: Any, owner: Any, folder: str) -> None:
    def derive(path: str, i: int) -> Any:
        return share(SnapshotStore(path).load().set(i, "new"))

    before = owner.stats()["put"]
    handles = [cluster.run_in_new_worker(derive, folder, i) for i in range(2)]
    with SnapshotStore(folder) as store:
        nbytes = store.version().nbytes
    assert owner.stats()["put"] - before == nbytes
    assert [handle.open()[i] for i, handle in enumerate(handles)] == ["new", "new"]


def test_a_long_history_is_shared_as_what_is_alive_in_it(cluster: Any, folder: str) -> None:
    with SnapshotStore(folder, durable="none") as store:
        m = store.load()
        for i in range(200):
            m = m.set(i, "0")
            store.save(m)
    with SnapshotStore(folder) as store:
        handle = share(store.load())
    assert cluster.sent(handle) < 70_000
    assert cluster.run_in_new_worker(look, handle) == (N, "0", sum(range(200, N)))
