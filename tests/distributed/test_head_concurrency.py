"""Heads under many writers, and with actors that die: nothing is lost, doubled or out of order.

PSTRUCTS_FAULTS scales how often the actor is killed (3 by default).
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pstructs import pmap
from pstructs.distributed import head
from support.linearizable import Call, linearizable

pytestmark = pytest.mark.ray

FAULTS = int(os.environ.get("PSTRUCTS_FAULTS", "3"))
WRITERS = 8


class Client:
    """Calls a head from a process of its own and writes down what it sees."""

    def meet(self, h: Any) -> None:
        self.head = h
        h.deref()

    def count(self, n: int, keys: list[str]) -> int:
        """Count up n times, one key after the other; the number of swaps that were answered."""
        for i in range(n):
            key = keys[i % len(keys)]
            self.head.swap(lambda value, key: value.set(key, value.get(key, 0) + 1), key)
        return n

    def count_until(self, stop: float, key: str) -> int:
        done = 0
        while time.monotonic() < stop:
            done += self.count(1, [key])
        return done

    def follow(self, since: int, until: int) -> list[int]:
        got = []
        for version in self.head.subscribe(since=since, timeout=30):
            got.append((version.number, sum(version.open().values())))
            if version.number >= until:
                break
        return got

    def play(self, stop: float, seed: int) -> list[Call]:
        """Random calls on a register that holds an int."""
        import random

        choose, calls = random.Random(seed), []
        while time.monotonic() < stop or len(calls) < CALLS:
            kind = choose.choice(["read", "add", "cas", "write"])
            begin, end = time.monotonic(), math.inf
            what: tuple[Any, ...] = (kind,)
            answer: Any = None
            try:
                if kind == "read":
                    answer = self.head.deref()
                elif kind == "add":
                    answer = self.head.swap(lambda n: n + 1)
                elif kind == "write":
                    what = (kind, choose.randrange(1000, 10**9))
                    answer = self.head.reset(what[1])
                else:
                    seen = self.head._link().seen
                    new = choose.randrange(1000, 10**9)
                    what = (kind, seen[1], new)
                    answer = self.head.compare_and_set(seen[0].number, new) is not None
                end = time.monotonic()
            except TimeoutError:
                pass
            calls.append(Call(begin, end, what, answer))
        return calls


CALLS = 15  # of each client at least, however slow the machine is


def register(state: int, what: tuple[Any, ...]) -> tuple[int, Any]:
    kind, *args = what
    if kind == "read":
        return state, state
    if kind == "add":
        return state + 1, state + 1
    if kind == "write":
        return args[0], args[0]
    expected, new = args
    return (new, True) if state == expected else (state, False)


@pytest.fixture(scope="module")
def everyone(cluster: Any) -> Iterator[list[Any]]:
    """Eight processes."""
    cluster.by_value(Client)
    cluster.ray.cloudpickle.register_pickle_by_value(sys.modules[Call.__module__])
    made = [cluster.ray.remote(num_cpus=0)(Client).remote() for _ in range(WRITERS)]
    yield made
    for client in made:
        cluster.ray.kill(client)


def meet(cluster: Any, everyone: list[Any], h: Any, count: int = WRITERS) -> list[Any]:
    cluster.get([client.meet.remote(h) for client in everyone[:count]])
    return everyone[:count]


def name() -> str:
    return f"c-{uuid.uuid4().hex[:8]}"


def kill(cluster: Any, h: Any, times: int, every: float) -> int:
    """Kill the actor again and again; Ray starts it anew."""
    done = 0
    for _ in range(times):
        time.sleep(every)
        try:
            actor = cluster.ray.get_actor(f"head-{h.name}", namespace="pstructs")
        except ValueError:
            continue
        cluster.ray.kill(actor, no_restart=False)
        done += 1
    return done


@pytest.mark.parametrize("merge", [False, True], ids=["plain", "merging"])
@pytest.mark.parametrize("stored", [False, True], ids=["memory", "store"])
def test_no_update_of_eight_writers_is_lost(
    cluster: Any, everyone: list[Any], tmp_path: Path, merge: bool, stored: bool
) -> None:
    h = head(name(), pmap(), store=str(tmp_path) if stored else None, merge=merge)
    try:
        writers = meet(cluster, everyone, h)
        shared = ["common", "other"]
        cluster.get([w.count.remote(12, [*shared, f"own {i}"]) for i, w in enumerate(writers)])
        expected = Counter({"common": 4 * WRITERS, "other": 4 * WRITERS})
        expected.update({f"own {i}": 4 for i in range(WRITERS)})
        assert dict(h.value) == dict(expected)
        stats = h.stats()
        assert stats["writes"] == 12 * WRITERS
        assert (stats["merged"] > 0) == merge
        assert stats["version"] <= 12 * WRITERS + 1
    finally:
        h.end()


def test_a_subscriber_sees_every_version_once_and_in_order(
    cluster: Any, everyone: list[Any]
) -> None:
    h = head(name(), pmap())
    try:
        follower, *writers = meet(cluster, everyone, h, 5)
        following = follower.follow.remote(1, 101)
        cluster.get([w.count.remote(25, [f"key {i}"]) for i, w in enumerate(writers)])
        # each swap of a plain head is a version of its own
        assert cluster.get(following) == [(i + 1, i) for i in range(1, 101)]
    finally:
        h.end()


def test_no_acknowledged_swap_is_lost_when_the_actor_is_killed(
    cluster: Any, everyone: list[Any], tmp_path: Path
) -> None:
    h = head(name(), pmap(), store=str(tmp_path), timeout=60, merge=True)
    try:
        follower, *writers = meet(cluster, everyone, h, 5)
        seconds = 1.0 * FAULTS
        stop = time.monotonic() + seconds + 1
        counting = [w.count_until.remote(stop, f"key {i % 3}") for i, w in enumerate(writers)]
        killed = kill(cluster, h, FAULTS, 1.0)
        done = cluster.get(counting)
        assert killed == FAULTS
        newest = h.version
        assert sum(newest.open().values()) == sum(done)
        assert all(count > 0 for count in done)
        seen = cluster.get(follower.follow.remote(max(0, newest.number - 900), newest.number))
        numbers = [number for number, _ in seen]
        assert numbers == list(range(numbers[0], newest.number + 1))
        assert [total for _, total in seen] == sorted(total for _, total in seen)
    finally:
        h.end()


@pytest.mark.parametrize("kills", [0, FAULTS], ids=["undisturbed", "killed"])
def test_histories_are_linearizable(
    cluster: Any, everyone: list[Any], tmp_path: Path, kills: int
) -> None:
    h = head(name(), 0, store=str(tmp_path), timeout=30)
    try:
        players = meet(cluster, everyone, h, 4)
        stop = time.monotonic() + 1 + 0.7 * kills
        playing = [p.play.remote(stop, seed) for seed, p in enumerate(players)]
        killer = threading.Thread(target=kill, args=(cluster, h, kills, 0.7))
        killer.start()
        history = [call for calls in cluster.get(playing) for call in calls]
        killer.join()
        assert len(history) >= 4 * CALLS
        assert {call.what[0] for call in history} == {"read", "add", "cas", "write"}
        assert linearizable(history, 0, register)
    finally:
        h.end()


def test_the_checker_finds_a_stale_read_and_a_lost_update() -> None:
    def call(begin: float, end: float, what: Any, answer: Any) -> Call:
        return Call(begin, end, what if isinstance(what, tuple) else (what,), answer)

    fine = [call(0, 3, ("write", 5), 5), call(1, 2, "read", 0), call(2.5, 4, "read", 5)]
    assert linearizable(fine, 0, register)
    stale = [call(0, 1, ("write", 5), 5), call(2, 3, "read", 0)]
    assert not linearizable(stale, 0, register)
    lost = [call(0, 3, "add", 1), call(1, 2, "add", 1)]
    assert not linearizable(lost, 0, register)
    backwards = [call(0, 9, ("write", 5), 5), call(1, 2, "read", 5), call(3, 4, "read", 0)]
    assert not linearizable(backwards, 0, register)
    unanswered = [call(0, math.inf, ("write", 5), None), call(1, 2, "read", 0)]
    assert linearizable([*unanswered, call(3, 4, "read", 5)], 0, register)
    assert not linearizable([*unanswered, call(3, 4, "read", 6)], 0, register)
    swapped = [call(0, 1, ("cas", 0, 7), True), call(0, 2, ("cas", 0, 8), True)]
    assert not linearizable(swapped, 0, register)
    assert linearizable([swapped[0], call(0, 2, ("cas", 0, 8), False)], 0, register)
