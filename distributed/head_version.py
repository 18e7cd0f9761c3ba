"""`HeadVersion`: what is known of one version of a head, and the way to its value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from pstructs.distributed.head import Head
    from pstructs.distributed.head_log import Row

__all__ = ["HeadVersion"]

T = TypeVar("T")


class HeadVersion(Generic[T]):
    """One version of a head, small and picklable: send it to tasks, and `open()` it there.

    Attributes
    ----------
    number : int
        From 1, without gaps.
    digest : str
        32 hex digits of the value: equal digests, equal values.
    writes : int
        How many writes it took in: several when they were merged.
    time : float
        When it was made, in seconds since 1970.
    """

    __slots__ = ("_head", "_opened", "_row")

    def __init__(self, head: Head[T], row: Row, *opened: T) -> None:
        self._head, self._row, self._opened = head, row, opened

    @property
    def number(self) -> int:
        """Its number."""
        return self._row.number

    @property
    def digest(self) -> str:
        """The digest of the value."""
        return self._row.digest.hex()

    @property
    def writes(self) -> int:
        """How many writes it took in."""
        return self._row.writes

    @property
    def time(self) -> float:
        """When it was made."""
        return self._row.time

    def open(self, timeout: float | None = None) -> T:
        """Return the value, read in place.

        Raises
        ------
        MissedVersionsError
            When the head no longer keeps it.

        Notes
        -----
        *Cost*: O(1), and what is new since a version that this process has opened.
        """
        if not self._opened:
            self._opened = (self._head._open(self.number, self._row.pack, timeout),)
        return self._opened[0]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, HeadVersion):
            return NotImplemented
        return (self._row, self._head.name) == (other._row, other._head.name)

    def __hash__(self) -> int:
        return hash((self._row.number, self._row.pack))

    def __repr__(self) -> str:
        return f"<version {self.number} of head {self._head.name!r} ({self.digest[:8]})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return HeadVersion, (self._head, self._row)
