"""`share` and the small picklable thing that it returns.

A handle names a pack by uuid and the owner by name, and knows its `Piece`: the ways to the bytes.
`open()` reads the pack in place. A pack that points into others gets those in the same way, when a
lookup first reaches one.

What is pickled depends on who does it. A handle that goes into a task, a result or `ray.put` takes
its piece along: small packs whole, references to large ones, so that the first `open()` asks
nobody (0.3 ms) and Ray itself keeps what the handle can reach. Any other pickle holds the names
only, under 200 bytes; the owner keeps what those name until `release()`, since nobody can count
such handles. A value that is in a `SnapshotStore` also takes the path of the store along.

Sharing a derived version sends its new nodes only: once a pack is published, the nodes in the heap
of the publisher remember their place in it, and the next pack points there. That keeps the pack in
the store for as long as such nodes live, whoever else lets go of it.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import uuid as uuids
import weakref
from typing import Any, Generic, Literal, TypeVar, overload

from pstructs.distributed import pickling, stored
from pstructs.distributed.backend import (
    DEFAULT_TIMEOUT,
    OwnerGoneError,
    PackLostError,
    ray_or_none,
    say_in_process,
    sending,
)
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.levels import write
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.distributed.owner import Owner
from pstructs.distributed.pieces import (
    PIECES,
    SMALL,
    Piece,
    StoredPack,
    Travelling,
    arrived,
    departing,
)
from pstructs.distributed.publishing import (
    flush_later,
    is_watched,
    make_reachable,
    pin,
    publish,
    unpin,
    watch_soon,
)
from pstructs.errors import PackError, ShareError, StoreError, UnsavableError
from pstructs.packs import Pack

__all__ = ["Handle", "share"]

log = logging.getLogger("pstructs.distributed")
T = TypeVar("T")

TRIES = 2
"""How often the owner may die while a collection is shared."""

Origin = tuple[str, bytes]
"""The folder of a store, and a pack there that has the value as its root."""


class Handle(Generic[T]):
    """A reference to a shared collection, under 200 bytes when pickled.

    Made by `share`. Equal handles name the same shared collection.

    Examples
    --------
    >>> import pstructs
    >>> handle = share(pstructs.pmap({"a": 1}))
    >>> handle.open()["a"]
    1
    """

    __slots__ = ("__weakref__", "_origin", "_owner", "_piece", "_uuid", "_value")

    def __init__(
        self,
        uuid: bytes,
        owner: str | None,
        value: T | None = None,
        origin: Origin | None = None,
        piece: Piece | None = None,
    ) -> None:
        self._uuid = uuid
        self._owner = owner
        self._value = value
        self._origin = origin
        self._piece = piece

    @property
    def uuid(self) -> bytes:
        """16 bytes: the pack of a handle in a cluster, a random name in a process."""
        return self._uuid

    @property
    def where(self) -> Literal["ray", "store", "process"]:
        """Where the collection is: in a cluster, in a `SnapshotStore`, or in the handle itself.

        A handle of the last kind can be pickled as well; the collection then goes with it, unless
        it is in a store: then the path of the store goes, and the copy is of the second kind.
        """
        if self._owner is not None:
            return "ray"
        return "store" if self._origin is not None and self._value is None else "process"

    def open(self, timeout: float = DEFAULT_TIMEOUT) -> T:
        """Return the collection, read in place.

        Parameters
        ----------
        timeout : float
            Seconds that each exchange with the cluster may take.

        Returns
        -------
        PMap, PSet or whatever was shared

        Raises
        ------
        ShareError
            The owner of the packs has died, the pack was released, or the time is up. The
            message says what to do.

        Notes
        -----
        *Cost*: O(1). The first time that a process opens the pack 0.3 ms, or 7 ms when it has to
        find the owner and ask; nothing after that. The pack stays in the object store of the node
        while anything opened from it lives.

        Examples
        --------
        >>> import pstructs
        >>> share(pstructs.pset([1, 2])).open() == {1, 2}
        True
        """
        if self._value is not None or self.where == "process":
            return self._value  # type: ignore[return-value]
        pack = OPEN_PACKS.get(self._uuid) or self._open_pack(timeout)
        OPEN_PACKS.use(pack)
        value: T = pack.root()
        _SHARED.add(value, self)
        return value

    def _open_pack(self, timeout: float) -> Pack:
        trouble: ShareError | None = None
        if self._owner is not None:
            try:
                piece = self._piece or PIECES.get(self._uuid)
                if piece is None:
                    piece = Owner.find(self._owner, self._uuid, timeout, None)
                self._piece = piece
                pack = piece.open(timeout)
                watch_soon(self._owner, piece)
                flush_later()
                return pack
            except ShareError as error:
                trouble = error
        if self._origin is not None:
            try:
                return stored.open_pack(*self._origin)
            except (StoreError, PackError, OSError) as error:
                trouble = trouble or ShareError(f"opening a handle: {error}")
        assert trouble is not None
        raise trouble

    def release(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Give this handle up: let the pack leave the object store once nothing else reaches it.

        Needed for handles that were pickled by other means than Ray's, which nobody counts; the
        packs of all others go by themselves with the last handle and the last open collection.
        Whoever has it open goes on reading, and tasks that were sent the handle before still can;
        opening this handle or an unpickled copy elsewhere raises `ShareError`. Nothing happens
        for a handle that is not in a cluster.
        """
        if self._owner is None:
            return
        self._piece = None
        _SHARED.drop(self._uuid)
        with contextlib.suppress(OwnerGoneError):
            unpin(self._uuid, Owner.attach(self._owner), timeout)

    def __eq__(self, other: object) -> bool:
        return self._uuid == other._uuid if isinstance(other, Handle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._uuid)

    def __repr__(self) -> str:
        place = {"ray": self._owner, "process": "this process"}.get(self.where)
        return f"<Handle {self._uuid.hex()[:8]} in {place or self._origin[0]}>"  # type: ignore[index]

    def __copy__(self) -> Handle[T]:
        return self

    def __deepcopy__(self, memo: Any) -> Handle[T]:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        if self._owner is None:
            origin = self._origin or _origin_of(self._value)
            if origin is None:
                return Handle, (self._uuid, None, self._value)
            return Handle, (self._uuid, None, None, origin)
        names = (self._uuid, self._owner, None, self._origin)[: 2 if self._origin is None else 4]
        if self._piece is None or ray_or_none() is None:
            return Handle, names
        if sending():
            return _arrived, (self._owner, self._origin, self._uuid, departing([self._piece]))
        pin(self._piece, Owner.connect(self._owner, detached=pickling.SETTINGS.detached))
        return Handle, names


