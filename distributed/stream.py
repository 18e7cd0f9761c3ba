"""`Stream`: an append-only log of events that producers and consumers in a cluster share.

It is a head (head.py) whose value holds the events, a vector, and the offset of each consumer. The
actor itself appends, so producers never conflict, and many appends share one commit. A consumer
reads the vector in place: what travels is what is new.

Events have offsets from 0, which they keep when older ones are dropped. Delivery is at least
once: a consumer that dies before it commits gets the events again. An append of one write id is
made once, however often it is sent.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, Generic, Literal, TypeVar

from pstructs import PMap, PVector, m, pvector
from pstructs.cache.commit import Durable
from pstructs.distributed.backend import DEFAULT_TIMEOUT
from pstructs.distributed.head import Head, opened
from pstructs.distributed.head_actor import Opening
from pstructs.distributed.stream_operations import EMPTY, end
from pstructs.errors import MissedVersionsError, StreamFullError

__all__ = ["Consumer", "Stream"]

T = TypeVar("T")

WAIT_SECONDS = 10.0
"""What one question for news waits for."""


class Stream(Generic[T]):
    """The stream of that name; made if there is none.

    Parameters
    ----------
    name : str
    store : str, optional
        Folder of a `SnapshotStore` on this node: appends and commits are saved there before they
        are acknowledged. Without it the stream lives in the memory of its actor.
    durable : {"commit", "group", "none"}, optional
        As for `SnapshotStore`; "commit" by default.
    most : int
        Events that may be kept; an append that would exceed it waits, and is refused in the end.
    timeout : float
        Seconds that a call may take.

    Raises
    ------
    HeadError, StoreError, ValueError
        As for `head`; also when the head of that name holds something else.

    Examples
    --------
    >>> orders = Stream("orders")
    >>> orders.append(["tea", "jam"])
    2
    >>> clerk = orders.consumer("clerk")
    >>> clerk.poll()
    pvector(['tea', 'jam'])
    >>> clerk.commit()
    2
    >>> orders.append(["fig"], write_id="order 3"), orders.append(["fig"], write_id="order 3")
    (3, 3)
    >>> orders.consumer("clerk").poll()
    pvector(['fig'])
    >>> orders.end()
    """

    def __init__(
        self,
        name: str,
        store: str | None = None,
        *,
        durable: Durable | None = None,
        most: int = 1_000_000,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        if most < 1:
            raise ValueError(f"most is a number of events, 1 or more, got {most}")
        self.most = most
        asked = {"store": store, "durable": durable}
        opening = Opening.made(name, keep=100, **asked)
        self.head: Head[Any] = opened(opening, asked, EMPTY, timeout)
        value = self.head.deref()
        if not isinstance(value, PMap) or set(value) != set(EMPTY):
            raise ValueError(
                f"the head {name!r} is there and holds a {type(value).__name__} that is not a "
                "stream; give the stream another name"
            )

    @property
    def name(self) -> str:
        """The name."""
        return self.head.name

    def __repr__(self) -> str:
        return f"<Stream {self.name!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _again, (self.head, self.most)

    # ---- producers
    def append(
        self, events: Iterable[T], write_id: str | None = None, timeout: float | None = None
    ) -> int:
        """Append events, all or none of them, and return the offset behind them.

        For a write id that is known, it is the offset behind the commit that they were in.

        Parameters
        ----------
        events : iterable
            Savable values. Give many at a time: that is one exchange, and one commit.
        write_id : str, optional
            What the append is called: with one that the stream knows nothing is appended.
        timeout : float, optional
            Seconds to wait for room and for the answer.

        Raises
        ------
        StreamFullError
            There was no room in time; nothing was appended.
        ValueError
            They are more than the stream may keep at all.
        UnsavableError, HeadBusyError, HeadTimeoutError, HeadGoneError

        Notes
        -----
        *Cost*: O(events), and one exchange with the actor.
        """
        head_, until = self.head, self.head._until(timeout)
        write_id = head_._id() if write_id is None else write_id
        added = pvector(events)
        if len(added) > self.most:
            raise ValueError(
                f"{len(added)} events are more than the {self.most} that stream {self.name!r} "
                "may keep; append them in parts, or give Stream() a larger most="
            )
        sent = m(events=added, most=self.most)
        while True:
            try:
                answer = head_._send("append", (0, b""), sent, write_id, until)
            except StreamFullError as error:
                if time.monotonic() + 2 * error.retry_after > until:  # time for an answer, too
                    raise
                time.sleep(error.retry_after)
            else:
                value = head_._opened(answer, until)[1]
                return int(answer.detail) if answer.outcome == "done" else end(value)

    def drop(self, before: int | None = None, timeout: float | None = None) -> int:
        """Forget old events, and return the offset of the first one that is left.

        Parameters
        ----------
        before : int, optional
            Offset of the first event to keep; by default all that every consumer has committed
            are dropped, and none when there are no consumers.
        """
        return int(self._do("drop", m(before=before), timeout)["first"])

    # ---- consumers
    def consumer(self, name: str, start: Literal["first", "end"] | int = "first") -> Consumer[T]:
        """Return a consumer that goes on where the last one of that name committed.

        Parameters
        ----------
        name : str
        start : {"first", "end"} or int
            Where a consumer of a new name begins: at the oldest event that is kept, with the
            next one, or at an offset.
        """
        value = self.head.deref()
        offset = value["offsets"].get(name)
        if offset is None:
            places = {"first": value["first"], "end": end(value)}
            if not isinstance(start, int) and start not in places:
                raise ValueError(f"start is 'first', 'end' or an offset, got {start!r}")
            offset = start if isinstance(start, int) else places[start]
            offset = self._do("commit", m(consumer=name, offset=offset), None)["offsets"][name]
        return Consumer(self, name, offset)

    @property
    def offsets(self) -> dict[str, int]:
        """Where each consumer has committed."""
        return dict(self.head.deref()["offsets"])

    def read(self, start: int, most: int = 1000, timeout: float | None = None) -> PVector[T]:
        """Return up to `most` events from offset `start` on.

        Raises
        ------
        MissedVersionsError
            When they were dropped.
        """
        return self._part(self.head.deref(timeout), start, most)

    def __len__(self) -> int:
        """How many events are kept."""
        return len(self.head.deref()["events"])

    def end(self) -> None:
        """End the actor; what is in a store stays."""
        self.head.end()

    def _part(self, value: Any, start: int, most: int) -> PVector[T]:
        first = value["first"]
        if most < 0:
            raise ValueError(f"the number of events to return is 0 or more, got {most}")
        if start < first:
            raise MissedVersionsError(
                f"stream {self.name!r}: the events {start} to {first - 1} were dropped; go on "
                f"with seek({first})",
                first,
            )
        part: PVector[T] = value["events"][start - first : start - first + most]
        return part

    def _do(self, kind: str, sent: Any, timeout: float | None) -> Any:
        until = self.head._until(timeout)
        answer = self.head._send(kind, (0, b""), sent, self.head._id(), until)
        return self.head._opened(answer, until)[1]


def _again(head_: Head[Any], most: int) -> Stream[Any]:
    stream: Stream[Any] = Stream.__new__(Stream)
    stream.head, stream.most = head_, most
    return stream


class Consumer(Generic[T]):
    """Reads a stream from an offset on; made by `Stream.consumer`.

    Attributes
    ----------
    name : str
    position : int
        Offset of the event that the next `poll` begins with.
    committed : int
        Where a consumer of that name would begin anew.
    """

    def __init__(self, stream: Stream[T], name: str, offset: int) -> None:
        self.stream, self.name = stream, name
        self.position = self.committed = offset

    def __repr__(self) -> str:
        return f"<Consumer {self.name!r} of {self.stream!r} at {self.position}>"

    def poll(self, max_events: int = 500, timeout: float = 0.0) -> PVector[T]:
        """Return the next events, and stand behind them.

        Parameters
        ----------
        max_events : int
        timeout : float
            Seconds to wait for one when there is none.

        Returns
        -------
        PVector
            Empty when there was none in time.

        Raises
        ------
        MissedVersionsError
            When the next events were dropped.
        HeadTimeoutError, HeadGoneError

        Notes
        -----
        *Cost*: nothing but the slice while events are at hand that an earlier answer brought.
        """
        stream, until = self.stream, time.monotonic() + timeout
        seen = stream.head._link().seen
        value = seen[1] if seen is not None else stream.head.deref()
        while end(value) <= self.position:
            value = stream.head.deref()
            left = until - time.monotonic()
            if end(value) > self.position or left <= 0:
                break
            self._wait(min(left, WAIT_SECONDS))
        events = stream._part(value, self.position, max_events)
        self.position += len(events)
        return events

    def _wait(self, seconds: float) -> None:
        """Wait for a version that is newer than the one that is known."""
        head_ = self.stream.head
        head_._call("poll", (head_._seen_number(), 0, seconds), head_._until(None) + seconds)

    def commit(self, timeout: float | None = None) -> int:
        """Save the position, so that a consumer of this name goes on from it; return it.

        Raises
        ------
        HeadBusyError, HeadTimeoutError, HeadGoneError
        """
        sent = m(consumer=self.name, offset=self.position)
        self.committed = self.stream._do("commit", sent, timeout)["offsets"][self.name]
        return self.committed

    def seek(self, offset: int, timeout: float | None = None) -> int:
        """Go to an offset, forward or back, and save that; return it."""
        sent = m(consumer=self.name, offset=offset)
        self.position = self.stream._do("seek", sent, timeout)["offsets"][self.name]
        self.committed = self.position
        return self.position

    @property
    def lag(self) -> int:
        """How many events the stream has beyond the position."""
        return end(self.stream.head.deref()) - self.position
