"""`Subscription`: the versions of a head as they are made, each once and in order.

A long poll: the subscriber says which version it has had, and the actor answers with the next
ones as soon as there are some. Nothing of it is kept in the actor, so a subscriber goes on after
either of them was restarted, and one that is gone costs nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Generic, TypeVar

from pstructs.distributed.head_version import HeadVersion
from pstructs.errors import HeadGoneError, MissedVersionsError, MissingPackError

if TYPE_CHECKING:
    from pstructs.distributed.head import Head
    from pstructs.distributed.head_link import Link

__all__ = ["Subscription"]

T = TypeVar("T")

AT_A_TIME = 100
"""Versions that one answer brings."""

POLL_SECONDS = 10.0
"""What one question waits for."""


class Subscription(Iterator[HeadVersion[T]], Generic[T]):
    """An iterator over versions; made by `Head.subscribe`.

    Parameters
    ----------
    head : Head
    since : int
        Number of the version before the first one.
    timeout : float or None
        Seconds to wait for a version before the iteration ends; None: it never does.
    """

    def __init__(self, head: Head[T], since: int, timeout: float | None) -> None:
        self.head, self.timeout = head, timeout
        self.since = since
        self._ready: deque[HeadVersion[T]] = deque()

    def __next__(self) -> HeadVersion[T]:
        until = None if self.timeout is None else time.monotonic() + self.timeout
        while not self._ready:
            left = POLL_SECONDS if until is None else until - time.monotonic()
            self._ask(min(max(left, 0.0), POLL_SECONDS))
            if not self._ready and until is not None and time.monotonic() >= until:
                raise StopIteration
        version = self._ready.popleft()
        self.since = version.number
        return version

    def _ask(self, seconds: float) -> None:
        head, link = self.head, self.head._link()
        until = head._until(None) + seconds
        try:
            self._take(link, seconds, until)
        except MissingPackError:  # let go while they were on their way
            if not self._ready:
                oldest = link.call("poll", (self.since, 0, 0.0), until)[0]
                raise self._missed(max(oldest, self.since + 2)) from None
        if self._ready:
            newest_one = self._ready[-1]
            link.saw((newest_one._row, newest_one.open()))

    def _take(self, link: Link, seconds: float, until: float) -> None:
        head = self.head
        oldest, newest, news = link.call("poll", (self.since, AT_A_TIME, seconds), until)
        if newest < self.since:
            raise HeadGoneError(
                f"head {head.name!r} is at version {newest}, and this subscriber has had "
                f"{self.since}: it was begun anew"
            )
        if news.rows and news.rows[0].number != self.since + 1:
            raise self._missed(oldest)
        for buffer in news.packs:
            link.bring(buffer, until)
        for row in news.rows:
            self._ready.append(HeadVersion(head, row, link.pack(row.pack, until).root()))

    def _missed(self, oldest: int) -> MissedVersionsError:
        return MissedVersionsError(
            f"head {self.head.name!r} keeps versions from {oldest} on, and this subscriber has "
            f"had {self.since}. Read the newest one and subscribe from there, or give head() "
            "a larger keep=",
            oldest,
        )
