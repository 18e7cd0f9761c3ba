"""What a fork has to keep in order: locks of threads that the child does not have, shared files.

Locks of our own are simply made anew in the child. SQLite's can't be: what a thread of the
parent does with a database at that moment goes on in the child for ever, in nobody's name. So a
fork waits until none is inside: it takes the locks that things name as theirs around all use of
SQLite, and it shuts the gate that threads pass which can't share a lock.
"""

from __future__ import annotations

import os
import threading
import weakref
from types import TracebackType
from typing import Final, Protocol

__all__ = ["INSIDE", "Forked", "Gate", "after_fork"]

_PATIENCE = 20.0  # seconds that a fork waits: longer than any sync, and not for ever


class Forked(Protocol):
    """Something that has to know that its process is a copy now."""

    def _after_fork(self) -> None: ...


_alive: weakref.WeakSet[Forked] = weakref.WeakSet()
_quiet: weakref.WeakKeyDictionary[Forked, tuple[threading.RLock, ...]] = (
    weakref.WeakKeyDictionary()
)
_forking = threading.Lock()
_held: list[threading.RLock] = []


def after_fork(thing: Forked, *locks: threading.RLock) -> None:
    """Have `thing._after_fork()` called in every child, for as long as `thing` lives.

    A fork takes `locks` before and gives them back after; whoever holds one must take no other.
    """
    _alive.add(thing)
    if locks:
        _quiet[thing] = locks


class Gate:
    """Lets in any number of threads, any number of times, and a fork when they are all out.

    A thread first says that it is in and then looks whether a fork has shut the gate; the fork
    first shuts it and then looks who is in. So at least one of them sees the other, and threads
    need no lock as long as nobody forks.
    """

    def __init__(self) -> None:
        self._inside: dict[int, int] = {}  # thread to how often it went in
        self._shut = False
        self._changed = threading.Condition()

    def __enter__(self) -> None:
        me, inside = threading.get_ident(), self._inside
        depth = inside.get(me, 0)
        inside[me] = depth + 1
        if self._shut and not depth:
            self._wait(me)

    def _wait(self, me: int) -> None:
        """Step back until the fork is done."""
        with self._changed:
            while self._shut:
                del self._inside[me]
                self._changed.notify_all()
                try:
                    self._changed.wait_for(lambda: not self._shut)
                finally:
                    self._inside[me] = 1

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        me, inside = threading.get_ident(), self._inside
        depth = inside[me] - 1
        if depth:
            inside[me] = depth
            return
        del inside[me]
        if self._shut:
            with self._changed:
                self._changed.notify_all()

    def has_me(self) -> bool:
        """Whether this thread is within."""
        return threading.get_ident() in self._inside

    def shut(self) -> None:
        """Let nobody in, and wait until no other thread is within, or for 20 s."""
        with self._changed:
            self._shut = True
            self._changed.wait_for(lambda: len(self._inside) <= self.has_me(), _PATIENCE)

    def open(self) -> None:
        """Let threads in again."""
        with self._changed:
            self._shut = False
            self._changed.notify_all()

    def renew(self) -> None:
        """Open the gate of a child, which has one thread."""
        me = threading.get_ident()
        self._changed = threading.Condition()
        self._inside = {me: self._inside[me]} if self.has_me() else {}
        self._shut = False


#: Around all that a store does with SQLite.
INSIDE: Final = Gate()


def _before() -> None:
    _forking.acquire()
    INSIDE.shut()
    for locks in list(_quiet.values()):
        for lock in locks:
            lock.acquire()
            _held.append(lock)


def _release() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


def _in_parent() -> None:
    INSIDE.open()
    _release()


def _in_child() -> None:
    INSIDE.renew()
    _release()
    for thing in list(_alive):
        thing._after_fork()


os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
