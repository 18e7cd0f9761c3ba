"""How packs lie on disk: raw bytes only, through diskcache.

diskcache keeps a table of values in SQLite and moves large ones into files; what a value looks
like on disk is decided by its `Disk` class. The default one pickles whatever is not a string or
a number, and unpickles what it finds, so that whoever can write into the folder can run code
(CVE-2025-69872). `RawDisk` knows one kind of key (the 16-byte uuid of a pack) and one kind of
value (bytes). Rows of any other kind are refused, when written and when read.

A pack of 32 KiB or more is a file of its own, `packs/<uuid>.pack`, so that it can be
memory-mapped; a smaller one is a blob in its row. `SnapshotStore.compress` replaces the file by
`packs/<uuid>.pack.zst`; the size in the row stays that of the pack.
"""

from __future__ import annotations

import contextlib
import os
from io import RawIOBase
from typing import Any, BinaryIO, TypeAlias

import diskcache

from pstructs.cache.squeezed import SUFFIX, Squeezed
from pstructs.errors import StoreDamagedError

__all__ = [
    "PACK_FOLDER",
    "ROW_LIMIT",
    "Columns",
    "RawDisk",
    "SyncError",
    "sync_file",
    "sync_folder",
    "write_fully",
]

ROW_LIMIT = 32 * 1024
PACK_FOLDER = "packs"
KEY_BYTES = 16
MODE_RAW, MODE_BINARY = 1, 2  # diskcache's numbers; 3 is text and 4 is a pickle

#: The columns size, mode, filename and value of a row.
Columns: TypeAlias = tuple[int, int, str | None, bytes | memoryview | None]


class SyncError(OSError):
    """The operating system could not promise that written bytes are on the disk."""


def sync_folder(path: str) -> None:
    """Sync a folder, so that the names of new files in it survive a power cut."""
    if os.name == "nt":  # folders can't be opened there, and NTFS journals names itself
        return
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    try:
        os.fsync(handle)
    except OSError as error:
        raise SyncError(
            error.errno, f"sync of the folder failed: {error.strerror}", path
        ) from error
    finally:
        os.close(handle)


