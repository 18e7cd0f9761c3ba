"""`Derived`: values that follow from others, computed when they are needed and not before.

Sources are atoms, cursors and other derived values. Each read asks them for the *chain* that
leads to what they have: the whole value of the atom, its parts along the path, and the part
itself at the end. Since values are immutable, two chains that meet in one object at the same
level end in the same part, and a read after no change costs one comparison a source.

All sources of one read see one value of each atom, so nothing is computed from halves of two
states.
"""

from __future__ import annotations

from collections.abc import Callable
from math import copysign
from threading import Event, RLock, get_ident
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

from pstructs.errors import ReentryError

__all__ = ["Chain", "Derived", "derived", "same"]

R_co = TypeVar("R_co", covariant=True)
R = TypeVar("R")

Chain: TypeAlias = tuple[Any, ...]


class Source(Protocol):
    """What a value can be derived from."""

    def _read(self, before: Chain | None, values: dict[Any, Any]) -> Chain:
        """The chain to the present part; `before` itself when nothing on it has changed.

        `values` has the value of each atom that was read, for all sources of one read.
        """


def same(a: Any, b: Any) -> bool:
    """Whether nothing that `a` and `b` are read for can differ.

    The same object, or equal numbers, strings or bytes of one type: collections that hold raw
    numbers, and those that are read in place, make such a value anew at each lookup.
    """
    if a is b:
        return True
    kind = type(a)
    if kind is not type(b):
        return False
    if kind is float:
        return bool(a == b) and copysign(1.0, a) == copysign(1.0, b)
    return (kind is int or kind is str or kind is bytes) and bool(a == b)


class _Kept:
    """A result, and what it was computed from."""

    __slots__ = ("chains", "number", "roots", "value")

    def __init__(
        self, chains: list[Chain], values: dict[Any, Any], value: Any, number: int
    ) -> None:
        self.chains, self.value = chains, value
        self.number = number  # of the run that computed it
        self.roots = tuple(values.items())  # as long as these hold, so does all below


class _Run:
    """A computation that a thread is at; others wait for it."""

    __slots__ = ("chains", "done", "number", "ok", "owner", "value")

    def __init__(self, chains: list[Chain], owner: int) -> None:
        self.chains, self.owner = chains, owner
        self.number = 0  # of fresh runs, in the order of their beginning
        self.done = Event()
        self.ok = False
        self.value: Any = None


# Which run each waiting thread waits for. Looked at only by threads that are about to wait, so
# that two derived values that need each other end in an error instead of a deadlock.
_waits: dict[int, _Run] = {}
_waits_lock = RLock()

# A read starts anew when an atom changed before the computation began, so that nothing is
# computed for a value that is gone; but under a steady rain of changes it has to begin.
_FRESH_TRIES = 2


