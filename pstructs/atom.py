"""`Atom`: one place that holds an immutable value and changes it safely between threads.

The model is Clojure's atom. A change is computed outside of any lock from the value that was
read, and then put in place only if the atom still holds that very object; if not, it is computed
again. So user code (functions, validators, watches) never runs while a lock is held.

The lock of an atom guards a comparison and an assignment. It is re-entrant, since a signal
handler or a finalizer may change the atom from within the thread that holds it. No such call can
come between the comparison and the assignment: nothing is called there, and nothing that the
garbage collector looks at is allocated.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from reprlib import recursive_repr
from threading import RLock, get_ident
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Concatenate, Generic, NoReturn, ParamSpec, TypeVar

from pstructs.cursors import MISSING, Cursor
from pstructs.deriving import Chain, Derived
from pstructs.errors import HistoryBusyError, InvalidValueError, ReentryError, WatchError

if TYPE_CHECKING:
    from pstructs.history import History

__all__ = ["Atom"]

T = TypeVar("T")
R = TypeVar("R")
P = ParamSpec("P")

# A swap whose function changes the atom itself ends when the function leaves it alone once. Few
# calls do for a function that does so on purpose; one that never does would go on for ever.
_SELF_MADE_TRIES = 100


class Journal:
    """The changes that a history which follows the atom has yet to take note of, in order."""

    __slots__ = ("history", "trail")

    def __init__(self, history: History[Any]) -> None:
        self.history = weakref.ref(history)
        self.trail: deque[tuple[Any, float]] = deque()


class Atom(Generic[T]):
    """A place that holds one immutable value, shared by threads.

    Parameters
    ----------
    value : object
        The first value. It should not be changed in place: watches, histories and derived
        values tell changes by the identity of the object.
    validator : callable, optional
        As for `set_validator`.

    Raises
    ------
    InvalidValueError
        When the validator refuses the value.

    Notes
    -----
    All methods may be called from any thread, and from within each other's functions. Atoms
    can't be copied or pickled: an atom is an identity in one process. Its value can.

    Examples
    --------
    >>> from pstructs import Atom, m
    >>> stock = Atom(m(apple=3))
    >>> stock.swap(lambda value: value.set("fig", 7))["fig"]
    7
    >>> stock.value["apple"]
    3
    """

    __slots__ = (
        "__weakref__",
        "_journal",
        "_lock",
        "_validator",
        "_value",
        "_watches",
        "_writer",
    )

    def __init__(self, value: T, validator: Callable[[T], object] | None = None) -> None:
        self._lock = RLock()
        self._value = value
        self._writer = 0  # the thread that made the last change
        self._watches: Mapping[Hashable, Callable[..., object]] = MappingProxyType({})
        self._journal: Journal | None = None
        self._validator: Callable[[T], object] | None = None
        if validator is not None:
            self.set_validator(validator)

    # ---- reading
    def deref(self) -> T:
        """Return the value.

        Notes
        -----
        Cost: O(1), without locking.
        """
        return self._value

    @property
    def value(self) -> T:
        """The value, as `deref` gives it."""
        return self._value

    @recursive_repr("Atom(...)")
    def __repr__(self) -> str:
        return f"Atom({self._value!r})"

    # ---- changing
    def reset(self, value: T) -> T:
        """Put a value in place, whatever is there.

        Parameters
        ----------
        value : object

        Returns
        -------
        object
            The value.

        Raises
        ------
        InvalidValueError
            When the validator refuses it; the atom is as it was.
        WatchError
            When a watch raised; the value was changed.

        Notes
        -----
        Cost: O(1), and what validator and watches cost.

        Examples
        --------
        >>> from pstructs import Atom
        >>> Atom(1).reset(2)
        2
        """
        self.reset_vals(value)
        return value

    def reset_vals(self, value: T) -> tuple[T, T]:
        """Do as `reset`, and return the value that was replaced, too.

        Returns
        -------
        tuple
            `(old, new)`.

        Examples
        --------
        >>> from pstructs import Atom
        >>> Atom(1).reset_vals(2)
        (1, 2)
        """
        while True:
            old = self._value
            if self._commit(old, value):
                return old, value

    def swap(self, fn: Callable[Concatenate[T, P], T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Replace the value by what a function makes of it.

        Parameters
        ----------
        fn : callable
            Called as `fn(value, *args, **kwargs)`; returns the new value. When another thread
            changed the atom meanwhile it is called again with the newer value, so it should
            have no other effects.
        *args, **kwargs
            Handed on.

        Returns
        -------
        object
            The new value.

        Raises
        ------
        InvalidValueError
            When the validator refuses what `fn` returned; the atom is as it was.
        WatchError
            When a watch raised; the value was changed.
        ReentryError
            When `fn` changes this atom itself, time and again: it would be called for ever.

        Notes
        -----
        Cost: O(1) besides `fn`, which runs once more for each change that others make while it
        runs. What `fn` or the validator raises leaves the atom as it was.

        `fn` may change the atom itself. It is called again then, with what it made; so a change
        that is made only where it is still needed (`if key not in value`) works.

        Examples
        --------
        >>> from operator import add
        >>> from pstructs import Atom
        >>> Atom(40).swap(add, 2)
        42
        """
        return self.swap_vals(fn, *args, **kwargs)[1]

    def swap_vals(
        self, fn: Callable[Concatenate[T, P], T], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[T, T]:
        """Do as `swap`, and return the value that was replaced, too.

        Returns
        -------
        tuple
            `(old, new)`: what `fn` was given, and what it returned.

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> jobs = Atom(m(a=1))
        >>> old, new = jobs.swap_vals(lambda value: value.discard("a"))
        >>> old["a"], len(new)
        (1, 0)
        """
        own = 0
        while True:
            old = self._value
            new = fn(old, *args, **kwargs)
            if self._commit(old, new):
                return old, new
            if self._writer == get_ident():
                own += 1
                if own == _SELF_MADE_TRIES:
                    raise ReentryError(
                        f"{fn!r} changed the atom that it was called for at each of {own} tries; "
                        "let it return the new value, and change nothing itself"
                    )

    def compare_and_set(self, old: T, new: T) -> bool:
        """Put `new` in place if the atom holds the very object `old`.

        Parameters
        ----------
        old : object
            An object that came from the atom. Objects are told apart by identity: an equal
            one does not do.
        new : object

        Returns
        -------
        bool
            Whether the value was changed.

        Raises
        ------
        InvalidValueError, WatchError
            As `reset`. The validator is asked only if the atom holds `old`.

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> atom = Atom(m(n=1))
        >>> seen = atom.value
        >>> atom.compare_and_set(seen, seen.set("n", 2))
        True
        >>> atom.compare_and_set(seen, seen.set("n", 3))
        False
        """
        return self._commit(old, new)

    def _commit(self, old: T, new: T) -> bool:
        """Validate, compare, set, and tell of it. False, and no effect, if `old` is gone."""
        while self._value is old:
            validator, journal = self._validator, self._journal
            if validator is not None:
                self._admit(validator, new)
            history = entry = None
            if journal is not None:
                history = journal.history()
                if history is None:  # nobody has it any more
                    self._release(journal)
                    continue
                entry = (new, history._clock())
            me = get_ident()
            with self._lock:
                if self._value is not old:
                    return False
                if self._validator is not validator or self._journal is not journal:
                    continue
                self._value = new
                self._writer = me
                if journal is not None:
                    journal.trail.append(entry)  # type: ignore[arg-type]
            if history is not None:
                history._take_note()
            if self._watches:
                self._notify(old, new)
            return True
        return False

    # ---- validating
    @property
    def validator(self) -> Callable[[T], object] | None:
        """The function that values have to pass, or None."""
        return self._validator

    def set_validator(self, validator: Callable[[T], object] | None) -> None:
        """Let a function decide which values the atom may hold.

        Parameters
        ----------
        validator : callable or None
            Called with a value; it returns something true to accept it. It may raise an
            exception of its own, which the caller of `reset` or `swap` gets. None: any value.

        Raises
        ------
        InvalidValueError
            When the value that the atom holds is refused; the validator stays as it was.

        Notes
        -----
        The atom never holds a value that its validator, as it is at that time, has refused.

        Examples
        --------
        >>> from pstructs import Atom
        >>> level = Atom(3, validator=lambda n: 0 <= n <= 9)
        >>> level.reset(12)
        Traceback (most recent call last):
        ...
        pstructs.errors.InvalidValueError: the validator of the atom returned False for 12; ...
        >>> level.value
        3
        """
        while True:
            value = self._value
            if validator is not None:
                self._admit(validator, value)
            before = self._validator  # freed after the lock is
            with self._lock:
                if self._value is value:
                    self._validator = validator
                    break
        del before

    def _admit(self, validator: Callable[[T], object], value: T) -> None:
        verdict = validator(value)
        if not verdict:
            raise InvalidValueError(
                f"the validator of the atom returned {verdict!r} for {value!r}; "
                "the atom keeps its value (a validator returns True to accept one)"
            )

    # ---- watching
    @property
    def watches(self) -> Mapping[Hashable, Callable[..., object]]:
        """The watches by their keys, read-only."""
        return self._watches

    def add_watch(self, key: Hashable, fn: Callable[[Any, Atom[T], T, T], object]) -> None:
        """Have a function called after each change.

        Parameters
        ----------
        key : hashable
            Names the watch; another one of that key is replaced.
        fn : callable
            Called as `fn(key, atom, old, new)` in the thread that made the change, after it
            was made.

        Notes
        -----
        A watch is called once for each change, also for one to the same object again. Changes
        of one thread are told in their order. Those of several threads are told at the same
        time and in no order, as in Clojure: a watch that needs the newest value takes
        `atom.value`, and one that needs them all in order is better served by
        `History.follow`.

        A watch that raises does not keep the others from being called; the one who made the
        change gets a `WatchError` afterwards. Watches may change the atom.

        Examples
        --------
        >>> from pstructs import Atom
        >>> seen = []
        >>> atom = Atom(1)
        >>> atom.add_watch("log", lambda key, atom, old, new: seen.append((old, new)))
        >>> atom.swap(lambda n: n + 1)
        2
        >>> seen
        [(1, 2)]
        """
        self._change_watches(lambda watches: {**watches, key: fn})

    def remove_watch(self, key: Hashable) -> None:
        """Call the watch of this key no more; nothing happens when there is none.

        Parameters
        ----------
        key : hashable

        Notes
        -----
        A call that has begun in another thread goes on.
        """

        def without(watches: Mapping[Any, Any]) -> dict[Any, Any]:
            left = dict(watches)
            left.pop(key, None)
            return left

        self._change_watches(without)

    def _change_watches(self, change: Callable[[Mapping[Any, Any]], dict[Any, Any]]) -> None:
        while True:
            before = self._watches
            after = MappingProxyType(change(before))  # hashes and compares keys: user code
            with self._lock:
                if self._watches is before:
                    self._watches = after
                    return

    def _notify(self, old: T, new: T) -> None:
        errors: list[Exception] = []
        watches = self._watches
        for key, fn in watches.items():
            try:
                fn(key, self, old, new)
            except Exception as error:
                errors.append(error)
        if errors:
            raise WatchError(
                f"the value was changed, but {len(errors)} of {len(watches)} watches raised; "
                f"the first: {errors[0]!r}",
                old,
                new,
                tuple(errors),
            ) from errors[0]

    # ---- parts
    def cursor(self, *path: Any, default: Any = MISSING) -> Cursor:
        """Return what reads and changes a part of the value as if it were an atom.

        Parameters
        ----------
        *path : hashable
            Keys of maps and indices of vectors, from the outside to the part.
        default : object, optional
            What a part that is not there reads as. Without it, reading it raises.

        Returns
        -------
        Cursor

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> atom = Atom(m(user=m(name="Ada", age=36)))
        >>> age = atom.cursor("user", "age")
        >>> age.swap(lambda n: n + 1)
        37
        >>> atom.value["user"]["age"]
        37
        """
        return Cursor(self, path, default)

    def derive(self, fn: Callable[[T], R]) -> Derived[R]:
        """Return a value that is computed from this one when it is needed.

        Parameters
        ----------
        fn : callable
            Called with the value. It should depend on nothing else.

        Returns
        -------
        Derived

        See Also
        --------
        pstructs.derived : From several atoms and cursors.

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> prices = Atom(m(apple=3, fig=7))
        >>> total = prices.derive(lambda value: sum(value.values()))
        >>> total.value
        10
        """
        return Derived(fn, self)

    def _read(self, before: Chain | None, values: dict[Any, Any]) -> Chain:
        """See `pstructs.deriving`."""
        if self not in values:
            values[self] = self._value
        value = values[self]
        return before if before is not None and before[0] is value else (value,)

    # ---- for History
    def _follow(self, journal: Journal) -> T:
        """Let a journal take note of every change from now on; the value at this moment."""
        while True:
            other = self._journal
            history = None if other is None else other.history()
            if history is not None:
                raise HistoryBusyError(f"{history!r} follows this atom; let it detach() first")
            with self._lock:
                if self._journal is other:
                    self._journal = journal
                    return self._value

    def _release(self, journal: Journal) -> None:
        with self._lock:
            if self._journal is journal:
                self._journal = None

    def _exchange(
        self, old: T, new: T, journal: Journal, validator: Callable[[T], object] | None
    ) -> bool:
        """Set `new` without a note, if all is as given and no note is waiting."""
        me = get_ident()
        with self._lock:
            if (
                self._value is not old
                or self._validator is not validator
                or self._journal is not journal
                or journal.trail
            ):
                return False
            self._value = new
            self._writer = me
            return True

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(
            "an Atom is an identity in one process and can't be copied or pickled; "
            "take its value (atom.value)"
        )
