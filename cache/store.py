"""`SnapshotStore`: versions of persistent collections in a folder.

A save writes one pack, which holds only the nodes that no pack of the store has yet, and then one
row in the catalog (commit.py). A load finds the row, maps the pack and gives out its root; nothing
else is read until it is asked for.
"""

from __future__ import annotations

from pstructs.cache.branching import Branching
from pstructs.cache.building import Building
from pstructs.cache.checking import Checking
from pstructs.cache.compressing import Compressing
from pstructs.cache.exchange import Exchange
from pstructs.cache.keeping import Keeping
from pstructs.cache.merging import Merging
from pstructs.cache.tracing import Tracing

__all__ = ["SnapshotStore"]


class SnapshotStore(
    Merging, Building, Branching, Tracing, Keeping, Compressing, Exchange, Checking
):
    """Versions of persistent collections, in a folder.

    A value is a collection, or a list, dict or other savable value with collections in it. Saving
    a value that was made from a saved or loaded one adds only what is new; loading maps a version
    and reads it in place, so both cost what changed and not what is there. Any number of threads
    and processes may use one store at the same time.

    Parameters
    ----------
    path : str or os.PathLike
        The folder; made if it does not exist. On a local filesystem.
    durable : {"commit", "group", "none"}
        `"commit"`: a version that `save` returned survives a power cut, and is on the disk before
        anyone can see it. `"group"`: it survives a power cut, too, and saves of several threads
        share their syncs; others can see it a moment before it is on the disk. `"none"`: it
        survives the end of the process in any way, but a power cut can take or damage the last
        ones; for stores that can be made again.

    dedupe : bool
        Whether saves look for the parts of a value that was built anew, or comes from another
        store, among what the store holds, so that equal parts are not written again. The first
        such save reads all packs, and the index of them takes about 200 bytes of memory a node.

    Raises
    ------
    StorePathError
        When the path is a file, can't be written, or holds something else.
    FutureStoreError, StoreDamagedError, StoreFullError

    Examples
    --------
    >>> import tempfile, pstructs
    >>> from pstructs.cache import SnapshotStore
    >>> folder = tempfile.TemporaryDirectory()
    >>> store = SnapshotStore(folder.name)
    >>> ages = pstructs.m(ann=31, bob=27)
    >>> first = store.save(ages, message="two people")
    >>> second = store.save(ages.set("cid", 44), message="Cid is new")
    >>> store.load()["cid"]
    44
    >>> "cid" in store.load(first)
    False
    >>> [version.message for version in store.log()]
    ['Cid is new', 'two people']
    >>> store.close()
    >>> folder.cleanup()
    """