def _arrived(
    owner: str, origin: Origin | None, uuid: bytes, travelled: list[Travelling]
) -> Handle[Any]:
    return Handle(uuid, owner, origin=origin, piece=arrived(travelled)[uuid[:8]])


def _origin_of(value: Any) -> Origin | None:
    """Where a value that lives in the process is in a store as well."""
    try:
        return write(value).origin if stored.any_store() else None
    except UnsavableError:
        return None


@overload
def share(value: Handle[T], *, timeout: float = ...) -> Handle[T]: ...


@overload
def share(value: T, *, timeout: float = ...) -> Handle[T]: ...


def share(value: Any, *, timeout: float = DEFAULT_TIMEOUT) -> Handle[Any]:
    """Put a collection into the cluster's object store, for tasks and actors to read in place.

    Parameters
    ----------
    value : PMap, PSet, or any other value that packs can hold
        Its keys and values have to be savable.
    timeout : float
        Seconds that each exchange with the cluster may take.

    Returns
    -------
    Handle
        Send it to tasks and actors in any way; they call `open()`.

    Raises
    ------
    UnsavableError
        A key or value has a type that packs can't hold.
    ShareError
        The object store is full or the cluster does not answer.

    Notes
    -----
    *Cost*: O(new nodes). The first time that is the whole collection; for one derived from a
    shared collection it is what changed; for the same collection again it is one round trip.

    Without Ray, or before `ray.init()`, the handle holds the collection itself, `where` is
    `"process"`, and a warning is logged once.

    Examples
    --------
    >>> import pstructs
    >>> handle = share(pstructs.pmap({"a": 1, "b": 2}))
    >>> handle.where
    'process'
    >>> handle.open() == {"a": 1, "b": 2}
    True
    """
    if ray_or_none() is None:
        if not isinstance(value, Handle):
            say_in_process()
        return share_here(value)
    if isinstance(value, Handle):
        if value.where == "ray":
            return value
        value = value.open()  # from before ray.init()
    pickling.enable()
    for _ in range(TRIES):
        try:
            return _share(value, timeout)
        except PackLostError as lost:
            log.warning("the owner of the shared packs has died; sharing anew through another one")
            if isinstance(lost, OwnerGoneError):
                PIECES.left(lost.owner, lost.actor_id)
    return _share(value, timeout)


