"""Checked types: what is known about the types and invariants of a class, and the errors.

`CheckedType` marks everything that checks what it holds: the checked collections, `PClass` and
`PRecord`. A class says what it accepts in its body (`__type__`, `__invariant__`, fields); its
metaclass gathers that, with what the bases say, when the class is made.
"""

from __future__ import annotations

import importlib
from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any, TypeAlias, TypeVar, overload

from pstructs._interop_methods import InteropMethods
from pstructs.errors import PstructsError

__all__ = [
    "CheckedKeyTypeError",
    "CheckedType",
    "CheckedTypeError",
    "CheckedValueTypeError",
    "InvariantException",
    "PTypeError",
    "optional",
]

_T = TypeVar("_T")
Invariant: TypeAlias = Callable[..., Any]


class CheckedType(InteropMethods):
    """Marks types that check what they hold, and can be created from and turned into plain data.

    Notes
    -----
    A field whose type is one checked type makes values of that type out of plain data, with
    `create`, and `serialize` goes the other way.
    """

    __slots__ = ()

    @classmethod
    @abstractmethod
    def create(cls, source_data: Any, _factory_fields: Any = None) -> Any:
        """Return an instance made from plain data; an instance is returned as it is."""
        raise NotImplementedError

    @abstractmethod
    def serialize(self, format: Any = None) -> Any:
        """Return the value as plain data."""
        raise NotImplementedError


def restore_pickle(cls: Any, data: Any) -> Any:
    """Return the instance that `__reduce__` took apart; factories don't run a second time."""
    return cls.create(data, _factory_fields=set())


# ---- errors


class InvariantException(PstructsError, ValueError):
    """Invariants don't hold, or mandatory fields are missing.

    Parameters
    ----------
    error_codes : iterable
        What the failing invariants returned; a callable one is called for the error.
    missing_fields : iterable of str
        Names of missing fields, as "Class.field".

    Attributes
    ----------
    invariant_errors : tuple
        The errors of the failing invariants.
    missing_fields : tuple of str
        The missing fields.

    Examples
    --------
    >>> from pstructs import PClass, field
    >>> class Point(PClass):
    ...     x = field(invariant=lambda x: (x >= 0, "x is negative"))
    ...     y = field(mandatory=True)
    >>> try:
    ...     Point(x=-1)
    ... except InvariantException as error:
    ...     error.invariant_errors, error.missing_fields
    (('x is negative',), ('Point.y',))
    """

    def __init__(
        self, error_codes: Any = (), missing_fields: Any = (), *args: Any, **kwargs: Any
    ) -> None:
        self.invariant_errors = tuple(e() if callable(e) else e for e in error_codes)
        self.missing_fields = missing_fields
        super().__init__(*args, **kwargs)

    def __str__(self) -> str:
        errors = ", ".join(str(e) for e in self.invariant_errors)
        missing = ", ".join(self.missing_fields)
        return f"{super().__str__()}, invariant_errors=[{errors}], missing_fields=[{missing}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_error, (type(self), self.args, self.__dict__.copy())


