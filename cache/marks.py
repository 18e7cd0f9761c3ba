"""Marks: what was invalidated, and when, so that a result computed before can't come back.

An invalidation removes what is there. But a result may be on its way: a thread that began to
compute before the invalidation puts its result after it, and another process still holds a copy
in its own memory. So a tier counts its invalidations (its *epoch*) and remembers the last ones.
Whoever puts an entry says at which epoch the work on it began, and the tier refuses what was
marked since; whoever holds copies asks what was marked since it last looked.
"""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["ALL", "KEPT", "Marks", "key_mark", "marks_of", "tag_mark"]

ALL = b"*"
KEPT = 10_000  # marks that are remembered; who looks back further forgets everything


def key_mark(key: bytes) -> bytes:
    """Return the mark of one key."""
    return b"k" + key


def tag_mark(tag: str) -> bytes:
    """Return the mark of all entries with a tag."""
    return b"t" + tag.encode()


def marks_of(key: bytes, tags: Iterable[str]) -> list[bytes]:
    """Return the marks that invalidate an entry."""
    return [ALL, key_mark(key), *map(tag_mark, tags)]


class Marks:
    """The last invalidations of one tier, in memory. Not locked.

    Examples
    --------
    >>> marks = Marks()
    >>> marks.add(tag_mark("users"))
    1
    >>> marks.hits(0, [tag_mark("users")]), marks.hits(1, [tag_mark("users")])
    (True, False)
    """

    def __init__(self) -> None:
        self.epoch = 0
        self._last: dict[bytes, int] = {}  # in the order of epochs

    def add(self, mark: bytes) -> int:
        """Count an invalidation and return its epoch."""
        self.epoch += 1
        self._last.pop(mark, None)
        self._last[mark] = self.epoch
        if len(self._last) > KEPT:
            del self._last[next(iter(self._last))]
        return self.epoch

    def hits(self, since: int, marks: Iterable[bytes]) -> bool:
        """Whether one of `marks` was added after the epoch `since`, as far as is remembered."""
        if since == self.epoch:
            return False
        if since < self.epoch - KEPT:
            return True
        return any(self._last.get(mark, 0) > since for mark in marks)
