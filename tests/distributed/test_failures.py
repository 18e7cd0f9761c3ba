"""What goes wrong in the cluster ends in a clear error, soon, and nothing hangs."""

from __future__ import annotations

import gc
import os
import pickle
import time
from typing import Any

import pytest

from pstructs import pmap
from pstructs.distributed import Handle, ShareError, share
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.distributed.owner import Owner

pytestmark = pytest.mark.ray


def open_it(handle: Any) -> Any:
    return len(handle.open(timeout=10))


def complaint(handle: Any) -> str:
    """In a worker of its own: what opening says, without waiting long for others to help."""
    from pstructs.distributed import owner

    owner.RECOVERY = 1.0
    try:
        return f"no error, but {len(handle.open(timeout=10))}"
    except ShareError as error:
        return str(error)


def kill(cluster: Any, owner: Any) -> None:
    actor = owner.look_up()
    cluster.ray.kill(actor)

    def gone() -> bool:  # another one of that name may be there already
        try:
            found = cluster.ray.get_actor(owner.name, namespace="pstructs")
        except ValueError:
            return True
        return bool(found._actor_id != actor._actor_id)

    cluster.eventually(gone)


def share_and_go(name: str) -> tuple[bytes, int]:
    """In a worker that ends: share through an owner of that name; the names, and its process."""
    from pstructs.distributed import enable

    enable(owner=name)
    return pickle.dumps(share(pmap({i: i for i in range(20_000)}))), os.getpid()


def test_packs_that_nobody_has_are_a_clear_error_in_a_reader(cluster: Any) -> None:
    name = "short-lived"
    stored, publisher = cluster.run_in_new_worker(share_and_go, name)
    handle = pickle.loads(stored)
    entries, reader = cluster.run_in_new_worker(lambda h: (open_it(h), os.getpid()), handle)
    assert entries == 20_000
    for process in (publisher, reader):  # none that could send it again
        cluster.eventually(lambda process=process: not os.path.exists(f"/proc/{process}"))
    kill(cluster, Owner.attach(name))
    start = time.monotonic()
    message = cluster.run_in_new_worker(lambda stored: complaint(pickle.loads(stored)), stored)
    assert time.monotonic() - start < 20
    assert "share() again" in message


def test_what_the_publisher_still_has_is_published_again(cluster: Any) -> None:
    m = pmap({i: i for i in range(20_000)})
    handle = share(m)
    names = pickle.dumps(handle)
    small = share(m.set(-1, -1))
    kill(cluster, Owner.connect())
    assert cluster.run_in_new_worker(lambda names: open_it(pickle.loads(names)), names) == 20_000
    kill(cluster, Owner.connect())
    assert cluster.run_in_new_worker(open_it, small) == 20_001
    handle.release()


def test_what_only_a_reader_still_has_is_published_again(cluster: Any) -> None:
    class Holder:
        def hold(self, handle: Any) -> int:
            self.held = handle.open()
            return len(self.held)

        def drop(self) -> None:
            del self.held

    def make() -> Any:
        from pstructs.distributed import enable

        enable(owner="of one that is gone")
        return share(pmap({i: i for i in range(20_000)}))

    handle = cluster.run_in_new_worker(make)
    cluster.by_value(Holder.hold)
    holder = cluster.ray.remote(num_cpus=0)(Holder).remote()
    assert cluster.get(holder.hold.remote(handle)) == 20_000
    time.sleep(0.5)  # by now it knows the owner, and the publisher has ended
    kill(cluster, Owner.attach("of one that is gone"))
    assert cluster.run_in_new_worker(open_it, handle) == 20_000
    cluster.ray.kill(holder)


def test_a_reference_to_a_dead_owner_is_an_answer_or_an_error_but_never_a_hang(
    cluster: Any,
) -> None:
    handle = share(pmap({i: i for i in range(50_000)}))
    OPEN_PACKS.clear()  # nobody has it open any more
    gc.collect()
    kill(cluster, Owner.connect())
    start = time.monotonic()
    message = cluster.run_in_new_worker(complaint, handle)
    assert time.monotonic() - start < 30
    # Ray may still have the bytes, or this process the pack, or not.
    assert message == "no error, but 50000" or "share() again" in message


def test_sharing_again_after_the_owner_died_sends_everything_again(cluster: Any) -> None:
    m = pmap({i: i for i in range(1000)})
    handle = share(m)
    derived = m.set(1, 2)
    kill(cluster, Owner.connect())
    assert cluster.run_in_new_worker(open_it, share(derived)) == 1000
    again = share(m)
    assert again == handle
    assert cluster.run_in_new_worker(open_it, again) == 1000


def test_a_map_passed_straight_survives_the_death_of_the_owner(cluster: Any) -> None:
    from pstructs.distributed import AUTO_SHARE_ENTRIES as N

    m = pmap({i: i for i in range(N)})
    assert cluster.run(lambda m: len(m), m) == N
    kill(cluster, Owner.connect())
    assert cluster.run_in_new_worker(lambda m: len(m), m) == N


def test_an_open_map_outlives_its_owner(cluster: Any) -> None:
    handle = share(pmap({i: i for i in range(30_000)}))
    opened = handle.open()
    kill(cluster, Owner.connect())
    assert sum(opened.values()) == sum(range(30_000))
    assert handle.open() == opened


def test_a_released_pack_is_a_clear_error(cluster: Any) -> None:
    handle = share(pmap({i: i for i in range(100)}))
    handle.release()
    assert "released" in cluster.run_in_new_worker(complaint, handle)


def test_an_owner_that_does_not_answer_is_an_error_within_the_time_limit(cluster: Any) -> None:
    handle = share(pmap({i: i for i in range(100)}))
    owner = Owner.connect()
    blocked = owner._actor.__ray_call__.remote(lambda self: time.sleep(1.5))
    with pytest.raises(ShareError, match=r"no answer within 0.2 s.*timeout="):
        Handle(b"2" * 16, owner.name).open(timeout=0.2)
    cluster.get(blocked)
    assert cluster.run_in_new_worker(open_it, handle) == 100


def test_an_unknown_owner_is_a_clear_error(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pstructs.distributed.owner.RECOVERY", 0.5)
    with pytest.raises(ShareError, match="nobody"):
        Handle(b"3" * 16, "nobody").open()