class CheckedTypeError(PstructsError, TypeError):
    """A checked collection was given something of a type that it doesn't accept.

    Attributes
    ----------
    source_class : type
        The class of the collection.
    expected_types : tuple
        The types it accepts.
    actual_type : type
        The type it was given.
    actual_value
        The value it was given.
    """

    def __init__(
        self,
        source_class: Any,
        expected_types: Any,
        actual_type: Any,
        actual_value: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.source_class = source_class
        self.expected_types = expected_types
        self.actual_type = actual_type
        self.actual_value = actual_value

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_error, (type(self), self.args, self.__dict__.copy())


class CheckedKeyTypeError(CheckedTypeError):
    """A key has a type that the checked map doesn't accept."""


class CheckedValueTypeError(CheckedTypeError):
    """A value or element has a type that the checked collection doesn't accept."""


class PTypeError(PstructsError, TypeError):
    """A field was given a value of a type that it doesn't accept.

    Attributes
    ----------
    source_class : type
        The class of the record.
    field : str
        Name of the field.
    expected_types : frozenset
        The types that the field accepts.
    actual_type : type
        The type it was given.
    """

    def __init__(
        self,
        source_class: Any,
        field: Any,
        expected_types: Any,
        actual_type: Any,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.source_class = source_class
        self.field = field
        self.expected_types = expected_types
        self.actual_type = actual_type

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore_error, (type(self), self.args, self.__dict__.copy())


def _restore_error(cls: type[Exception], args: tuple[Any, ...], state: dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


# ---- types


@overload
def optional(type: type[_T], /) -> tuple[type[_T], type[None]]: ...
@overload
def optional(*typs: Any) -> tuple[Any, ...]: ...
def optional(*typs: Any) -> tuple[Any, ...]:
    """Return the types and the type of None: for a field or element that may be None.

    Examples
    --------
    >>> optional(int)
    (<class 'int'>, <class 'NoneType'>)
    """
    return (*typs, type(None))


def parse_types(given: Any) -> tuple[Any, ...]:
    """Return the types in what a user gave: a type, a dotted name, or an iterable of these."""
    if isinstance(given, str) or (isinstance(given, type) and issubclass(given, Enum)):
        return (given,)  # an Enum class is iterable, and a type all the same
    if isinstance(given, Iterable):
        return tuple(t for part in given for t in parse_types(part))
    if isinstance(given, type):
        return (given,)
    raise TypeError(f"Type specifications must be types or strings. Input: {given}")


def get_type(given: Any) -> type[Any]:
    """Return the class behind a dotted name; a class is returned as it is."""
    if isinstance(given, type):
        return given
    module, _, name = given.rpartition(".")
    if not module:
        raise ValueError(f"{given!r} names no type: give module and class, as in 'shop.Item'")
    found: type[Any] = getattr(importlib.import_module(module), name)
    return found


def get_types(given: Iterable[Any]) -> tuple[type[Any], ...]:
    """Return the classes behind names and classes."""
    return tuple(map(get_type, given))


def gathered_types(namespace: dict[str, Any], bases: tuple[type, ...], name: str) -> Any:
    """Return what a class accepts by its own `name` (say `__type__`) and those of its bases."""
    return parse_types([d[name] for d in (namespace, *_namespaces(bases, set())) if name in d])


def check_types(
    values: Iterable[Any],
    expected: tuple[Any, ...],
    source: type[Any],
    error: type[CheckedTypeError] = CheckedValueTypeError,
) -> None:
    """Raise `error` for the first value that is of none of the types; no types: all are good."""
    if not expected:
        return
    types = get_types(expected)
    for value in values:
        if not isinstance(value, types):
            names = tuple(t.__name__ for t in types)
            raise error(
                source,
                expected,
                type(value),
                value,
                f"Type {source.__name__} can only be used with {names}, "
                f"not {type(value).__name__}",
            )


# ---- invariants


def verdict(answer: Any) -> Any:
    """Return the one (verdict, error) in what an invariant returned, which may be several."""
    if isinstance(answer[0], bool):
        return answer
    try:
        errors = tuple(error for holds, error in answer if not holds)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"an invariant returns (bool, error) or an iterable of such pairs, not {answer!r:.100}"
        ) from error
    return not errors, errors


def wrapped(invariant: Invariant) -> Invariant:
    """Return an invariant that gives one (verdict, error), whatever number of them it is of."""
    return lambda *args: verdict(invariant(*args))


def _namespaces(bases: tuple[type, ...], seen: set[type]) -> Iterator[Any]:
    for cls in bases:
        if cls not in seen:
            seen.add(cls)
            yield cls.__dict__
            yield from _namespaces(cls.__bases__, seen)


def gathered_invariants(
    namespace: dict[str, Any], bases: tuple[type, ...]
) -> tuple[Invariant, ...]:
    """Return `__invariant__` of a class and of all that it inherits from, as they were given."""
    found = [
        d["__invariant__"] for d in (namespace, *_namespaces(bases, set())) if "__invariant__" in d
    ]
    if not all(map(callable, found)):
        raise TypeError("Invariants must be callable")
    return tuple(found)


def invariant_errors(values: Iterable[Any], invariants: tuple[Invariant, ...]) -> list[Any]:
    """Return the errors of wrapped invariants that don't hold for each of the values."""
    if not invariants:
        return []
    return [
        error
        for value in values
        for holds, error in [invariant(value) for invariant in invariants]
        if not holds
    ]
