"""The same operations in processes of this machine, without Ray."""

from __future__ import annotations

import operator
import pickle
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap, pvector
from pstructs.cache import SnapshotStore
from pstructs.distributed import Handle, ShareError, parallel, share
from pstructs.distributed.handle import share_here
from pstructs.distributed.work import Job, Limits, run

NUMBERS = {i: i for i in range(5000)}


@pytest.fixture
def stored(tmp_path: Path) -> Any:
    with SnapshotStore(tmp_path / "store") as store:
        store.save(pmap(NUMBERS))
    with SnapshotStore(tmp_path / "store") as store:
        return store.load()


def test_operations_in_processes_equal_plain_python(stored: Any) -> None:
    chain = parallel(stored, partitions=8, processes=2, timeout=120).map_values(operator.neg)
    assert chain.reduce(operator.add) == -sum(NUMBERS)


def test_a_collection_of_a_store_goes_as_a_reference(stored: Any) -> None:
    handle = share_here(stored)
    sent = pickle.dumps(handle)
    assert len(sent) < 400
    copy = pickle.loads(sent)
    assert copy.where == "store"
    assert copy.open() == NUMBERS
    assert pickle.loads(pickle.dumps(copy)).open() == NUMBERS
    derived = pickle.loads(pickle.dumps(share_here(stored.set(1, 2))))
    assert derived.where == "process"
    assert derived.open() == NUMBERS | {1: 2}


def test_a_collection_that_is_in_no_store_is_pickled() -> None:
    chain = parallel(pvector(range(1000)), partitions=4, processes=2, timeout=120)
    assert chain.map_values(operator.neg).collect() == pvector(range(0, -1000, -1))


def test_functions_that_processes_can_not_take_are_refused(stored: Any) -> None:
    with pytest.raises(TypeError, match="functions of modules only"):
        parallel(stored, processes=2).map_values(lambda v: v).collect()


def test_what_a_function_raises_in_a_process_is_raised(stored: Any) -> None:
    chain = parallel(stored, partitions=4, processes=2, timeout=120)
    with pytest.raises(TypeError, match="divmod expected 2"):
        chain.map_values(divmod).reduce(operator.add)


def test_processes_that_are_out_of_time_or_dead_are_clear_errors() -> None:
    job = Job(share_here(pvector([60] * 4)), 4, _sleep_first)
    with pytest.raises(ShareError, match=r"4 of 4 parts .* timeout="):
        list(run(job, Limits(3.0, None, None, 2, "test")))
    job = Job(share_here(pvector([9] * 4)), 4, _kill_by_first)
    with pytest.raises(ShareError, match="a process of the pool has died"):
        list(run(job, Limits(60.0, None, None, 2, "test")))


def _sleep_first(part: Any) -> None:
    import time

    time.sleep(part[0])


def _kill_by_first(part: Any) -> None:
    import os

    os.kill(os.getpid(), part[0])


def test_a_store_that_moved_is_a_clear_error(tmp_path: Path) -> None:
    handle: Handle[Any] = Handle(b"1" * 16, None, origin=(str(tmp_path / "gone"), b"1" * 16))
    with pytest.raises(ShareError, match="no store in this folder"):
        handle.open()


def test_processes_join_with_a_map(stored: Any) -> None:
    halves = pmap({i: i // 2 for i in range(0, 5000, 2)})
    joined = parallel(stored, partitions=4, processes=2, timeout=120).join(halves).collect()
    assert joined == {i: (i, i // 2) for i in range(0, 5000, 2)}


def test_processes_work_on_what_is_shared_in_a_cluster(cluster: Any) -> None:
    handle = share(pmap(NUMBERS))
    other = share(pmap({7: "seven"}))
    work = parallel(handle, partitions=2, processes=2, timeout=120)
    assert work.join(other).collect() == {7: (7, "seven")}
