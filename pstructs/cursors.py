"""`Cursor`: a part of the value of an atom, read and changed as if it were an atom itself.

A cursor holds an atom and a path, and nothing of the value. Reading walks the path down; a change
walks it down, sets the new part on the way up, and puts the whole in place with the atom's
compare-and-set. A level of the value is anything with `[key]` and `.set(key, value)`: maps,
vectors, sorted maps, records.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from enum import Enum
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, TypeVar

from pstructs._core import pmap
from pstructs.deriving import Chain, Derived, same
from pstructs.diffs import ABSENT
from pstructs.errors import MissingPathError

if TYPE_CHECKING:
    from pstructs.atom import Atom

__all__ = ["MISSING", "Cursor"]

P = ParamSpec("P")
R = TypeVar("R")


class Missing(Enum):
    """The type of `MISSING`, the mark for "no default" and "nothing there"."""

    MISSING = "MISSING"


MISSING: Final = Missing.MISSING


class Cursor:
    """A part of the value of an atom; `Atom.cursor` makes them.

    Two cursors are equal when they lead to the same path of the same atom.

    Notes
    -----
    Thread-safe as the atom is: each change is one compare-and-set of the whole value. A part
    that is not there reads as the default, or raises `MissingPathError` without one. Setting
    it makes the levels above that are missing, as maps; an index past the end of a vector is
    what the vector's own `set` makes of it.

    Cost: reading and setting take one lookup and one `set` a level.

    Examples
    --------
    >>> from pstructs import Atom, m
    >>> atom = Atom(m(user=m(name="Ada")))
    >>> city = atom.cursor("user", "address", "city", default="unknown")
    >>> city.value
    'unknown'
    >>> city.reset("London")
    'London'
    >>> atom.value["user"]["address"]
    pmap({'city': 'London'})
    """

    __slots__ = ("__weakref__", "_atom", "_default", "_path")

    def __init__(self, atom: Atom[Any], path: tuple[Any, ...], default: Any = MISSING) -> None:
        self._atom, self._path, self._default = atom, path, default

    @property
    def atom(self) -> Atom[Any]:
        """The atom that it looks into."""
        return self._atom

    @property
    def path(self) -> tuple[Any, ...]:
        """Keys and indices, from the outside to the part."""
        return self._path

    def cursor(self, *path: Any, default: Any = MISSING) -> Cursor:
        """Return a cursor that goes on from here.

        Parameters
        ----------
        *path : hashable
        default : object, optional

        Returns
        -------
        Cursor

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> user = Atom(m(user=m(name="Ada"))).cursor("user")
        >>> user.cursor("name").value
        'Ada'
        """
        return Cursor(self._atom, (*self._path, *path), default)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Cursor):
            return NotImplemented
        return self._atom is other._atom and self._path == other._path

    def __hash__(self) -> int:
        return hash((id(self._atom), self._path))

    def __repr__(self) -> str:
        return f"<cursor to {'/'.join(map(str, self._path))} of the atom at {id(self._atom):#x}>"

    # ---- reading
    def deref(self) -> Any:
        """Return the part, or the default where nothing is there.

        Raises
        ------
        MissingPathError
            When nothing is there and no default was given.
        """
        return self._get(self._atom.deref())

    @property
    def value(self) -> Any:
        """The part, as `deref` gives it."""
        return self.deref()

    def _get(self, value: Any) -> Any:
        return self._or_default(self._levels(value)[-1], value)

    def _or_default(self, part: Any, value: Any) -> Any:
        if part is not MISSING:
            return part
        if self._default is not MISSING:
            return self._default
        levels = self._levels(value)
        depth = next(i for i, level in enumerate(levels) if level is MISSING)
        raise MissingPathError(
            f"{type(levels[depth - 1]).__name__} has no {self._path[depth - 1]!r} (level {depth} "
            f"of the path {self._path!r}); give the cursor a default=, or set it"
        )

    def _levels(self, value: Any) -> list[Any]:
        """The value, its parts along the path, and MISSING from where there is nothing."""
        levels = [value]
        for key in self._path:
            if value is not MISSING:
                value = part_of(value, key)
            levels.append(value)
        return levels

    # ---- changing
    def reset(self, value: Any) -> Any:
        """Put a value in place of the part.

        Parameters
        ----------
        value : object

        Returns
        -------
        object
            The value.

        Raises
        ------
        TypeError
            When a level on the way can't be set, such as a dict or a tuple.
        Exception
            What `set` of a level raises: IndexError past the end of a vector.
        InvalidValueError, WatchError
            As `Atom.reset`.
        """
        self._change(lambda whole, levels: value)
        return value

    def reset_vals(self, value: Any) -> tuple[Any, Any]:
        """Do as `reset`, and return the part that was replaced, too.

        Returns
        -------
        tuple
            `(old, new)`.

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> Atom(m(n=1)).cursor("n").reset_vals(2)
        (1, 2)
        """
        return self.swap_vals(lambda old: value)

    def swap(
        self, fn: Callable[Concatenate[Any, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> Any:
        """Replace the part by what a function makes of it, as `Atom.swap` does.

        Parameters
        ----------
        fn : callable
            Called as `fn(part, *args, **kwargs)`, again when another thread changed the atom
            meanwhile.
        *args, **kwargs
            Handed on.

        Returns
        -------
        object
            The new part.

        Raises
        ------
        MissingPathError
            When nothing is there and no default was given.
        TypeError, InvalidValueError, WatchError
            As `reset`.

        Examples
        --------
        >>> from pstructs import Atom, pmap
        >>> visits = Atom(pmap())
        >>> visits.cursor("/index", default=0).swap(lambda n: n + 1)
        1
        """
        return self.swap_vals(fn, *args, **kwargs)[1]

    def swap_vals(
        self, fn: Callable[Concatenate[Any, P], Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> tuple[Any, Any]:
        """Do as `swap`, and return the part that was replaced, too.

        Returns
        -------
        tuple
            `(old, new)`: what `fn` was given, and what it returned.
        """
        pair: tuple[Any, Any] = (None, None)

        def change(whole: Any, levels: list[Any]) -> Any:
            nonlocal pair
            old = self._or_default(levels[-1], whole)
            pair = (old, fn(old, *args, **kwargs))
            return pair[1]

        self._change(change)
        return pair

    def compare_and_set(self, old: Any, new: Any) -> bool:
        """Put `new` in place of the part if the part is the very object `old`.

        Other parts of the value may have changed meanwhile.

        Parameters
        ----------
        old : object
            An object that came from this cursor; compared by identity.
        new : object

        Returns
        -------
        bool
            Whether the part was changed.

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> name = Atom(m(name="Ada")).cursor("name")
        >>> name.compare_and_set(name.value, "Grace")
        True
        >>> name.value
        'Grace'
        """
        while True:
            whole = self._atom.deref()
            levels = self._levels(whole)
            part = self._default if levels[-1] is MISSING else levels[-1]
            if part is MISSING or part is not old:
                return False
            if self._atom.compare_and_set(whole, self._with(levels, new)):
                return True

    def _change(self, change: Callable[[Any, list[Any]], Any]) -> None:
        def whole(value: Any) -> Any:
            levels = self._levels(value)
            return self._with(levels, change(value, levels))

        self._atom.swap_vals(whole)

    def _with(self, levels: list[Any], part: Any) -> Any:
        """The whole value with another part at the end of the path."""
        for level, key in zip(reversed(levels[:-1]), reversed(self._path), strict=True):
            part = with_part(pmap() if level is MISSING else level, key, part)
        return part

    # ---- watching and deriving
    def add_watch(self, key: Hashable, fn: Callable[[Any, Cursor, Any, Any], object]) -> None:
        """Have a function called after each change of this part.

        Parameters
        ----------
        key : hashable
            Names the watch, among those of cursors to this path.
        fn : callable
            Called as `fn(key, cursor, old, new)` when the part is another object than before.
            Where nothing is there, that is the default, or `pstructs.ABSENT` without one.

        Notes
        -----
        As `Atom.add_watch`; it is the atom that holds the watch, and through it the cursor.

        Examples
        --------
        >>> from pstructs import Atom, m
        >>> atom = Atom(m(a=1, b=2))
        >>> atom.cursor("a").add_watch("log", lambda key, cursor, old, new: print(old, new))
        >>> _ = atom.swap(lambda value: value.set("b", 3))
        >>> _ = atom.swap(lambda value: value.set("a", 4))
        1 4
        """

        def watch(_: Any, atom: Atom[Any], old: Any, new: Any) -> None:
            if old is not new:
                before, after = self._seen(old), self._seen(new)
                if not same(before, after):
                    fn(key, self, before, after)

        self._atom.add_watch((Cursor, self._path, key), watch)

    def remove_watch(self, key: Hashable) -> None:
        """Call the watch of this key no more; nothing happens when there is none.

        Parameters
        ----------
        key : hashable
        """
        self._atom.remove_watch((Cursor, self._path, key))

    def _seen(self, value: Any) -> Any:
        part = self._levels(value)[-1]
        if part is not MISSING:
            return part
        return ABSENT if self._default is MISSING else self._default

    def derive(self, fn: Callable[[Any], R]) -> Derived[R]:
        """Return a value that is computed from this part, again only when the part changes.

        Parameters
        ----------
        fn : callable
            Called with the part.

        Returns
        -------
        Derived
        """
        return Derived(fn, self)

    def _read(self, before: Chain | None, values: dict[Any, Any]) -> Chain:
        """See `pstructs.deriving`: the way down to the part."""
        whole = self._atom._read(None, values)[0]
        if before is not None and before[0] is whole:
            return before
        levels = self._levels(whole)
        levels[-1] = self._or_default(levels[-1], whole)
        if before is not None and any(a is b for a, b in zip(before, levels)):
            levels[-1] = before[-1]  # below the same object nothing has changed
        return tuple(levels)


def part_of(value: Any, key: Any) -> Any:
    """`value[key]`, or the field of that name of a record; MISSING where there is none."""
    if hasattr(type(value), "__getitem__"):
        try:
            return value[key]
        except (KeyError, IndexError):
            return MISSING
    return getattr(value, key, MISSING) if isinstance(key, str) else MISSING


def with_part(value: Any, key: Any, part: Any) -> Any:
    """A value with another part."""
    setter = getattr(value, "set", None)
    if setter is None:
        raise TypeError(
            f"{type(value).__name__} has no set(key, value), so the part {key!r} of it can't be "
            "replaced; use persistent collections or records on the path"
        )
    return setter(key, part)
