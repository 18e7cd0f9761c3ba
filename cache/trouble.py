"""What goes wrong below a store, said in its words.

SQLite and the operating system report troubles by numbers. `explained` turns them into the
errors of this library, each with what to do about it, and never hides which one it was
(`__cause__`).
"""

from __future__ import annotations

import errno
import sqlite3
from types import TracebackType

from pstructs.cache.disk import SyncError
from pstructs.errors import (
    StoreClosedError,
    StoreDamagedError,
    StoreError,
    StoreFullError,
    StorePathError,
)

__all__ = ["Explained", "from_os", "from_sqlite"]

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {"SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH"}
_ELSEWHERE = {"SQLITE_NOMEM", "SQLITE_INTERRUPT", "SQLITE_MISUSE", "SQLITE_PROTOCOL"}


def _sync_failed(path: str, error: Exception) -> StoreClosedError:
    return StoreClosedError(
        f"{path}: the disk could not confirm a write ({error}). The save is not acknowledged, and "
        "this handle takes no more writes, since the operating system may have dropped what it "
        "held back. Saved versions can still be read. Check the disk, then open the store anew "
        "and run verify()"
    )


def from_sqlite(path: str, error: sqlite3.Error) -> StoreError:
    """Return the error to raise for one of SQLite's."""
    name = getattr(error, "sqlite_errorname", "") or ""
    family = "_".join(name.split("_")[:2])
    if (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_IOERR:
        family = "SQLITE_IOERR"  # Python does not know the names of all of its kinds
    if isinstance(error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
        return StoreError(f"{path}: the catalog can't be used ({error})")
    if name in ("SQLITE_IOERR_FSYNC", "SQLITE_IOERR_DIR_FSYNC"):
        return _sync_failed(path, error)
    if family == "SQLITE_FULL" or name in ("SQLITE_IOERR_WRITE", "SQLITE_IOERR_SHMSIZE"):
        return _full(path, error)
    if family in ("SQLITE_BUSY", "SQLITE_LOCKED"):
        return StoreError(
            f"{path}: another process held the store's write lock for over a minute; nothing was "
            "written. Find the process that hangs in a save, and try again"
        )
    if family in _REFUSED:
        return StorePathError(
            errno.EACCES,
            f"the catalog can't be opened or written ({error}); give this user read and write "
            "access to the folder and to all files in it",
            path,
        )
    if family == "SQLITE_IOERR" or family in _ELSEWHERE:
        return StoreError(
            f"{path}: the catalog can't be reached ({name}: {error}); check the disk"
        )
    return _damaged(path, error)


def _damaged(path: str, error: Exception) -> StoreDamagedError:
    return StoreDamagedError(
        f"{path}: the catalog is damaged ({error}). Keep the folder as it is, and restore the "
        "store from a copy"
    )


def _full(path: str, error: Exception) -> StoreFullError:
    number = error.errno if isinstance(error, OSError) and error.errno else errno.ENOSPC
    return StoreFullError(
        number,
        f"the disk or a quota is full ({error}); nothing was committed and saved versions are "
        "untouched. Free some space and save again",
        path,
    )


def from_os(path: str, error: OSError) -> StoreError:
    """Return the error to raise for one of the operating system's."""
    if isinstance(error, SyncError):
        return _sync_failed(path, error)
    if error.errno in FULL:
        return _full(path, error)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorePathError(
            error.errno,
            f"the store can't be written ({error.strerror}); give this user write access to the "
            "folder and to all files in it",
            error.filename or path,
        )
    return StoreError(f"{path}: the disk refused ({error}); nothing was committed")


class Explained:
    """A context manager that raises this library's errors in place of the layers' below.

    Parameters
    ----------
    path : str
        The store, for the message.
    """

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None or isinstance(error, StoreError):
            return
        if isinstance(error, sqlite3.Error):
            raise from_sqlite(self.path, error) from error
        if isinstance(error, OSError):
            raise from_os(self.path, error) from error
        if isinstance(error, UnicodeDecodeError):  # sqlite3 decodes a damaged schema's text
            raise _damaged(self.path, error) from error
