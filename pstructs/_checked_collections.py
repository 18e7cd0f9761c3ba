"""Checked maps and sets: a PMap or PSet that accepts certain types and keeps invariants.

They are subclasses of the C types and share their trees. An update goes through an evolver that
checks what comes in; what is there already was checked when it came, so it isn't checked again.
"""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Self, TypeVar

from pstructs._checked_types import (
    CheckedKeyTypeError,
    CheckedType,
    InvariantException,
    check_types,
    gathered_invariants,
    gathered_types,
    get_types,
    invariant_errors,
    restore_pickle,
    wrapped,
)
from pstructs._core import PMap, PSet

__all__ = ["CheckedPMap", "CheckedPSet"]

_K = TypeVar("_K")
_V = TypeVar("_V")
_T = TypeVar("_T")


def _plain(value: Any) -> Any:
    return value.serialize() if isinstance(value, CheckedType) else value


class CheckedTypeMeta(ABCMeta):
    """Gathers `__type__`, `__invariant__` and `__serializer__` of a checked set or vector."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> Any:
        def serialize_element(self: Any, _: Any, value: Any) -> Any:
            return _plain(value)

        namespace["_checked_types"] = gathered_types(namespace, bases, "__type__")
        invariants = gathered_invariants(namespace, bases)
        namespace["_checked_invariants"] = tuple(map(wrapped, invariants))
        if not any(hasattr(base, "__serializer__") for base in bases):
            namespace.setdefault("__serializer__", serialize_element)
        namespace["__slots__"] = ()
        return super().__new__(mcs, name, bases, namespace, **kwargs)


class CheckedMapTypeMeta(ABCMeta):
    """Gathers `__key_type__`, `__value_type__`, `__invariant__` of a checked map."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> Any:
        def serialize_entry(self: Any, _: Any, key: Any, value: Any) -> Any:
            return _plain(key), _plain(value)

        namespace["_checked_key_types"] = gathered_types(namespace, bases, "__key_type__")
        namespace["_checked_value_types"] = gathered_types(namespace, bases, "__value_type__")
        invariants = gathered_invariants(namespace, bases)
        namespace["_checked_invariants"] = tuple(map(wrapped, invariants))
        if not any(hasattr(base, "__serializer__") for base in bases):
            namespace.setdefault("__serializer__", serialize_entry)
        namespace["__slots__"] = ()
        return super().__new__(mcs, name, bases, namespace, **kwargs)


def checked_part(types: tuple[Any, ...]) -> tuple[tuple[type[Any], ...], Any]:
    """Return the classes, and the first of them that makes instances from plain data."""
    classes = get_types(types)
    return classes, next((t for t in classes if issubclass(t, CheckedType)), None)


def create_sequence(
    cls: Any, source_data: Any, _factory_fields: Any = None, ignore_extra: bool = False
) -> Any:
    """Return an instance made from an iterable, whose elements are created as well.

    Parameters
    ----------
    source_data : iterable
        The elements. An instance of the class is returned as it is.
    ignore_extra : bool
        Whether records below ignore unknown fields.

    Notes
    -----
    Cost: O(n); O(1) for an instance.
    """
    if isinstance(source_data, cls):
        return source_data
    classes, checked = checked_part(cls._checked_types)
    if checked is None:
        return cls(source_data)
    return cls(
        [
            e if isinstance(e, classes) else checked.create(e, ignore_extra=ignore_extra)
            for e in source_data
        ]
    )


class CheckedEvolver:
    """What both evolvers do: collect errors, and hand out instances of the checked class."""

    __slots__ = ("_destination_class", "_inner", "_invariant_errors", "_original")

    def __init__(self, destination_class: Any, original: Any, inner: Any) -> None:
        self._destination_class = destination_class
        self._original = original
        self._inner = inner
        self._invariant_errors: list[Any] = []

    def __len__(self) -> int:
        return len(self._inner)

    def __contains__(self, key: object) -> bool:
        return key in self._inner

    def remove(self, key: Any) -> Self:
        """Remove a key or element; KeyError when it is missing."""
        self._inner.remove(key)
        return self

    def discard(self, key: Any) -> Self:
        """Remove a key or element if it is there."""
        self._inner.discard(key)
        return self

    def is_dirty(self) -> bool:
        """Whether anything changed since the evolver began or last gave a collection out."""
        return bool(self._inner.is_dirty())

    def persistent(self) -> Any:
        """Return the collection.

        Raises
        ------
        InvariantException
            An invariant did not hold for something that was put in.
        """
        if self._invariant_errors:
            raise InvariantException(error_codes=self._invariant_errors)
        if self.is_dirty() or type(self._original) is not self._destination_class:
            self._original = self._destination_class._wrap(self._inner.persistent())
        return self._original


