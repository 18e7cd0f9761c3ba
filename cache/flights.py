"""Single flight: who asks for what is being computed waits for it, and does not compute it too.

A *flight* is one computation under way in this process. The first who asks for a key takes off;
the others, threads or tasks of any event loop, wait for its end. Who is inside the computation
of a key and asks for the same key would wait for itself: that is a `ReentryError`. Flights are
told from each other by context variables, so this holds for the tasks that a computation starts.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from contextvars import ContextVar

from pstructs.cache.digests import Digest
from pstructs.cache.entry import Entry
from pstructs.cache.forks import after_fork
from pstructs.errors import ReentryError

__all__ = ["Flight", "Flights", "running_loop"]


def running_loop() -> asyncio.AbstractEventLoop | None:
    """Return the event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Flight:
    """One computation under way.

    Those who wait get its entry, or its exception; None when it was broken off, and one of them
    has to start anew.
    """

    __slots__ = ("entry", "key", "landed", "loop")

    def __init__(self, key: Digest, loop: asyncio.AbstractEventLoop | None) -> None:
        self.key, self.loop = key, loop
        self.entry: Entry | None = None
        self.landed: Future[Entry | None] = Future()
        self.landed.set_running_or_notify_cancel()  # a waiter that is cancelled changes nothing

    def wait(self) -> Entry | None:
        """Block until it has landed; return its entry or raise its exception."""
        if self.loop is not None and self.loop is running_loop():
            raise ReentryError(
                "a plain call would have to wait for an async one that runs in the same event "
                "loop; await the async function instead"
            )
        return self.landed.result()

    async def wait_async(self) -> Entry | None:
        """Wait until it has landed; return its entry or raise its exception."""
        return await asyncio.shield(asyncio.wrap_future(self.landed))


_inside: ContextVar[tuple[Flight, ...]] = ContextVar("pstructs_flights", default=())


class Flights:
    """The computations under way of one cache."""

    def __init__(self) -> None:
        self._after_fork()
        after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._flying: dict[Digest, Flight] = {}

    def join(self, key: Digest, loop: asyncio.AbstractEventLoop | None) -> tuple[Flight, bool]:
        """Return the flight of `key`, and whether it is a new one, which is the caller's.

        Raises
        ------
        ReentryError
            When the caller is inside of it.
        """
        with self._lock:
            flight = self._flying.get(key)
            if flight is None:
                flight = self._flying[key] = Flight(key, loop)
                return flight, True
        if flight in _inside.get():
            raise ReentryError(
                "a result is asked for while it is being computed, by that computation: a "
                "memoized function calls itself with the same arguments"
            )
        return flight, False

    @contextmanager
    def inside(self, flight: Flight) -> Iterator[None]:
        """Know, in here and in the tasks that are started here, that `flight` is under way."""
        token = _inside.set((*_inside.get(), flight))
        try:
            yield
        finally:
            _inside.reset(token)

    @contextmanager
    def landing(self, flight: Flight) -> Iterator[None]:
        """End `flight` after the block: with its entry, or with the exception that passes.

        What is no `Exception` (an interrupt, a task that is cancelled) breaks the flight off.
        """
        error: Exception | None = None
        try:
            yield
        except Exception as failed:
            error = failed
            raise
        finally:
            with self._lock:
                if self._flying.get(flight.key) is flight:
                    del self._flying[flight.key]
            if error is None:
                flight.landed.set_result(flight.entry)
            else:
                flight.landed.set_exception(error)
