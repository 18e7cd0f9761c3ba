"""Syncs that threads share: what makes a group commit.

A small save spends most of its time in the sync of SQLite's log, and a sync puts all on the disk
that was written before it began, whoever wrote it. So threads write first, and then wait for a
sync that begins after that. While one runs, those that come wait; when it ends, one of them
syncs for all:

    A   write, sync 1 -----------> done
    B      write, waits . . . . .  sync 2 ----> done
    C          write, waits . . . . . . . . . > done      (sync 2 began after C's write)

The log is opened a second time for that. The handle is kept, since Linux tells an error of a
sync to each handle once: one that is opened later might never hear of it. (No lock of SQLite is
on the log, so closing this handle drops none.)
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable

from pstructs.cache.disk import SyncError

__all__ = ["LogFile", "SharedSync"]

_sync_data = getattr(os, "fdatasync", os.fsync)


class LogFile:
    """A file that another library writes, and that is synced from here.

    Parameters
    ----------
    path : str
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._handle = -1

    def sync(self) -> None:
        """Put what was written to the file on the disk.

        Raises
        ------
        SyncError
        """
        try:
            self._open()
            _sync_data(self._handle)
        except OSError as error:
            text = f"sync of the log failed: {error.strerror}"
            raise SyncError(error.errno, text, self.path) from error

    def _open(self) -> None:
        if self._handle >= 0 and os.path.samestat(os.stat(self.path), os.fstat(self._handle)):
            return
        self.close()
        self._handle = os.open(self.path, os.O_RDONLY)

    def close(self) -> None:
        """Give the handle back; the next sync opens the file anew."""
        handle, self._handle = self._handle, -1
        if handle >= 0:
            with contextlib.suppress(OSError):
                os.close(handle)

    __del__ = close


class SharedSync:
    """Lets all threads that wait at the same time share one sync.

    Parameters
    ----------
    sync : callable
        Syncs; raises `SyncError` when that fails. One thread at a time calls it.
    """

    def __init__(self, sync: Callable[[], None]) -> None:
        self._sync = sync
        self._changed = threading.Condition()
        self._begun = self._done = 0  # how many syncs have
        self._running = False
        self._failure: SyncError | None = None

    def wait(self) -> None:
        """Return when a sync that began after this call has succeeded.

        Raises
        ------
        SyncError
            When one has failed, now or earlier: whether a later one that succeeds covers what
            was written before can't be known.
        """
        with self._changed:
            mine = self._begun + 1
            while self._done < mine:
                if self._failure is not None:
                    raise SyncError(*self._failure.args) from self._failure
                if self._running:
                    self._changed.wait()
                else:
                    self._run()

    def _run(self) -> None:
        """Sync for all that wait by now; holds the lock before and after."""
        self._running = True
        self._begun = turn = self._begun + 1
        self._changed.release()
        failure: SyncError | None = None
        done = False
        try:
            self._sync()
            done = True
        except SyncError as error:
            failure = error
        finally:  # a KeyboardInterrupt passes: another one of those that wait begins anew
            self._changed.acquire()
            self._running = False
            if done:
                self._done = turn
            self._failure = self._failure or failure
            self._changed.notify_all()