def share_here(value: Handle[T] | T) -> Handle[T]:
    """A handle of a collection in this process, also where there is a cluster."""
    return value if isinstance(value, Handle) else Handle(uuids.uuid4().bytes, None, value)


def _share(value: T, timeout: float) -> Handle[T]:
    settings = pickling.SETTINGS
    name = settings.owner or Owner.name_here()
    known = _SHARED.get(value)
    if known is not None and known._piece is not None and known._owner == name:
        make_reachable([known._piece], name, settings.detached, timeout)
        return known
    written = write(value)
    try:
        make_reachable(written.imports, name, settings.detached, timeout)
    except PackLostError as error:
        log.info("sharing a whole copy: %s", error)
        written = write(value, whole=True)
    writer = written.writer
    nbytes = len(writer.image)
    piece = Piece(
        writer.uuid,
        nbytes,
        data=bytes(writer.image) if nbytes < SMALL else None,
        imports=written.imports,
    )
    piece.owner = name
    PIECES.add(piece)
    if piece.large:
        stored_pack = StoredPack(PackBuffer(writer.image), written.imports)
        owner = Owner.connect(name, detached=settings.detached)
        publish(piece, stored_pack, owner, timeout)
        writer.adopt(piece.open_published(timeout))
        if not is_watched(owner):  # it ended before the pack was open here, to be sent again
            gone = OwnerGoneError("publishing a pack: the actor that owns it has died")
            gone.owner, gone.actor_id = name, owner.actor_id
            raise gone
    else:
        writer.adopt(piece.open(timeout))
    handle: Handle[T] = Handle(piece.uuid, name, origin=written.origin, piece=piece)
    _SHARED.add(value, handle, written.held)
    return handle


class _Shared:
    """The handle of each living collection that this process shared or opened, by identity."""

    def __init__(self) -> None:
        self._handles: dict[int, tuple[weakref.ref[Any], Handle[Any], Any]] = {}
        self._lock = threading.RLock()  # a weak reference may die while it is held

    def get(self, value: Any) -> Handle[Any] | None:
        with self._lock:
            ref, handle, _ = self._handles.get(id(value), (None, None, None))
            return handle if ref is not None and ref() is value else None

    def add(self, value: Any, handle: Handle[Any], held: Any = None) -> None:
        """Remember a handle, and keep what is `held` as long as the value lives."""
        key = id(value)

        def gone(ref: weakref.ref[Any]) -> None:
            with self._lock:
                if key in self._handles and self._handles[key][0] is ref:
                    del self._handles[key]

        try:
            ref = weakref.ref(value, gone)
        except TypeError:  # a list or dict of collections: published anew each time
            return
        with self._lock:
            self._handles[key] = ref, handle, held

    def drop(self, uuid: bytes) -> None:
        with self._lock:
            for key in [k for k, (_, h, _) in self._handles.items() if h.uuid == uuid]:
                del self._handles[key]


_SHARED = _Shared()
