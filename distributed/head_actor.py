"""The actor behind a head: one queue, one writer, batches, and long polls.

Writers send what they made as a pack that points into packs of the head, and the version that
they made it from. The actor takes all that waits as one batch: it decides on each write, puts
the result of all into one version, commits that (to the store, if there is one), and answers
them. While a commit is under way the next batch gathers; so the more writers there are, the more
of them share a commit.

    write      taken when the head is at
    set        the version that it was made from; alone in its version
    merge      any kept version, if the changes since are elsewhere (head_merge.py)
    reset      any version; alone in its version
    append ... any version: an operation of a stream, done here (`OPERATIONS`)

Every write has an id. One that is known already is answered with the version that it is in, so
a write whose answer was lost can be sent again.

This class knows nothing of Ray: in a cluster it runs as an asyncio actor, without one in a thread
of the process (head_link.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

from pstructs.cache.commit import Durable
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.head_log import SHORT, MemoryLog, Row, StoreLog
from pstructs.distributed.head_merge import merge_changes
from pstructs.distributed.stream_operations import OPERATIONS, end
from pstructs.errors import (
    HeadGoneError,
    HeadMovedError,
    InvalidValueError,
    MergeConflictError,
    MissingPackError,
)
from pstructs.packs import Pack

__all__ = ["Answer", "HeadActor", "News", "Opening", "Write"]

log = logging.getLogger("pstructs.distributed")

MOST_WAITING = 1000
"""Writes that may wait; more are refused with the time after which to try again."""

MOST_IN_BATCH = 256
INLINE = 64_000
"""Bytes up to which a pack travels inside of an answer; larger ones through the object store."""

PREFETCH = 1_000_000
"""Bytes of packs that an answer brings beyond those that were asked for."""


@dataclass(frozen=True)
class Opening:
    """How a head is opened.

    Attributes
    ----------
    name : str
    store : str or None
        Folder of a `SnapshotStore`; None keeps the head in memory.
    durable : str
    keep : int
        Versions that readers and subscribers can go back to.
    validator : callable or None
    node : str or None
        Id of the Ray node that has the store.
    """

    name: str
    store: str | None = None
    durable: Durable = "commit"
    keep: int = 1000
    validator: Callable[[Any], object] | None = None
    node: str | None = None

    @classmethod
    def made(cls, name: str, **asked: Any) -> Opening:
        """As asked; what is None is as by default."""
        return cls(name, **{field: value for field, value in asked.items() if value is not None})


class Write(NamedTuple):
    """What a writer sends: an id, the kind of write, the version it started from, and a pack.

    `base_pack` tells that version from one of the same number of a head that was begun anew;
    empty when the writer does not know.
    """

    write_id: str
    kind: str
    base: int
    base_pack: bytes
    image: PackBuffer


class News(NamedTuple):
    """Versions that a client has not seen, the newest last, and packs that it needs to read them.

    A pack is a `PackBuffer`, or a reference to one in the object store.
    """

    rows: list[Row]
    packs: list[Any]


class Answer(NamedTuple):
    """`outcome` of a write, the version that it is in, what is to be said, and what is new.

    Outcomes: `done`; `again`, done by an earlier write of that id; `moved`, the head is not at
    the expected version; `conflict`; `missing`, the pack points into packs that are gone;
    `refused`, by the validator or since it can't be read; `busy`; `failed`, nothing was committed.
    """

    outcome: str
    number: int
    detail: Any
    news: News


class HeadActor:
    """One head.

    It begins with what is in the store, or with the first value that `about` brings.

    Parameters
    ----------
    opening : Opening
    """

    def __init__(self, opening: Opening) -> None:
        self.opening, self.name = opening, opening.name
        self._begun = False
        self._problem: Exception | None = None
        self._log: MemoryLog | StoreLog
        self._value: Any = None
        self._queue: deque[tuple[Write, asyncio.Future[Answer]]] = deque()
        self._committing = False
        self._pollers: set[asyncio.Future[None]] = set()
        self._refs: dict[bytes, Any] = {}  # packs in the object store
        self._counts: Counter[str] = Counter()
        self._thread = ThreadPoolExecutor(1, f"pstructs-head-{self.name}")
        try:
            if opening.store is not None:
                self._log = StoreLog(opening.store, self.name, opening.keep, opening.durable)
                self._settle()
        except Exception as error:  # told to whoever asks: Ray would wrap it in its own
            self._problem = error

    def _begin(self, initial: PackBuffer) -> None:
        """Make the first version."""
        first = Pack.from_buffer(initial.view, trusted=True).root()
        self._admit(first)
        if self.opening.store is None:
            self._log = MemoryLog(first, self.opening.keep)
        else:
            self._log.take(self._log.commit(first, []), [])
        self._settle()

    def _settle(self) -> None:
        self._begun = bool(self._log.rows)
        if self._begun:
            self._value = self._log.pack(self._log.row.pack).root()

    @property
    def usable(self) -> bool:
        """Whether there is a head to work with."""
        return self._begun and self._problem is None

    def close(self) -> None:
        """Let go of the store."""
        self._thread.shutdown()
        if self._begun:
            self._log.close()

    # ---- reading
    async def read(self, seen: int | None, number: int | None = None) -> News:
        """The newest version, or that one; and the packs that who has seen `seen` lacks."""
        self._check()
        if not self._committing:
            self._refresh()
        row = self._log.row if number is None else self._log.find(number)
        return News([row], self._lacking([row], seen)) if row else News([], [])

    async def poll(self, seen: int, most: int, seconds: float) -> tuple[int, int, News]:
        """The oldest and newest version kept, and up to `most` after `seen`, waiting for one."""
        self._check()
        if self._log.row.number <= seen and seconds > 0:
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._pollers.add(waiter)
            await asyncio.wait([waiter], timeout=seconds)
            self._pollers.discard(waiter)
        rows = self._log.since(seen)[:most]
        oldest, newest = self._log.rows[0].number, self._log.row.number
        return oldest, newest, News(rows, self._lacking(rows, seen))

    async def packs(self, key: bytes) -> list[Any]:
        """The pack whose uuid begins with `key`, and some that it points into."""
        self._check()
        return self._send(self._reach([key], lambda short: False, PREFETCH))

    async def about(self, initial: PackBuffer | None = None) -> tuple[Opening, dict[str, int]]:
        """How the head was opened, and what it has done since; begin it if there is none."""
        if initial is not None and self._problem is None and not self._begun:
            self._begin(initial)
        self._check()
        counts = {key: self._counts[key] for key in COUNTS}
        last = {"version": self._log.row.number, "kept": len(self._log.rows)}
        return self.opening, last | {"waiting": len(self._queue)} | counts

    def _check(self) -> None:
        if self._problem is not None:
            raise self._problem
        if not self._begun:
            where = f"the store {self.opening.store}" if self.opening.store else "memory"
            raise HeadGoneError(f"there is no head {self.name!r} in {where}; give initial=")

    def _lacking(self, rows: list[Row], seen: int | None) -> list[Any]:
        born = self._log.born

        def known(short: bytes) -> bool:
            return seen is not None and 0 < born.get(short, 0) <= seen

        return self._send(self._reach([row.pack for row in rows], known, PREFETCH))

    def _reach(self, keys: list[bytes], known: Callable[[bytes], bool], bytes_: int) -> list[Pack]:
        """The packs of these uuids, and those they point into that are not known, up to a size."""
        found: dict[bytes, Pack] = {}
        todo = deque(keys)
        while todo:
            short = todo.popleft()[:SHORT]
            if short in found or known(short):
                continue
            pack = self._log.pack(short)
            bytes_ -= pack.nbytes
            if bytes_ < 0 and len(found) >= len(keys):
                break
            found[short] = pack
            todo.extend(pack.imports)
        return list(found.values())

    def _send(self, packs: list[Pack]) -> list[Any]:
        return [self._sent(pack) for pack in packs]

    def _sent(self, pack: Pack) -> Any:
        """A pack as it travels."""
        if pack.nbytes <= INLINE or self.put is None:
            return PackBuffer(memoryview(pack))
        if pack.uuid not in self._refs:
            while len(self._refs) >= MOST_REFS:
                del self._refs[next(iter(self._refs))]
            self._refs[pack.uuid] = self.put(PackBuffer(memoryview(pack)))
        return self._refs[pack.uuid]

    put: Callable[[PackBuffer], Any] | None = None
    """Puts a pack into the object store, where there is one."""

    # ---- writing
    async def write(self, write: Write, seen: int | None) -> Answer:
        """Queue a write, and answer once it is decided and committed."""
        self._check()
        if len(self._queue) >= MOST_WAITING:
            self._counts["refused"] += 1
            return Answer("busy", 0, 0.05 + len(self._queue) / 5000, News([], []))
        future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._queue.append((write, future))
        if not self._committing:
            self._committing = True
            self._task = asyncio.ensure_future(self._commit_all())  # kept from the collector
        answer = await future
        if answer.outcome in ("done", "again"):
            row = self._log.find(answer.number)
            rows = [row] if row else []
        else:
            rows = [self._log.row]
        return answer._replace(news=News(rows, self._lacking(rows, seen)))

    async def _commit_all(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._queue:
                waiting = [
                    self._queue.popleft() for _ in range(min(len(self._queue), MOST_IN_BATCH))
                ]
                batch = _Batch(self._log, self._admit)
                try:
                    self._refresh()
                    writes = [write for write, _ in waiting]
                    row = await loop.run_in_executor(
                        self._thread, batch.commit, self._value, writes
                    )
                except HeadMovedError:  # saved to by someone else: begin again from there
                    self._queue.extendleft(reversed(waiting))
                    continue
                except Exception as error:
                    log.exception("head %s: a commit failed", self.name)
                    if self._log.unsure(error):
                        self._queue.extendleft(reversed(waiting))
                        self.fail(error)
                        return
                    batch.answers = [_answer("failed", 0, error)] * len(waiting)
                    row = None
                if row is not None:
                    self._log.take(row, batch.write_ids)
                    self._value = self._log.pack(row.pack).root()
                self._counts.update(batch.counts)
                decided = len(batch.answers)
                self._queue.extendleft(reversed(waiting[decided:]))
                for (_, future), answer in zip(waiting[:decided], batch.answers, strict=True):
                    if not future.done():
                        future.set_result(answer)
                if row is not None:
                    self._wake()
        finally:
            self._committing = False

    def _refresh(self) -> None:
        """Take in what others saved to the head in the store."""
        if self._log.refresh():
            self._value = self._log.pack(self._log.row.pack).root()
            self._wake()

    def fail(self, error: Exception) -> None:
        """What is committed is not known any more: answer nobody from now on."""
        self._problem = error
        while self._queue:
            future = self._queue.popleft()[1]
            if not future.done():
                future.set_exception(error)

    def _wake(self) -> None:
        for waiter in self._pollers:
            if not waiter.done():
                waiter.set_result(None)
        self._pollers.clear()

    def _admit(self, value: Any) -> None:
        if self.opening.validator is not None:
            verdict = self.opening.validator(value)
            if not verdict:
                raise InvalidValueError(
                    f"the validator of head {self.name!r} returned {verdict!r} for a value; the "
                    "head keeps its value (a validator returns True to accept one)"
                )


COUNTS = ("writes", "merged", "conflicts", "moved", "retried", "refused")
MOST_REFS = 1000


def _answer(outcome: str, number: int, detail: Any = None) -> Answer:
    return Answer(outcome, number, detail, News([], []))


class _Batch:
    """Writes that become one version. The thread that commits works on it."""

    def __init__(self, log: MemoryLog | StoreLog, admit: Callable[[Any], None]) -> None:
        self.log, self.admit = log, admit
        self.value: Any = None
        self.start = 0  # the version before
        self.write_ids: list[str] = []
        self.answers: list[Answer] = []
        self.counts: Counter[str] = Counter()
        self.closed = False  # a write that has to be alone in its version is in

    def commit(self, value: Any, writes: list[Write]) -> Row | None:
        """Decide on writes to a value, and commit what is taken; the version, if there is one.

        There are answers to all but the last writes, which have to wait for the next version.
        """
        self.value, self.start = value, self.log.row.number
        for write in writes:
            if (self.closed and write.kind != "set") or (write.kind == "reset" and self.write_ids):
                break
            self.answers.append(self._decide(write))
        return self.log.commit(self.value, self.write_ids) if self.write_ids else None

    def _decide(self, write: Write) -> Answer:
        known = self.log.applied.get(write.write_id)
        if known is None and write.write_id in self.write_ids:
            known = self.start + 1
        if known is not None:
            self.counts["retried"] += 1
            return _answer("again", known)
        if write.kind == "set" and not self._untouched(write):
            self.counts["moved"] += 1
            return _answer("moved", self.start)
        try:
            value = self._made(write)
            self.admit(value)
        except MergeConflictError as error:
            self.counts["conflicts"] += 1
            return _answer("conflict", self.start, [path for path, *_ in error.conflicts])
        except MissingPackError as error:
            return _answer("missing", self.start, error)
        except Exception as error:  # the validator's own errors, and packs that can't be read
            self.counts["refused"] += 1
            return _answer("refused", self.start, error)
        if write.kind == "merge" and not self._untouched(write):
            self.counts["merged"] += 1
        self.counts["writes"] += 1
        self.value = value
        self.write_ids.append(write.write_id)
        self.closed = write.kind in ("set", "reset")
        return _answer("done", self.start + 1, end(value) if write.kind == "append" else None)

    def _untouched(self, write: Write) -> bool:
        """Whether the value is still the one that a write was made from."""
        row = self.log.row
        return (
            not self.write_ids and write.base == row.number and write.base_pack in (b"", row.pack)
        )

    def _made(self, write: Write) -> Any:
        """What the value becomes by a write."""
        pack = Pack.from_buffer(write.image.view, trusted=True, resolve=self.log.pack)
        for short in pack.imports:
            self.log.pack(short)  # raises when it is gone
        sent = pack.root()
        if write.kind in OPERATIONS:
            return OPERATIONS[write.kind](self.value, sent)
        if write.kind != "merge" or self._untouched(write):
            return sent
        base = self.log.find(write.base)
        if base is None or base.pack != write.base_pack:
            raise MergeConflictError(
                f"version {write.base} is not kept any more", (((), None, None, None),)
            )
        return merge_changes(self.log.pack(base.pack).root(), self.value, sent)
