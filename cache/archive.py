"""Archives: versions that moved out of the store into one cold file.

An archive is a pack that needs no other one: its root is a dict with the rows of the versions and
a map of their values by digest, so it is read in place as any pack is, and what the versions
share is in it once. Any reader of packs can read it without the store.

    {"pstructs archive": 1, "versions": {id: {...}}, "values": {digest of the value: value}}

In the store an archived version is one that has expired, with a row that says where its value is:

    pstructs_archived  a row a version: the archive's uuid, and the name it was written to
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from pstructs import pmap
from pstructs.cache import pins
from pstructs.cache.catalog import seal
from pstructs.cache.disk import write_fully
from pstructs.cache.expiring import always
from pstructs.cache.whole import whole_file
from pstructs.errors import (
    ArchivedVersionError,
    HeldVersionError,
    StoreDamagedError,
    StorePathError,
)
from pstructs.packs import Pack, PackWriter

if TYPE_CHECKING:
    from pstructs.cache.commit import Committer
    from pstructs.cache.folder import Folder
    from pstructs.cache.version import Version

__all__ = [
    "SCHEMA",
    "archive",
    "archived",
    "archives_of",
    "attach",
    "open_archive",
    "read_archived",
]

SCHEMA = (
    "CREATE TABLE pstructs_archived"
    " (number INTEGER PRIMARY KEY, archive BLOB NOT NULL, file TEXT NOT NULL, sum BLOB NOT NULL)",
)

MARK = "pstructs archive"
_ALL = "SELECT number, archive, file, sum FROM pstructs_archived"


class Archived(NamedTuple):
    """Where the value of an archived version is: the archive's uuid and its file."""

    number: int
    archive: bytes
    file: str


def _row(folder: Folder, row: tuple[Any, ...]) -> Archived:
    if row[-1] != seal(folder.catalog.store, "archived", *row[:-1]):
        folder.catalog.damaged(f"the row that says where version {row[0]!r:.40} is is damaged")
    return Archived(*row[:-1])


def archived(folder: Folder, con: sqlite3.Connection, version: Version) -> Archived | None:
    """Return where the value of a version was moved to; None if it was not."""
    row = con.execute(_ALL + " WHERE number = ?", (version.number,)).fetchone()
    return None if row is None else _row(folder, row)


def archives_of(folder: Folder, con: sqlite3.Connection) -> list[Archived]:
    """Return all rows of archived versions."""
    return [_row(folder, row) for row in con.execute(_ALL + " ORDER BY number").fetchall()]


# ---- writing
def _check(folder: Folder, con: sqlite3.Connection, versions: Sequence[Version]) -> None:
    """Raise unless all these may leave the store."""
    reasons = always(folder, con)
    for version in versions:
        pins.check_value(folder.catalog, con, version)
        if found := reasons.get(version.number):
            raise HeldVersionError(
                f"{folder.path}: {version} can't be archived, it has to stay in the store "
                f"({', '.join(found)}); nothing was changed"
            )


def archive(folder: Folder, committer: Committer, versions: Sequence[Version], path: str) -> None:
    """Write the values of versions into a file, then give them up; see `SnapshotStore.archive`."""
    with folder.using():
        with committer.guard():
            _check(folder, folder.con, versions)
        values = {
            version.root: folder.open_pack(bytes.fromhex(version.pack)).root()
            for version in versions
        }
        rows = {v.id: {**asdict(v), "parents": list(v.parents)} for v in versions}
        writer = PackWriter({MARK: 1, "versions": pmap(rows), "values": pmap(values)})
        with whole_file(path) as out:
            write_fully(out, writer.image)
        try:
            with committer.transaction() as con:
                _check(folder, con, versions)
                for version in versions:
                    pins.expire(folder.catalog, con, version.number, f"archived in {path}")
                    row = (version.number, writer.uuid, path)
                    con.execute(
                        "INSERT INTO pstructs_archived VALUES (?, ?, ?, ?)",
                        (*row, seal(folder.catalog.store, "archived", *row)),
                    )
        except BaseException:
            if committer.poison is None:  # else the versions may be archived after all
                with contextlib.suppress(OSError):
                    os.unlink(path)
            raise


# ---- reading
def open_archive(path: str, trusted: bool) -> Pack:
    """Return the pack that an archive is.

    Raises
    ------
    StorePathError
        When there is none.
    """
    try:
        pack = Pack.from_file(path, trusted=trusted)
    except FileNotFoundError as error:
        raise StorePathError(errno.ENOENT, "there is no such archive", path) from error
    root = pack.root()
    if not isinstance(root, dict) or root.get(MARK) != 1:
        raise StorePathError(
            errno.EINVAL, "the file is a pack, but no archive that this version can read", path
        )
    return pack


def attach(folder: Folder, path: str, trusted: bool) -> int:
    """Let `read_archived` look into an archive; return how many versions it holds."""
    with folder.errors:
        pack = open_archive(path, trusted)
        folder.archives[pack.uuid] = pack
        return len(pack.root()["versions"])


def read_archived(folder: Folder, version: Version, where: Archived) -> Any:
    """Return the value of an archived version.

    Raises
    ------
    ArchivedVersionError
        When its archive is not attached.
    StoreDamagedError
        When the archive holds something else than the version says.
    """
    pack = folder.archives.get(where.archive)
    if pack is None:
        raise ArchivedVersionError(
            f"{folder.path}: {version} was moved to the archive {where.file}; attach it to read "
            f"the version: store.attach_archive({where.file!r}), or wherever the file is now"
        )
    values = pack.root()["values"]
    if version.root in values:
        value = values[version.root]
        if PackWriter(value, importable=lambda other: True).root_digest.hex() == version.root:
            return value
    raise StoreDamagedError(
        f"{folder.path}: {version} is not in the archive {where.file} as it was; restore the "
        "archive from a copy"
    )