class Derived(Generic[R_co]):
    """A value that is computed from others; `derived`, `Atom.derive` and `Cursor.derive` make it.

    Notes
    -----
    Nothing is computed until the first read, and again only at a read after what was read for
    it has changed. Threads that need it at the same time wait for the one that computes it. No
    lock is held while the function runs.

    An exception of the function goes to those who read, and is not kept: the next read tries
    again.

    It holds its sources, and they don't hold it: a derived value that nobody uses any more costs
    nothing.
    """

    __slots__ = ("__weakref__", "_begun", "_fn", "_kept", "_lock", "_runs", "_sources")

    def __init__(self, fn: Callable[..., R_co], *sources: Source) -> None:
        self._fn, self._sources = fn, sources
        self._kept: _Kept | None = None
        self._runs: list[_Run] = []
        self._begun = 0
        # Re-entrant for finalizers and signal handlers that read the value; whatever they do
        # in between, what is kept is kept with the chains that it holds for.
        self._lock = RLock()

    def deref(self) -> R_co:
        """Return the value, computed now if that is needed.

        Raises
        ------
        ReentryError
            When the function reads this very value.
        Exception
            What the function raises.

        Notes
        -----
        Cost: O(sources) after no change; one lookup a level of each path after a change of
        something else.
        """
        kept = self._kept
        if kept is not None:
            for atom, value in kept.roots:
                if atom._value is not value:
                    break
            else:
                return kept.value  # type: ignore[no-any-return]
        return self._deref({}, _FRESH_TRIES)

    @property
    def value(self) -> R_co:
        """The value, as `deref` gives it."""
        return self.deref()

    def derive(self, fn: Callable[[R_co], R]) -> Derived[R]:
        """Return a value that is computed from this one.

        Parameters
        ----------
        fn : callable
            Called with the value; again only when that is another one.

        Returns
        -------
        Derived
        """
        return Derived(fn, self)

    def __repr__(self) -> str:
        return f"<derived by {self._fn!r} from {len(self._sources)} sources>"

    def _deref(self, values: dict[Any, Any], tries: int = 0) -> R_co:
        while True:
            kept = self._kept
            before = [None] * len(self._sources) if kept is None else kept.chains
            chains = [s._read(b, values) for s, b in zip(self._sources, before, strict=True)]
            if kept is not None and _match(kept.chains, chains):
                # The newest way to the same parts: the next read sees at once that it holds.
                newer = _Kept(chains, values, kept.value, kept.number)
                with self._lock:
                    if self._kept is kept:
                        self._kept = newer
                return kept.value  # type: ignore[no-any-return]
            mine = _Run(chains, get_ident())
            with self._lock:
                if self._kept is not kept:
                    continue
                fresh = all(atom._value is value for atom, value in values.items())
                if not fresh and tries:
                    tries -= 1
                    values = {}
                    continue
                run = next((r for r in self._runs if _match(r.chains, chains)), None)
                if run is None:
                    self._runs.append(mine)
                    if fresh:
                        self._begun += 1
                        mine.number = self._begun
            if run is None:
                return self._compute(mine, values)
            _wait(run, mine.owner)
            if run.ok:
                return run.value  # type: ignore[no-any-return]

    def _compute(self, run: _Run, values: dict[Any, Any]) -> R_co:
        before = result = None
        try:
            run.value = self._fn(*(chain[-1] for chain in run.chains))
            run.ok = True
            result = _Kept(run.chains, values, run.value, run.number)
            return run.value  # type: ignore[no-any-return]
        finally:
            with self._lock:
                # Of fresh runs that overlap, the one that began last read the newest values.
                before = self._kept
                if result is not None and result.number > (0 if before is None else before.number):
                    self._kept = result
                self._runs.remove(run)
            run.done.set()
            del before  # after the lock: what it held may be freed

    def _read(self, before: Chain | None, values: dict[Any, Any]) -> Chain:
        value = self._deref(values)
        return before if before is not None and before[0] is value else (value,)


def _match(a: list[Chain], b: list[Chain]) -> bool:
    return all(x is y or same(x[-1], y[-1]) for x, y in zip(a, b, strict=True))


def _wait(run: _Run, me: int) -> None:
    """Wait until a run of another thread is over."""
    with _waits_lock:
        other: _Run | None = run
        while other is not None:
            if other.owner == me:
                raise ReentryError(
                    "a derived value is needed to compute itself; "
                    "let its function read other values only"
                )
            other = _waits.get(other.owner)
        outer = _waits.get(me)  # of a signal handler's caller
        _waits[me] = run
    try:
        run.done.wait()
    finally:
        with _waits_lock:
            if outer is None:
                del _waits[me]
            else:
                _waits[me] = outer


def derived(fn: Callable[..., R], *sources: Any) -> Derived[R]:
    """Return a value that is computed from atoms, cursors and other derived values.

    Parameters
    ----------
    fn : callable
        Called with the value of each source, in their order. It should depend on nothing else.
    *sources : Atom, Cursor or Derived

    Returns
    -------
    Derived
        Read it by `.value` or `.deref()`.

    Raises
    ------
    TypeError
        When there is no source, or one of another type.

    Examples
    --------
    >>> from pstructs import Atom, derived, m
    >>> shop = Atom(m(prices=m(fig=3), orders=m(fig=10), open=True))
    >>> def turnover(prices, orders):
    ...     print("computing")
    ...     return sum(prices[name] * n for name, n in orders.items())
    >>> total = derived(turnover, shop.cursor("prices"), shop.cursor("orders"))
    >>> total.value
    computing
    30
    >>> _ = shop.swap(lambda value: value.set("open", False))
    >>> total.value
    30
    """
    if not sources:
        raise TypeError("derived() needs at least one atom, cursor or derived value to follow")
    for source in sources:
        if not hasattr(type(source), "_read"):
            raise TypeError(
                f"a value can be derived from atoms, cursors and derived values, not from "
                f"{type(source).__name__}; pass the atom, not its value"
            )
    return Derived(fn, *sources)