class CheckedPMap(PMap[_K, _V], CheckedType, metaclass=CheckedMapTypeMeta):
    """A PMap that accepts keys and values of certain types, and keeps invariants.

    Parameters
    ----------
    initial : mapping
        The entries.

    Raises
    ------
    CheckedKeyTypeError, CheckedValueTypeError
        A key or value is of none of the types in `__key_type__` or `__value_type__`.
    InvariantException
        `__invariant__` of a key and its value returned (False, error).

    Notes
    -----
    `__key_type__` and `__value_type__` are a type, a dotted name, or an iterable of these. Types
    and invariants of base classes hold as well.

    Cost: as `PMap`, plus a check of what comes in.

    Examples
    --------
    >>> class IntToFloatMap(CheckedPMap):
    ...     __key_type__ = int
    ...     __value_type__ = float
    ...     __invariant__ = lambda k, v: (int(v) == k, "Invalid mapping")
    >>> IntToFloatMap({1: 1.5, 2: 2.25}).set(3, 3.5)[3]
    3.5
    >>> IntToFloatMap({1: 1.5}).set(2, 1.5)
    Traceback (most recent call last):
    ...
    pstructs._checked_types.InvariantException: , invariant_errors=[Invalid mapping], \
missing_fields=[]
    """

    _checked_key_types: tuple[Any, ...]
    _checked_value_types: tuple[Any, ...]
    _checked_invariants: tuple[Callable[..., Any], ...]
    __serializer__: Callable[..., Any]

    def __new__(cls, initial: Mapping[_K, _V] = {}) -> Self:
        if type(initial) is cls:
            return initial
        if type(initial) is PMap:  # unchanged, so its tree can be shared
            errors = cls._check(initial.items())
            made: Any = initial
        else:
            made = dict(initial.items())
            errors = cls._check(made.items())
        if errors:
            raise InvariantException(error_codes=errors)
        return cls._wrap(made)

    @classmethod
    def _wrap(cls, entries: Any) -> Self:
        """Return an instance of entries that were checked."""
        return super().__new__(cls, entries)

    @classmethod
    def _check(cls, entries: Iterable[tuple[Any, Any]]) -> list[Any]:
        keys, values = cls._checked_key_types, cls._checked_value_types
        key_classes, value_classes = get_types(keys), get_types(values)
        errors: list[Any] = []
        for key, value in entries:
            if key_classes and not isinstance(key, key_classes):
                check_types([key], keys, cls, CheckedKeyTypeError)
            if value_classes and not isinstance(value, value_classes):
                check_types([value], values, cls)
            for invariant in cls._checked_invariants:
                holds, error = invariant(key, value)
                if not holds:
                    errors.append(error)
        return errors

    @classmethod
    def create(
        cls, source_data: Any, _factory_fields: Any = None, ignore_extra: bool = False
    ) -> Self:
        """Return an instance made from a mapping, whose keys and values are created as well.

        Parameters
        ----------
        source_data : mapping
            The entries. An instance of the class is returned as it is.
        ignore_extra : bool
            Whether records below ignore unknown fields.

        Notes
        -----
        Cost: O(n); O(1) for an instance.
        """
        if isinstance(source_data, cls):
            return source_data
        keys, checked_key = checked_part(cls._checked_key_types)
        values, checked_value = checked_part(cls._checked_value_types)
        if checked_key is None and checked_value is None:
            return cls(source_data)

        def made(checked: Any, classes: tuple[type[Any], ...], part: Any) -> Any:
            if checked is None or isinstance(part, classes):
                return part
            return checked.create(part, ignore_extra=ignore_extra)

        return cls(
            {
                made(checked_key, keys, k): made(checked_value, values, v)
                for k, v in source_data.items()
            }
        )

    def serialize(self, format: Any = None) -> dict[Any, Any]:
        """Return a dict of what `__serializer__(format, key, value)` gives for each entry.

        Notes
        -----
        Cost: O(n).
        """
        serializer = self.__serializer__
        return dict(serializer(format, k, v) for k, v in self.items())

    def evolver(self) -> Any:
        """Return a mutable builder that starts from this map, and checks.

        Notes
        -----
        Cost: O(1).
        """
        return CheckedPMap.Evolver(type(self), self)

    def set(self, key: Any, val: Any) -> Any:
        """Return a map in which key has the value val."""
        return self.evolver().set(key, val).persistent()

    def remove(self, key: object) -> Self:
        """Return a map without key; KeyError if it is missing."""
        return self._wrap(super().remove(key))

    def discard(self, key: object) -> Self:
        """Return a map without key; the map itself if it is missing."""
        return self._wrap(super().discard(key)) if key in self else self

    def update(self, *maps: Any) -> Any:
        """Return a map with the entries of maps as well; the rightmost value wins."""
        return self.evolver().update(*maps).persistent()

    def update_with(self, update_fn: Callable[[Any, Any], Any], /, *maps: Any) -> Any:
        """As update(); where a key is there already its value becomes update_fn(old, new)."""
        evolver = self.evolver()
        for entries in maps:
            for key, value in dict(entries).items():
                evolver.set(key, update_fn(evolver[key], value) if key in evolver else value)
        return evolver.persistent()

    def __add__(self, other: Any) -> Any:
        return self.update(other) if isinstance(other, Mapping) else NotImplemented

    __or__ = __add__

    def __repr__(self) -> str:
        return f"{type(self).__name__}({dict(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return restore_pickle, (type(self), dict(self))

    class Evolver(CheckedEvolver):
        """The mutable builder of a CheckedPMap."""

        __slots__ = ()

        def __init__(self, destination_class: Any, original_map: Any) -> None:
            super().__init__(destination_class, original_map, PMap.evolver(original_map))

        def __getitem__(self, key: Any) -> Any:
            return self._inner[key]

        def get(self, key: Any, default: Any = None) -> Any:
            """Return the value of key, or default."""
            return self._inner.get(key, default)

        def set(self, key: Any, val: Any) -> Self:
            """Give key the value val; types are checked at once, invariants in the end."""
            self._invariant_errors += self._destination_class._check([(key, val)])
            self._inner.set(key, val)
            return self

        def __setitem__(self, key: Any, val: Any) -> None:
            self.set(key, val)

        def __delitem__(self, key: Any) -> None:
            self.remove(key)

        def update(self, *maps: Any) -> Self:
            """Put the entries of maps in."""
            for entries in maps:
                checked = entries if isinstance(entries, PMap) else dict(entries)
                self._invariant_errors += self._destination_class._check(checked.items())
                self._inner.update(checked)
            return self


