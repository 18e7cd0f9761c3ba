"""Making packs reachable for other processes, and again after their owner died.

Small packs travel in handles and need nothing. A large one is sent to the owner, after those that
it points into. Whatever is open in this process can be sent again, since views of a pack stay
readable when its object is gone; so each process that published or opened large packs waits for
the end of their owner (`PackOwner.watch`), and then sends what it still has to a new one, where
readers find it by name. The owner lets only one process send each pack.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from pstructs.distributed import stored
from pstructs.distributed.backend import (
    DEFAULT_TIMEOUT,
    OwnerGoneError,
    PackLostError,
    cluster_of,
    connected,
    connection,
    ray_or_none,
)
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.distributed.owner import CLAIM, PICKLED, Owner
from pstructs.distributed.pieces import (
    DROPS,
    PIECES,
    SMALL,
    Piece,
    StoredPack,
    closure,
    departing,
)
from pstructs.errors import ShareError
from pstructs.packs import Pack

__all__ = [
    "flush_later",
    "is_watched",
    "make_reachable",
    "pin",
    "publish",
    "unpin",
    "watch",
    "watch_soon",
]

log = logging.getLogger("pstructs.distributed")

FLUSH = 0.5
"""Seconds after which the owner learns what is not needed any more."""

WATCH = 0.1
"""Seconds after which a reader looks the owner up to learn of its end. That takes 5 ms of a CPU:
done at once, it made four readers on two CPUs wait 4.1 ms for a map and 5.2 ms for their first
1,000 lookups instead of 1.5 and 2.6."""


def make_reachable(
    pieces: Iterable[Piece], owner: str | None, detached: bool | None, timeout: float
) -> None:
    """Send the large packs among these, and among those that they reach, to the owner.

    Raises
    ------
    ShareError
        The object store is full, the cluster does not answer, or a pack is lost: it is not
        reachable, not open here, and in no store.
    """
    cluster = cluster_of(connected())
    done: set[bytes] = set()
    stack = [(piece, False) for piece in pieces]
    while stack:
        piece, ready = stack.pop()
        if ready:
            _send(piece, Owner.connect(owner, detached=detached), timeout, keep=bool(piece.store))
        elif piece.uuid not in done:
            done.add(piece.uuid)
            if not piece.is_reachable(cluster):
                _learn_imports(piece)
                stack.append((piece, True))
            if not (piece.large and piece.is_reachable(cluster)):
                stack.extend((child, False) for child in piece.imports.values())


def _open_here(piece: Piece) -> Pack:
    pack = OPEN_PACKS.get(piece.uuid)
    if pack is not None:
        return pack
    if piece.store is None:
        raise PackLostError(
            f"publishing a pack: {piece.uuid.hex()}, which it points into, is lost: the actor "
            "that owned it has died, and it is not open in this process"
        )
    return stored.open_pack(piece.store, piece.uuid)


def _learn_imports(piece: Piece) -> None:
    """Find the packs that a pack of a store points into."""
    if piece.store is None or piece.imports:
        return
    for short in _open_here(piece).imports:
        pack = stored.open_pack(piece.store, short)
        child = PIECES.get(pack.uuid)
        if child is None:
            child = PIECES.add(Piece(pack.uuid, pack.nbytes, store=piece.store))
        if pack.nbytes < SMALL and child.data is None:
            _learn_imports(child)
            child.data = bytes(pack)
        piece.imports[short] = child


def _send(piece: Piece, owner: Owner, timeout: float, *, keep: bool) -> None:
    buffer = PackBuffer(memoryview(_open_here(piece)))
    publish(piece, StoredPack(buffer, list(piece.imports.values())), owner, timeout, keep=keep)


def publish(
    piece: Piece, pack: StoredPack, owner: Owner, timeout: float, *, keep: bool = False
) -> None:
    """Put a large pack whose imports are reachable."""
    ref = owner.put(piece, pack, timeout, keep=keep)
    piece.ref, piece.cluster = ref, owner.cluster
    piece.owner, piece.actor_id = owner.name, owner.actor_id
    piece.kept = piece.kept or keep
    watch(owner)
    flush_later()


# ---- handles that are pickled by other means than Ray's

_pinned: dict[tuple[str, str, bytes], Piece] = {}  # by cluster and name of the owner


def pin(piece: Piece, owner: Owner, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Let a pack be found by name, until `unpin` or the end of the owner."""
    if (owner.cluster, owner.name, piece.uuid) not in _pinned:
        owner.ask("keep", timeout, piece.uuid, departing([piece]), PICKLED)
        _pinned[owner.cluster, owner.name, piece.uuid] = piece
        watch(owner)


