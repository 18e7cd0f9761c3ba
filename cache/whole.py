"""Files that are written outside of a store: they get their name when they are whole.

The bytes go into `<name>.pstructs-part`, which is locked while it is written. What a killed
process leaves under that name is nobody's, and the next one who writes a file of this name makes
it anew: so there is at most one leftover beside a file, and a retry clears it away.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from io import FileIO

from pstructs.cache.disk import sync_folder
from pstructs.cache.trouble import FULL
from pstructs.errors import StoreBusyError, StoreError, StoreFullError, StorePathError

__all__ = ["PART", "whole_file"]

PART = ".pstructs-part"


@contextlib.contextmanager
def whole_file(path: str, *, overwrite: bool = False) -> Iterator[FileIO]:
    """Give out a file to write, unbuffered; at the end it is on the disk and has its name.

    Parameters
    ----------
    path : str
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    StorePathError, StoreFullError
        When there is a file of that name, or it can't be written.
    StoreBusyError
        When somebody else is writing a file of that name.
    """
    if os.path.lexists(path) and not overwrite:
        raise _taken(path)
    part = path + PART
    try:
        with FileIO(_locked(part, path), "w") as out:
            try:
                yield out
                os.fsync(out.fileno())
                if overwrite:
                    os.replace(part, path)
                else:
                    os.link(part, path)  # unlike rename, never onto a file that is there
            except BaseException:
                with contextlib.suppress(OSError):
                    os.unlink(part)
                raise
            try:
                if not overwrite:
                    os.unlink(part)
                sync_folder(os.path.dirname(path) or ".")
            except BaseException:
                for name in () if overwrite else (part, path):
                    with contextlib.suppress(OSError):
                        os.unlink(name)
                raise
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        if isinstance(error, StoreError):
            raise
        kind = StoreFullError if error.errno in FULL else StorePathError
        problem = f"can't be written: {error.strerror}"
        raise kind(error.errno or errno.EIO, problem, path) from error


def _locked(part: str, path: str) -> int:
    """Return the file `part`, empty, and locked until it is closed."""
    while True:
        file = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreBusyError(
                    f"{path}: somebody else is writing a file of this name; choose another one"
                ) from None
            # it can have got its name meanwhile, or just before its writer was killed
            status = os.fstat(file)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(status, os.stat(part, follow_symlinks=False)):
                    if status.st_nlink == 1:
                        os.ftruncate(file, 0)
                        return file
                    os.unlink(part)
        except BaseException:
            os.close(file)
            raise
        os.close(file)


def _taken(path: str) -> StorePathError:
    return StorePathError(
        errno.EEXIST, "the file is there already; choose another name, or overwrite it", path
    )
