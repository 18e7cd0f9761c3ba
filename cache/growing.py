"""A pack that is written bit by bit, and the file that its entries wait in."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from io import FileIO
from typing import IO

from pstructs.cache.disk import (
    MODE_BINARY,
    MODE_RAW,
    ROW_LIMIT,
    Columns,
    RawDisk,
    sync_file,
    sync_folder,
    write_fully,
)

__all__ = ["GrowingPack"]

Guard = Callable[[], contextlib.AbstractContextManager[None]]


class GrowingPack:
    """A pack on its way to the disk: in memory until it is too large for a row, then a file.

    Parameters
    ----------
    disk : RawDisk
    uuid : bytes
        Of the pack. Its file goes when the commit it is for does not happen: that is seen to by
        `Committer.underway`.
    guard : callable
        Returns a context that explains what goes wrong with the disk.
    """

    def __init__(self, disk: RawDisk, uuid: bytes, guard: Guard) -> None:
        self._name, self._path = disk.filename(uuid)
        self._folder, self._guard = disk.folder, guard
        self._start = bytearray()
        self._open = contextlib.ExitStack()
        self._file: FileIO | None = None
        self._spill: IO[bytes] | None = None

    def __enter__(self) -> GrowingPack:
        return self

    def __exit__(self, *error: object) -> None:
        self._open.close()

    def write(self, data: bytes) -> None:
        """Add bytes to the pack."""
        if self._file is None:
            self._start += data
            if len(self._start) < ROW_LIMIT:
                return
            data = bytes(self._start)
            self._start.clear()
        with self._guard():
            if self._file is None:
                self._file = self._open.enter_context(FileIO(self._path, "xb"))
            write_fully(self._file, data)

    def finish(self, header: bytes, *, sync: bool) -> Columns:
        """Put the header in front of the pack; return what the pack's row says."""
        if self._file is None:
            return 0, MODE_RAW, None, header + self._start[len(header) :]
        with self._guard():
            size = self._file.tell()
            self._file.seek(0)
            write_fully(self._file, header)
            if sync:
                sync_file(self._path)
                sync_folder(os.path.dirname(self._path))
        return size, MODE_BINARY, self._name, None

    def spill(self, move: Callable[[IO[bytes]], object]) -> None:
        """Call `move` with the file for what does not fit into memory.

        It has no name, so however the process ends, nothing of it is left.
        """
        with self._guard():
            if self._spill is None:
                self._spill = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115
                self._open.callback(self._spill.close)
            move(self._spill)
