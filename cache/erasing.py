"""`SnapshotStore.erase`: takes a key out of every version, and its bytes out of every file.

All versions are written anew without it (rewriting.py), and one transaction makes them the
history: rows, heads, tags and the reflog get the new ids, and all packs of before are retired.
These are removed at once, since nobody else may have the store open meanwhile. Then SQLite
writes its file anew and empties its log, and the bytes are looked for.
"""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from pstructs import PVector
from pstructs.cache import erased, leases, pins
from pstructs.cache.adding import add
from pstructs.cache.archive import archives_of
from pstructs.cache.catalog import Draft, seal
from pstructs.cache.collecting import (
    Graph,
    finish,
    kept_versions,
    remove_retired,
    retire_unreached,
)
from pstructs.cache.meta import pack_meta
from pstructs.cache.pending import owner
from pstructs.cache.rewriting import Moved, rewrite
from pstructs.cache.traces import pieces, traces
from pstructs.errors import HeldVersionError, StoreBusyError

if TYPE_CHECKING:
    from pstructs.cache.commit import Committer
    from pstructs.cache.folder import Folder
    from pstructs.cache.version import Version

__all__ = ["EraseReport", "erase", "without"]


@dataclass(frozen=True, slots=True)
class EraseReport:
    """What `erase` did, and what it found of the bytes afterwards.

    Attributes
    ----------
    versions : tuple of int
        Numbers of the versions that held the key.
    removed : int
        Packs that were removed.
    searched : int
        How many pieces (keys, texts, numbers) of what was erased were looked for afterwards.
    too_short : int
        How many were not, having less than 4 bytes: these are in every file by chance.
    traces : mapping of str to int
        Files of the store in which pieces were found, and how many: the same text is a part
        of something else there. Empty: they are gone.
    archives : tuple of str
        Archives that versions were moved to. They are not changed.
    """

    versions: tuple[int, ...]
    removed: int
    searched: int
    too_short: int
    traces: Mapping[str, int]
    archives: tuple[str, ...]


# ---- one value
def _no_key(value: object, path: Sequence[Any]) -> NoReturn:
    raise TypeError(
        f"can't erase {path[0]!r:.80} from a {type(value).__name__}: paths lead through maps, "
        "dicts, vectors and lists to a key of a map, a dict or a set"
    )


def _entry(value: Any, key: Any) -> Any:
    """Return what is at a key or index, or raise LookupError."""
    if isinstance(value, Mapping | PVector | list | tuple):
        try:
            return value[key]
        except TypeError:  # not an index, not hashable: so it isn't there
            raise LookupError(key) from None
    raise LookupError(key)


def _replace(value: Any, key: Any, item: Any, path: Sequence[Any]) -> Any:
    if isinstance(value, dict):
        return {**value, key: item}
    if isinstance(value, list | tuple):
        return type(value)([*value[:key], item, *value[key:][1:]])
    if hasattr(value, "set"):
        return value.set(key, item)
    _no_key(value, path)


def without(value: Any, path: Sequence[Any], gone: list[Any]) -> Any:
    """Return `value` without what is at `path`, or itself if nothing is; add that to `gone`."""
    key = path[0]
    if len(path) > 1:
        try:
            item = _entry(value, key)
        except LookupError:
            return value
        fresh = without(item, path[1:], gone)
        return value if fresh is item else _replace(value, key, fresh, path)
    if not isinstance(value, Mapping | AbstractSet):
        if isinstance(value, list | tuple | PVector):
            _no_key(value, path)
        return value
    try:
        if key not in value:
            return value
    except TypeError:
        return value
    if isinstance(value, Mapping):
        gone.append(value[key])
    if isinstance(value, dict):
        return {k: v for k, v in value.items() if k != key}
    if isinstance(value, set | frozenset):
        return value - {key}
    if hasattr(value, "discard"):
        return value.discard(key)
    _no_key(value, path)


# ---- the history
def _rename(folder: Folder, con: sqlite3.Connection, ids: Mapping[bytes, bytes]) -> None:
    """Give heads, tags and the reflog the new ids."""
    store = folder.catalog.store
    for name in ("head", "tag", "reflog"):
        for *row, found in con.execute(f"SELECT * FROM pstructs_{name}").fetchall():
            if found != seal(store, name, *row):
                folder.catalog.damaged(f"a row of the table of each {name} is damaged")
            fresh = [ids.get(cell, cell) if isinstance(cell, bytes) else cell for cell in row]
            if fresh != row:
                places = ", ".join("?" * (len(row) + 1))
                con.execute(
                    f"REPLACE INTO pstructs_{name} VALUES ({places})",
                    (*fresh, seal(store, name, *fresh)),
                )


