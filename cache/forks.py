"""What a fork has to keep in order: locks of threads that the child does not have, shared files.

Locks of our own are simply made anew in the child. SQLite's can't be: what a thread of the
parent does with a database at that moment goes on in the child for ever, in nobody's name. So a
fork waits until none is inside: it takes the locks that things name as theirs around all use of
SQLite.
"""

from __future__ import annotations

import os
import threading
import weakref
from typing import Protocol

__all__ = ["Forked", "after_fork"]


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


def _before() -> None:
    _forking.acquire()
    for locks in list(_quiet.values()):
        for lock in locks:
            lock.acquire()
            _held.append(lock)


def _release() -> None:
    while _held:
        _held.pop().release()
    _forking.release()


def _in_child() -> None:
    _release()
    for thing in list(_alive):
        thing._after_fork()


os.register_at_fork(before=_before, after_in_parent=_release, after_in_child=_in_child)
