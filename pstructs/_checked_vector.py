"""Checked vectors: a PVector that accepts certain types and keeps invariants."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Self, SupportsIndex, TypeVar, overload

from pstructs._checked_collections import CheckedEvolver, CheckedTypeMeta, create_sequence
from pstructs._checked_types import (
    CheckedType,
    InvariantException,
    check_types,
    invariant_errors,
    restore_pickle,
)
from pstructs._core import PVector
from pstructs._field import NO_INVARIANT, SUFFIXES, sequence_field

__all__ = ["CheckedPVector", "pvector_field"]

_T = TypeVar("_T")


class CheckedPVector(PVector[_T], CheckedType, metaclass=CheckedTypeMeta):
    """A PVector that accepts elements of certain types, and keeps invariants.

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
    What slicing and `*` return is a plain `PVector`, as in pyrsistent.

    Cost: as `PVector`, plus a check of what comes in.

    Examples
    --------
    >>> class Positives(CheckedPVector):
    ...     __type__ = (int, float)
    ...     __invariant__ = lambda n: (n >= 0, "Negative")
    >>> Positives([1, 2]).append(3)
    Positives([1, 2, 3])
    >>> Positives([1, 2]).set(0, "one")
    Traceback (most recent call last):
    ...
    pstructs._checked_types.CheckedValueTypeError: Type Positives can only be used with \
