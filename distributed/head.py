"""`Head`: one name in the cluster whose value changes, safely and by anyone.

A head is to a cluster what `pstructs.Atom` is to threads, with the same names. Its values are
immutable; what changes is which of them is the newest. A long-lived actor decides on that
(head_actor.py), clients compute new values from the last one they know, and only what is new
travels, in either direction.

    client                         actor                       store
    swap(fn): new = fn(value) ──►  newest version still the
              new nodes only       one that fn was given?
                                   yes: commit ─────────────►  saved
    new version             ◄────  done
                                   no: what is newer
    new = fn(newer value)   ◄────
    and again              ──►     ...
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Final, Generic, TypeVar

from pstructs.cache.commit import Durable
from pstructs.cache.version import check_head_name
from pstructs.distributed.backend import DEFAULT_TIMEOUT
from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.head_actor import Opening
from pstructs.distributed.head_client import HeadClient
from pstructs.distributed.head_link import connect, forget
from pstructs.distributed.head_version import HeadVersion
from pstructs.distributed.settings import check_settings
from pstructs.distributed.subscription import Subscription
from pstructs.errors import (
    HeadBusyError,
    HeadTimeoutError,
    MissedVersionsError,
    MissingPackError,
)
from pstructs.packs import PackWriter

__all__ = ["Head", "HeadVersion", "head", "opened"]

T = TypeVar("T")


class Unset:
    """The default of `initial`: the head is there already."""

    def __repr__(self) -> str:
        return "UNSET"


UNSET: Final = Unset()


class Head(HeadClient, Generic[T]):
    """A name whose value changes; made by `head`.

    Heads are small and can be sent to tasks and actors. All methods may be called from any
    thread and process at the same time. Each takes effect at one moment between its call and its
    return, in one order that everybody sees.
    """

    __slots__ = ("_merge",)

    def __init__(
        self,
        opening: Opening,
        timeout: float = DEFAULT_TIMEOUT,
        merge: bool = False,
        write_id: str | None = None,
    ) -> None:
        super().__init__(opening, timeout, write_id)
        self._merge = merge

    @property
    def store(self) -> str | None:
        """The folder of the store that keeps the versions, if one does."""
        return self._opening.store

    def __repr__(self) -> str:
        return f"<Head {self.name!r}>"

    def __eq__(self, other: object) -> bool:
        return self.name == other.name if isinstance(other, Head) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[Any, ...]:
        return Head, (self._opening, self._timeout, self._merge, self._write_id)

    def using(
        self,
        *,
        timeout: float | None = None,
        merge: bool | None = None,
        write_id: str | None = None,
    ) -> Head[T]:
        """Return the same head with other settings for what is called on it.

        Parameters
        ----------
        timeout : float, optional
            Seconds that a call may take.
        merge : bool, optional
            Whether `swap` may merge: see there.
        write_id : str, optional
            What the next write is called. A head makes a write of one id once, however often it
            is sent; so a job that is run again after a crash does not count twice. It remembers
            the last 10,000 ids.

        Examples
        --------
        >>> from pstructs import m
        >>> stock = head("stock", m(apple=3))
        >>> order = stock.using(write_id="order 17")
        >>> order.swap(lambda value: value.set("apple", value["apple"] - 1))["apple"]
        2
        >>> order.swap(lambda value: value.set("apple", value["apple"] - 1))["apple"]
        2
        >>> stock.end()
        """
        return Head(
            self._opening,
            self._timeout if timeout is None else timeout,
            self._merge if merge is None else merge,
            write_id,
        )

    # ---- reading
    def deref(self, timeout: float | None = None) -> T:
        """Return the newest value.

        Parameters
        ----------
        timeout : float, optional
            Seconds.

        Raises
        ------
        HeadGoneError
            There is no such head any more.
        HeadTimeoutError

        Notes
        -----
        *Cost*: one exchange with the actor, and the nodes that are new to this process.
        """
        value: T = self._newest(self._until(timeout))[1]
        return value

    @property
    def value(self) -> T:
        """The newest value, as `deref` gives it."""
        return self.deref()

    @property
    def version(self) -> HeadVersion[T]:
        """The newest version: its number, its digest, and the value when you `open()` it."""
        return HeadVersion(self, *self._newest(self._until(None)))

    def open(self, version: int, timeout: float | None = None) -> T:
        """Return the value of an earlier version, by its number.

        Raises
        ------
        MissedVersionsError
            When the head no longer keeps it: it keeps the last `keep` ones.
        """
        return self._open(version, b"", timeout)

    def _open(self, number: int, pack: bytes, timeout: float | None) -> T:
        """The value of a version; with the uuid of its pack, of no other one of that number."""
        until = self._until(timeout)
        news = self._call("read", (self._seen_number(), number), until)
        if not news.rows or pack not in (b"", news.rows[0].pack):
            why = "it was begun anew" if news.rows else "see keep= of head()"
            raise MissedVersionsError(
                f"head {self.name!r} does not keep version {number}: {why}. Read the newest one, "
                "or load it from the store"
            )
        try:
            value: T = self._link().open(news.rows[0], news.packs, until)
        except MissingPackError:  # let go while it was on its way
            raise MissedVersionsError(
                f"head {self.name!r} does not keep version {number} any more. Read the newest "
                "one, or give head() a larger keep="
            ) from None
        return value

    def stats(self, timeout: float | None = None) -> dict[str, int]:
        """Count what the actor has done since it was started.

        Returns
        -------
        dict
            `version`, its number; `kept` versions; `waiting` writes; `writes` that were made;
            `merged`, those among them that were merged with others; `conflicts`, tries that
            others had been faster at the same place than; `moved`, tries that came too late and
            were not to be merged; `retried`, writes whose id was known; `refused`.
        """
        counts: dict[str, int] = self._call("about", (), self._until(timeout))[1]
        return counts

    def subscribe(
        self, since: int | HeadVersion[T] | None = None, timeout: float | None = None
    ) -> Iterator[HeadVersion[T]]:
        """Iterate over the versions as they are made, each once and in order.

        Parameters
        ----------
        since : int or HeadVersion, optional
            The last version that you have had; 0 for all that are kept. By default the newest.
        timeout : float, optional
            Seconds to wait for a version before the iteration ends; by default it never ends.

        Yields
        ------
        HeadVersion
            Only nodes that are new travel, so `pstructs.diff` of two of them is fast.

        Raises
        ------
        MissedVersionsError
            When `since` is further back than what the head keeps.

        Examples
        --------
        >>> from pstructs import diff, m
        >>> doc = head("doc", m(a=1))
        >>> before = doc.version
        >>> for n in (2, 3):
        ...     _ = doc.swap(lambda value: value.set("a", n))
        >>> for version in doc.subscribe(since=before, timeout=0):
        ...     print(version.number, diff(before.open(), version.open()).changed)
        ...     before = version
        2 pmap({'a': (1, 2)})
        3 pmap({'a': (2, 3)})
        >>> doc.end()
        """
        if since is None:
            since = self.version
        number = since.number if isinstance(since, HeadVersion) else int(since)
        return Subscription(self, number, timeout)

    # ---- changing
    def reset(self, value: T, timeout: float | None = None) -> T:
        """Put a value in place, whatever is there.

        Raises
        ------
        InvalidValueError
            When the validator refuses it.
        HeadBusyError, HeadGoneError, HeadTimeoutError
        """
        until = self._until(timeout)
        answer = self._send("reset", (0, b""), value, self._id(), until)
        taken: T = self._opened(answer, until)[1]
        return taken

    def compare_and_set(
        self, expected: int | HeadVersion[T], new: T, timeout: float | None = None
    ) -> HeadVersion[T] | None:
        """Put `new` in place if the head is at a version.

        Parameters
        ----------
        expected : HeadVersion or int
            The version that `new` was made from, or its number.
        new : object

        Returns
        -------
        HeadVersion or None
            The new version; None, and no effect, when the head is not at `expected`.

        Raises
        ------
        InvalidValueError, HeadBusyError, HeadGoneError, HeadTimeoutError

        Examples
        --------
        >>> level = head("level", 1)
        >>> seen = level.version
        >>> level.compare_and_set(seen, 2).number
        2
        >>> level.compare_and_set(seen, 3) is None
        True
        >>> level.end()
        """
        if isinstance(expected, HeadVersion):
            base = expected.number, expected._row.pack
        else:
            base = int(expected), b""
        until = self._until(timeout)
        answer = self._send("set", base, new, self._id(), until)
        opened = self._opened(answer, until)
        return None if answer.outcome == "moved" else HeadVersion(self, *opened)

    def swap(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
        """Replace the value by what a function makes of it.

        Parameters
        ----------
        fn : callable
            Called here as `fn(value, *args, **kwargs)`; returns the new value. When others
            changed the head meanwhile it is called again with the newer value, so it should
            have no other effects.
        *args, **kwargs
            Handed on.

        Returns
        -------
        object
            The value after the change.

        Raises
        ------
        InvalidValueError
            When the validator refuses what `fn` returned.
        HeadBusyError
            When the time is up and others were faster each time, or `fn` took all of it, or the
            queue was full. Nothing was changed.
        HeadTimeoutError
            When no answer came: the change may have been made or not. Its `write_id` lets you
            send it again without making it twice.
        HeadGoneError

        Notes
        -----
        *Cost*: one exchange with the actor besides `fn`, and one more each time that another was
        faster; O(new nodes) bytes.

        With `using(merge=True)` a change goes through although others were faster, as long as
        they changed other keys (at any depth of nested maps, sets, or other ranges of a vector);
        only where both changed one place is `fn` called again. That is right for a function
        whose changes depend on what it replaces. A function that decides by one key what to
        write to another wants the plain form.

        Examples
        --------
        >>> from operator import add
        >>> n = head("n", 40)
        >>> n.swap(add, 2)
        42
        >>> n.end()
        """
        return self.swap_vals(fn, *args, **kwargs)[1]

    def swap_vals(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> tuple[T, T]:
        """Do as `swap`, and return the value that `fn` was given, too."""
        until = self._until(None)
        write_id = self._id()
        row, old = self._link().seen or self._newest(until)
        tries, paths = 0, tuple[Any, ...]()
        while True:
            new = fn(old, *args, **kwargs)
            if time.monotonic() >= until:
                raise self._overtaken(tries, paths) if tries else self._too_slow()
            kind = "merge" if self._merge else "set"
            answer = self._send(kind, (row.number, row.pack), new, write_id, until)
            if answer.outcome in ("done", "again"):
                return old, self._opened(answer, until)[1]
            row, old = self._opened(answer, until)
            tries, paths = tries + 1, tuple(answer.detail or ())

    def _too_slow(self) -> HeadBusyError:
        return HeadBusyError(
            f"head {self.name!r}: the function took longer than the {self._timeout:g} s that the "
            "swap may take; nothing was changed. Give it more time with using(timeout=...), or "
            "compute before the swap what does not depend on the value",
            0.0,
        )

    def _overtaken(self, tries: int, paths: tuple[Any, ...]) -> HeadBusyError:
        where = f" at {', '.join(map(repr, paths[:3]))}" if paths else ""
        return HeadBusyError(
            f"head {self.name!r}: others were faster{where} at each of {tries} tries in "
            f"{self._timeout:g} s; nothing was changed. Give it more time with "
            "using(timeout=...)" + ("" if self._merge else ", or using(merge=True)"),
            0.1,
            paths,
        )

    # ---- the end
    def end(self) -> None:
        """End the actor. What is in a store stays, and a later call goes on from there."""
        link = self._link()
        forget(link)
        link.end()
        self._link_ = None


def head(
    name: str,
    initial: T | Unset = UNSET,
    *,
    store: str | None = None,
    durable: Durable | None = None,
    keep: int | None = None,
    validator: Callable[[T], object] | None = None,
    timeout: float = DEFAULT_TIMEOUT,
    merge: bool = False,
) -> Head[T]:
    """Return the head of that name; make it if there is none.

    Parameters
    ----------
    name : str
        As a head of a `SnapshotStore` may be called.
    initial : object, optional
        The first value, for a head that has none yet. Without it, a missing head is an error.
    store : str, optional
        Folder of a `SnapshotStore` on this node. Each version is saved there before its writer
        gets an answer, and the head goes on from there when its actor dies or is made anew.
        Without it versions live in the memory of the actor only.
    durable : {"commit", "group", "none"}, optional
        As for `SnapshotStore`; "commit" by default.
    keep : int, optional
        Versions that `open` and `subscribe` can go back to; 1000 by default.
    validator : callable, optional
        Called in the actor with a value that is to become the newest; returns something true to
        accept it.
    timeout : float
        Seconds that a call may take.
    merge : bool
        Whether `swap` may merge.

    Returns
    -------
    Head

    Raises
    ------
    HeadGoneError
        There is no head of that name, and no `initial`.
    ValueError
        The head is there, and was made with another `store`, `durable`, `keep` or `validator`
        than is given here. What is not given is not compared. Validators are told apart by their
        names, code, and what they capture.
    InvalidValueError
        When the validator refuses `initial`.
    StoreError
        When the store can't be opened.

    Notes
    -----
    The actor is detached: it lives until `Head.end`, or the end of the cluster. Without a
    cluster the head lives in this process.

    Examples
    --------
    >>> from pstructs import m
    >>> stock = head("fruit", m(apple=3))
    >>> stock.swap(lambda value: value.set("fig", 7))["fig"]
    7
    >>> head("fruit").value["apple"]
    3
    >>> stock.end()
    """
    asked = {"store": store, "durable": durable, "keep": keep, "validator": validator}
    return opened(Opening.made(name, **asked), asked, initial, timeout, merge)


def opened(
    opening: Opening, asked: dict[str, Any], initial: Any, timeout: float, merge: bool = False
) -> Head[Any]:
    """Return a head, made like `opening` if there is none; check that it is as `asked`."""
    check_head_name(opening.name)
    if opening.keep < 1:
        raise ValueError(f"keep is a number of versions, 1 or more, got {opening.keep}")
    image = None if isinstance(initial, Unset) else PackBuffer(PackWriter(initial).image)
    link = connect(opening)
    try:
        there = link.about(opening, image, time.monotonic() + timeout)
    except HeadTimeoutError:
        raise
    except Exception:
        forget(link)
        raise
    check_settings(there, asked)
    return Head(there, timeout, merge)
