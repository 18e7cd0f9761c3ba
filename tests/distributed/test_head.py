"""A head: what its methods do, in this process and from several ones of a cluster."""

from __future__ import annotations

import contextlib
import pickle
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pstructs import diff, m, pmap, pset, pvector, v
from pstructs.distributed import Head, head, head_link, share
from pstructs.errors import (
    HeadBusyError,
    HeadGoneError,
    HeadTimeoutError,
    InvalidValueError,
    MissedVersionsError,
)

pytestmark = pytest.mark.ray


@pytest.fixture
def name(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A head's name, and its end. Tests without a cluster run in this process."""
    if "cluster" not in request.fixturenames:
        monkeypatch.setattr(head_link, "ray_or_none", lambda: None)
    name = f"h-{uuid.uuid4().hex[:8]}"
    yield name
    with contextlib.suppress(HeadGoneError, HeadTimeoutError):
        head(name, timeout=5).end()


def add_one(value: Any, key: Any = "n") -> Any:
    return value.set(key, value.get(key, 0) + 1)


def test_all_processes_see_one_value(cluster: Any, name: str) -> None:
    h = head(name, m(n=0))
    assert cluster.run(lambda h: h.swap(lambda value: value.set("n", 41))["n"], h) == 41
    assert h.swap(add_one) == {"n": 42}
    assert cluster.run(lambda n: __import__("pstructs").distributed.head(n).value, name) == {
        "n": 42
    }
    assert h.version.number == 3


def test_initial_is_for_a_head_that_is_not_there(name: str) -> None:
    assert head(name, m(a=1)).value == {"a": 1}
    assert head(name, m(a=2)).value == {"a": 1}


def test_a_head_that_is_not_there_is_an_error(name: str) -> None:
    with pytest.raises(HeadGoneError, match="initial="):
        head(name)
    assert head(name, 7).value == 7


@pytest.mark.parametrize(
    "value", [1, "text", None, [1, 2], pvector(range(99)), pset("abc"), {"a": m(b=v(1))}]
)
def test_any_savable_value_goes(name: str, value: Any) -> None:
    h = head(name, m())
    assert h.reset(value) == value
    assert type(h.value) is type(value)


def test_compare_and_set_takes_the_version_that_was_read(name: str) -> None:
    h = head(name, m(a=1))
    seen = h.version
    new = h.compare_and_set(seen, m(a=2))
    assert new is not None and new.number == 2 and new.open() == {"a": 2}
    assert h.compare_and_set(seen, m(a=3)) is None
    assert h.compare_and_set(1, m(a=3)) is None
    assert h.value == {"a": 2}
    assert h.version == new


def test_swap_vals_gives_old_and_new(name: str) -> None:
    h = head(name, v(1, 2))
    assert h.swap_vals(lambda value: value.append(3)) == (v(1, 2), v(1, 2, 3))


def test_what_a_function_raises_leaves_the_head_as_it_was(name: str) -> None:
    h = head(name, m(a=1))
    with pytest.raises(ZeroDivisionError):
        h.swap(lambda value: 1 // 0)
    assert h.version.number == 1


def test_a_validator_refuses_values(name: str) -> None:
    h = head(name, 3, validator=lambda n: 0 <= n <= 9)
    with pytest.raises(InvalidValueError, match="validator of head"):
        h.reset(12)
    with pytest.raises(TypeError):
        h.reset("x")
    assert h.swap(lambda n: n + 1) == 4
    assert h.version.number == 2


def test_a_write_of_one_id_is_made_once(cluster: Any, name: str) -> None:
    h = head(name, m(n=0))
    job = h.using(write_id="job 1")
    assert job.swap(add_one)["n"] == 1
    assert h.swap(add_one)["n"] == 2
    assert job.swap(add_one)["n"] == 1  # the version that it made
    assert cluster.run(lambda job: job.swap(add_one)["n"], job) == 1
    assert h.using(write_id="job 1").compare_and_set(2, m()).number == 2
    assert h.value == {"n": 2}
    assert h.stats()["retried"] == 3


def test_merging_writers_keep_each_others_changes(name: str) -> None:
    h = head(name, m(a=m(x=1), b=1, c=v(1, 2, 3)), merge=True)

    def slow(value: Any) -> Any:  # others write while this one computes
        if value["b"] == 1:
            head(name).swap(lambda o: o.set("b", 2).transform(["a", "y"], 5))
        return value.transform(["a", "x"], 10)

    assert h.swap(slow) == m(a=m(x=10, y=5), b=2, c=v(1, 2, 3))
    assert h.stats()["merged"] == 1
    assert h.stats()["conflicts"] == 0


@pytest.mark.parametrize(
    ("start", "change"),
    [
        (m(n=1), lambda o: o.set("n", o["n"] + 1)),
        (m(a=m(n=1)), lambda o: o.transform(["a", "n"], lambda n: n + 1)),
        (m(), lambda o: o.set("n", o.get("n", 0) + 1)),
        (pset(), lambda o: o.add(len(o))),
        (v(), lambda o: o.append(len(o))),
        (v(1), lambda o: o.set(0, o[0] + 1)),
        (1, lambda n: n + 1),
    ],
)
def test_the_same_change_made_twice_counts_twice(name: str, start: Any, change: Any) -> None:
    h = head(name, start, merge=True)
    tries = 0

    def late(value: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            head(name).swap(change)
        return change(value)

    assert h.swap(late) == change(change(start))
    assert tries == 2
    assert h.stats()["conflicts"] == 1


def test_a_plain_swap_calls_again_whatever_the_others_changed(name: str) -> None:
    h = head(name, m(a=1, b=0))
    tries = 0

    def copy_a_to_b(value: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            head(name).swap(lambda o: o.set("a", 9))
        return value.set("b", value["a"])

    assert h.swap(copy_a_to_b) == {"a": 9, "b": 9}
    assert tries == 2


def test_a_swap_that_always_loses_says_where(name: str) -> None:
    h = head(name, m(doc=m(n=0), other=0))

    def overtaken(value: Any) -> Any:
        head(name).swap(lambda o: o.transform(["doc", "n"], lambda n: n + 1))
        time.sleep(0.35)
        return value.transform(["doc", "n"], -1)

    with pytest.raises(HeadBusyError, match="'doc', 'n'") as caught:
        h.using(merge=True, timeout=1.0).swap(overtaken)
    assert caught.value.conflicts == (("doc", "n"),)
    assert pickle.loads(pickle.dumps(caught.value)).conflicts == (("doc", "n"),)


def test_only_new_nodes_travel(cluster: Any, name: str) -> None:
    h = head(name, pmap({f"key {i}": i for i in range(20_000)}))

    def change(h: Head[Any]) -> tuple[int, int]:
        h.deref()
        link = h._link()
        sent: list[int] = []
        call = link.call

        def measured(method: str, args: Any, until: float) -> Any:
            answer = call(method, args, until)
            if method == "write":
                sent.append(args[0].image.view.nbytes)
                sent.append(sum(pack.view.nbytes for pack in answer.news.packs))
            return answer

        link.call = measured  # type: ignore[method-assign]
        h.swap(lambda o: o.set("key 7", -7))
        return sent[0], sent[1]

    sent, received = cluster.run_in_new_worker(change, h)
    assert 0 < sent < 4000
    assert 0 < received < 4000
    assert h.value["key 7"] == -7


def test_a_large_value_is_read_in_place(cluster: Any, name: str) -> None:
    h = head(name, pmap({f"key {i}": i for i in range(200_000)}))
    version = h.version
    assert len(pickle.dumps(version)) < 500

    def where(version: Any) -> Any:
        numpy = pytest.importorskip("numpy")
        value = version.open()
        pack = version._head._link().pack(version._row.pack)
        address = numpy.frombuffer(memoryview(pack), dtype="u1").ctypes.data
        for line in open("/proc/self/maps"):
            start, end = (int(x, 16) for x in line.split()[0].split("-"))
            if start <= address < end:
                return line.split()[5], value["key 77"]

    path, looked_up = cluster.run_in_new_worker(where, version)
    assert "plasma" in path
    assert looked_up == 77


def test_versions_can_be_opened_by_number(name: str) -> None:
    h = head(name, v(), keep=5)
    for i in range(9):
        h.swap(lambda o, i: o.append(i), i)
    assert h.open(8) == pvector(range(7))
    with pytest.raises(MissedVersionsError):
        h.open(3)
    with pytest.raises(MissedVersionsError):
        h.open(99)


def test_a_subscriber_gets_what_is_new_as_it_comes(cluster: Any, name: str) -> None:
    h = head(name, m(n=0))

    def follow(h: Any, count: int) -> list[Any]:
        got, before = [], None
        for version in h.subscribe(since=0, timeout=20):
            value = version.open()
            changed = None if before is None else dict(diff(before, value).changed)
            got.append((version.number, changed))
            before = value
            if len(got) == count:
                return got
        return got

    cluster.by_value(follow)
    following = cluster.ray.remote(num_cpus=0)(follow).remote(h, 11)
    for _ in range(10):
        h.swap(add_one)
    expected = [(1, None), *((i + 2, {"n": (i, i + 1)}) for i in range(10))]
    assert cluster.get(following) == expected


def test_a_subscriber_that_waits_too_long_ends(name: str) -> None:
    h = head(name, 1)
    start = time.monotonic()
    assert list(h.subscribe(timeout=0.3)) == []
    assert 0.2 < time.monotonic() - start < 5


def test_a_subscriber_that_is_too_far_behind_is_told(name: str) -> None:
    h = head(name, 0, keep=3)
    for i in range(9):
        h.reset(i)
    with pytest.raises(MissedVersionsError, match=r"from 8 on.*has had 2") as caught:
        next(iter(h.subscribe(since=2)))
    assert caught.value.oldest == 8


def test_a_head_goes_on_from_its_store(name: str, tmp_path: Path) -> None:
    from pstructs.cache import SnapshotStore

    h = head(name, m(n=0), store=str(tmp_path))
    h.using(write_id="first").swap(add_one)
    h.swap(add_one)
    version = h.version
    h.end()
    again = head(name, store=str(tmp_path))
    assert again.version == version
    assert again.value == {"n": 2}
    again.using(write_id="first").swap(add_one)
    assert again.value == {"n": 2}
    assert again.open(2) == {"n": 1}
    with SnapshotStore(str(tmp_path)) as store:
        assert [store.load(each)["n"] for each in store.log(name)] == [2, 1, 0]
        assert store.verify() is not None


def test_what_others_save_to_the_store_is_seen(name: str, tmp_path: Path) -> None:
    from pstructs.cache import SnapshotStore

    h = head(name, m(n=0), store=str(tmp_path))
    h.swap(add_one)
    with SnapshotStore(str(tmp_path)) as store:
        store.save(store.load(name).set("n", 100), head=name)
        assert h.swap(add_one) == {"n": 101}
        assert h.version.number == 4
        store.save(store.load(name).set("n", 7), head=name)
        assert h.value == {"n": 7}
        assert h.version.number == 5


def test_a_head_is_in_one_store(name: str, tmp_path: Path) -> None:
    head(name, 1, store=str(tmp_path / "a"))
    with pytest.raises(ValueError, match="kept in the store"):
        head(name, 1, store=str(tmp_path / "b"))


def test_a_folder_that_is_no_store_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    with pytest.raises(OSError, match="file"):
        head(name, 1, store=str(tmp_path / "file"))
    assert head(name, 1).value == 1


def test_a_dead_head_without_a_store_is_gone(cluster: Any, name: str) -> None:
    h = head(name, m(n=0))
    h.swap(add_one)
    cluster.ray.kill(cluster.ray.get_actor(f"head-{name}", namespace="pstructs"))
    with pytest.raises(HeadGoneError, match="store="):
        h.swap(add_one)
    assert head(name, m(n=5)).value == {"n": 5}


def test_a_version_of_an_earlier_head_of_that_name_is_not_that_of_the_next(
    cluster: Any, name: str
) -> None:
    h = head(name, m(n=0))
    old = h.version
    h.end()
    again = head(name, m(n=0))
    assert again.compare_and_set(old, m(n=1)) is None
    assert again.compare_and_set(again.version, m(n=2)) is not None
    with pytest.raises(MissedVersionsError, match="begun anew"):
        pickle.loads(pickle.dumps(old)).open()


def test_a_head_that_does_not_answer_is_an_error_within_the_time_limit(
    cluster: Any, name: str
) -> None:
    h = head(name, m(n=0))
    actor = cluster.ray.get_actor(f"head-{name}", namespace="pstructs")

    def hold(self: Any) -> None:
        time.sleep(1.5)

    cluster.by_value(hold)
    held = actor.__ray_call__.remote(hold)
    start = time.monotonic()
    with pytest.raises(HeadTimeoutError) as caught:
        h.using(timeout=0.3).swap(add_one)
    assert time.monotonic() - start < 1.2
    cluster.get(held)
    if caught.value.write_id:
        h.using(write_id=caught.value.write_id).swap(add_one)
        assert h.value == {"n": 1}


@pytest.mark.parametrize("stored", [False, True], ids=["memory", "store"])
def test_sharing_the_value_of_a_head_sends_its_packs_once(
    cluster: Any, new_owner: Any, name: str, tmp_path: Path, stored: bool
) -> None:
    def total(handle: Any) -> int:
        return sum(handle.open().values())

    n = 50_000
    h = head(name, pmap({i: i for i in range(n)}), store=str(tmp_path) if stored else None)
    first = share(h.value)
    whole = new_owner.stats()["put"]
    assert whole > 10 * n
    assert h.swap(lambda value: value.set(-1, 1))[-1] == 1
    second = share(h.value)
    assert share(h.value.set(-2, 2)).open()[-2] == 2
    assert new_owner.stats()["put"] == whole
    changed = h.swap(lambda value: value.update(dict.fromkeys(range(0, n, 10), 0)))
    third = share(changed)
    assert new_owner.stats()["put"] - whole < 0.7 * whole
    expected = [sum(range(n)), sum(range(n)) + 1, sum(changed.values())]
    del changed
    h.end()  # handles do not depend on the head
    handles = [first, second, third]
    assert [cluster.run_in_new_worker(total, handle) for handle in handles] == expected
