"""`Building`: the method of a store that makes a version of more than fits into memory.

    items ──► encoded, sorted ──► runs on the disk ──► merged ──► nodes, from the bottom up
              as many as fit

Nothing is kept as Python objects: an item is encoded as it comes, sorted runs of encoded ones are
spilled into a file without a name, and merging them gives the entries in the order of the tree,
so that its nodes can be written one after the other (pack_grow*.c). That order is one of hashes,
or of the keys for sorted collections. The version is the same, digest for digest, as if the
collection had been made in memory and saved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pstructs.cache import erased
from pstructs.cache.catalog import Draft
from pstructs.cache.commit import ANY, AnyVersion, Change, CommittedBefore, Expected
from pstructs.cache.growing import GrowingPack
from pstructs.cache.meta import pack_meta
from pstructs.cache.opened import Progress
from pstructs.cache.saving import Saving
from pstructs.cache.version import Version, VersionName, check_head_name, check_text
from pstructs.packs import PackBuilder

__all__ = ["Building"]

KINDS = ("map", "set", "vector", "sortedmap", "sortedset")
LEAST_MEMORY = 1 << 20
BATCH = 4096
"""Items between two calls of `progress`, and between two chances to interrupt."""


class Building(Saving):
    """Makes versions out of iterators."""

    def build(
        self,
        items: Iterable[Any],
        kind: str = "map",
        head: str = "main",
        message: str | None = None,
        expected: VersionName | AnyVersion | None = ANY,
        memory: int = 256 << 20,
        progress: Progress | None = None,
        *,
        meta: Mapping[str, Any] | None = None,
        write_id: str | None = None,
        key: Callable[[Any], Any] | None = None,
    ) -> Version:
        """Save a collection of any number of items, which need not fit into memory.

        The version is the one that `save` would make of `pmap(dict(items))`, `pset(items)`,
        `pvector(items)`, `psortedmap(items, key)` or `psortedset(items, key)`.

        Parameters
        ----------
        items : iterable
            For a map: a mapping, or pairs of a key and a value, of which the last one with a key
            counts. For a set or vector: its elements. It is gone through once.
        kind : {"map", "set", "vector", "sortedmap", "sortedset"}
            What to make of them: a `PMap`, `PSet`, `PVector`, `PSortedMap` or `PSortedSet`.
        head, message, expected, meta, write_id
            As for `save`. What a write id names is built all the same, to be compared.
        memory : int
            Bytes that building may take, at least 1 MiB; what `items` itself takes comes on
            top. What does not fit waits in a file in the store's folder, which takes 32 bytes an
            item and what its key and value take. (A vector has nothing to wait for.)
        progress : callable, optional
            Called now and then with (items taken, entries written). Entries are written when all
            items are taken.
        key : callable, optional
            For sorted collections: the key function of their order, which has a name
            (`pstructs.packs.register_order`). By default keys are in their own order.

        Returns
        -------
        Version

        Raises
        ------
        TypeError, ValueError
            When an item of a map is no pair, or two keys of a sorted collection have no order; the
            message names them. NaN has none.
        UnsavableKeyError, UnsavableValueError
            When a key or value can't be saved; the message names it.
        WriteIdError
            When the commit of that write id saved another value, or to another head.
        HeadMovedError, StoreFullError, StoreClosedError
            As for `save`. After any error, also one out of `items` or a comparison of keys, the
            store is as it was.
        PackError
            When what waits on the disk can't be read back.
        StoreError
            When something was erased meanwhile, and values share a part with versions that held
            it; build again.

        Notes
        -----
        *Cost*: O(n log n) for n items, O(n) for a vector, reading and writing in sequence only.
        Two NaN keys are one here, as on disk; in memory they may be two.

        Sorting compares ints, floats and strs as they are encoded. Keys of other types are decoded
        for it: dates or tuples take about ten times as long, and a larger share of `memory`.

        A lease is held until the end, so `gc` removes nothing meanwhile that was in use when
        building began.

        Values of more than 1 KiB and collections go into the pack as they come, so what a later
        item with the same key replaces is in the pack, too.

        Examples
        --------
        >>> import tempfile, pstructs
        >>> from pstructs.cache import SnapshotStore
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     built = store.build((n, n * n) for n in range(100_000))
        ...     built.entries, store.load()[300]
        (100000, 90000)
        >>> with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
        ...     _ = store.build(((n * 7919 % 1000, n) for n in range(1000)), "sortedmap")
        ...     list(store.load().between(500, 502))
        [500, 501, 502]
        """
        self._writable()
        check_head_name(head)
        check_text(message, "a message")
        check_text(write_id, "a write id")
        said = pack_meta(meta)
        wanted = {} if isinstance(expected, AnyVersion) else {head: expected}
        at = self._expected(wanted, check=write_id is None).get(head, ANY)
        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(map(repr, KINDS))}, got {kind!r}")
        if memory < LEAST_MEMORY:
            raise ValueError(f"memory is at least {LEAST_MEMORY:,} bytes, got {memory!r}")
        if key is not None and not kind.startswith("sorted"):
            raise ValueError(f"key= is for sorted collections, and kind is {kind!r}")
        pairs = items.items() if kind.endswith("map") and isinstance(items, Mapping) else items
        tell = progress or (lambda taken, written: None)
        draft = Draft(message, head, os.urandom(16), b"", 0, None, None, said, write_id)
        try:
            return self._build(iter(pairs), kind, key, draft, at, memory, tell)
        except CommittedBefore as error:
            with self._committer.guard():
                return self._committer.before(error)[0]

    def _build(
        self,
        items: Iterator[Any],
        kind: str,
        key: Callable[[Any], Any] | None,
        draft: Draft,
        expected: Expected,
        memory: int,
        tell: Progress,
    ) -> Version:
        committer, folder, uuid = self._committer, self._folder, draft.pack
        with (
            folder.holding(),
            committer.underway([uuid]),
            GrowingPack(folder.disk, uuid, committer.guard) as pack,
        ):
            with folder.errors:
                erasures = erased.count(folder.con)
            builder = PackBuilder(pack.write, kind, importable=folder.keeps, uuid=uuid, key=key)
            room = memory // 4 * 3  # the rest is for sorting, the allocator, and one item
            while builder.take(items, room, BATCH):
                if builder.held >= room:
                    builder.sort()  # may compare keys, and their errors are not the disk's
                    pack.spill(builder.spill)
                tell(builder.taken, 0)
            if builder.runs:
                builder.sort()
                pack.spill(builder.spill)
            builder.merge(memory // 2)
            while builder.grow(BATCH):
                tell(builder.taken, builder.count)
            header = builder.finish()
            tell(builder.taken, builder.count)
            columns = pack.finish(header, sync=committer.sync)
            draft = draft._replace(
                root=builder.root_digest, nbytes=builder.nbytes, entries=builder.count
            )
            return committer.commit(
                Change(draft, None, expected, action="build", imports=builder.imports),
                columns,
                erasures,
            )
