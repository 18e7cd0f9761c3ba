"""`share` and the small picklable thing that it returns.

A handle names a pack by uuid and the owner by name. `open()` looks the uuid up in the packs that
this process has open already, asks the owner for the reference otherwise, and reads the pack in
place. A pack that points into others gets those in the same way, when a lookup first reaches one.

A handle that goes into a task, a result or `ray.put` takes the `ObjectRef` along, if it has it:
the first `open()` in a process then needs no answer from the owner (0.3 instead of 6.9 ms), and
Ray keeps the pack for as long as the handle is under way. Any other pickle holds the names only.

Sharing a derived version sends its new nodes only: once a pack is published, the nodes in the heap
of the publisher remember their place in it, and the next pack points there. That keeps the pack in
the store for as long as such nodes live, whoever else lets go of it.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
import uuid as uuids
import weakref
from typing import Any, Generic, Literal, TypeVar, overload

from pstructs.distributed import pickling
from pstructs.distributed.backend import (
    DEFAULT_TIMEOUT,
    OwnerGoneError,
    ray_or_none,
    say_in_process,
    sending,
)
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.distributed.owner import Owner
from pstructs.errors import ShareError
from pstructs.packs import Pack, PackWriter

__all__ = ["Handle", "share"]

log = logging.getLogger("pstructs.distributed")
T = TypeVar("T")

TRUST = 1.0
"""Seconds. Asking takes 0.8 ms, a large part of what it takes to submit a task."""


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

    __slots__ = ("__weakref__", "_owner", "_ref", "_uuid", "_value")

    def __init__(
        self, uuid: bytes, owner: str | None, value: T | None = None, ref: Any = None
    ) -> None:
        self._uuid = uuid
        self._owner = owner
        self._value = value
        self._ref = ref

    @property
    def uuid(self) -> bytes:
        """16 bytes: the pack of a handle in a cluster, a random name in a process."""
        return self._uuid

    @property
    def where(self) -> Literal["ray", "process"]:
        """Where the collection is: in the object store of a cluster, or in the handle itself.

        A handle of the second kind can be pickled as well; the collection then goes with it.
        """
        return "process" if self._owner is None else "ray"

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
        if self._owner is None:
            return self._value  # type: ignore[return-value]
        pack = OPEN_PACKS.get(self._uuid)
        if pack is None:
            pack = _open_pack(self._owner, self._uuid, timeout, self._ref)
        value: T = pack.root()
        _SHARED.add(value, self)
        return value

    def release(self, timeout: float = DEFAULT_TIMEOUT) -> None:
        """Let the pack leave the object store once no other shared pack needs it.

        Whoever has it open goes on reading, and tasks that were sent the handle before still can;
        opening this handle or an unpickled copy elsewhere raises `ShareError`. Nothing happens
        for a handle that is not in a cluster.
        """
        if self._owner is not None:
            self._ref = None
            _SHARED.drop(self._uuid)
            Owner.attach(self._owner).release(self._uuid, timeout)

    def __eq__(self, other: object) -> bool:
        return self._uuid == other._uuid if isinstance(other, Handle) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._uuid)

    def __repr__(self) -> str:
        return f"<Handle {self._uuid.hex()[:8]} in {self._owner or 'this process'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        if self._owner is None:
            return Handle, (self._uuid, None, self._value)
        if self._ref is not None and "ray" in sys.modules and sending():
            return Handle, (self._uuid, self._owner, None, self._ref)
        return Handle, (self._uuid, self._owner)


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
        if isinstance(value, Handle):
            return value
        say_in_process()
        return Handle(uuids.uuid4().bytes, None, value)
    if isinstance(value, Handle):
        if value.where == "ray":
            return value
        value = value.open()  # from before ray.init()
    pickling.enable()
    try:
        return _share(value, timeout)
    except OwnerGoneError:
        log.warning("the owner of the shared packs has died; sharing anew through another one")
        return _share(value, timeout)


def share_again(value: T, timeout: float = DEFAULT_TIMEOUT) -> Handle[T]:
    """`share`, trusting an owner that answered within the last second to be alive."""
    known = _SHARED.get(value)
    if known is not None and known._owner is not None:
        owner = Owner.attached(known._owner)
        if owner is not None and time.monotonic() - owner.answered < TRUST:
            return known
    return share(value, timeout=timeout)


def _share(value: T, timeout: float) -> Handle[T]:
    owner = Owner.connect(pickling.SETTINGS.owner, detached=pickling.SETTINGS.detached)
    known = _SHARED.get(value)
    if known is not None and known._owner == owner.name and owner.holds(known.uuid, timeout):
        return known
    writer = PackWriter(value, importable=lambda pack: pack.owner is owner)
    ref, missing = owner.publish(writer.uuid, writer.imports, writer.image, timeout)
    if ref is None:
        # Packs that this value's nodes live in were released meanwhile: copy those nodes too.
        log.info("%d packs are gone from the store; sharing a whole copy", len(missing))
        writer = PackWriter(value)
        ref, missing = owner.publish(writer.uuid, writer.imports, writer.image, timeout)
        if ref is None:
            raise ShareError(f"publishing a pack: its imports {missing} are not in the cluster")
    pack = owner.open_pack(writer.uuid, timeout, ref)
    writer.adopt(pack)
    handle: Handle[T] = Handle(pack.uuid, owner.name, ref=ref)
    _SHARED.add(value, handle)
    return handle


def _open_pack(name: str, uuid: bytes, timeout: float, ref: Any) -> Pack:
    try:
        return Owner.attach(name).open_pack(uuid, timeout, ref)
    except OwnerGoneError:  # perhaps another one has taken its place
        return Owner.attach(name).open_pack(uuid, timeout)


class _Shared:
    """The handle of each living collection that this process shared or opened, by identity."""

    def __init__(self) -> None:
        self._handles: dict[int, tuple[weakref.ref[Any], Handle[Any]]] = {}
        self._lock = threading.RLock()  # a weak reference may die while it is held

    def get(self, value: Any) -> Handle[Any] | None:
        with self._lock:
            ref, handle = self._handles.get(id(value), (None, None))
            return handle if ref is not None and ref() is value else None

    def add(self, value: Any, handle: Handle[Any]) -> None:
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
            self._handles[key] = ref, handle

    def drop(self, uuid: bytes) -> None:
        with self._lock:
            for key in [k for k, (_, h) in self._handles.items() if h.uuid == uuid]:
                del self._handles[key]


_SHARED = _Shared()
