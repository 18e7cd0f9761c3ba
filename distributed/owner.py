"""The long-lived actor that owns shared packs, and how a process reaches it.

A Ray object dies with the process that put it. A driver that exits, or a worker that Ray retires,
would take its packs along while others still read them; so one actor puts them all:

    publisher --StoredPack--> PackOwner --ray.put--> object store of its node
    publisher <--ObjectRef--- PackOwner

The actor forgets a pack as soon as it has answered: from then on Ray counts who can reach the
object, see `pieces`. It keeps only what is to be found by name:

- packs of handles that were pickled by other means than Ray's, which nobody can count;
- packs that were published again after another owner had died, and packs of snapshot stores, so
  that a second process need not send them. They go when the last process that needs them says so.

There is one owner for each Ray job, named after it and created when the first large pack is
shared. Created by the driver, it ends with the driver, and Ray frees the packs: nothing is left
behind in a long-lived cluster. Created by a worker it is detached, since workers come and go; it
then lives until `Owner.end()` or the end of the cluster. `enable(owner=NAME, detached=True)` asks
for an owner that outlives the driver, for handles that other jobs are to open.
"""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

from pstructs.distributed.backend import (
    DEFAULT_TIMEOUT,
    OwnerGoneError,
    aside,
    cluster_of,
    connected,
    explained,
)
from pstructs.distributed.pieces import Piece, StoredPack, Travelling, arrived
from pstructs.errors import ShareError

__all__ = ["NAMESPACE", "RECOVERY", "Owner", "PackOwner"]

NAMESPACE = "pstructs"
"""The Ray namespace of the owner actors."""

RECOVERY = 10.0
"""Seconds that a reader waits for a lost pack to be published again. Processes learn of the death
of an owner within 10 ms; starting a new one takes 0.5 to 1.5 s, and 6 s on a machine that is busy
with other things."""

CLAIM = 3.0
"""Seconds that a process has for sending a pack again before others may."""

PICKLED = b"pickled"
"""In whose name the packs of handles are kept that were pickled by other means than Ray's."""


class PackOwner:
    """The actor. All methods can be repeated safely."""

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[list[Travelling], set[bytes]]] = {}
        self._sizes: dict[bytes, int] = {}  # id of an object -> bytes
        self._claims: dict[bytes, float] = {}
        self._began = time.monotonic()
        self._put = 0

    async def put(
        self, uuid: bytes, store: str | None, pack: StoredPack, process: bytes | None
    ) -> Any:
        """Put a large pack into the store and return its reference; keep it for a process."""
        import ray

        if process is not None and uuid in self._kept:
            travelled, users = self._kept[uuid]
            users.add(process)
            return travelled[-1][4]
        ref = ray.put(pack)
        nbytes = pack.buffer.view.nbytes
        self._sizes[ref.binary()] = nbytes
        self._put += nbytes
        if process is not None:
            here = ray.get_runtime_context()
            name, actor_id = here.get_actor_name(), here.get_actor_id()
            self._kept[uuid] = (
                [(uuid, nbytes, bool(pack.imports), None, ref, name, actor_id, store, ())],
                {process},
            )
        return ref

    async def keep(self, uuid: bytes, travelled: list[Travelling], process: bytes) -> None:
        """Keep a pack and what it reaches, to be found by name, in the name of a process."""
        self._kept.setdefault(uuid, (travelled, set()))[1].add(process)

    async def find(
        self, uuid: bytes, process: bytes | None
    ) -> tuple[list[Travelling] | None, float]:
        """What leads to a pack, or None; and for how many seconds this actor has lived."""
        travelled, users = self._kept.get(uuid, (None, set()))
        if process is not None:
            users.add(process)
        return travelled, time.monotonic() - self._began

    async def claim(self, uuids: list[bytes]) -> list[bytes]:
        """The packs among these that are not here and that no other process is about to send."""
        now = time.monotonic()
        wanted = [
            uuid
            for uuid in uuids
            if uuid not in self._kept and now - self._claims.get(uuid, -CLAIM) >= CLAIM
        ]
        self._claims.update(dict.fromkeys(wanted, now))
        return wanted

    async def drop(self, uuids: list[bytes], process: bytes) -> None:
        """A process needs these packs no more."""
        for uuid in uuids:
            _, users = self._kept.get(uuid, (None, set()))
            users.discard(process)
            if not users:
                self._kept.pop(uuid, None)

    async def watch(self) -> None:
        """Answer never: whoever asks learns of the end of this actor at once."""
        await asyncio.Event().wait()

    async def stats(self) -> dict[str, int]:
        """Count objects in the store and their bytes, what was put so far, and what is kept."""
        worker = __import__("ray")._private.worker.global_worker
        alive = {bytes.fromhex(_text(i)) for i in worker.core_worker.get_all_reference_counts()}
        self._sizes = {i: size for i, size in self._sizes.items() if i in alive}
        return {
            "packs": len(self._sizes),
            "bytes": sum(self._sizes.values()),
            "put": self._put,
            "kept": len(self._kept),
        }


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


