"""The long-lived actor that owns shared packs, and how a process reaches it.

A Ray object dies with the process that put it. A driver that exits, or a worker that Ray retires,
would take its packs along while others still read them; so one actor puts them all:

    publisher --pack bytes--> PackOwner --ray.put--> object store of its node
    reader ----pack uuid----> PackOwner --ObjectRef--> reader --ray.get--> a view, nothing copied

Readers know a pack by its uuid alone, which keeps handles small and independent of how and where
the bytes are kept. That leaves the owner free to coalesce small packs, or to bring lost ones back,
without any change for readers. A handle that Ray itself carries has the reference along, and
saves the reader the question.

There is one owner for each Ray job, named after it and created at the first share. Created by the
driver, it ends with the driver, and Ray frees the packs: nothing is left behind in a long-lived
cluster. Created by a worker it is detached, since workers come and go; it then lives until
`Owner.end()` or the end of the cluster. `enable(owner=NAME, detached=True)` asks for an owner that
outlives the driver, for handles that other jobs are to open.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any

from pstructs.distributed.backend import (
    DEFAULT_TIMEOUT,
    OwnerGoneError,
    aside,
    fetch,
    ray_or_none,
)
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.opened import OPEN_PACKS
from pstructs.errors import ShareError
from pstructs.packs import Pack

__all__ = ["NAMESPACE", "Owner", "PackOwner"]

NAMESPACE = "pstructs"
"""The Ray namespace of the owner actors."""


class PackOwner:
    """The actor: packs by uuid. All methods can be repeated safely."""

    def __init__(self) -> None:
        self._refs: dict[bytes, Any] = {}  # uuid -> ObjectRef, put by this process
        self._sizes: dict[bytes, int] = {}
        self._imports: dict[bytes, tuple[bytes, ...]] = {}
        self._short: dict[bytes, bytes] = {}  # first 8 bytes of a uuid -> uuid
        self._users: Counter[bytes] = Counter()  # such -> number of packs that point there
        self._released: set[bytes] = set()

    def publish(
        self, uuid: bytes, imports: tuple[bytes, ...], pack: PackBuffer
    ) -> tuple[Any, tuple[bytes, ...]]:
        """Keep a pack: its reference and (), or None and the imports that are not here."""
        missing = tuple(short for short in imports if short not in self._short)
        if missing:
            return None, missing
        if uuid not in self._refs:
            import ray

            self._refs[uuid] = ray.put(pack)
            self._sizes[uuid] = pack.view.nbytes
            self._imports[uuid] = imports
            self._short[uuid[:8]] = uuid
            self._users.update(imports)
        self._released.discard(uuid)
        return self._refs[uuid], ()

    def fetch(self, ids: list[bytes]) -> list[Any]:
        """References of packs, by whole uuid or its first 8 bytes; None for unknown ones."""
        return [self._refs.get(self._short.get(i, i)) for i in ids]

    def holds(self, uuid: bytes) -> bool:
        """Whether a handle of that pack can be opened, and will be until it is released."""
        return uuid in self._refs and uuid not in self._released

    def release(self, uuid: bytes) -> int:
        """Let a pack go as soon as no kept pack points into it; number of packs that went."""
        self._released.add(uuid)
        gone, look = 0, [uuid]
        while look:
            u = look.pop()
            if u not in self._released or u not in self._refs or self._users[u[:8]]:
                continue
            self._released.discard(u)
            gone += 1
            for short in self._imports[u]:
                self._users[short] -= 1
                look.append(self._short[short])
            del self._refs[u], self._sizes[u], self._imports[u], self._short[u[:8]]
            del self._users[u[:8]]
        self._released &= self._refs.keys()
        return gone

    def stats(self) -> dict[str, int]:
        """Count packs and their bytes."""
        return {"packs": len(self._refs), "bytes": sum(self._sizes.values())}


class Owner:
    """One process's connection to an owner actor.

    Packs that were opened through it carry it as `pack.owner`, and only those may be pointed into
    by the next pack that is shared through it. The owner has the last word: a successor of a dead
    one, say, does not have the packs, and `publish` says which are missing.
    """

    def __init__(self, name: str, actor: Any, connection: str) -> None:
        self.name = name
        self._actor = actor  # None: not looked up yet
        self._connection = connection
        self.answered = 0.0  # time.monotonic() of the last answer

    def __repr__(self) -> str:
        return f"<Owner {self.name}>"

    # ---- reaching one

    @classmethod
    def attached(cls, name: str) -> Owner | None:
        """The connection to that owner, if this process has one."""
        with _lock:
            owner = _owners.get(name)
        return owner if owner is not None and owner._connection == _connection(_ray()) else None

    @classmethod
    def attach(cls, name: str) -> Owner:
        """The connection to an owner that exists; the first question looks it up."""
        return cls.attached(name) or _remember(cls(name, None, _connection(_ray())))

    @classmethod
    def connect(cls, name: str | None = None, *, detached: bool | None = None) -> Owner:
        """Connect to the owner of this job, or the one of that name; create it if need be."""
        ray = _ray()
        context = ray.get_runtime_context()
        name = name or f"packs-{context.get_job_id()}"
        owner = cls.attach(name)
        if owner._actor is not None:
            return owner
        in_driver = context.worker.mode == ray.SCRIPT_MODE
        lives_on = detached if detached is not None else not in_driver
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        options = {
            "name": name,
            "namespace": NAMESPACE,
            "get_if_exists": True,
            "num_cpus": 0,
            "lifetime": "detached" if lives_on else None,
            "max_restarts": 0,
            # Beside the first publisher: its packs need not cross the network to be put.
            "scheduling_strategy": NodeAffinitySchedulingStrategy(
                context.get_node_id(), soft=True
            ),
        }
        actor = aside(lambda: ray.remote(PackOwner).options(**options).remote())
        if owner._actor is None:
            owner._actor = actor
        return owner

    # ---- what it does

    def publish(
        self, uuid: bytes, imports: tuple[bytes, ...], image: Any, timeout: float = DEFAULT_TIMEOUT
    ) -> tuple[Any, tuple[bytes, ...]]:
        """Put a pack into the store: a reference to it, or None and the missing imports."""
        answer: tuple[Any, tuple[bytes, ...]] = aside(
            lambda: self._ask("publish", timeout, uuid, imports, PackBuffer(image))
        )
        return answer

    def open_pack(self, uuid: bytes, timeout: float = DEFAULT_TIMEOUT, ref: Any = None) -> Pack:
        """The pack of that uuid, or of one that starts with these 8 bytes; opened once.

        A reference saves asking for one.
        """
        pack = OPEN_PACKS.get(uuid)
        if pack is not None:
            return pack
        ray = _ray()

        def work() -> memoryview:
            found = ref if ref is not None else self._ask("fetch", timeout, [uuid])[0]
            if found is None:
                raise ShareError(
                    f"opening a handle: owner {self.name!r} has no pack {uuid.hex()}: it was "
                    "released, or the owner was started anew. Call share() again with the "
                    "collection and send the new handle."
                )
            view: memoryview = fetch(ray, found, timeout, "opening a handle").view
            return view

        return OPEN_PACKS.add(
            Pack.from_buffer(aside(work), trusted=True, resolve=self.open_pack, owner=self)
        )

    def holds(self, uuid: bytes, timeout: float = DEFAULT_TIMEOUT) -> bool:
        """Whether that pack is kept."""
        return bool(aside(lambda: self._ask("holds", timeout, uuid)))

    def release(self, uuid: bytes, timeout: float = DEFAULT_TIMEOUT) -> int:
        """Let that pack go; number of packs that left the owner."""
        return int(aside(lambda: self._ask("release", timeout, uuid)))

    def stats(self, timeout: float = DEFAULT_TIMEOUT) -> dict[str, int]:
        """Count the packs that the owner keeps and their bytes."""
        answer: dict[str, int] = aside(lambda: self._ask("stats", timeout))
        return answer

    def end(self) -> None:
        """End the actor; packs that nobody reads any more are freed, open ones stay readable."""
        self.forget()
        _ray().kill(self._reached())

    def forget(self) -> None:
        """Let the next call of `attach` or `connect` look the name up again."""
        with _lock:
            if _owners.get(self.name) is self:
                del _owners[self.name]

    def _ask(self, method: str, timeout: float, *args: Any) -> Any:
        try:
            ref = getattr(self._reached(), method).remote(*args)
            answer = fetch(_ray(), ref, timeout, _DOING[method])
            self.answered = time.monotonic()
            return answer
        except OwnerGoneError:
            self.forget()
            raise

    def _reached(self) -> Any:
        if self._actor is None:
            try:
                self._actor = _ray().get_actor(self.name, namespace=NAMESPACE)
            except ValueError as error:
                raise OwnerGoneError(
                    f"there is no owner {self.name!r} in this cluster. The actor that owned the "
                    "shared packs has ended, and they ended with it. Call share() again with the "
                    "collection and send the new handle."
                ) from error
        return self._actor


_DOING = {
    "publish": "publishing a pack",
    "fetch": "opening a handle",
    "holds": "looking for a pack",
    "release": "releasing a pack",
    "stats": "counting packs",
}

_owners: dict[str, Owner] = {}
_lock = threading.Lock()


def _ray() -> Any:
    ray = ray_or_none()
    if ray is None:
        raise ShareError(
            "this handle refers to packs in a Ray cluster, and this process is not connected to "
            "one. Call ray.init(address=...) with the address of that cluster first."
        )
    return ray


def _connection(ray: Any) -> str:
    """What changes when the process connects to another cluster."""
    context = ray.get_runtime_context()
    return f"{context.get_node_id()} {context.get_worker_id()}"


def _remember(owner: Owner) -> Owner:
    with _lock:
        known = _owners.get(owner.name)
        if known is not None and known._connection == owner._connection:
            return known
        _owners[owner.name] = owner
        return owner
