"""How one pack can be had, wherever it is.

A `Piece` knows a pack by its uuid and every way that leads to its bytes:

    small pack    the bytes themselves; they travel in handles
    large pack    an ObjectRef; the object holds the bytes and the pieces that the pack imports
    stored pack   also the folder of its SnapshotStore, where it is as safe as the disk

    handle -> small -> small -> ObjectRef -> (bytes, pieces) -> ObjectRef -> (bytes, pieces)

Since an object holds references to all that its pack points into, Ray's own counting keeps exactly
what some handle or open pack can reach, on all nodes and also when a process dies: there is no
list of users to keep, and nothing to leak. An open pack has its piece as `pack.owner`, so it also
holds what it has not looked at yet.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pstructs.distributed import stored
from pstructs.distributed.backend import (
    DEFAULT_TIMEOUT,
    PackLostError,
    aside,
    cluster_of,
    connected,
    fetch,
    ray_or_none,
)
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.errors import PackError, ShareError, StoreError
from pstructs.packs import Pack

__all__ = [
    "DROPS",
    "PIECES",
    "SMALL",
    "PackSource",
    "Piece",
    "StoredPack",
    "arrived",
    "closure",
    "departing",
]

SMALL = 65_536
"""Bytes below which a pack travels in handles instead of being an object of its own.