def rechain(folder: Folder, con: sqlite3.Connection, moved: Sequence[Moved]) -> None:
    """Point versions at their new packs and compute all ids anew, in the caller's transaction."""
    catalog, ids = folder.catalog, dict[bytes, bytes]()
    places = {each.version.number: each for each in moved}
    for version in list(catalog.versions(con)):
        old = bytes.fromhex(version.id)
        parents = [bytes.fromhex(parent) for parent in version.parents]
        back = None if version.restores is None else bytes.fromhex(version.restores)
        place = places.get(version.number)
        draft = Draft(
            version.message,
            version.head,
            bytes.fromhex(version.pack) if place is None else place.image.uuid,
            bytes.fromhex(version.root) if place is None else place.root,
            version.nbytes if place is None else len(place.image.data),
            version.entries if place is None else place.entries,
            None if back is None else ids.get(back, back),
            pack_meta(version.meta),
        )
        joined = b"".join(ids.get(parent, parent) for parent in parents)
        new = catalog.version_id(draft, joined, version.time)
        if new != old:
            ids[old] = new
            erased.note(catalog, con, old, new)
        catalog.rewrite(
            con,
            version.number,
            id=new,
            parents=joined,
            pack=draft.pack,
            root=draft.root,
            nbytes=draft.nbytes,
            entries=draft.entries,
            restores=draft.restores,
        )
    _rename(folder, con, ids)


# ---- the whole
def _check_alone(folder: Folder) -> None:
    """Raise unless no other process has the store open, and this one has no value of it."""
    folder.lease.part()
    others = [
        "a process that was forked from this one" if held.owner == owner() else held.owner
        for held in leases.held(folder.path)
        if held.name != folder.lease.name
    ]
    if others:
        raise StoreBusyError(
            f"{folder.path}: other processes have the store open and may hold what is to be "
            f"erased: {'; '.join(others)}. Nothing was changed. Close the store there, and "
            "erase again"
        )
    if folder.loaded():
        raise StoreBusyError(
            f"{folder.path}: this process holds values that were loaded from the store, or saved "
            f"to it ({len(folder.loaded())} packs are open). Nothing was changed. Let go of them, "
            "and erase again"
        )


def _check_holds(
    folder: Folder, con: sqlite3.Connection, versions: Sequence[Version], hit: set[str]
) -> None:
    numbers = {version.number: version for version in versions if version.pack in hit}
    for mark in pins.marks(folder.catalog, con):
        if mark.kind == "hold" and mark.number in numbers:
            raise HeldVersionError(
                f"{folder.path}: {numbers[mark.number]} is {mark} and holds what is to be erased; "
                "nothing was changed. Release the hold first (`release_hold`)"
            )


def _scrub(folder: Folder) -> None:
    """Have SQLite write its file anew, without what was deleted, and empty its log."""
    with folder.errors:
        folder.con.execute("VACUUM")
        ((busy, _, _),) = folder.con.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    if busy:
        raise StoreBusyError(
            f"{folder.path}: it is erased from the history, but the log can't be emptied while "
            "someone reads from the catalog. Close the store elsewhere, and erase again"
        )


def erase(folder: Folder, committer: Committer, path: Sequence[Any]) -> EraseReport:
    """Take what is at `path` out of all versions; see `SnapshotStore.erase`."""
    gone: list[Any] = []
    hit: set[str] = set()

    def change(version: Version, value: Any) -> Any:
        fresh = without(value, path, gone)
        if fresh is not value:
            hit.add(version.pack)
        return fresh

    graph = Graph(folder)
    with folder.using():
        with committer.guard():
            folder.con.execute("PRAGMA secure_delete = ON")
            versions = kept_versions(folder, folder.con)
        made = rewrite(folder, versions, change)
    wanted, short = pieces([path[-1], *gone])
    gone.clear()
    gc.collect()

    def commit(con: sqlite3.Connection) -> None:
        _check_alone(folder)
        _check_holds(folder, con, versions, hit)
        if [(v.id, v.pack) for v in kept_versions(folder, con)] != [
            (v.id, v.pack) for v in versions
        ]:
            raise StoreBusyError(
                f"{folder.path}: versions were saved or expired meanwhile; nothing was changed. "
                "Erase again"
            )
        rechain(folder, con, made.moved)
        retire_unreached(graph, con)

    add(committer, made.images, commit)
    folder.renew()
    with committer.transaction() as con:
        removed, _, readers = remove_retired(graph, con, grace=0)
    if readers:
        raise StoreBusyError(
            f"{folder.path}: it is erased from the history, but not yet from all files: others "
            f"opened the store meanwhile ({'; '.join(readers)}). Close it there, and erase again"
        )
    finish(folder, sync=committer.sync)
    _scrub(folder)
    with folder.errors:
        archives = tuple(dict.fromkeys(row.file for row in archives_of(folder, folder.con)))
        found = traces(folder.path, wanted)
    numbers = tuple(version.number for version in versions if version.pack in hit)
    return EraseReport(numbers, removed, len(wanted), short, found, archives)