def sync_file(path: str) -> None:
    """Sync a file that was written before."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        raise SyncError(error.errno, f"sync of a pack failed: {error.strerror}", path) from error
    finally:
        os.close(handle)


def write_fully(out: RawIOBase, data: bytes | memoryview) -> None:
    """Write all of `data`: a signal or a nearly full disk makes short writes."""
    view = memoryview(data)
    done = 0
    while done < len(view):
        done += out.write(view[done:]) or 0


class RawDisk(diskcache.Disk):  # type: ignore[misc]
    """A diskcache `Disk` that stores and returns raw bytes only, and never pickles.

    Parameters
    ----------
    directory : str
        The folder of the store.
    min_file_size : int
        Values of this many bytes and more become files.
    pickle_protocol : int
        Ignored: diskcache passes it to every disk.
    """

    def __init__(
        self, directory: str, min_file_size: int = ROW_LIMIT, pickle_protocol: int = 0
    ) -> None:
        super().__init__(directory, min_file_size=min_file_size, pickle_protocol=0)
        self.folder = directory

    # ---- keys
    def put(self, key: object) -> tuple[bytes, bool]:
        """Return `key` as the columns `key` and `raw`; only uuids of packs are keys."""
        if type(key) is not bytes or len(key) != KEY_BYTES:
            raise TypeError(f"keys are the 16 bytes of a pack's uuid, got {key!r:.60}")
        return key, True

    def get(self, key: object, raw: object) -> bytes:
        """Return the key of a row; a pickled one is refused."""
        if type(key) is not bytes or not raw:
            raise StoreDamagedError(
                f"a row of the store has a key that is not raw bytes ({key!r:.60}, raw={raw!r}); "
                "nothing was unpickled. Run verify() and restore the store from a copy"
            )
        return key

    # ---- values
    def filename(self, key: Any = None, value: Any = None) -> tuple[str, str]:
        """Return the path of the pack `key`, from the store's folder and in full."""
        db_key, _ = self.put(key)
        name = f"{PACK_FOLDER}/{db_key.hex()}.pack"
        return name, os.path.join(self.folder, name)

    def forms(self, key: bytes) -> dict[str, str]:
        """Return the files that the pack `key` can be, plain and compressed: name and path."""
        name, path = self.filename(key)
        return {name: path, name + SUFFIX: path + SUFFIX}

    def store(self, value: object, read: bool, key: Any = None) -> Columns:
        """Store `value` and return its columns size, mode, filename and value."""
        if read:
            raise TypeError("a store takes bytes, not open files")
        return self.write(key, value, sync=True)

    def write(self, key: bytes, value: object, *, sync: bool) -> Columns:
        """Store `value`; with `sync` a file is on the disk when this returns.

        Raises
        ------
        TypeError
            For anything but bytes.
        OSError
            When the disk refuses; no file is left behind. `SyncError` when a sync failed.
        """
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"a store holds bytes only, got {type(value).__name__}")
        view = memoryview(value).cast("B")
        if len(view) < self.min_file_size:
            return 0, MODE_RAW, None, view
        name, path = self.filename(key)
        try:
            self.write_file(path, view, sync=sync)
        except FileExistsError:
            raise
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(path)
            raise
        return len(view), MODE_BINARY, name, None

    def columns_of_file(self, key: bytes, size: int) -> Columns:
        """Return the columns of a pack of `size` bytes whose file is in its place."""
        return size, MODE_BINARY, self.filename(key)[0], None

    def write_file(self, path: str, view: memoryview, *, sync: bool) -> None:
        """Write a file that was not there; with `sync` it is on the disk when this returns."""
        with open(path, "xb", buffering=0) as out:
            write_fully(out, view)
            if sync:
                try:
                    os.fsync(out.fileno())
                except OSError as error:
                    text = f"sync of a pack failed: {error.strerror}"
                    raise SyncError(error.errno, text, path) from error
        if sync:
            sync_folder(os.path.dirname(path))

    def locate(
        self, key: bytes, mode: object, filename: object, value: object, size: object = None
    ) -> str | bytes | Squeezed:
        """Return where the value of a row is: the full path of its file, or its bytes.

        Compressed packs are found only when `size` is given, which they may not exceed.

        Raises
        ------
        StoreDamagedError
            When the row is of a kind that `RawDisk` never writes: pickled, text, or a file
            outside its place.
        """
        if mode == MODE_RAW and filename is None and type(value) is bytes:
            return value
        name, path = self.filename(key)
        if mode == MODE_BINARY and filename == name and value is None:
            return path
        squeezed = mode == MODE_BINARY and filename == name + SUFFIX and value is None
        if squeezed and isinstance(size, int) and size > 0:
            return Squeezed(path + SUFFIX, size)
        raise StoreDamagedError(
            f"the row of pack {key.hex()} is of a kind that no store writes (mode {mode!r}, "
            f"file {filename!r:.80}); nothing was unpickled. Run verify() and restore the store "
            "from a copy"
        )

    def occupied(self, key: bytes, size: int | None, filename: object, length: int | None) -> int:
        """Return how many bytes a pack takes up: in its file, or in its row."""
        if filename == self.filename(key)[0] + SUFFIX:
            try:
                return os.path.getsize(self.forms(key)[str(filename)])
            except FileNotFoundError:  # it was replaced since the row was read
                pass
        return int(size or length or 0)

    def fetch(self, mode: object, filename: Any, value: object, read: bool) -> bytes | BinaryIO:
        """Return the bytes of a row, or its open file when `read` is true and it has one."""
        stem = os.path.splitext(os.path.basename(filename))[0] if type(filename) is str else ""
        try:
            key = bytes.fromhex(stem) if stem else bytes(KEY_BYTES)
            where = self.locate(key, mode, filename, value)
        except (ValueError, TypeError):
            raise StoreDamagedError(
                f"a row of the store names {filename!r:.80}, which is not a pack's file"
            ) from None
        if isinstance(where, bytes):
            return where
        assert isinstance(where, str)  # no size was given
        if read:
            return open(where, "rb")
        with open(where, "rb") as source:
            return source.read()

    def remove(self, file_path: str) -> None:
        """Remove a pack's file; the folder of packs stays."""
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(self.folder, file_path))
