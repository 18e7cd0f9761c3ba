"""How a process reaches the actor of a head, and what happens when it dies.

`ClusterLink` calls the Ray actor. When that dies, a head with a store is started again, by Ray or
by the next caller, and goes on at the last version that it acknowledged; calls are repeated until
their time is up, which is safe since writes have ids. A head without a store is gone then.
`LocalLink` runs the same actor in a thread, where there is no cluster.

A link also keeps the packs that the process has open, by the first 8 bytes of their uuids.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Iterable
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import replace
from typing import Any

from pstructs.cache.layout import DATABASE
from pstructs.distributed.backend import (
    STORE_FULL,
    PackLostError,
    aside,
    cluster_of,
    ray_or_none,
    say_in_process,
)
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.head_actor import HeadActor, Opening
from pstructs.distributed.head_log import SHORT, Row
from pstructs.distributed.owner import NAMESPACE
from pstructs.distributed.pieces import PackSource
from pstructs.errors import HeadError, HeadGoneError, HeadTimeoutError
from pstructs.packs import Pack

__all__ = ["ClusterLink", "Link", "LocalLink", "connect", "forget"]

MOST_CALLS = 5000
"""Calls of one head at a time, long polls among them."""

OPEN_BYTES = 8_000_000
"""Bytes of small packs that a process keeps open for the next version to point into."""


class Link(PackSource):
    """A connection to one head."""

    def __init__(self, opening: Opening) -> None:
        self.opening = opening
        self.seen: tuple[Row, Any] | None = None  # the newest version that this process knows
        self._packs: weakref.WeakValueDictionary[bytes, Pack] = weakref.WeakValueDictionary()
        self._recent: OrderedDict[bytes, Pack] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()

    def call(self, method: str, args: tuple[Any, ...], until: float) -> Any:
        """Call a method of the actor; `until` is on the clock of `time.monotonic`.

        Raises
        ------
        HeadGoneError, HeadTimeoutError
        """
        raise NotImplementedError

    def about(self, opening: Opening, initial: PackBuffer | None, until: float) -> Opening:
        """Start the actor like that if need be, and return how the head is opened.

        Raises
        ------
        Exception
            What went wrong when the actor opened the head; it is ended then.
        """
        raise NotImplementedError

    def end(self) -> None:
        """End the actor."""
        raise NotImplementedError

    @property
    def current(self) -> bool:
        """Whether this is the way to the head from where the process is now."""
        raise NotImplementedError

    def saw(self, version: tuple[Row, Any]) -> None:
        """Remember a version and its value, if it is the newest one."""
        with self._lock:
            if self.seen is None or self.seen[0].number < version[0].number:
                self.seen = version

    # ---- packs
    def open(self, row: Row, sent: Iterable[Any], until: float) -> Any:
        """The value of a version, with the packs that came along."""
        for buffer in sent:
            with contextlib.suppress(PackLostError):  # asked for again when it is needed
                self.bring(buffer, until)
        return self.pack(row.pack, until).root()

    def pack(self, key: bytes, until: float | None = None) -> Pack:
        """The pack whose uuid begins with `key`."""
        with self._lock:
            pack = self._packs.get(key[:SHORT])
        until = time.monotonic() + RESOLVE_SECONDS if until is None else until
        while pack is None:  # the actor sends it, or raises
            for buffer in self.call("packs", (key,), until):
                with contextlib.suppress(PackLostError):  # the actor died meanwhile
                    got = self.bring(buffer, until)
                    if got.uuid.startswith(key):
                        pack = got
        return pack

    def _received(self, sent: Any, until: float) -> PackBuffer:
        """The bytes of a pack that came in an answer.

        Raises
        ------
        PackLostError
        """
        return sent  # type: ignore[no-any-return]

    def mine(self, pack: Pack) -> bool:
        """Whether a pack that is sent to the head may point into `pack`."""
        return pack.owner is self

    def bring(self, sent: Any, until: float) -> Pack:
        """Open a pack that came in an answer, and keep it for the next version."""
        view = self._received(sent, until).view
        pack = Pack.from_buffer(view, trusted=True, resolve=self.pack, owner=self)
        short = pack.uuid[:SHORT]
        with self._lock:
            known = self._packs.get(short)
            if known is not None and known.uuid == pack.uuid:
                return known
            self._packs[short] = self._recent[short] = pack
            self._bytes += pack.nbytes
            while self._bytes > OPEN_BYTES and len(self._recent) > 1:
                self._bytes -= self._recent.popitem(last=False)[1].nbytes
        return pack


RESOLVE_SECONDS = 30.0


class LocalLink(Link):
    """A head in this process."""

    def __init__(self, opening: Opening) -> None:
        super().__init__(opening)
        say_in_process()
        self._loop = asyncio.new_event_loop()
        self._actor: HeadActor | None = None

    @property
    def current(self) -> bool:
        """Whether there still is no cluster."""
        return ray_or_none() is None

    def about(self, opening: Opening, initial: PackBuffer | None, until: float) -> Opening:
        """Start the actor if need be, and return how the head is opened."""
        if self._actor is None:
            self._actor = HeadActor(opening)
            self._thread = threading.Thread(
                target=self._loop.run_forever, name=f"head-{opening.name}", daemon=True
            )
            self._thread.start()
        try:
            self.opening = self.call("about", (initial,), until)[0]
        finally:
            if not self._actor.usable:
                self.end()
        return self.opening

    def call(self, method: str, args: tuple[Any, ...], until: float) -> Any:
        """Call a method of the actor."""
        if self._actor is None:
            raise self._ended()
        future = asyncio.run_coroutine_threadsafe(getattr(self._actor, method)(*args), self._loop)
        try:
            return future.result(max(0.0, until - time.monotonic()))
        except FutureTimeoutError:
            future.cancel()
            raise HeadTimeoutError(_late(self.opening.name)) from None
        except CancelledError:
            raise self._ended() from None

    def _ended(self) -> HeadGoneError:
        return HeadGoneError(
            f"there is no head {self.opening.name!r} in this process: it was ended, or is in a "
            "cluster that the process has left. Make it with head(name, initial=...)"
        )

    def end(self) -> None:
        """End the actor, and all that wait for it."""
        actor, self._actor = self._actor, None
        if actor is not None:
            asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            actor.close()


async def _cancel_all() -> None:
    """Let the calls of other threads end with an error instead of at their time limit."""
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class ClusterActor(HeadActor):
    """The actor as Ray runs it."""

    @staticmethod
    def put(pack: PackBuffer) -> Any:
        """Put a pack into the object store of this node, owned by this actor."""
        return importlib.import_module("ray").put(pack)

    async def leave(self) -> None:
        """End, unless there is a head here."""
        if not self.usable:
            importlib.import_module("ray").actor.exit_actor()

    def fail(self, error: Exception) -> None:
        """End, so that a new actor reads from the store what was committed."""
        os._exit(1)


class ClusterLink(Link):
    """A head in the Ray cluster."""

    def __init__(self, ray: Any, opening: Opening) -> None:
        super().__init__(opening)
        self._ray = ray
        self._cluster = cluster_of(ray)
        self._actor: Any = None
        self._start_as = opening
        self._may_start = False  # whether a head without a store is to be made

    @property
    def current(self) -> bool:
        """Whether the process still is in that cluster."""
        return ray_or_none() is not None and cluster_of(self._ray) == self._cluster

    def about(self, opening: Opening, initial: PackBuffer | None, until: float) -> Opening:
        """Start the actor if need be, and return how the head is opened."""
        self._start_as, self._may_start = opening, initial is not None
        try:
            self.opening = self.call("about", (initial,), until)[0]
        except HeadTimeoutError:
            raise
        except Exception:
            if self._actor is not None:
                self._actor.leave.remote()
            raise
        finally:
            self._may_start = False
        self._start_as = self.opening
        return self.opening

    def call(self, method: str, args: tuple[Any, ...], until: float) -> Any:
        """Call a method of the actor, again and again while it is being restarted."""
        return aside(lambda: self._call(method, args, until))

    def _call(self, method: str, args: tuple[Any, ...], until: float) -> Any:
        errors, pause = self._ray.exceptions, 0.02
        while True:
            left = until - time.monotonic()
            try:
                if left <= 0:
                    raise errors.GetTimeoutError
                return self._ray.get(self._ask(method, args), timeout=left)
            except errors.GetTimeoutError:
                raise HeadTimeoutError(_late(self.opening.name)) from None
            except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
                raise HeadError(
                    f"the head {self.opening.name!r}: {STORE_FULL} Whether a write was made is "
                    "not known; one that has a write_id can be sent again"
                ) from error
            except errors.RayTaskError as error:
                if isinstance(error.cause, errors.RayError | None):
                    raise HeadError(f"the head {self.opening.name!r}: {error}") from error
                raise error.cause from None
            except errors.RayActorError as error:
                self._lost(error)
            except errors.ActorUnschedulableError as error:
                self._without_node(error)
            except (errors.ObjectLostError, errors.RaySystemError):
                self._actor = None  # the answer's packs died with the actor
            except errors.RayError as error:
                raise HeadError(f"the head {self.opening.name!r}: {error}") from error
            time.sleep(min(pause, max(0.0, until - time.monotonic())))
            pause = min(2 * pause, 0.5)

    def _ask(self, method: str, args: tuple[Any, ...]) -> Any:
        if self._actor is None:
            self._actor = self._found()
        return getattr(self._actor, method).remote(*args)

    def _lost(self, error: Any) -> None:
        """Look the actor up again, if it can come back."""
        dead = not isinstance(error, self._ray.exceptions.ActorUnavailableError)
        if dead and self._start_as.store is None and not self._may_start:
            forget(self)
            raise HeadGoneError(
                f"the actor of head {self.opening.name!r} has died, and its versions with it, "
                "since it has no store. Make the head anew with head(name, initial=...), and "
                "with store= to have it survive"
            ) from error
        self._actor = None

    def _without_node(self, error: Any) -> None:
        """The actor is to be on a node that is gone, and the store with it, as far as we know.

        It is made anew when someone says where the store is now, by `head(name, store=...)` on
        that node. That there is a folder elsewhere says nothing by itself: it may be an old copy.
        """
        dead, self._actor = self._actor, None
        start = self._start_as
        if start.node is None and os.path.exists(os.path.join(start.store or "", DATABASE)):
            self._ray.kill(dead)
            return
        with contextlib.suppress(ValueError):
            other = self._ray.get_actor(actor_name(start.name), namespace=NAMESPACE)
            if other._actor_id != dead._actor_id:  # someone did
                self._actor = other
                return
        forget(self)
        raise HeadGoneError(
            f"the node that has the store {start.store!r} of head {start.name!r} has left the "
            f"cluster. Call head({start.name!r}, store=...) on a node that has the folder: that "
            "one, started again, or one that the folder was brought to or that shares it"
        ) from error

    def _found(self) -> Any:
        opening = self._start_as
        with contextlib.suppress(ValueError):
            return self._ray.get_actor(actor_name(opening.name), namespace=NAMESPACE)
        if opening.store is None and not self._may_start:
            forget(self)
            raise HeadGoneError(
                f"there is no head {opening.name!r} in this cluster; make it with "
                "head(name, initial=...) or with the store= that it was kept in"
            )
        return self._start()

    def _start(self) -> Any:
        opening = self._start_as
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        node = opening.node or self._ray.get_runtime_context().get_node_id()
        options = {
            "name": actor_name(opening.name),
            "namespace": NAMESPACE,
            "get_if_exists": True,
            "num_cpus": 0,
            "lifetime": "detached",
            "max_restarts": -1 if opening.store else 0,
            "max_concurrency": MOST_CALLS,
            # A store is a folder of that node.
            "scheduling_strategy": NodeAffinitySchedulingStrategy(node, soft=not opening.store),
        }
        actor = self._ray.remote(ClusterActor).options(**options)
        return actor.remote(replace(opening, node=node))

    def _received(self, sent: Any, until: float) -> PackBuffer:
        if isinstance(sent, PackBuffer):
            return sent
        left = max(0.0, until - time.monotonic())
        try:
            got: PackBuffer = aside(lambda: self._ray.get(sent, timeout=left))
        except self._ray.exceptions.GetTimeoutError:
            raise HeadTimeoutError(_late(self.opening.name)) from None
        except (self._ray.exceptions.RayActorError, self._ray.exceptions.ObjectLostError) as error:
            raise PackLostError(f"the head {self.opening.name!r}: {error}") from error
        except self._ray.exceptions.RayError as error:
            raise HeadError(f"the head {self.opening.name!r}: {error}") from error
        return got

    def end(self) -> None:
        """End the actor for good."""
        with contextlib.suppress(ValueError):
            self._ray.kill(self._ray.get_actor(actor_name(self.opening.name), namespace=NAMESPACE))


def actor_name(name: str) -> str:
    """What Ray calls the actor of a head."""
    return f"head-{name}"


def _late(name: str) -> str:
    return (
        f"the head {name!r} did not answer in time. The cluster may be overloaded, or the actor "
        "is being restarted; try again with a larger timeout="
    )


_links: dict[tuple[str, str], Link] = {}
_lock = threading.Lock()


def connect(opening: Opening) -> Link:
    """The link of this process to a head."""
    ray = ray_or_none()
    key = ("" if ray is None else cluster_of(ray), opening.name)
    with _lock:
        link = _links.get(key)
        if link is None:
            link = LocalLink(opening) if ray is None else ClusterLink(ray, opening)
            _links[key] = link
        return link


def forget(link: Link) -> None:
    """Let the next `connect` start anew."""
    with _lock:
        for key in [key for key, known in _links.items() if known is link]:
            del _links[key]
