"""A result is computed once, by threads, tasks, and mixtures of them."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pstructs.cache import DiskTier, MemoryTier, TieredCache, digest, memoize
from pstructs.errors import ReentryError


@pytest.fixture(params=["memory", "memory and disk", "disk"])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    tiers = {
        "memory": lambda: [MemoryTier()],
        "memory and disk": lambda: [MemoryTier(), DiskTier(tmp_path / "results")],
        "disk": lambda: [DiskTier(tmp_path / "results")],
    }[request.param]()
    with TieredCache(*tiers) as made:
        yield made


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    with concurrent.futures.ThreadPoolExecutor(count) as pool:
        return [future.result(30) for future in [pool.submit(work) for _ in range(count)]]


def test_a_stampede_of_threads_computes_once(cache: TieredCache) -> None:
    calls = []

    @memoize(cache, version="1")
    def slow(n: int) -> list[int]:
        calls.append(n)
        time.sleep(0.1)
        return [n]

    results = in_threads(8, lambda: slow(7))
    assert results == [[7]] * 8
    assert calls == [7]
    assert len({id(result) for result in results}) == 8  # lists that can be changed
    assert slow.cache_info()[:2] == (7, 1)


def test_a_stampede_of_tasks_computes_once(cache: TieredCache) -> None:
    calls = []

    @memoize(cache, version="1")
    async def slow(n: int) -> list[int]:
        calls.append(n)
        await asyncio.sleep(0.1)
        return [n]

    async def main() -> list[list[int]]:
        return await asyncio.gather(*[slow(7) for _ in range(8)])

    assert asyncio.run(main()) == [[7]] * 8
    assert asyncio.run(main()) == [[7]] * 8
    assert calls == [7]


def test_event_loops_and_threads_wait_for_each_other(cache: TieredCache) -> None:
    calls = []

    def compute() -> int:
        calls.append("plain")
        time.sleep(0.1)
        return 7

    async def compute_async() -> int:
        calls.append("async")
        await asyncio.sleep(0.1)
        return 7

    def plain() -> Any:
        return cache.get_or_compute("k", compute)

    def looped() -> Any:
        return asyncio.run(cache.get_or_compute_async("k", compute_async))

    turn = iter([plain, looped] * 4)
    lock = threading.Lock()

    def work() -> Any:
        with lock:
            function = next(turn)
        return function()

    assert in_threads(8, work) == [7] * 8
    assert len(calls) == 1


def test_other_results_are_computed_meanwhile(cache: TieredCache) -> None:
    barrier = threading.Barrier(4, timeout=10)

    @memoize(cache, version="1")
    def meet(n: int) -> int:
        barrier.wait()  # breaks unless all four are here
        return n

    numbers = iter(range(4))
    lock = threading.Lock()

    def work() -> int:
        with lock:
            n = next(numbers)
        return meet(n)

    assert sorted(in_threads(4, work)) == [0, 1, 2, 3]


def test_all_who_wait_get_the_exception_and_the_next_computes_anew(cache: TieredCache) -> None:
    calls = []

    @memoize(cache, version="1")
    def fail() -> int:
        calls.append(1)
        time.sleep(0.1)
        if len(calls) == 1:
            raise OSError("first time")
        return 5

    def work() -> Any:
        try:
            return fail()
        except OSError as error:
            return str(error)

    assert in_threads(4, work) == ["first time"] * 4
    assert fail() == 5


def test_when_the_computing_task_is_cancelled_another_takes_over(cache: TieredCache) -> None:
    calls = []

    @memoize(cache, version="1")
    async def slow() -> int:
        calls.append(1)
        await asyncio.sleep(0.2)
        return 5

    async def main() -> tuple[int, int]:
        tasks = [asyncio.create_task(slow()) for _ in range(3)]
        await asyncio.sleep(0.1)
        tasks[0].cancel()
        tasks[1].cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(d) for d in done] == [asyncio.CancelledError, asyncio.CancelledError, int]
        return done[2], await slow()  # type: ignore[return-value]

    assert asyncio.run(main()) == (5, 5)
    assert len(calls) == 2


def test_a_waiter_that_is_cancelled_leaves_the_others_alone(cache: TieredCache) -> None:
    @memoize(cache, version="1")
    async def slow() -> int:
        await asyncio.sleep(0.2)
        return 5

    async def main() -> list[Any]:
        tasks = [asyncio.create_task(slow()) for _ in range(4)]
        await asyncio.sleep(0.1)
        tasks[2].cancel()
        return await asyncio.gather(*tasks, return_exceptions=True)

    done = asyncio.run(main())
    assert [done[0], done[1], done[3]] == [5, 5, 5]
    assert isinstance(done[2], asyncio.CancelledError)


def test_an_async_recursion_with_the_same_arguments_is_an_error(cache: TieredCache) -> None:
    @memoize(cache, version="1")
    async def direct(n: int) -> int:
        return await direct(n)

    @memoize(cache, version="1")
    async def by_tasks(n: int) -> int:
        return sum(await asyncio.gather(by_tasks(n), by_tasks(n)))

    for function in (direct, by_tasks):
        with pytest.raises(ReentryError, match="same arguments"):
            asyncio.run(asyncio.wait_for(function(1), 10))


def test_an_async_function_may_call_itself_with_other_arguments(cache: TieredCache) -> None:
    @memoize(cache, version="1")
    async def fib(n: int) -> int:
        return n if n < 2 else sum(await asyncio.gather(fib(n - 1), fib(n - 2)))

    assert asyncio.run(fib(20)) == 6765
    assert fib.cache_info().misses == 21


def test_a_task_that_outlives_its_computation_may_ask_for_the_result(cache: TieredCache) -> None:
    async def main() -> int:
        late: list[asyncio.Task[int]] = []

        @memoize(cache, version="1")
        async def start(n: int) -> int:
            async def ask() -> int:
                await asyncio.sleep(0.1)
                start.invalidate(n)
                return await start(n) if len(late) == 1 else n

            late.append(asyncio.create_task(ask()))
            return n

        await start(7)
        return await late[0]

    assert asyncio.run(main()) == 7


def test_a_plain_call_does_not_block_the_loop_it_waits_for(cache: TieredCache) -> None:
    async def compute_async() -> int:
        await asyncio.sleep(0.2)
        return 1

    async def main() -> None:
        task = asyncio.create_task(cache.get_or_compute_async("k", compute_async))
        await asyncio.sleep(0.1)
        with pytest.raises(ReentryError, match="await"):
            cache.get_or_compute("k", lambda: 2)
        assert await task == 1

    asyncio.run(main())


def test_the_loop_goes_on_while_it_waits_for_another_owner(tmp_path: Path) -> None:
    other, cache = DiskTier(tmp_path / "r"), TieredCache(DiskTier(tmp_path / "r"))
    other.claim(digest("k"))

    async def compute() -> int:
        return 1

    async def main() -> tuple[int, int]:
        task = asyncio.create_task(cache.get_or_compute_async("k", compute))
        ticks = 0
        for _ in range(10):
            await asyncio.sleep(0.02)
            ticks += not task.done()
        other.release(digest("k"))
        return await task, ticks

    assert asyncio.run(main()) == (1, 10)


def test_a_long_wait_for_another_owner_ends_in_computing_here_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = DiskTier(tmp_path / "r")
    cache = TieredCache(MemoryTier(), DiskTier(tmp_path / "r"), wait=0.1)
    other.claim(digest("k"))
    assert cache.get_or_compute("k", lambda: 3) == 3
    assert "0.1 s" in caplog.text
    assert not cache.tiers[1].claim(digest("k"))  # it is still the other's
    assert other.get(digest("k")).value() == 3  # type: ignore[union-attr]


def test_a_child_forked_in_the_middle_of_everything_can_use_the_cache(cache: TieredCache) -> None:
    """Threads compute and hold locks when the process is forked; the child has none of them."""
    stop = threading.Event()

    def busy() -> None:
        n = 0
        while not stop.is_set():
            n += 1
            cache.get_or_compute(("busy", n % 50), lambda: time.sleep(0.001) or [n])
            cache.get(("busy", n % 7))

    threads = [threading.Thread(target=busy) for _ in range(3)]
    computing = threading.Event()

    def slow() -> int:
        computing.set()
        time.sleep(1)
        return 1

    threads.append(threading.Thread(target=lambda: cache.get_or_compute(("busy", "slow"), slow)))
    for thread in threads:
        thread.start()
    computing.wait(10)
    try:
        for n in range(5):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    for k in range(20):
                        assert cache.get_or_compute(("child", n, k), lambda k=k: k) == k
                    cache.get(("busy", 3))
                    code = 0
                finally:
                    os._exit(code)
            end = time.monotonic() + 20
            while (done := os.waitpid(pid, os.WNOHANG))[0] == 0 and time.monotonic() < end:
                time.sleep(0.01)
            if done[0] == 0:
                os.kill(pid, 9)
                os.waitpid(pid, 0)
            assert done == (pid, 0)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
