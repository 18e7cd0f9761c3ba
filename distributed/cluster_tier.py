"""`ClusterTier`: the layer of a `TieredCache` that all processes of a Ray cluster share.

A result is computed once in the cluster: one process holds the claim, the others wait for what it
puts. Claims are leases, kept up by the same thread that hears of invalidations, so those of a
process that dies, or of a node that is gone, end within seconds (results_actor.py).

    process A   get: miss ─► claim: yes ─► compute ─► put ─► release
    process B   get: miss ─► claim: no ... wait ... ───────► get: read in place
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
import uuid as uuids
from collections import Counter, deque
from typing import Any

from pstructs.cache import Digest, Entry, Tier, TierInfo
from pstructs.cache.marks import ALL
from pstructs.distributed.backend import (
    OwnerGoneError,
    aside,
    connection,
    explained,
    fetch,
    ray_or_none,
)
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.owner import NAMESPACE
from pstructs.distributed.results_actor import Kept, ResultsActor
from pstructs.errors import PackError, ShareError
from pstructs.packs import Pack

__all__ = ["ClusterTier"]

log = logging.getLogger("pstructs.distributed")

MOST_CALLS = 5000
KEPT_NEWS = 1000
PAUSE = 0.05
CLAIM_TIMEOUT = 2.0
"""Seconds that a claim may take: without an answer the result is computed here, too."""


class ClusterTier(Tier):
    """Results that all processes of a Ray cluster share.

    Parameters
    ----------
    name : str
        Tiers of one name, in any process of the cluster, are one tier.
    limit : int
        Bytes that the results may take; those used longest ago go. The first process that asks
        for the name decides. Results of more than 64 kB are in the object store.
    timeout : float
        Seconds that a call may take. What takes longer is a miss, and is logged.
    lease : float
        Seconds after which the claims of a process that is not heard of any more end. The first
        process that asks for the name decides.

    Raises
    ------
    ShareError
        When the process is not connected to a Ray cluster, or the tier's actor can't start.

    Notes
    -----
    An invalidation reaches the copies that other processes hold in their memory within
    milliseconds, not at the same moment. The actor is detached: it lives until `end()` or the
    end of the cluster. When it dies the results are lost, and computed again.

    *Cost*: of a lookup, one exchange with the actor (about 1 ms), whatever the size.

    Examples
    --------
    >>> from pstructs.cache import MemoryTier, TieredCache, memoize
    >>> cache = TieredCache(MemoryTier(), ClusterTier())               # doctest: +SKIP
    >>> @memoize(cache)                                                # doctest: +SKIP
    ... def simulate(table, seed): ...
    """

    def __init__(
        self,
        name: str = "results",
        limit: int = 256 * 2**20,
        timeout: float = 30.0,
        lease: float = 8.0,
    ) -> None:
        if limit < 1:
            raise ValueError(f"limit is a number of bytes, 1 or more, got {limit}")
        ray = ray_or_none()
        if ray is None:
            raise ShareError(
                "a ClusterTier needs a Ray cluster, and this process is not connected to one. "
                "Call ray.init() first, or use a MemoryTier or DiskTier"
            )
        self.name, self.limit, self.timeout, self.lease = name, limit, timeout, lease
        self._ray, self._connection = ray, connection()
        self._who = uuids.uuid4().hex
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._news: deque[tuple[int, list[bytes]]] = deque()  # what was heard, and when it was so
        self._closed = threading.Event()
        self._actor = self._started()
        self._epoch: int = self._ask("news", timeout, self._who, 0, 0.0)[0]
        self._forgotten = self._epoch
        self._thread = threading.Thread(
            target=self._listen, name=f"pstructs-tier-{name}", daemon=True
        )
        self._thread.start()

    def __reduce__(self) -> tuple[Any, ...]:
        return ClusterTier, (self.name, self.limit, self.timeout, self.lease)

    def __repr__(self) -> str:
        return f"<ClusterTier {self.name!r}>"

    # ---- results
    def get(self, key: Digest) -> Entry | None:
        """Return the entry of `key`; None when there is none, or the actor can't be reached."""
        try:
            kept: Kept | None = self._ask("get", self.timeout, bytes(key))
            if kept is None:
                return None
            pack = kept.pack
            if not isinstance(pack, PackBuffer):
                pack = aside(lambda: fetch(self._ray, kept.pack, self.timeout, "reading a result"))
            opened = Pack.from_buffer(pack.view, trusted=True)
            return Entry.packed(opened, kept.expires, kept.tags, kept.failure)
        except (ShareError, PackError) as error:
            self._trouble("reading the result %s failed: %s", key.hex(), error)
            return None

    def contains(self, key: Digest) -> bool:
        """Whether there is a good entry; it then counts as used now."""
        try:
            return bool(self._ask("contains", self.timeout, bytes(key)))
        except ShareError as error:
            self._trouble("looking for the result %s failed: %s", key.hex(), error)
            return False

    def put(self, key: Digest, entry: Entry, since: int | None = None) -> bool:
        """Share an entry, unless it is larger than the whole tier or was invalidated."""
        image = memoryview(entry.pack)
        if image.nbytes > self.limit:
            return False
        kept = Kept(PackBuffer(image), image.nbytes, entry.expires, entry.tags, entry.failure)
        try:
            return bool(self._ask("put", self.timeout, bytes(key), kept, since))
        except ShareError as error:
            self._trouble("sharing the result %s failed: %s", key.hex(), error)
            return False

    # ---- invalidations
    def forget(self, mark: bytes) -> int:
        """Remove what a mark means, for all processes; return how many entries that were.

        Raises
        ------
        ShareError
            When the actor can't be reached.
        """
        gone = int(self._ask("forget", self.timeout, mark))
        self._hear(0.0, self.timeout)
        return gone

    @property
    def epoch(self) -> int:
        """How many invalidations this process has heard of, on the count of the actor."""
        return self._epoch

    def marks_since(self, epoch: int) -> tuple[int, list[bytes]]:
        """Return the present epoch and what was marked after `epoch`, as far as it is heard of."""
        with self._lock:
            if epoch < self._forgotten:
                return self._epoch, [ALL]
            return self._epoch, [mark for at, marks in self._news if at > epoch for mark in marks]

    def _hear(self, wait: float, timeout: float) -> None:
        """Ask for news, up to `wait` seconds; that also keeps the claims of this process up."""
        epoch, marks = self._ask("news", timeout, self._who, self._epoch, wait)
        with self._lock:
            if epoch > self._epoch:
                self._news.append((epoch, marks))
                self._epoch = epoch
            while len(self._news) > KEPT_NEWS:
                self._forgotten = self._news.popleft()[0]

    def _listen(self) -> None:
        while not self._closed.is_set() and not self._left():
            try:
                self._hear(self.lease / 4, self.lease)
            except Exception as error:
                if not self._closed.wait(0.5) and not self._left():
                    log.warning("%r hears of no invalidations: %s", self, error)

    # ---- claims
    def claim(self, key: Digest) -> bool:
        """Try to become the one process of the cluster that computes `key`."""
        try:
            return bool(self._ask("claim", CLAIM_TIMEOUT, self._who, bytes(key)))
        except ShareError as error:
            self._trouble("claiming the result %s failed: %s", key.hex(), error)
            return True

    def release(self, key: Digest) -> None:
        """End a claim."""
        with contextlib.suppress(ShareError):  # it ends with the lease then
            self._ask("release", CLAIM_TIMEOUT, self._who, bytes(key))

    # ---- life
    def info(self) -> TierInfo:
        """Return the figures of the tier since its actor started; errors of this process."""
        hits, misses, evictions, entries, size, limit = self._ask("info", self.timeout)
        return TierInfo(hits, misses, evictions, self._counts["errors"], entries, size, limit)

    def close(self) -> None:
        """End the claims of this process, and leave; the results stay with the actor."""
        if not self._closed.is_set():
            self._closed.set()
            with contextlib.suppress(Exception):
                self._ask("leave", CLAIM_TIMEOUT, self._who)

    def end(self) -> None:
        """End the actor: all results are gone, for all processes."""
        self.close()
        if self._left():
            return
        with contextlib.suppress(ValueError):
            self._ray.kill(self._ray.get_actor(self._actor_name(), namespace=NAMESPACE))

    def _trouble(self, text: str, *values: object) -> None:
        with self._lock:
            self._counts["errors"] += 1
        log.warning("tier %s: " + text, self.name, *values)

    def _actor_name(self) -> str:
        return f"tier-{self.name}"

    def _started(self) -> Any:
        actor = self._ray.remote(ResultsActor).options(
            name=self._actor_name(),
            namespace=NAMESPACE,
            get_if_exists=True,
            num_cpus=0,
            lifetime="detached",
            max_restarts=-1,
            max_concurrency=MOST_CALLS,
        )
        return aside(lambda: actor.remote(self.limit, self.lease))

    def _left(self) -> bool:
        return ray_or_none() is None or connection() is not self._connection

    def _ask(self, method: str, timeout: float, *args: Any) -> Any:
        """Call the actor, and start a new one when it has died."""
        until = time.monotonic() + timeout

        def call() -> Any:
            if self._left():
                raise ShareError(
                    f"the tier {self.name!r} is in a cluster that this process has left. Make "
                    "another ClusterTier() after ray.init()"
                )
            with explained(self._ray, timeout, f"{method} of the tier {self.name!r}"):
                ref = getattr(self._actor, method).remote(*args)
                return self._ray.get(ref, timeout=max(0.0, until - time.monotonic()))

        while True:
            try:
                return aside(call)
            except OwnerGoneError:
                if self._closed.is_set() or time.monotonic() + PAUSE > until:
                    raise
                time.sleep(PAUSE)
                self._actor = self._started()
