"""Which versions are to stay: policies, as values that only compute.

A policy says of a list of versions, at a moment, which of them it keeps and why. `|` keeps what
either of two keeps, `&` only what both keep. Nothing in here reads or changes a store;
`SnapshotStore.expire` does, and always keeps heads, tags, pins and holds on top.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol, TypeAlias

__all__ = ["Both", "Either", "KeepLast", "KeepPeriods", "KeepWithin", "Period", "Policy", "keep"]

#: A span of the calendar, in UTC; weeks begin on Monday.
Period: TypeAlias = Literal["hour", "day", "week", "month", "year"]

_ADVERBS: dict[Period, str] = {
    "hour": "hourly",
    "day": "daily",
    "week": "weekly",
    "month": "monthly",
    "year": "yearly",
}


class Saved(Protocol):
    """What a policy looks at: the number of a version, and when it was saved, in nanoseconds."""

    @property
    def number(self) -> int: ...
    @property
    def time(self) -> int: ...


class Policy(ABC):
    """Says which versions stay."""

    @abstractmethod
    def keeps(self, versions: Sequence[Saved], now: int) -> dict[int, str]:
        """Return the numbers of the versions that stay, each with the reason.

        Parameters
        ----------
        versions : sequence of Version
            All versions that the policy is to judge, in any order.
        now : int
            The present, in nanoseconds since 1970.

        Notes
        -----
        *Cost*: O(n log n) in the number of versions.
        """

    def __or__(self, other: Policy) -> Policy:
        return Either(self, other) if isinstance(other, Policy) else NotImplemented

    def __and__(self, other: Policy) -> Policy:
        return Both(self, other) if isinstance(other, Policy) else NotImplemented


def _count(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} is a number of versions, got {type(value).__name__}")
    if value < 0:
        raise ValueError(f"{name} is a number of versions, got {value}")
    return value


def _newest_first(versions: Sequence[Saved]) -> list[Saved]:
    return sorted(versions, key=lambda version: version.number, reverse=True)


@dataclass(frozen=True)
class KeepLast(Policy):
    """Keeps the last `count` versions."""

    count: int

    def __post_init__(self) -> None:
        _count("count", self.count)

    def keeps(self, versions: Sequence[Saved], now: int) -> dict[int, str]:
        """See `Policy.keeps`."""
        found = _newest_first(versions)[: self.count]
        return {version.number: str(self) for version in found}

    def __str__(self) -> str:
        return f"last {self.count}"


@dataclass(frozen=True)
class KeepWithin(Policy):
    """Keeps versions that are not older than `age`."""

    age: timedelta

    def __post_init__(self) -> None:
        if not isinstance(self.age, timedelta):
            raise TypeError(f"age is a timedelta, got {type(self.age).__name__}")
        if self.age < timedelta(0):
            raise ValueError(f"age can't be negative, got {self.age}")

    def keeps(self, versions: Sequence[Saved], now: int) -> dict[int, str]:
        """See `Policy.keeps`."""
        oldest = now - self.age // timedelta(microseconds=1) * 1000
        return {v.number: str(self) for v in versions if v.time >= oldest}

    def __str__(self) -> str:
        return f"within {self.age}"


def _span(period: Period, nanoseconds: int) -> tuple[int, ...]:
    """Name the hour, day, week, month or year that a moment is in."""
    when = datetime.fromtimestamp(nanoseconds // 10**9, UTC)
    match period:
        case "hour":
            return (when.toordinal(), when.hour)
        case "day":
            return (when.toordinal(),)
        case "week":
            return when.isocalendar()[:2]
        case "month":
            return (when.year, when.month)
        case "year":
            return (when.year,)


@dataclass(frozen=True)
class KeepPeriods(Policy):
    """Keeps the newest version of each of the last `count` periods that have versions.

    Parameters
    ----------
    period : {"hour", "day", "week", "month", "year"}
        In UTC. Periods without a version are not counted, so that a pause loses nothing.
    count : int
    """

    period: Period
    count: int

    def __post_init__(self) -> None:
        if self.period not in _ADVERBS:
            names = ", ".join(map(repr, _ADVERBS))
            raise ValueError(f"period is one of {names}, got {self.period!r}")
        _count("count", self.count)

    def keeps(self, versions: Sequence[Saved], now: int) -> dict[int, str]:
        """See `Policy.keeps`."""
        found: dict[tuple[int, ...], int] = {}
        for version in _newest_first(versions):
            span = _span(self.period, version.time)
            if span not in found:
                if len(found) == self.count:
                    break
                found[span] = version.number
        return dict.fromkeys(found.values(), str(self))

    def __str__(self) -> str:
        return f"{_ADVERBS[self.period]} {self.count}"


@dataclass(frozen=True)
class Either(Policy):
    """Keeps what one of two policies keeps: `a | b`."""

    left: Policy
    right: Policy

    def keeps(self, versions: Sequence[Saved], now: int) -> dict[int, str]:
        """See `Policy.keeps`."""
        left, right = self.left.keeps(versions, now), self.right.keeps(versions, now)
        both = {number: f"{left[number]}, {right[number]}" for number in left.keys() & right}
        return {**left, **right, **both}

    def __str__(self) -> str:
        return f"{self.left} or {self.right}"


@dataclass(frozen=True)
class Both(Policy):
    """Keeps what two policies agree to keep: `a & b`."""

    left: Policy
    right: Policy

    def keeps(self, versions: Sequence[Saved], now: int) -> dict[int, str]:
        """See `Policy.keeps`."""
        left, right = self.left.keeps(versions, now), self.right.keeps(versions, now)
        return {number: f"{left[number]} and {right[number]}" for number in left.keys() & right}

    def __str__(self) -> str:
        return f"({self.left}) and ({self.right})"


def keep(
    *,
    last: int = 0,
    within: timedelta | None = None,
    hourly: int = 0,
    daily: int = 0,
    weekly: int = 0,
    monthly: int = 0,
    yearly: int = 0,
) -> Policy:
    """Return the policy that keeps what any of these keeps.

    Parameters
    ----------
    last : int
        The last so many versions.
    within : timedelta, optional
        All that are not older.
    hourly, daily, weekly, monthly, yearly : int
        The newest version of each of the last so many hours, days ... that have versions.

    Raises
    ------
    ValueError
        When nothing is asked for, since that would keep nothing but heads.

    Examples
    --------
    >>> from pstructs.cache.retention import keep
    >>> policy = keep(last=10, daily=7, weekly=4)
    """
    rules: list[Policy] = []
    if _count("last", last):
        rules.append(KeepLast(last))
    if within is not None:
        rules.append(KeepWithin(within))
    counts: dict[Period, int] = {
        "hour": hourly,
        "day": daily,
        "week": weekly,
        "month": monthly,
        "year": yearly,
    }
    rules.extend(
        KeepPeriods(period, count)
        for period, count in counts.items()
        if _count(_ADVERBS[period], count)
    )
    if not rules:
        raise ValueError(
            "keep() was asked to keep nothing: say how many versions stay, as in keep(last=10). "
            "To keep heads, tags and pins only, give KeepLast(0)"
        )
    policy = rules[0]
    for rule in rules[1:]:
        policy |= rule
    return policy
