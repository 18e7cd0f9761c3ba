"""`SnapshotStore.compact`: many small packs become few, and versions point at the new ones.

The values are written anew outside of any transaction (rewriting.py). One transaction then brings
in the new packs, moves the versions that are still where they were, and retires what nobody needs
any more; old packs stay until `gc` finds that no reader may need them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pstructs.cache.adding import add
from pstructs.cache.collecting import Graph, kept_versions, retire_unreached
from pstructs.cache.rewriting import Moved, rewrite

if TYPE_CHECKING:
    import sqlite3

    from pstructs.cache.commit import Committer
    from pstructs.cache.folder import Folder
    from pstructs.packs import Pack

__all__ = ["CompactReport", "compact"]


@dataclass(frozen=True, slots=True)
class CompactReport:
    """What `compact` did.

    Attributes
    ----------
    versions : int
        How many were moved to new packs.
    left : int
        How many stay in old ones: expired or saved meanwhile, or holding values that would not
        be written the same way again, as those of a codec that has changed.
    packs_before, packs_after : int
        How many packs the versions stood on, and stand on.
    nbytes_before, nbytes_after : int
        The bytes in these.
    retired : int
        Packs that wait for `gc` now.
    """

    versions: int
    left: int
    packs_before: int
    packs_after: int
    nbytes_before: int
    nbytes_after: int
    retired: int


def _move(folder: Folder, con: sqlite3.Connection, made: Iterable[Moved]) -> list[Moved]:
    """Point versions at their new packs, in the caller's transaction; return those moved.

    Versions that have expired, or were moved by another compaction, are passed over.
    """
    present = {version.id: version.pack for version in kept_versions(folder, con)}
    found = [moved for moved in made if present.get(moved.version.id) == moved.version.pack]
    for moved in found:
        pack, nbytes = moved.image.uuid, len(moved.image.data)
        folder.catalog.rewrite(con, moved.version.number, pack=pack, nbytes=nbytes)
    return found


def compact(folder: Folder, committer: Committer, keep_above: int | None) -> CompactReport:
    """Rewrite the packs of all versions; see `SnapshotStore.compact`."""
    graph = Graph(folder)

    def stays(pack: Pack) -> bool:
        return keep_above is not None and pack.nbytes >= keep_above and folder.keeps(pack)

    with folder.using():
        with committer.guard():
            versions = kept_versions(folder, folder.con)
        if not versions:
            return CompactReport(0, 0, 0, 0, 0, 0, 0)
        before = graph.reach(bytes.fromhex(version.pack) for version in versions)
        made = rewrite(folder, versions, stays=stays)
        fit = [moved for moved in made.moved if moved.root.hex() == moved.version.root]
        needed = {moved.image.uuid for moved in fit} | {made.images[0].uuid}

        def commit(con: sqlite3.Connection) -> tuple[list[Moved], int]:
            return _move(folder, con, fit), retire_unreached(graph, con)

        images = [image for image in made.images if image.uuid in needed]
        done, retired = add(committer, images, commit)
        after = graph.reach(moved.image.uuid for moved in done)
    return CompactReport(
        len(done),
        len(versions) - len(done),
        len(before),
        len(after),
        sum(graph.node(uuid[:8]).nbytes for uuid in before),
        sum(graph.node(uuid[:8]).nbytes for uuid in after),
        retired,
    )
