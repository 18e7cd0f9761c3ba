"""`Version`: what the catalog knows of one saved snapshot, and the ways to name one.

A version is named by its number in the store (`12`), its id or the beginning of it
(`"3f9c2a61"`), a head (`"main"`), a tag (`"v1"`), or steps back from any of these (`"main~3"`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

from pstructs import PMap

__all__ = [
    "Version",
    "VersionName",
    "check_head_name",
    "check_text",
    "datetime_of",
    "nanoseconds",
    "split_steps",
]

#: How a version can be given: itself, its number, or a text that names it.
VersionName: TypeAlias = "Version | int | str"

SHORT_DIGITS = 8
_STEPS = re.compile(r"^(?P<base>.*?)(?:~(?P<steps>\d*))?$", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Version:
    """One saved snapshot.

    Attributes
    ----------
    number : int
        Its place in this store, from 1.
    id : str
        32 hex digits, the same in every store that holds the version: a digest of the
        value's digest, of the parents and of what is said of the version.
    parents : tuple of str
        Ids of the versions that it was made from: none for a first one, several for a merge.
    time : int
        When it was saved: nanoseconds since 1970, UTC. Always later than its parents.
    message : str or None
    head : str
        The head that it was saved to.
    pack : str
        Uuid of the pack that its root is in, as 32 hex digits.
    root : str
        Digest of the value, as 32 hex digits: equal digests mean equal values.
    nbytes : int
        Bytes that saving it added to the packs.
    entries : int or None
        `len` of the value; None when it has none.
    restores : str or None
        The id of the version whose value this one brings back (`SnapshotStore.undo`).
    meta : PMap
        What else was said of it: str to plain values, with tuples for lists.
    write_id : str or None
        What the caller called the commit, so that it could be tried again.
    """

    number: int
    id: str
    parents: tuple[str, ...]
    time: int
    message: str | None
    head: str
    pack: str
    root: str
    nbytes: int
    entries: int | None
    restores: str | None
    meta: PMap[str, Any]
    write_id: str | None

    @property
    def short(self) -> str:
        """The first 8 digits of the id: enough to name it, in all but huge stores."""
        return self.id[:SHORT_DIGITS]

    @property
    def when(self) -> datetime:
        """`time` as a datetime in UTC, cut to microseconds."""
        return datetime_of(self.time)

    def __str__(self) -> str:
        said = f" {self.message!r}" if self.message else ""
        return f"version {self.number} ({self.short}{said})"

    def __repr__(self) -> str:
        return f"<{self}>"


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def datetime_of(time_ns: int) -> datetime:
    """Return nanoseconds since 1970 as a datetime in UTC, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def nanoseconds(moment: datetime) -> int:
    """Return the last nanosecond of a datetime's microsecond, since 1970.

    Raises
    ------
    ValueError
        When it has no time zone.
    """
    if moment.tzinfo is None:
        raise ValueError(
            f"{moment} has no time zone; give one, as in {moment!r}.astimezone() for local time"
        )
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1000 + 999


def check_head_name(name: object, what: str = "head") -> str:
    """Return `name` if a head, or a tag, may have it.

    Raises
    ------
    TypeError, ValueError
        For anything but a text of 1 to 200 characters without spaces and `~ ^ : @`, or
        one that could be taken for a version's number.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a {what} is a str, got {type(name).__name__}")
    if not 1 <= len(name) <= 200 or not name.isprintable() or re.search(r"[\s~^:@]", name):
        raise ValueError(
            f"{name!r:.220} can't name a {what}: use 1 to 200 printable characters without "
            "spaces and without any of ~ ^ : @"
        )
    if name.isdecimal():
        raise ValueError(f"{name!r} can't name a {what}: it would be taken for a version's number")
    return str(name)


def check_text(text: object, what: str) -> None:
    """Raise unless `text` is None or a str that can be stored; `what` is said of it.

    Raises
    ------
    TypeError, ValueError
    """
    if text is None:
        return
    if not isinstance(text, str):
        raise TypeError(f"{what} is a str or None, got {type(text).__name__}")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} can't hold lone surrogates, as {text!r:.200} does") from None


def split_steps(text: str) -> tuple[str, int]:
    """Split `"main~3"` into `("main", 3)`; a lone `~` is one step."""
    match = _STEPS.match(text)
    assert match is not None  # every text matches
    steps = match["steps"]
    if steps is None:
        return text, 0
    return match["base"], int(steps) if steps else 1
