"""Leases: how a collector knows what readers may still need, while no reader waits for anything.

Packs are mapped when a value first reaches into them, so a value that was loaded long ago may ask
for a pack that has become garbage since. Each time packs are retired the store's *epoch* goes up
by one (collecting.py), and each process that has the store open holds a lease: an empty promise
turned around, "I may need whatever was in use at epoch E or later". Packs retired at epoch R go
only when all leases that are held have E >= R.

    <store>/leases/<E>-<random>.lease      held by flock; its text says who holds it

- The operating system releases a lock when the last process that has it dies, however it dies. A
  file that nobody has locked is a dead lease, and whoever finds it removes it.
- A lease never changes: to move on, a process takes a new one and lets go of the old one. So a
  child that was forked keeps what its parent had at that moment, for as long as it lives.
- The lease is there before the catalog is read. Whoever listed the leases before that has
  retired its packs even earlier, and then what is read does not lead to them.
- It moves on by itself when the store is used: to the present epoch, or to just before the first
  retired pack that the process has open, or to where a call began that is not over.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from pstructs.cache.forks import INSIDE, after_fork
from pstructs.cache.pending import owner

__all__ = ["LEASE_FOLDER", "Held", "Lease", "held"]

LEASE_FOLDER = "leases"
_NAME = re.compile(r"([0-9]{1,18})-[0-9a-f]{16}\.lease")
_PATIENCE = 1.0  # seconds between two looks at whether an old value is still there


class Held(NamedTuple):
    """A lease that someone holds."""

    name: str
    epoch: int
    owner: str


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _look(path: str, name: str) -> Held | None:
    """Return the lease, or remove it and return None when nobody holds it."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    full = os.path.join(path, LEASE_FOLDER, name)
    try:
        file = os.open(full, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except PermissionError:
        return Held(name, int(match[1]), "a process of another user")
    try:
        if _lock(file):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(full)
            return None
        who = os.read(file, 500).decode(errors="replace")
    finally:
        os.close(file)
    return Held(name, int(match[1]), who or "a process that did not say its name")


def held(path: str) -> list[Held]:
    """Return all leases that are held on the store at `path`, and clear away the dead ones."""
    try:
        names = os.listdir(os.path.join(path, LEASE_FOLDER))
    except FileNotFoundError:
        return []
    return [lease for name in sorted(names) if (lease := _look(path, name)) is not None]


def _take(path: str, epoch: int) -> tuple[str, int]:
    """Make a lease; return its name and the file that holds the lock."""
    folder = os.path.join(path, LEASE_FOLDER)
    os.makedirs(folder, exist_ok=True)
    while True:
        name = f"{epoch}-{os.urandom(8).hex()}.lease"
        full = os.path.join(folder, name)
        file = os.open(full, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            # someone may have found it before it was locked, and cleared it away
            if os.fstat(file).st_nlink:
                with contextlib.suppress(OSError):  # a full disk: nobody learns who it is
                    os.write(file, owner().encode())
                return name, file
        except BaseException:
            os.close(file)
            raise
        os.close(file)


class User(Protocol):
    """What a lease has to know of the process that holds it."""

    def epoch(self) -> int:
        """Return the present epoch of the store."""

    def first_retired(self) -> int | None:
        """Return when the first of the packs that the process has open was retired, if one was."""


class Lease:
    """The lease that one process holds on a store.

    Parameters
    ----------
    path : str
        The folder of the store.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.RLock()
        after_fork(self)
        self.name: str | None = None
        self.epoch = -1
        self._file = -1
        # the threads of calls that are not over, and the epochs at which these began
        self._calls: dict[object, tuple[int, int]] = {}
        self._looked = 0.0

    def _after_fork(self) -> None:
        self._lock = threading.RLock()  # another thread of the parent may have held it
        me = threading.get_ident()  # calls of other threads are the parent's
        self._calls = {call: begun for call, begun in self._calls.items() if begun[0] == me}

    @contextlib.contextmanager
    def using(self, user: User) -> Iterator[None]:
        """Keep all that the catalog leads to from now on, until the end."""
        call = object()
        with INSIDE, self._lock:  # who waits for a fork holds nothing
            now = self._move_on(user, force=False)
            self._calls[call] = threading.get_ident(), now
        try:
            yield
        finally:
            with self._lock:
                del self._calls[call]

    def renew(self, user: User) -> None:
        """Let go of whatever this process does not need any more."""
        with INSIDE, self._lock:
            self._move_on(user, force=True)

    def _move_on(self, user: User, *, force: bool) -> int:
        """Take a later lease where that is possible; return the present epoch."""
        now = user.epoch()
        if self.name is None or (now > self.epoch and (force or self._is_time())):
            needs = [now, *(began for _, began in self._calls.values())]
            first = user.first_retired()
            limit = min(needs) if first is None else min(*needs, first - 1)
            if self.name is None or limit > self.epoch:
                self._replace(limit)
        return now

    def _is_time(self) -> bool:
        """Whether to look again if an old value that needs the old lease is still there."""
        if time.monotonic() < self._looked + _PATIENCE:
            return False
        self._looked = time.monotonic()
        return True

    def _replace(self, limit: int) -> None:
        try:
            name, file = _take(self.path, limit)
        except OSError:
            if self.name is None:
                raise
            return  # the old one keeps more than is needed: nothing is lost
        self._let_go()
        self.name, self._file, self.epoch = name, file, limit

    def part(self) -> None:
        """Take a lease that no child shares: one that was forked before goes on holding the old.

        Raises
        ------
        OSError
            When there can't be a new one; the old one stays.
        """
        with self._lock:
            if self.name is not None:
                name, file = _take(self.path, self.epoch)
                self._let_go()
                self.name, self._file = name, file

    def _let_go(self) -> None:
        if self.name is not None:
            os.close(self._file)
            with contextlib.suppress(OSError):
                _look(self.path, self.name)
            self.name, self._file = None, -1

    def drop(self) -> None:
        """Let go of everything."""
        with self._lock:
            self._let_go()
