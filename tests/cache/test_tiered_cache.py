"""What several tiers promise together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pstructs import pmap
from pstructs.cache import DiskTier, Entry, MemoryTier, TieredCache, digest
from pstructs.errors import UnsavableValueError


class Clock:
    now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def cache(tmp_path: Path, clock: Clock) -> Iterator[TieredCache]:
    tiers = MemoryTier(clock=clock), DiskTier(tmp_path / "results", clock=clock)
    with TieredCache(*tiers, clock=clock) as made:
        yield made


def same_folder(cache: TieredCache) -> TieredCache:
    """What another process sees."""
    disk = cache.tiers[1]
    assert isinstance(disk, DiskTier)
    clock = cache._clock
    return TieredCache(MemoryTier(clock=clock), DiskTier(disk.path, clock=clock), clock=clock)


def test_a_result_goes_through_to_all_tiers(cache: TieredCache) -> None:
    cache.set("k", [1, 2])
    assert [tier.contains(digest("k")) for tier in cache.tiers] == [True, True]


def test_a_hit_below_is_promoted(cache: TieredCache) -> None:
    cache.set("k", pmap({1: 2}), tags=("t",))
    other = same_folder(cache)
    value = other.get("k")
    assert other.get("k") is value
    info = other.cache_info()
    assert (info["disk"].hits, info["memory"].hits) == (1, 1)
    assert other.invalidate("t") == 1
    assert "k" not in other


def test_what_memory_evicts_goes_down_when_it_is_not_there(tmp_path: Path) -> None:
    memory, disk = MemoryTier(200_000), DiskTier(tmp_path / "results")
    cache = TieredCache(memory, disk)
    cache.set("k", bytes(100_000))
    disk._discard(digest("k"))  # as an eviction does
    memory.put(digest("k"), Entry.of((1, bytes(100_000))))
    assert not disk.contains(digest("k"))
    cache.set("l", bytes(150_000))
    assert not memory.contains(digest("k"))
    assert cache.get("k") == (1, bytes(100_000))


def test_what_is_invalidated_elsewhere_is_gone_from_memory(cache: TieredCache) -> None:
    other = same_folder(cache)
    for key in "abc":
        cache.set(key, key, tags=(f"tag {key}",))
        assert other.get(key) == key
    cache.invalidate("tag a")
    cache.delete("b")
    assert [other.get(key) for key in "abc"] == [None, None, "c"]
    cache.clear()
    assert other.get("c") is None


def test_a_set_replaces_the_copies_of_others(cache: TieredCache) -> None:
    other = same_folder(cache)
    cache.set("k", 1)
    assert other.get("k") == 1
    cache.set("k", 2)
    assert other.get("k") == 2


@pytest.mark.parametrize("how", ["invalidate", "delete", "clear"])
def test_a_result_is_not_kept_when_it_is_invalidated_while_it_is_computed(
    cache: TieredCache, how: str
) -> None:
    other = same_folder(cache)

    def compute() -> str:
        {
            "invalidate": lambda: other.invalidate("t"),
            "delete": lambda: other.delete("k"),
            "clear": other.clear,
        }[how]()
        return "old"

    assert cache.get_or_compute("k", compute, tags=("t",)) == "old"
    assert cache.get("k") is None
    assert other.get("k") is None


def test_a_time_to_live_holds_in_all_tiers(cache: TieredCache, clock: Clock) -> None:
    assert cache.get_or_compute("k", lambda: 1, ttl=10) == 1
    clock.now += 9
    assert cache.get_or_compute("k", lambda: 2, ttl=10) == 1
    clock.now += 2
    assert cache.get("k") is None
    assert cache.get_or_compute("k", lambda: 2, ttl=10) == 2


def test_jitter_takes_off_a_random_share_of_the_time_to_live(
    cache: TieredCache, clock: Clock
) -> None:
    for n in range(200):
        cache.get_or_compute(n, lambda: 1, ttl=100, jitter=0.5)
    ends = {cache.tiers[0].get(digest(n)).expires - clock.now for n in range(200)}  # type: ignore[union-attr, operator]
    assert len(ends) > 100
    assert 49.9 < min(ends) < 60
    assert 90 < max(ends) <= 100


def test_none_is_a_result_and_may_have_a_time_of_its_own(cache: TieredCache, clock: Clock) -> None:
    calls = []

    def look() -> None:
        calls.append(1)

    for _ in range(3):
        assert cache.get_or_compute("k", look, ttl=100, negative_ttl=5) is None
    assert len(calls) == 1
    clock.now += 6
    cache.get_or_compute("k", look, ttl=100, negative_ttl=5)
    assert len(calls) == 2


class NotThere(LookupError):
    pass


def test_an_exception_that_is_an_answer_is_kept_and_raised_again(
    cache: TieredCache, clock: Clock
) -> None:
    calls = []

    def look() -> None:
        calls.append(1)
        raise NotThere("user", 7)

    for reader in (cache, cache, same_folder(cache)):
        with pytest.raises(NotThere) as caught:
            reader.get_or_compute("k", look, errors=(LookupError,), negative_ttl=5)
        assert caught.value.args == ("user", 7)
    assert len(calls) == 1
    assert cache.get("k", "default") == "default"
    clock.now += 6
    with pytest.raises(NotThere):
        cache.get_or_compute("k", look, errors=(LookupError,), negative_ttl=5)
    assert len(calls) == 2


def test_an_exception_kept_by_one_is_no_answer_for_another(cache: TieredCache) -> None:
    def fail() -> int:
        raise NotThere

    with pytest.raises(NotThere):
        cache.get_or_compute("k", fail, errors=(NotThere,))
    assert cache.get_or_compute("k", lambda: 5) == 5
    assert cache.get("k") == 5


def test_other_exceptions_are_not_kept(cache: TieredCache) -> None:
    def fail() -> int:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        cache.get_or_compute("k", fail, errors=(KeyError,))
    assert cache.get_or_compute("k", lambda: 1) == 1


class Awkward(Exception):
    def __init__(self, one: int, two: int) -> None:
        super().__init__("only one argument")


def test_an_exception_that_can_not_be_made_again_is_not_kept(cache: TieredCache) -> None:
    calls = []

    def fail() -> None:
        calls.append(1)
        raise Awkward(1, 2)

    for _ in range(2):
        with pytest.raises(Awkward):
            cache.get_or_compute("k", fail, errors=(Awkward,))
    assert len(calls) == 2


def test_keys_are_told_apart_by_type_and_content(cache: TieredCache) -> None:
    keys = [1, 1.0, True, "1", b"1", (1,), [1], pmap({1: 1}), {1: 1}, None, digest("x")]
    for n, key in enumerate(keys):
        cache.set(key, n)
    assert [cache.get(key) for key in keys] == list(range(len(keys)))


def test_an_unsavable_result_is_refused_and_nothing_is_kept(cache: TieredCache) -> None:
    with pytest.raises(UnsavableValueError, match=r"result can't be cached.*object"):
        cache.get_or_compute("k", object)
    assert "k" not in cache


def test_without_copies_memory_alone_takes_any_object() -> None:
    cache = TieredCache(MemoryTier(), copies=False)
    value = cache.get_or_compute("k", object)
    assert cache.get("k") is value


def test_wrong_tiers_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one tier"):
        TieredCache()
    with pytest.raises(ValueError, match="names"):
        TieredCache(MemoryTier(), MemoryTier())


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"ttl": 0}, ValueError),
        ({"negative_ttl": -1}, ValueError),
        ({"jitter": 2}, ValueError),
        ({"tags": "text"}, TypeError),
        ({"tags": (1,)}, TypeError),
        ({"errors": (1,)}, TypeError),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], error: type[Exception]) -> None:
    cache = TieredCache(MemoryTier())
    with pytest.raises(error, match=next(iter(options))):
        cache.get_or_compute("k", lambda: 1, **options)  # type: ignore[arg-type]