An object costs 2 to 3 ms to put and 0.3 ms in each process that opens it; Ray passes arguments
of up to 100 kB with the task itself.
"""

Travelling = tuple[
    bytes,
    int,
    bool,
    bytes | None,
    Any,
    "str | None",
    "str | None",
    "str | None",
    "tuple[bytes, ...]",
]


class Piece:
    """A pack and the ways to it.

    Attributes
    ----------
    uuid : bytes
    nbytes : int
        Size of the pack.
    data : bytes-like or None
        The pack, when it is small.
    ref : ObjectRef or None
        Of a `StoredPack`, valid in `cluster`.
    owner : str or None
        Name of the actor that put it, to ask when the reference leads nowhere.
    actor_id : str or None
        Which actor of that name owns the object of `ref`.
    store : str or None
        The folder of a SnapshotStore that has the pack.
    imports : dict of bytes to Piece
        The packs that it points into, by the first 8 bytes of their uuids. Empty for a large
        pack that was not opened here.
    derived : bool
        Whether it points into others at all.
    """

    __slots__ = (
        "__weakref__",
        "actor_id",
        "cluster",
        "data",
        "derived",
        "imports",
        "kept",
        "nbytes",
        "owner",
        "ref",
        "store",
        "uuid",
    )

    def __init__(
        self,
        uuid: bytes,
        nbytes: int,
        *,
        data: Any = None,
        store: str | None = None,
        imports: Iterable[Piece] = (),
    ) -> None:
        self.uuid = uuid
        self.nbytes = nbytes
        self.data = data
        self.ref: Any = None
        self.cluster: str | None = None
        self.owner: str | None = None
        self.actor_id: str | None = None
        self.store = store
        self.imports = {piece.uuid[:8]: piece for piece in imports}
        self.derived = bool(self.imports)
        self.kept = False  # by the owner, in this process's name

    def __repr__(self) -> str:
        ways = [w for w in ("data", "ref", "store") if getattr(self, w) is not None]
        return f"<Piece {self.uuid.hex()[:8]}: {self.nbytes} bytes by {' or '.join(ways) or '-'}>"

    @property
    def large(self) -> bool:
        """Whether the pack is an object of its own."""
        return self.data is None

    def is_reachable(self, cluster: str) -> bool:
        """Whether others of that cluster can get the pack from what this piece knows."""
        return self.data is not None or (self.ref is not None and self.cluster == cluster)

    # ---- opening

    def open(self, timeout: float = DEFAULT_TIMEOUT) -> Pack:
        """Return the pack, opened once a process.

        Raises
        ------
        ShareError
            It is nowhere to be found, or the cluster does not answer in time.
        """
        pack = OPEN_PACKS.get(self.uuid)
        if pack is not None:
            return pack
        if self.data is not None:
            return self._attach(self.data)
        trouble: ShareError | None = None
        ref = self.ref  # another thread may learn that it leads nowhere, at any time
        if ref is not None and ray_or_none() is not None:
            try:
                return self._take(self._get(ref, timeout))
            except ShareError as error:
                trouble = error
                self._lose(ref)
        if self.store is not None:
            try:
                return stored.open_pack(self.store, self.uuid)
            except (StoreError, PackError, OSError) as error:
                trouble = trouble or ShareError(
                    f"opening a handle: its pack can't be read from the store: {error}"
                )
        if self.owner is not None and ray_or_none() is not None:
            return self._find(timeout, trouble)
        raise trouble or ShareError(
            f"opening a handle: pack {self.uuid.hex()} is in a Ray cluster, and this process is "
            "not connected to it. Call ray.init(address=...) with the address of that cluster "
            "first."
        )

    def twin(self, pack: Pack) -> Pack:
        """Open the bytes of a pack that is open in another way, as this piece's."""
        return OPEN_PACKS.get(self.uuid) or self._attach(memoryview(pack))

    def open_published(self, timeout: float) -> Pack:
        """Return the pack that was put just now, and look nowhere else.

        Raises
        ------
        PackLostError
            Its owner has died again.
        """
        ref = self.ref
        if ref is None:
            raise PackLostError(f"publishing a pack: {self!r} was lost at once")
        return self._take(self._get(ref, timeout))

    def _get(self, ref: Any, timeout: float) -> StoredPack:
        ray = connected()
        if self.cluster != cluster_of(ray):
            raise ShareError(
                f"opening a handle: pack {self.uuid.hex()} is in a cluster that this process has "
                "left. Call share() again with the collection and send the new handle."
            )
        stored_pack: StoredPack = aside(lambda: fetch(ray, ref, timeout, "opening a handle"))
        return stored_pack

    def _lose(self, ref: Any) -> None:
        if self.ref is ref:
            self.ref = None

    def _find(self, timeout: float, trouble: ShareError | None) -> Pack:
        """Ask the owner by name: another process may have published the pack again."""
        from pstructs.distributed.owner import RECOVERY, Owner

        assert self.owner is not None
        until = time.monotonic() + RECOVERY
        while True:
            self.learn(Owner.find(self.owner, self.uuid, timeout, trouble))
            if self.data is not None:
                return self._attach(self.data)
            ref = self.ref
            if ref is not None:
                try:
                    return self._take(self._get(ref, timeout))
                except PackLostError as error:  # that owner died as well
                    trouble = error
                    self._lose(ref)
            if time.monotonic() >= until:
                raise trouble or ShareError(f"opening a handle: {self!r} leads nowhere")
            time.sleep(0.1)

    def _take(self, found: StoredPack) -> Pack:
        for piece in found.imports:
            self.imports.setdefault(piece.uuid[:8], piece)
        return self._attach(found.buffer.view)

    def _attach(self, buffer: Any) -> Pack:
        return OPEN_PACKS.add(
            Pack.from_buffer(buffer, trusted=True, resolve=self.resolve, owner=self)
        )

    def resolve(self, short: bytes) -> Pack:
        """Return the pack that this one points into, for the core."""
        piece = self.imports.get(short)
        if piece is None:
            raise ShareError(
                f"pack {self.uuid.hex()} points into {short.hex()}, which did not come with it; "
                "call share() again with the collection"
            )
        return piece.open()

    def __del__(self) -> None:
        if self.kept:
            DROPS.append((self.owner, self.uuid))

    # ---- knowing

    def learn(self, other: Piece) -> None:
        """Take over the ways to the pack that another piece of it knows."""
        if other is self:
            return
        if self.data is None:
            self.data = other.data
        if other.ref is not None:
            self.ref, self.cluster, self.actor_id = other.ref, other.cluster, other.actor_id
        self.owner = other.owner or self.owner
        self.store = self.store or other.store
        for short, piece in other.imports.items():
            self.imports.setdefault(short, piece)


