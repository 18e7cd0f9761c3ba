"""Streams: producers and consumers in several processes, retries, restarts, back-pressure."""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pstructs import m
from pstructs.distributed import Stream, head, head_link
from pstructs.errors import HeadError, MissedVersionsError, StreamFullError

pytestmark = pytest.mark.ray


@pytest.fixture
def name(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A stream's name, and its end. Tests without a cluster run in this process."""
    if "cluster" not in request.fixturenames:
        monkeypatch.setattr(head_link, "ray_or_none", lambda: None)
    name = f"s-{uuid.uuid4().hex[:8]}"
    yield name
    with contextlib.suppress(HeadError, ValueError):
        Stream(name, timeout=5).end()


def test_consumers_get_all_events_in_order(name: str) -> None:
    stream = Stream(name)
    assert stream.append(range(5)) == 5
    one, two = stream.consumer("one"), stream.consumer("two")
    assert list(one.poll(max_events=3)) == [0, 1, 2]
    assert list(one.poll()) == [3, 4]
    assert list(one.poll()) == []
    assert stream.append([5]) == 6
    assert list(one.poll()) == [5]
    assert two.lag == 6
    assert list(two.poll()) == [0, 1, 2, 3, 4, 5]


def test_a_consumer_goes_on_where_it_committed(name: str) -> None:
    stream = Stream(name)
    stream.append("abcd")
    first = stream.consumer("c")
    first.poll(2)
    assert first.commit() == 2
    first.poll(1)  # and dies
    again = stream.consumer("c")
    assert list(again.poll()) == ["c", "d"]
    assert again.seek(1) == 1
    assert list(stream.consumer("c").poll()) == ["b", "c", "d"]
    assert stream.consumer("late", start="end").poll().tolist() == []
    assert stream.offsets == {"c": 1, "late": 4}


def test_an_append_of_one_id_is_made_once(cluster: Any, name: str) -> None:
    stream = Stream(name)
    for _ in range(3):
        stream.append(["x"], write_id="a")
    assert cluster.run(lambda s: s.append(["x"], write_id="a"), stream) == 1
    assert len(stream) == 1


def test_a_poll_waits_for_an_event(cluster: Any, name: str) -> None:
    stream = Stream(name)
    consumer = stream.consumer("c")
    threading.Timer(0.3, lambda: stream.append(["late"])).start()
    begin = time.monotonic()
    assert list(consumer.poll(timeout=20)) == ["late"]
    assert time.monotonic() - begin < 10
    assert list(consumer.poll(timeout=0.2)) == []


def test_producers_and_consumers_in_many_processes(cluster: Any, name: str) -> None:
    stream = Stream(name)

    def produce(stream: Any, who: int) -> None:
        for i in range(20):
            stream.append([(who, i)])

    def consume(stream: Any, who: int) -> list[Any]:
        consumer, got = stream.consumer(f"c{who}"), []
        while len(got) < 80:
            got += consumer.poll(max_events=7, timeout=30)
            consumer.commit()
        return got

    cluster.by_value(produce)
    task = cluster.ray.remote(num_cpus=0)
    producing = [task(produce).remote(stream, i) for i in range(4)]
    consuming = [task(consume).remote(stream, i) for i in range(2)]
    cluster.get(producing)
    one, two = cluster.get(consuming)
    assert one == two
    assert sorted(one) == [(who, i) for who in range(4) for i in range(20)]
    for who in range(4):
        assert [event for event in one if event[0] == who] == [(who, i) for i in range(20)]
    assert stream.offsets == {"c0": 80, "c1": 80}


def test_a_full_stream_makes_producers_wait(name: str) -> None:
    stream = Stream(name, most=10)
    stream.append(range(10))
    with pytest.raises(StreamFullError, match=r"keeps 10 events and may keep 10"):
        stream.append([10], timeout=0.3)
    consumer = stream.consumer("c")
    assert len(consumer.poll(4)) == 4
    consumer.commit()
    threading.Timer(0.3, stream.drop).start()
    assert stream.append([10, 11], timeout=20) == 12
    assert list(stream.read(4)) == [*range(4, 12)]


def test_dropped_events_are_an_error_and_offsets_stay(name: str) -> None:
    stream = Stream(name)
    stream.append(range(100))
    slow = stream.consumer("slow")
    assert stream.drop() == 0  # slow has had none
    assert stream.drop(before=60) == 60
    with pytest.raises(MissedVersionsError, match=r"0 to 59.*seek\(60\)"):
        slow.poll()
    slow.seek(60)
    assert list(slow.poll(2)) == [60, 61]
    assert len(stream) == 40
    assert stream.append([100]) == 101


def test_a_stream_with_a_store_survives_the_death_of_its_actor(
    cluster: Any, name: str, tmp_path: Path
) -> None:
    stream = Stream(name, store=str(tmp_path), timeout=60)
    consumer = stream.consumer("c")
    got: list[int] = []
    for i in range(20):
        stream.append([i], write_id=f"event {i}")
        if i % 10 == 5:
            actor = cluster.ray.get_actor(f"head-{name}", namespace="pstructs")
            cluster.ray.kill(actor, no_restart=False)
            stream.append([i], write_id=f"event {i}")  # sent again
        got += consumer.poll()
        consumer.commit()
    assert got == list(range(20))
    stream.end()
    again = Stream(name, store=str(tmp_path))
    assert list(again.read(0)) == list(range(20))
    assert again.offsets == {"c": 20}


def test_the_offset_of_an_append_is_behind_its_own_events(name: str) -> None:
    stream = Stream(name)
    got: list[tuple[int, list[Any]]] = []

    def produce(who: int) -> None:
        for i in range(20):
            events = [(who, i, k) for k in range(3)]
            got.append((stream.append(events), events))

    threads = [threading.Thread(target=produce, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 80
    for behind, events in got:  # also of those that shared a commit
        assert list(stream.read(behind - 3, 3)) == events


def test_wrong_uses_of_a_stream_are_clear_errors(name: str) -> None:
    stream = Stream(name, most=5)
    with pytest.raises(ValueError, match="6 events are more than the 5"):
        stream.append(range(6))
    with pytest.raises(ValueError, match="'first', 'end' or an offset, got 'begin'"):
        stream.consumer("c", start="begin")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 or more, got -1"):
        stream.consumer("c").poll(-1)
    stream.end()
    plain = head(name, m(a=1))
    with pytest.raises(ValueError, match="not a stream"):
        Stream(name)
    plain.end()