def unpin(uuid: bytes, owner: Owner, timeout: float = DEFAULT_TIMEOUT) -> None:
    """Let a pack that was pinned here or elsewhere go."""
    _pinned.pop((owner.cluster, owner.name, uuid), None)
    owner.ask("drop", timeout, [uuid], PICKLED)


# ---- what is needed no more

_flushing = threading.Lock()


def flush_later() -> None:
    """Tell the owners, soon, what this process needs no more; one thread does it."""
    if DROPS and _flushing.acquire(blocking=False):
        threading.Thread(target=_flush, name="pstructs-release", daemon=True).start()


def _flush() -> None:
    try:
        time.sleep(FLUSH)
        gone: dict[str, list[bytes]] = {}
        while DROPS:
            owner, uuid = DROPS.popleft()
            if owner is not None:
                gone.setdefault(owner, []).append(uuid)
        for name, uuids in gone.items():
            if ray_or_none() is not None:
                owner_here = Owner.attach(name)
                owner_here.ask("drop", DEFAULT_TIMEOUT, uuids, owner_here.process)
    except ShareError as error:
        log.info("an owner did not learn of packs that are needed no more: %s", error)
    finally:
        _flushing.release()


# ---- the end of an owner

_watched: dict[tuple[str, str], str | None] = {}
"""Cluster and name of an owner -> id of the actor that is watched."""
_watch_lock = threading.Lock()


def watch(owner: Owner) -> None:
    """Send packs again when that owner ends."""
    with _watch_lock:
        if is_watched(owner):
            return
        _watched[owner.cluster, owner.name] = owner.actor_id
    owner.tell("watch").future().add_done_callback(lambda future: _ended(owner, future))


def is_watched(owner: Owner) -> bool:
    """Whether that owner has not ended, as far as it is known here."""
    return _watched.get((owner.cluster, owner.name)) == owner.actor_id


def watch_soon(name: str, piece: Piece) -> None:
    """Watch the owner of large packs that were opened here, without waiting for it."""
    key = cluster_of(connected()), name
    if key not in _watched and any(reached.large for reached in closure([piece])):
        _watched[key] = None
        threading.Thread(
            target=_watch_by_name, args=key, name="pstructs-watch", daemon=True
        ).start()


def _watch_by_name(cluster: str, name: str) -> None:
    before = connection()
    time.sleep(WATCH)
    if ray_or_none() is None or connection() is not before:
        return
    try:
        owner = Owner.attach(name)
        owner.look_up()
        watch(owner)
    except OwnerGoneError:  # meanwhile
        _send_again(owner)
    except ShareError as error:
        _watched.pop((cluster, name), None)
        log.debug("not watching an owner: %s", error)


def _ended(owner: Owner, future: Any) -> None:
    """Called by a thread of Ray: only note what happened, and go on elsewhere."""
    ray = ray_or_none()
    if future.cancelled() or ray is None:
        return
    if not isinstance(future.exception(), ray.exceptions.RayActorError):
        return
    threading.Thread(
        target=_send_again, args=(owner,), name="pstructs-recovery", daemon=True
    ).start()


def _send_again(owner: Owner) -> None:
    owner.forget()
    if is_watched(owner):
        _watched.pop((owner.cluster, owner.name), None)
    lost = PIECES.left(owner.name, owner.actor_id)
    held = [OPEN_PACKS.get(piece.uuid) for piece in lost]  # open until all are sent
    alive = [piece for piece, pack in zip(lost, held, strict=True) if pack is not None]
    here = owner.cluster, owner.name
    pinned = [piece for (*where, _), piece in list(_pinned.items()) if tuple(where) == here]
    if ray_or_none() is None or not (alive or pinned):
        return
    log.warning(
        "the owner of the shared packs has died; %d packs that are open here are sent again",
        len(alive),
    )
    for last in (False, False, True):
        try:
            _send_to(Owner.connect(owner.name), alive, pinned)
            time.sleep(CLAIM)  # what another process claimed, and died before it was sent
            return _send_to(Owner.connect(owner.name), alive, pinned)
        except OwnerGoneError as gone:  # the successor, too
            if last:
                log.warning("packs that were open here could not be sent again: %s", gone)
        except ShareError as error:
            log.warning("packs that were open here could not be sent again: %s", error)
            return None


def _send_to(successor: Owner, alive: list[Piece], pinned: list[Piece]) -> None:
    uuids = [piece.uuid for piece in (*alive, *pinned)]
    claimed = set(successor.ask("claim", DEFAULT_TIMEOUT, uuids))
    for piece in closure(alive):
        if piece.uuid in claimed and piece.large:
            _send(piece, successor, DEFAULT_TIMEOUT, keep=True)
    for piece in pinned:
        if piece.uuid in claimed:
            successor.ask("keep", DEFAULT_TIMEOUT, piece.uuid, departing([piece]), PICKLED)
    watch(successor)