('int', 'float'), not str
    """

    _checked_types: tuple[Any, ...]
    _checked_invariants: tuple[Callable[..., Any], ...]
    __serializer__: Callable[..., Any]

    def __new__(cls, initial: Iterable[_T] = ()) -> Self:
        if type(initial) is cls:
            return initial
        return cls._wrap(cls._checked(initial))

    @classmethod
    def _wrap(cls, elements: Any) -> Self:
        """Return an instance of elements that were checked."""
        return super().__new__(cls, elements)

    @classmethod
    def _check(cls, elements: Iterable[Any]) -> list[Any]:
        check_types(elements, cls._checked_types, cls)
        return invariant_errors(elements, cls._checked_invariants)

    @classmethod
    def _checked(cls, elements: Iterable[Any]) -> PVector[Any]:
        made: PVector[Any] = PVector(elements)
        errors = cls._check(made)
        if errors:
            raise InvariantException(error_codes=errors)
        return made

    create = classmethod(create_sequence)

    def serialize(self, format: Any = None) -> list[Any]:
        """Return a list of what `__serializer__(format, element)` gives for each element.

        Notes
        -----
        Cost: O(n).
        """
        serializer = self.__serializer__
        return [serializer(format, element) for element in self]

    def evolver(self) -> Any:
        """Return a mutable builder that starts from this vector, and checks.

        Notes
        -----
        Cost: O(1).
        """
        return CheckedPVector.Evolver(type(self), self)

    # What brings elements in.

    def set(self, i: Any, val: Any) -> Self:
        """Return a vector in which element i is val; i == len appends."""
        made: Self = self.evolver().set(i, val).persistent()
        return made

    def mset(self, *args: Any) -> Self:
        """Return a vector with many elements set: mset(i0, x0, i1, x1, ...)."""
        if len(args) % 2:
            super().mset(*args)  # raises, and says what is wrong
        evolver = self.evolver()
        for i, val in zip(args[::2], args[1::2], strict=True):
            evolver.set(i, val)
        made: Self = evolver.persistent()
        return made

    def append(self, val: Any) -> Self:
        """Return a vector with val at the end."""
        made: Self = self.evolver().append(val).persistent()
        return made

    def extend(self, obj: Iterable[Any]) -> Self:
        """Return a vector with the elements of obj at the end."""
        return self._wrap(super().extend(self._checked(obj)))

    def appendleft(self, val: Any) -> Self:
        """Return a vector with val at the front."""
        self._checked((val,))
        return self._wrap(super().appendleft(val))

    prepend = appendleft

    def extendleft(self, obj: Iterable[Any]) -> Self:
        """Return a vector with the elements of obj put before the front, one after the other."""
        return self._wrap(super().extendleft(self._checked(obj)))

    def insert(self, index: Any, value: Any) -> Self:
        """Return a vector with value before element index."""
        self._checked((value,))
        return self._wrap(super().insert(index, value))

    def __add__(self, other: Any) -> Self:
        return self.extend(other)

    # What takes elements out: the rest was checked.

    def pop(self) -> Self:
        """Return a vector without the last element."""
        return self._wrap(super().pop())

    def popleft(self) -> Self:
        """Return a vector without the first element."""
        return self._wrap(super().popleft())

    def delete(self, index: Any, stop: Any = None) -> Self:
        """Return a vector without element index, or without index <= i < stop."""
        return self._wrap(super().delete(index, stop))

    def remove(self, value: Any) -> Self:
        """Return a vector without the first element that equals value; else ValueError."""
        return self._wrap(super().remove(value))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.tolist()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return restore_pickle, (type(self), self.tolist())

    class Evolver(CheckedEvolver):
        """The mutable builder of a CheckedPVector."""

        __slots__ = ()

        def __init__(self, destination_class: Any, vector: Any) -> None:
            super().__init__(destination_class, vector, PVector.evolver(vector))

        def _admit(self, elements: Any) -> None:
            self._invariant_errors += self._destination_class._check(elements)

        def __getitem__(self, index: Any) -> Any:
            return self._inner[index]

        def __setitem__(self, index: Any, val: Any) -> None:
            self.set(index, val)

        def __delitem__(self, index: Any) -> None:
            del self._inner[index]

        def set(self, i: SupportsIndex, val: Any) -> Self:
            """Give element i the value val; types are checked at once, invariants in the end."""
            self._admit((val,))
            self._inner.set(i, val)
            return self

        def append(self, elem: Any) -> Self:
            """Add an element at the end."""
            self._admit((elem,))
            self._inner.append(elem)
            return self

        def extend(self, it: Iterable[Any]) -> Self:
            """Add elements at the end."""
            elements: PVector[Any] = PVector(it)
            self._admit(elements)
            self._inner.extend(elements)
            return self

        def insert(self, index: SupportsIndex, value: Any) -> Self:
            """Put an element before element index."""
            self._admit((value,))
            self._inner.insert(index, value)
            return self

        def delete(self, index: Any) -> Self:
            """Take out an element, or those of a slice."""
            self._inner.delete(index)
            return self


SUFFIXES[CheckedPVector] = "PVector"


@overload
def pvector_field(
    item_type: type[_T],
    optional: bool = False,
    initial: Iterable[_T] = ...,
    invariant: Callable[[Any], Any] = ...,
    item_invariant: Callable[[Any], Any] = ...,
) -> PVector[_T]: ...
@overload
def pvector_field(
    item_type: Any,
    optional: bool = False,
    initial: Any = (),
    invariant: Callable[[Any], Any] = ...,
    item_invariant: Callable[[Any], Any] = ...,
) -> PVector[Any]: ...
def pvector_field(
    item_type: Any,
    optional: bool = False,
    initial: Any = (),
    invariant: Any = NO_INVARIANT,
    item_invariant: Any = NO_INVARIANT,
) -> Any:
    """Declare a mandatory field that holds a `CheckedPVector`.

    Parameters
    ----------
    item_type : type, str, or iterable of these
        What elements may be.
    optional : bool
        Whether the field may be None.
    initial : iterable
        The elements when the field isn't given.
    invariant, item_invariant : callable
        Invariants of the vector and of each element.

    Examples
    --------
    >>> from pstructs import PRecord
    >>> class Path(PRecord):
    ...     steps = pvector_field(int)
    >>> Path(steps=[1, 2]).steps
    IntPVector([1, 2])
    """
    return sequence_field(CheckedPVector, item_type, optional, initial, invariant, item_invariant)
