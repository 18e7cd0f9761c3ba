"""Claims: which process computes a result, told by locks that die with their owner.

One file stands for all keys: a claim is an exclusive lock on the one byte of it whose number the
key gives. Nothing is written, so the file stays empty. The kernel drops the locks of a process
that ends in whatever way, so a dead owner never has to be found out about; and since the locks
belong to the opened file and not to the process (`F_OFD_SETLK`), two handles of one process
exclude each other like two processes.

A child that was forked shares its parent's opened file, and with it the locks: it opens its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading

from pstructs.cache.digests import Digest
from pstructs.cache.forks import after_fork

__all__ = ["Claims"]

_FLOCK = "hhqqi0q"  # struct flock: type, whence, start, length, pid (0 for such locks)


class Claims:
    """The claims of one handle.

    Parameters
    ----------
    path : str
        The file that the locks are on; made if it does not exist.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._file: int | None = None
        after_fork(self)

    def claim(self, key: Digest) -> bool:
        """Take the lock of `key`; False when another handle has it. Never waits."""
        try:
            self._set(key, fcntl.F_WRLCK)
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EACCES):
                raise
            return False
        return True

    def release(self, key: Digest) -> None:
        """Give the lock of `key` back."""
        if self._file is not None:  # else close() or a fork has given back all
            self._set(key, fcntl.F_UNLCK)

    def _set(self, key: Digest, kind: int) -> None:
        with self._lock:
            if self._file is None:
                self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
            place = int.from_bytes(key[:8], "little") >> 2  # a file has at most 2**63 bytes
            lock = struct.pack(_FLOCK, kind, os.SEEK_SET, place, 1, 0)
            fcntl.fcntl(self._file, fcntl.F_OFD_SETLK, lock)

    def close(self) -> None:
        """Give back all claims."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _after_fork(self) -> None:
        self._lock = threading.Lock()
        self._forget()