class CheckedPSet(PSet[_T], CheckedType, metaclass=CheckedTypeMeta):
    """A PSet that accepts elements of certain types, and keeps invariants.

    Parameters
    ----------
    initial : iterable
        The elements.

    Raises
    ------
    CheckedValueTypeError
        An element is of none of the types in `__type__`.
    InvariantException
        `__invariant__` of an element returned (False, error).

    Notes
    -----
    What the operators and `union`, `intersection`... return is a plain `PSet`, as in pyrsistent.

    Cost: as `PSet`, plus a check of what comes in.

    Examples
    --------
    >>> class Positives(CheckedPSet):
    ...     __type__ = (int, float)
    ...     __invariant__ = lambda n: (n >= 0, "Negative")
    >>> Positives([1, 2, 3]).add(0.5) == {0.5, 1, 2, 3}
    True
    """

    _checked_types: tuple[Any, ...]
    _checked_invariants: tuple[Callable[..., Any], ...]
    __serializer__: Callable[..., Any]

    def __new__(cls, initial: Iterable[_T] = ()) -> Self:
        if type(initial) is cls:
            return initial
        made: Any = initial if type(initial) is PSet else list(initial)
        errors = cls._check(made)
        if errors:
            raise InvariantException(error_codes=errors)
        return cls._wrap(made)

    @classmethod
    def _wrap(cls, elements: Any) -> Self:
        """Return an instance of elements that were checked."""
        return super().__new__(cls, elements)

    @classmethod
    def _check(cls, elements: Iterable[Any]) -> list[Any]:
        check_types(elements, cls._checked_types, cls)
        return invariant_errors(elements, cls._checked_invariants)

    create = classmethod(create_sequence)

    def serialize(self, format: Any = None) -> Any:
        """Return a set of what `__serializer__(format, element)` gives for each element.

        Notes
        -----
        Cost: O(n).
        """
        serializer = self.__serializer__
        return {serializer(format, element) for element in self}

    def evolver(self) -> Any:
        """Return a mutable builder that starts from this set, and checks.

        Notes
        -----
        Cost: O(1).
        """
        return CheckedPSet.Evolver(type(self), self)

    def add(self, element: Any) -> Any:
        """Return a set with element as well."""
        return self.evolver().add(element).persistent()

    def update(self, *iterables: Any) -> Any:
        """Return a set with the elements of iterables as well."""
        return self.evolver().update(*iterables).persistent()

    def remove(self, element: object) -> Self:
        """Return a set without element; KeyError if it is missing."""
        return self._wrap(super().remove(element))

    def discard(self, element: object) -> Self:
        """Return a set without element; the set itself if it is missing."""
        return self._wrap(super().discard(element)) if element in self else self

    def __repr__(self) -> str:
        return f"{type(self).__name__}({list(self)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return restore_pickle, (type(self), list(self))

    class Evolver(CheckedEvolver):
        """The mutable builder of a CheckedPSet."""

        __slots__ = ()

        def __init__(self, destination_class: Any, original_set: Any) -> None:
            super().__init__(destination_class, original_set, PSet.evolver(original_set))

        def add(self, element: Any) -> Self:
            """Add an element; its type is checked at once, invariants in the end."""
            self._invariant_errors += self._destination_class._check([element])
            self._inner.add(element)
            return self

        def update(self, *iterables: Any) -> Self:
            """Add the elements of iterables."""
            for elements in iterables:
                checked = list(elements)
                self._invariant_errors += self._destination_class._check(checked)
                self._inner.update(checked)
            return self
