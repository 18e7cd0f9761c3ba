"""What a forked child has to put right: locks that threads of its parent held, shared files."""

from __future__ import annotations

import os
import weakref
from typing import Protocol

__all__ = ["Forked", "after_fork"]


class Forked(Protocol):
    """Something that has to know that its process is a copy now."""

    def _after_fork(self) -> None: ...


_alive: weakref.WeakSet[Forked] = weakref.WeakSet()


def after_fork(thing: Forked) -> None:
    """Have `thing._after_fork()` called in every child, for as long as `thing` lives."""
    _alive.add(thing)


def _tell_all() -> None:
    for thing in list(_alive):
        thing._after_fork()


os.register_at_fork(after_in_child=_tell_all)
