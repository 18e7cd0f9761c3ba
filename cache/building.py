"""`Building`: the method of a store that makes a version of more than fits into memory.

    items ──► encoded, by hash ──► runs on the disk ──► merged ──► nodes, from the bottom up
              as many as fit

Nothing is kept as Python objects: an item is encoded as it comes, sorted runs of encoded ones are
spilled into a file without a name, and merging them gives the entries in the order of the trie,
so that its nodes can be written one after the other (pack_grow.c). The version is the same,
digest for digest, as if the collection had been made in memory and saved.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pstructs.cache.catalog import Draft
from pstructs.cache.commit import ANY, AnyVersion, Change, Expected
from pstructs.cache.growing import GrowingPack
from pstructs.cache.meta import pack_meta
from pstructs.cache.saving import Saving
from pstructs.cache.version import Version, VersionName, check_head_name, check_text
from pstructs.packs import PackBuilder

__all__ = ["Building"]

KINDS = ("map", "set", "vector")
LEAST_MEMORY = 1 << 20
BATCH = 4096
"""Items between two calls of `progress`, and between two chances to interrupt."""

Progress = Callable[[int, int], object]


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
    ) -> Version:
        """Save a map, set or vector of any number of items, which need not fit into memory.

        The version is the one that `save` would make of `pmap(dict(items))`, `pset(items)` or
        `pvector(items)`.

        Parameters
        ----------
        items : iterable
            For a map: a mapping, or pairs of a key and a value, of which the last one with a key
            counts. For a set or vector: its elements. It is gone through once.
        kind : {"map", "set", "vector"}
            What to make of them: a `PMap`, a `PSet` or a `PVector`.
        head, message, expected, meta
            As for `save`.
        memory : int
            Bytes that building may take, at least 1 MiB; what `items` itself takes comes on
            top. What does not fit waits in a file in the store's folder, which takes 32 bytes an
            item and what its key and value take. (A vector has nothing to wait for.)
        progress : callable, optional
            Called now and then with (items taken, entries written). Entries are written when all
            items are taken.

        Returns
        -------
        Version

        Raises
        ------
        TypeError, ValueError
            When an item of a map is no pair.
        UnsavableKeyError, UnsavableValueError
            When a key or value can't be saved; the message names it.
        HeadMovedError, StoreFullError, StoreClosedError
            As for `save`. After any error, also one out of `items`, the store is as it was.
        StoreError
            When what a value shares with the store was collected meanwhile; build again.

        Notes
        -----
        *Cost*: O(n log n) for n items, O(n) for a vector, reading and writing in sequence only.
        Two NaN keys are one here, as on disk; in memory they may be two.

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
        """
        self._writable()
        check_head_name(head)
        check_text(message, "a message")
        said = pack_meta(meta)
        wanted = {} if isinstance(expected, AnyVersion) else {head: expected}
        at = self._expected(wanted, check=True).get(head, ANY)
        if kind not in KINDS:
            raise ValueError(f"kind is one of {', '.join(map(repr, KINDS))}, got {kind!r}")
        if memory < LEAST_MEMORY:
            raise ValueError(f"memory is at least {LEAST_MEMORY:,} bytes, got {memory!r}")
        pairs = items.items() if kind == "map" and isinstance(items, Mapping) else items
        tell = progress or (lambda taken, written: None)
        draft = Draft(message, head, os.urandom(16), b"", 0, None, None, said)
        return self._build(iter(pairs), kind, draft, at, memory, tell)

    def _build(
        self,
        items: Iterator[Any],
        kind: str,
        draft: Draft,
        expected: Expected,
        memory: int,
        tell: Progress,
    ) -> Version:
        committer, folder, uuid = self._committer, self._folder, draft.pack
        with (
            committer.underway([uuid]),
            GrowingPack(folder.disk, uuid, committer.guard) as pack,
        ):
            builder = PackBuilder(pack.write, kind, importable=folder.keeps, uuid=uuid)
            room = memory // 4 * 3  # the rest is for sorting, the allocator, and one item
            while builder.take(items, room, BATCH):
                if builder.held >= room:
                    pack.spill(builder.spill)
                tell(builder.taken, 0)
            if builder.runs:
                pack.spill(builder.spill)
            more = True
            with folder.errors:
                builder.merge(memory // 2)
            while more:
                with folder.errors:  # of the disk that the runs are read from
                    more = builder.grow(BATCH)
                tell(builder.taken, builder.count)
            header = builder.finish()
            tell(builder.taken, builder.count)
            columns = pack.finish(header, sync=committer.sync)
            draft = draft._replace(
                root=builder.root_digest, nbytes=builder.nbytes, entries=builder.count
            )
            return committer.commit(
                Change(draft, None, expected, action="build", imports=builder.imports), columns
            )
