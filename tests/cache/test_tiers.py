"""What every tier promises, in memory and on disk."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pstructs import pmap
from pstructs.cache import DiskTier, Entry, MemoryTier, Tier, digest
from pstructs.cache.marks import KEPT, Marks, tag_mark


class Clock:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


Make = Callable[..., Tier]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "disk"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: Clock) -> Iterator[Make]:
    made: list[Tier] = []

    def make_one(limit: int = 2**20) -> Tier:
        if request.param == "memory":
            made.append(MemoryTier(limit, clock=clock))
        else:
            made.append(DiskTier(tmp_path / "results", limit, clock=clock))
        return made[-1]

    yield make_one
    for tier in made:
        tier.close()


@pytest.fixture
def tier(make: Make) -> Tier:
    return make()


A, B, C = digest("a"), digest("b"), digest("c")


@pytest.mark.parametrize(
    "value",
    [
        None,
        1,
        "text",
        b"\0" * 40_000,
        [1, {"a": (2, 3.5)}],
        pmap({n: str(n) for n in range(5000)}),
    ],
)
def test_a_value_comes_back_as_it_was(tier: Tier, value: object) -> None:
    assert tier.put(A, Entry.of(value))
    found = tier.get(A)
    assert found is not None
    assert found.value() == value
    assert type(found.value()) is type(value)


def test_what_a_caller_does_to_a_result_is_not_seen_by_the_next(tier: Tier) -> None:
    value = [1, [2]]
    tier.put(A, Entry.of(value))
    value.append(3)
    first = tier.get(A).value()  # type: ignore[union-attr]
    first[1].append(4)
    assert tier.get(A).value() == [1, [2]]  # type: ignore[union-attr]


def test_a_missing_key_is_a_miss(tier: Tier) -> None:
    assert tier.get(A) is None
    assert not tier.contains(A)
    assert not tier.delete(A)
    assert tier.info()[:2] == (0, 1)


def test_the_last_put_of_a_key_counts(tier: Tier) -> None:
    tier.put(A, Entry.of(1, tags=("x",)))
    tier.put(A, Entry.of("b" * 50_000, tags=("y",)))
    tier.put(A, Entry.of(3))
    assert tier.get(A).value() == 3  # type: ignore[union-attr]
    assert tier.info().entries == 1
    assert tier.invalidate("x") == tier.invalidate("y") == 0


def test_an_entry_is_gone_when_its_time_is_up(tier: Tier, clock: Clock) -> None:
    tier.put(A, Entry.of(1, expires=clock.now + 10))
    clock.now += 9.9
    assert tier.contains(A)
    assert tier.get(A) is not None
    clock.now += 0.2
    assert not tier.contains(A)
    assert tier.get(A) is None


def test_invalidation_takes_all_with_the_tag_and_no_others(tier: Tier) -> None:
    tier.put(A, Entry.of(1, tags=("x", "y")))
    tier.put(B, Entry.of(2, tags=("y",)))
    tier.put(C, Entry.of(3))
    assert tier.invalidate("y") == 2
    assert (tier.get(A), tier.get(B)) == (None, None)
    assert tier.get(C).value() == 3  # type: ignore[union-attr]
    assert tier.invalidate("x") == 0


def test_clear_takes_all(tier: Tier) -> None:
    for key in (A, B, C):
        tier.put(key, Entry.of(bytes(40_000), tags=("t",)))
    assert tier.clear() == 3
    assert [tier.get(key) for key in (A, B, C)] == [None] * 3
    assert tier.info().entries == 0


@pytest.mark.parametrize("how", ["delete", "invalidate", "clear"])
def test_a_result_computed_before_an_invalidation_can_not_come_back(tier: Tier, how: str) -> None:
    began = tier.epoch
    {
        "delete": lambda: tier.delete(A),
        "invalidate": lambda: tier.invalidate("x"),
        "clear": tier.clear,
    }[how]()
    assert not tier.put(A, Entry.of("old", tags=("x",)), began)
    assert tier.get(A) is None
    assert tier.put(A, Entry.of("new", tags=("x",)), tier.epoch)
    assert tier.put(B, Entry.of("other"), began) is (how != "clear")


def test_the_limit_holds_after_every_put(make: Make) -> None:
    tier = make(2**20)
    for n in range(300):
        tier.put(digest(n), Entry.of(bytes([n % 256]) * (n * 171 % 60_000)))
        assert tier.info().bytes <= 2**20
    info = tier.info()
    assert info.evictions > 0
    assert info.entries + info.evictions == 300


def test_what_was_used_longest_ago_is_evicted_first(make: Make, clock: Clock) -> None:
    tier = make(2**20)
    for n in range(100):
        clock.now += 10
        assert tier.put(digest(n), Entry.of(bytes(40_000)))
        tier.get(digest(0))
    kept = [n for n in range(100) if tier.contains(digest(n))]
    assert kept == [0, *range(100 - len(kept) + 1, 100)]
    assert len(kept) > 15


def test_a_value_larger_than_the_tier_is_not_kept_and_evicts_nobody(make: Make) -> None:
    tier = make(2**20)
    tier.put(A, Entry.of(1))
    assert not tier.put(B, Entry.of(bytes(2**20)))
    assert tier.get(A) is not None
    assert tier.info().evictions == 0


def test_threads_may_do_everything_at_once(tier: Tier) -> None:
    problems: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for n in range(60):
                key = digest((seed * 7 + n) % 10)
                tier.put(key, Entry.of([key.hex()] * (n % 5), tags=(f"t{n % 3}",)))
                found = tier.get(key)
                assert found is None or set(found.value()) <= {key.hex()}
                if n % 20 == seed:
                    tier.invalidate("t1")
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


def test_a_memory_tier_that_forgets_says_whom_it_evicted() -> None:
    lost: list[tuple[bytes, object]] = []
    tier = MemoryTier(200_000)
    tier.on_evict = lambda key, entry: lost.append((key, entry.value()[0]))
    for n in range(5):
        tier.put(digest(n), Entry.of((n, bytes(80_000))))
    tier.clear()
    assert lost == [(digest(0), 0), (digest(1), 1), (digest(2), 2)]


@pytest.mark.parametrize("policy", ["lru", "lfu", "fifo"])
def test_the_policy_decides_who_makes_room(policy: str) -> None:
    tier = MemoryTier(30_000, policy=policy)
    for n in range(2):
        tier.put(digest(n), Entry.of(bytes(10_000)))
    for n in (0, 0, 1):
        tier.get(digest(n))
    tier.put(digest(2), Entry.of(bytes(10_000)))
    gone = {"lru": 0, "lfu": 1, "fifo": 0}[policy]
    assert [n for n in range(3) if not tier.contains(digest(n))] == [gone]


def test_a_memory_tier_can_have_a_time_to_live_of_its_own(clock: Clock) -> None:
    tier = MemoryTier(ttl=5, clock=clock)
    tier.put(A, Entry.of(1))
    tier.put(B, Entry.of(1, expires=clock.now + 2))
    clock.now += 3
    assert (tier.contains(A), tier.contains(B)) == (True, False)
    clock.now += 3
    assert not tier.contains(A)


def test_marks_that_were_dropped_count_as_hit() -> None:
    marks = Marks()
    marks.add(tag_mark("old"))
    for n in range(KEPT):
        marks.add(tag_mark(f"t{n}"))
    assert marks.hits(0, [tag_mark("never seen")])
    assert not marks.hits(1, [tag_mark("never seen")])
    assert marks.hits(1, [tag_mark("t0")])


@pytest.mark.parametrize(
    "options", [{"limit": 0}, {"policy": "random"}, {"ttl": 0}, {"ttl": -1.0}]
)
def test_wrong_options_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        MemoryTier(**options)  # type: ignore[arg-type]