class PackSource:
    """Who has opened packs that are no pieces, and can get those that they point into."""

    def pack(self, key: bytes, until: float | None = None) -> Pack:
        """The pack whose uuid begins with `key`."""
        raise NotImplementedError


class StoredPack:
    """What the object of a large pack holds: its bytes, and what leads to its imports."""

    __slots__ = ("buffer", "imports")

    def __init__(self, buffer: PackBuffer, imports: list[Piece]) -> None:
        self.buffer, self.imports = buffer, imports

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        shorts = tuple(piece.uuid[:8] for piece in self.imports)
        return _stored_arrived, (self.buffer, departing(self.imports), shorts)


def _stored_arrived(
    buffer: PackBuffer, travelled: list[Travelling], shorts: tuple[bytes, ...]
) -> StoredPack:
    pieces = arrived(travelled)
    return StoredPack(buffer, [pieces[short] for short in shorts])


DROPS: deque[tuple[str | None, bytes]] = deque()
"""Packs that owners keep in this process's name and that it needs no more. Filled while objects
are collected, when no call may be made; `owner` tells the owners."""


class _Pieces:
    """All pieces of this process, one for a pack, while something holds them."""

    def __init__(self) -> None:
        self._all: weakref.WeakValueDictionary[bytes, Piece] = weakref.WeakValueDictionary()
        self._lock = threading.RLock()

    def __iter__(self) -> Iterator[Piece]:
        with self._lock:
            return iter(list(self._all.values()))

    def get(self, uuid: bytes) -> Piece | None:
        return self._all.get(uuid)

    def add(self, piece: Piece) -> Piece:
        """The piece of that pack: this one, or the known one, which learns from it."""
        with self._lock:
            known = self._all.get(piece.uuid)
            if known is None:
                self._all[piece.uuid] = piece
                return piece
            known.learn(piece)
            return known

    def left(self, owner: str, actor_id: str | None) -> list[Piece]:
        """The pieces that lost their reference because that owner has died.

        What its successor, of the same name, has put already is not lost.
        """
        lost = [
            p
            for p in self
            if p.large
            and p.owner == owner
            and (p.ref is None or None in (actor_id, p.actor_id) or p.actor_id == actor_id)
        ]
        for piece in lost:
            piece.ref, piece.kept = None, False
        return lost


PIECES = _Pieces()


def closure(
    pieces: Iterable[Piece], into: Callable[[Piece], bool] = lambda piece: True
) -> list[Piece]:
    """The pieces and all that they reach, each after what it imports; only those `into` which."""
    done: dict[bytes, Piece] = {}
    stack = [(piece, False) for piece in pieces]
    seen: set[bytes] = set()
    while stack:
        piece, ready = stack.pop()
        if ready:
            done[piece.uuid] = piece
        elif piece.uuid not in seen:
            seen.add(piece.uuid)
            stack.append((piece, True))
            if into(piece):
                stack.extend((child, False) for child in piece.imports.values())
    return list(done.values())


def departing(pieces: Iterable[Piece]) -> list[Travelling]:
    """What is pickled of pieces: small packs whole, and references where large ones begin."""
    return [
        (
            p.uuid,
            p.nbytes,
            p.derived,
            None if p.data is None else bytes(p.data),
            p.ref,
            p.owner,
            p.actor_id,
            p.store,
            () if p.large else tuple(p.imports),
        )
        for p in closure(pieces, lambda piece: not piece.large)
    ]


def arrived(travelled: list[Travelling]) -> dict[bytes, Piece]:
    """The other end of `departing`: pieces by the first 8 bytes of their uuids."""
    ray = ray_or_none()
    cluster = None if ray is None else cluster_of(ray)
    here: dict[bytes, Piece] = {}
    for uuid, nbytes, derived, data, ref, owner, actor_id, store, shorts in travelled:
        piece = Piece(
            uuid, nbytes, data=data, store=store, imports=[here[short] for short in shorts]
        )
        piece.ref, piece.cluster, piece.derived = ref, cluster, derived
        piece.owner, piece.actor_id = owner, actor_id
        here[uuid[:8]] = PIECES.add(piece)
    return here