class Owner:
    """One process's connection to an owner actor."""

    def __init__(self, name: str, actor: Any, cluster: str) -> None:
        self.name = name
        self.cluster = cluster
        self._actor = actor  # None: not looked up yet

    def __repr__(self) -> str:
        return f"<Owner {self.name}>"

    # ---- reaching one

    @staticmethod
    def name_here() -> str:
        """The name of the owner of this job."""
        return f"packs-{connected().get_runtime_context().get_job_id()}"

    @classmethod
    def attach(cls, name: str) -> Owner:
        """The connection to an owner that exists; the first question looks it up."""
        cluster = cluster_of(connected())
        with _lock:
            owner = _owners.get(name)
            if owner is None or owner.cluster != cluster:
                owner = _owners[name] = cls(name, None, cluster)
            return owner

    @classmethod
    def connect(cls, name: str | None = None, *, detached: bool | None = None) -> Owner:
        """Connect to the owner of this job, or the one of that name; create it if need be."""
        ray = connected()
        context = ray.get_runtime_context()
        name = name or cls.name_here()
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
            "max_concurrency": 100_000,  # one call of `watch` for each process
            # Beside the first publisher: its packs need not cross the network to be put.
            "scheduling_strategy": NodeAffinitySchedulingStrategy(
                context.get_node_id(), soft=True
            ),
        }
        actor = aside(lambda: ray.remote(PackOwner).options(**options).remote())
        if owner._actor is None:
            owner._actor = actor
        return owner

    @classmethod
    def find(cls, name: str, uuid: bytes, timeout: float, trouble: ShareError | None) -> Piece:
        """The piece of a pack that an owner keeps; waits for one that is being sent again.

        Raises
        ------
        ShareError
            Nobody has the pack. `trouble` is what went wrong before, if anything.
        """
        until = time.monotonic() + min(timeout, RECOVERY)
        while True:
            error: ShareError
            try:
                found, age = cls.attach(name).ask("find", timeout, uuid, None)
                if found is not None:
                    return arrived(found)[uuid[:8]]
                error = ShareError(
                    f"opening a handle: owner {name!r} has no pack {uuid.hex()}: it was released, "
                    "or the owner was started anew and no process had the pack open. Call "
                    "share() again with the collection and send the new handle."
                )
                if trouble is None and age > RECOVERY:
                    raise error
            except OwnerGoneError as gone:
                error = gone
            if time.monotonic() >= until:
                raise error from trouble
            time.sleep(0.1)

    # ---- what it does

    def put(
        self, piece: Piece, pack: StoredPack, timeout: float = DEFAULT_TIMEOUT, *, keep: bool
    ) -> Any:
        """Put a large pack into the store; its reference."""
        process = self.process if keep else None
        return self.ask("put", timeout, piece.uuid, piece.store, pack, process)

    def ask(self, method: str, timeout: float, *args: Any) -> Any:
        """Call the actor and wait for the answer; errors are a `ShareError`."""

        def work() -> Any:
            ray, actor = connected(), self.look_up()
            with explained(ray, timeout, _DOING[method]):  # also putting what is sent
                return ray.get(getattr(actor, method).remote(*args), timeout=timeout)

        try:
            return aside(work)
        except OwnerGoneError as gone:
            self.forget()
            gone.owner, gone.actor_id = self.name, self.actor_id
            raise

    def tell(self, method: str, *args: Any) -> Any:
        """Call the actor; the reference of the answer, which never raises here."""
        return getattr(self.look_up(), method).remote(*args)

    @property
    def process(self) -> bytes:
        """What this process calls itself."""
        return self.cluster.encode()

    def stats(self, timeout: float = DEFAULT_TIMEOUT) -> dict[str, int]:
        """Count the packs in the store that came from this owner: number and bytes."""
        answer: dict[str, int] = self.ask("stats", timeout)
        return answer

    def end(self) -> None:
        """End the actor; packs that nobody reads any more are freed, open ones stay readable."""
        self.forget()
        connected().kill(self.look_up())

    def forget(self) -> None:
        """Let the next call of `attach` or `connect` look the name up again."""
        with _lock:
            known = _owners.get(self.name)
            if known is not None and known.actor_id == self.actor_id:
                del _owners[self.name]

    @property
    def actor_id(self) -> str | None:
        """Which actor of that name this is; None before it was looked up."""
        return None if self._actor is None else str(self._actor._actor_id.hex())

    def look_up(self) -> Any:
        """The actor."""
        if self._actor is None:
            try:
                self._actor = connected().get_actor(self.name, namespace=NAMESPACE)
            except ValueError as error:
                raise OwnerGoneError(
                    f"there is no owner {self.name!r} in this cluster. The actor that owned the "
                    "shared packs has ended, and they ended with it. Call share() again with the "
                    "collection and send the new handle."
                ) from error
        return self._actor


_DOING = {
    "put": "publishing a pack",
    "find": "opening a handle",
    "keep": "keeping a pack for a handle",
    "claim": "publishing packs again",
    "drop": "releasing a pack",
    "stats": "counting packs",
}

_owners: dict[str, Owner] = {}
_lock = threading.Lock()
