"""How a pack's file is replaced by a compressed one, or back, while others read it.

A pack is `packs/<uuid>.pack` or `packs/<uuid>.pack.zst`; its row in the catalog says which, and
that is what counts. A row in a journal says that there may be both:

    pstructs_recoding   a row a pack whose file is being replaced, and by whom

    (no row) -> row, the new file, sync -> the pack's row names the new file, synced
             -> the file that is not named goes, then the row

`settle` is the last step, and also what takes back the first ones: whatever happened, it removes
the file that the catalog does not name. When the owner died, or its disk did not let it, whoever
opens the store next does it.
Who has the old file mapped keeps it; who was about to open it looks again (`Folder.fetch`).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from typing import TYPE_CHECKING

from pstructs.cache.disk import PACK_FOLDER, SyncError, sync_folder
from pstructs.cache.pending import LEASE_SECONDS, is_dead, owner
from pstructs.cache.squeezed import Squeezed, squeeze, unsqueeze
from pstructs.errors import StoreClosedError, StoreDamagedError, StoreError

if TYPE_CHECKING:
    from pstructs.cache.commit import Committer
    from pstructs.cache.folder import Folder

__all__ = ["SCHEMA", "claim", "recode", "settle"]

SCHEMA = (
    "CREATE TABLE pstructs_recoding"
    " (pack BLOB PRIMARY KEY, owner TEXT NOT NULL, lease INTEGER NOT NULL) WITHOUT ROWID",
)

_FILENAME = "SELECT filename FROM Cache WHERE key = ?"
_MINE = "SELECT 1 FROM pstructs_recoding WHERE pack = ? AND owner = ?"
_RENAME = "UPDATE Cache SET filename = ? WHERE key = ? AND filename = ?"
_at_work: dict[tuple[str, bytes], object] = {}  # what threads replace: store and pack, and by whom
os.register_at_fork(after_in_child=_at_work.clear)  # a child has none of the threads
_PENDING = "SELECT 1 FROM pstructs_pending WHERE pack = ?"


def claim(con: sqlite3.Connection, pack: bytes) -> bool:
    """Say that this process replaces the file of `pack`; False when it is being replaced."""
    lease = time.time_ns() + LEASE_SECONDS * 10**9
    done = con.execute(
        "INSERT OR IGNORE INTO pstructs_recoding VALUES (?, ?, ?)", (pack, owner(), lease)
    )
    return done.rowcount == 1


def _settle(folder: Folder, con: sqlite3.Connection, pack: bytes) -> bool:
    """Remove the files of `pack` that the catalog does not name; False if that can't be told."""
    forms = folder.disk.forms(pack)
    row = con.execute(_FILENAME, (pack,)).fetchone()
    if row is not None:
        if row[0] not in forms:
            return False
        try:
            os.stat(forms.pop(row[0]))
        except FileNotFoundError:
            return False
    elif con.execute(_PENDING, (pack,)).fetchone():  # a transfer is bringing it back
        del forms[folder.disk.filename(pack)[0]]
    for path in forms.values():
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return True


def settle(folder: Folder, mine: bytes | None = None) -> None:
    """Leave one file of each pack that nobody replaces any more, or this thread, for `mine`."""
    with folder.errors:
        if not folder.con.execute("SELECT 1 FROM pstructs_recoding LIMIT 1").fetchone():
            return
    with folder.transaction(sync=True) as con:
        rows = con.execute("SELECT pack, owner, lease FROM pstructs_recoding").fetchall()
        me = owner()
        todo = [
            pack
            for pack, who, lease in rows
            if pack == mine
            or is_dead(who, lease)
            or (who == me and (folder.path, pack) not in _at_work)
        ]
        done = [pack for pack in todo if _settle(folder, con, pack)]
        sync_folder(os.path.join(folder.path, PACK_FOLDER))
        for pack in done:
            con.execute("DELETE FROM pstructs_recoding WHERE pack = ?", (pack,))


def _image(folder: Folder, place: str | Squeezed, key: bytes) -> memoryview:
    """Return the bytes of a pack that was found to be sound."""
    pack = folder.attach(place)
    pack.verify()
    if pack.uuid != key:
        raise StoreDamagedError(
            f"{folder.path}: what is stored as pack {key.hex()} is {pack.uuid.hex()}; run "
            "verify() and restore the store from a copy"
        )
    return memoryview(pack)


def _write(folder: Folder, path: str, image: memoryview, level: int | None) -> None:
    """Write the new file, and read it back when it is a compressed one."""
    data = image if level is None else memoryview(squeeze(image, level))
    folder.disk.write_file(path, data, sync=True)
    if level is not None and unsqueeze(Squeezed(path, len(image))) != image:
        raise StoreError(f"{path}: the pack was not compressed faithfully; nothing was changed")


def recode(committer: Committer, key: bytes, level: int | None) -> tuple[int, int] | None:
    """Compress a pack's file, or with `level` None expand it.

    Returns
    -------
    tuple of int or None
        How many bytes the file had and has; None when there was nothing to do: the pack lies in
        a row, has that form, would not get smaller, is gone, or somebody else is at it.

    Notes
    -----
    The commit is synced whatever the store's durability is: it is about versions of long ago.
    """
    folder, me = committer.folder, object()
    work = folder.path, key
    if _at_work.setdefault(work, me) is not me:
        return None
    try:
        with committer.guard():
            return _recode(folder, key, level)
    finally:
        del _at_work[work]


def _recode(folder: Folder, key: bytes, level: int | None) -> tuple[int, int] | None:
    found = folder.where(key)
    if found is None or not isinstance(found[1], str if level is not None else Squeezed):
        return None
    place = found[1]
    assert not isinstance(place, bytes)
    image = _image(folder, place, key)
    plain, squeezed = folder.disk.forms(key).items()
    (old, old_path), (new, path) = (plain, squeezed) if level else (squeezed, plain)
    with folder.transaction(sync=False) as con:
        if con.execute(_FILENAME, (key,)).fetchone() != (old,) or not claim(con, key):
            return None
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)  # it is nobody's: the catalog names the other one
        before = os.path.getsize(old_path)
        _write(folder, path, image, level)
        after = os.path.getsize(path)
        changed = False
        if level is None or after < before:
            with folder.transaction(sync=True) as con:
                if not con.execute(_MINE, (key, owner())).fetchone():
                    raise StoreError(
                        f"{folder.path}: this took so long that another process took its "
                        "owner for dead; nothing was changed. Try again"
                    )
                changed = con.execute(_RENAME, (new, key, old)).rowcount == 1
    except (StoreClosedError, SyncError):
        raise  # it can't be known what is on the disk: the next opening will see
    except BaseException:
        with contextlib.suppress(StoreError, OSError):
            settle(folder, key)
        raise
    settle(folder, key)
    return (before, after) if changed else None
