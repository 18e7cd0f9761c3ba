"""What `memoize` takes for the same call, and what for another."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pstructs import PClass, field, packable, pmap, pvector
from pstructs.cache import DiskTier, MemoryTier, SnapshotStore, TieredCache, memoize
from pstructs.cache import digests as digests_module
from pstructs.errors import ReentryError, UnsavableError


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[TieredCache]:
    with TieredCache(MemoryTier(), DiskTier(tmp_path / "results")) as made:
        yield made


def counted(
    cache: TieredCache, function: Callable[..., Any], name: str = "f", **options: Any
) -> Any:
    return memoize(cache, version="test", name=name, **options)(function)


def test_the_same_arguments_in_any_form_are_one_call(cache: TieredCache) -> None:
    calls = []

    @memoize(cache, version="1")
    def f(a: int, b: int = 2, *rest: int, c: int = 3, **more: int) -> tuple[object, ...]:
        calls.append(1)
        return a, b, rest, c, tuple(more)

    f(1), f(1, 2), f(a=1), f(b=2, a=1), f(1, c=3)
    assert len(calls) == 1
    f(1, 2, x=1, y=2), f(1, 2, y=2, x=1)
    assert len(calls) == 2
    f(1, 2, 3), f(1, 3), f(1, c=4), f(1.0), f(True), f(1, x=1)
    assert len(calls) == 8


def test_positions_and_names_are_not_mixed_up(cache: TieredCache) -> None:
    f = counted(cache, lambda *args, **kwargs: (args, tuple(kwargs.items())))
    assert f(("a", 1)) == ((("a", 1),), ())
    assert f(a=1) == ((), (("a", 1),))
    assert f((), a=1) == (((),), (("a", 1),))


def test_a_wrong_call_is_the_functions_own_type_error(cache: TieredCache) -> None:
    f = counted(cache, lambda a: a)
    for args, kwargs in [((), {}), ((1, 2), {}), ((), {"b": 1})]:
        with pytest.raises(TypeError):
            f(*args, **kwargs)


def test_equal_collections_are_one_argument_however_they_were_made(
    cache: TieredCache, tmp_path: Path
) -> None:
    f = counted(cache, lambda m: len(m))
    big = pmap({n: str(n) for n in range(1000)})
    assert f(big) == 1000
    with SnapshotStore(tmp_path / "store") as store:
        store.save(big)
        loaded = store.load()
        f(loaded)
        f(loaded.set(5, "x").set(5, "5"))
        f(pmap([(n, str(n)) for n in reversed(range(1000))]))
        assert f.cache_info()[:2] == (3, 1)
        f(big.set(5, "other"))
        f(big.remove(5))
        assert f.cache_info()[:2] == (3, 3)


def test_a_collection_is_digested_once(
    cache: TieredCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = []
    real = digests_module.PackWriter

    def spy(value: object, **options: Any) -> Any:
        written.append(value)
        return real(value, **options)

    monkeypatch.setattr(digests_module, "PackWriter", spy)
    f = counted(cache, lambda m, n: n)
    big = pmap({n: n for n in range(1000)})
    for n in range(5):
        f(big, n)
    assert sum(value is big for value in written) == 1


def test_a_digest_is_forgotten_with_its_collection(cache: TieredCache) -> None:
    f = counted(cache, lambda m: len(m))
    before = len(digests_module._known)
    for n in range(50):
        f(pmap(dict.fromkeys(range(100), n)))
    assert len(digests_module._known) == before
    assert f.cache_info().misses == 50


def test_equal_collections_of_other_types_are_other_arguments(cache: TieredCache) -> None:
    f = counted(cache, lambda m: str(m[0]))
    ints, floats = pvector([1] * 100), pvector([1.0] * 100)
    assert ints == floats
    assert (f(ints), f(floats)) == ("1", "1.0")


def test_a_large_collection_is_no_other_argument_than_its_digest_in_bytes(
    cache: TieredCache,
) -> None:
    f = counted(cache, lambda m: type(m).__name__)
    big = pmap({n: n for n in range(1000)})
    assert f(big) == "PMap"
    assert f(digests_module._known[id(big)][1]) == "bytes"


def test_an_unsavable_argument_is_named(cache: TieredCache) -> None:
    f = counted(cache, lambda a, b=None: 1)
    with pytest.raises(UnsavableError, match=r"argument 'b'.*object.*ignore=\['b'\]"):
        f(1, object())
    with pytest.raises(UnsavableError, match=r"argument 'b'.*'inner'|argument 'b'"):
        f(1, {"inner": object()})


def test_an_ignored_argument_makes_no_difference(cache: TieredCache) -> None:
    f = counted(cache, lambda a, log=None, b=1: a + b, ignore=["log"])
    assert f(1, object()) == f(1, print, 1) == f(1) == f(a=1, log=len) == 2
    assert f.cache_info()[:2] == (3, 1)
    with pytest.raises(ValueError, match="no parameter 'x'"):
        counted(cache, lambda a: a, ignore=["x"])
    with pytest.raises(TypeError, match="ignore"):
        counted(cache, lambda a: a, ignore="a")


def one(n: int) -> int:
    return n + 1


class Two:
    def one(n: int) -> int:  # type: ignore[misc]
        return n + 2


def test_another_function_is_another_key(cache: TieredCache) -> None:
    assert memoize(cache)(one).key(1) != memoize(cache)(Two.one).key(1)


def compiled(source: str) -> Callable[..., Any]:
    space: dict[str, Any] = {"__name__": "module"}
    exec(source, space)
    return space["f"]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("source", "same"),
    [
        ("def f(n):\n\n    # a comment\n    return {1, 2, 'x', 'y'}, lambda: n + 1", True),
        ("def f(n):\n    return {1, 2, 'x', 'z'}, lambda: n + 1", False),
        ("def f(n):\n    return {1, 2, 'x', 'y'}, lambda: n + 2", False),
        ("def f(n, m=1):\n    return {1, 2, 'x', 'y'}, lambda: n + 1", False),
        ("async def f(n):\n    return {1, 2, 'x', 'y'}, lambda: n + 1", False),
    ],
)
def test_the_code_of_a_function_is_part_of_the_key(
    cache: TieredCache, source: str, same: bool
) -> None:
    first = compiled("def f(n):\n    return {1, 2, 'x', 'y'}, lambda: n + 1")
    assert (memoize(cache)(first).key(1) == memoize(cache)(compiled(source)).key(1)) is same


def test_a_version_stands_for_the_code(cache: TieredCache) -> None:
    first, second = compiled("def f(n): return 1"), compiled("def f(n): return 2")
    assert memoize(cache, version="1")(first).key(0) == memoize(cache, version="1")(second).key(0)
    assert memoize(cache, version="1")(first).key(0) != memoize(cache, version="2")(first).key(0)


def test_a_function_that_reads_variables_around_it_needs_a_version(cache: TieredCache) -> None:
    def make(k: int) -> Any:
        def times(n: int) -> int:
            return n * k

        return times

    with pytest.raises(ValueError, match=r"times reads k .*version"):
        memoize(cache)(make(2))
    double, triple = (memoize(cache, version=f"k={k}")(make(k)) for k in (2, 3))
    assert (double(5), triple(5), double(5)) == (10, 15, 10)


def test_a_lambda_with_a_version_needs_a_name(cache: TieredCache) -> None:
    with pytest.raises(ValueError, match="name"):
        memoize(cache, version="1")(lambda n: n)
    first, second = memoize(cache)(lambda n: n), memoize(cache)(lambda n: n + 1)
    assert (first(1), second(1)) == (1, 2)


def test_a_function_without_code_needs_a_version(cache: TieredCache) -> None:
    with pytest.raises(TypeError, match="version"):
        memoize(cache)(len)
    assert memoize(cache, version="1")(len)([1, 2]) == 2


def test_keys_are_the_same_in_every_process(cache: TieredCache, tmp_path: Path) -> None:
    (tmp_path / "some_module.py").write_text(
        "from pstructs import pmap\nfrom pstructs.cache import memoize\n"
        "@memoize()\ndef f(m, n={'b', 'a'}):\n    return {'x', 'y', 'z'} & n\n"
        "def show(): print(f.key(pmap({str(n): n for n in range(200)})).hex())\n"
    )
    keys = {
        subprocess.run(
            [sys.executable, "-c", "import some_module; some_module.show()"],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": ":".join([str(tmp_path), *sys.path])},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(keys) == 1


class Model(PClass):  # type: ignore[misc]
    factor = field()

    @memoize(version="1")
    def times(self, n: int) -> int:
        return self.factor * n  # type: ignore[no-any-return]


packable("test_memoize.Model")(Model)


@packable("test_memoize.Frozen")
@dataclass(frozen=True)
class Frozen:
    factor: int

    @memoize(version="1")
    def times(self, n: int) -> int:
        return self.factor * n

    @memoize(version="1", ignore=["self"])
    def same_for_all(self, n: int) -> int:
        return self.factor * n

    @staticmethod
    @memoize()
    def static(n: int) -> int:
        return -n

    @classmethod
    @memoize(ignore=["cls"])
    def of_class(cls, n: int) -> str:
        return f"{cls.__name__} {n}"


class Plain:
    @memoize()
    def times(self, n: int) -> int:
        return n


@pytest.mark.parametrize("kind", [lambda n: Model(factor=n), Frozen])
def test_a_method_is_keyed_by_the_content_of_self(kind: Any) -> None:
    two, three = kind(2), kind(3)
    type(two).times.cache_clear()
    assert [two.times(5), three.times(5), kind(2).times(5), two.times(n=5)] == [10, 15, 10, 10]
    assert type(two).times.key(two, 5) == type(two).times.key(kind(2), n=5)
    assert type(two).times.invalidate(two, 5)
    assert not type(two).times.invalidate(two, 5)


def test_self_can_be_ignored_and_else_has_to_be_savable() -> None:
    assert Frozen(2).same_for_all(5) == Frozen(3).same_for_all(5) == 10
    assert Frozen(1).static(3) == Frozen.static(3) == -3
    assert Frozen.of_class(1) == "Frozen 1"
    with pytest.raises(UnsavableError, match=r"argument 'self'.*ignore=\['self'\]"):
        Plain().times(1)


def test_results_can_be_invalidated_by_call_by_function_and_by_tag(cache: TieredCache) -> None:
    f = counted(cache, lambda user: user, tags=lambda user: [f"user {user}", "users"])
    g = counted(cache, lambda n: n, "g", tags=("numbers",))
    f("ann"), f("bob"), g(1), g(2)
    assert cache.invalidate("user ann") == 1
    f("ann"), f("bob")
    assert f.cache_info().misses == 3
    assert g.invalidate(1)
    assert not g.invalidate(1)
    assert g.cache_clear() == 1
    f("ann"), g(1)
    assert (f.cache_info().misses, g.cache_info().misses) == (3, 3)
    assert cache.invalidate("users", "numbers") == 3


def test_exceptions_are_not_kept_unless_they_are_answers(cache: TieredCache) -> None:
    def fail(n: int) -> int:
        raise (KeyError if n else OSError)(n)

    f = counted(cache, fail, errors=(KeyError,))
    for _ in range(2):
        with pytest.raises(KeyError):
            f(1)
        with pytest.raises(OSError, match="0"):
            f(0)
    assert f.cache_info()[:2] == (1, 3)


def test_a_function_may_call_itself_with_other_arguments(cache: TieredCache) -> None:
    @memoize(cache, version="1")
    def fib(n: int) -> int:
        return n if n < 2 else fib(n - 1) + fib(n - 2)

    assert fib(80) == 23416728348467685
    assert fib.cache_info().misses == 81


def test_a_function_that_calls_itself_with_the_same_arguments_is_an_error(
    cache: TieredCache,
) -> None:
    @memoize(cache, version="1")
    def ping(n: int) -> int:
        return pong(n)

    @memoize(cache, version="1")
    def pong(n: int) -> int:
        return ping(n)

    for _ in range(2):
        with pytest.raises(ReentryError, match="same arguments"):
            ping(1)


def test_a_memoized_function_looks_like_the_function(cache: TieredCache) -> None:
    async def later(n: int) -> int:
        """Say n."""
        return n

    f, g = memoize(cache)(one), memoize(cache)(later)
    assert (f.__name__, f.__wrapped__, inspect.signature(f)) == (
        "one",
        one,
        inspect.signature(one),
    )
    assert (g.__name__, g.__doc__) == ("later", "Say n.")
    assert inspect.iscoroutinefunction(g)
    assert asyncio.run(g(3)) == 3  # type: ignore[arg-type]
    assert g.key(3) == g.key(n=3)


def test_one_string_is_no_collection_of_tags(cache: TieredCache) -> None:
    with pytest.raises(TypeError, match="tags"):
        memoize(cache, tags="users")(one)
    with pytest.raises(TypeError, match="tags"):
        memoize(cache, tags=lambda n: "users")(one)(1)


def test_results_of_a_process_are_there_for_the_next(cache: TieredCache, tmp_path: Path) -> None:
    f = counted(cache, lambda n: [n])
    f(1)
    with TieredCache(MemoryTier(), DiskTier(tmp_path / "results")) as later:
        g = counted(later, lambda n: 1 / 0)
        assert g(1) == [1]
