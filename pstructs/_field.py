"""Fields of records: what `field` and its relatives make, and how a class gathers them.

A `PField` says what a field accepts. The metaclasses of `PClass` and `PRecord` call `add_fields`
to turn the fields of a class body into slots, and `lay_out` to tell the C core where those slots
lie and which values it may store without asking Python (see `type_record.c`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from pstructs import _core
from pstructs._checked_collections import (
    CheckedMapTypeMeta,
    CheckedPMap,
    CheckedPSet,
    create_sequence,
)
from pstructs._checked_types import (
    CheckedType,
    InvariantException,
    PTypeError,
    gathered_invariants,
    get_type,
    get_types,
    parse_types,
    restore_pickle,
    verdict,
    wrapped,
)
from pstructs._checked_types import optional as optional_types
from pstructs._core import PMap, PSet

__all__ = ["PField", "field", "pmap_field", "pset_field"]

_T = TypeVar("_T")
_K = TypeVar("_K")
_V = TypeVar("_V")


def NO_INVARIANT(_: Any) -> tuple[bool, Any]:
    """The invariant of fields that have none."""
    return True, None


def NO_FACTORY(value: Any) -> Any:
    """The factory of fields that have none."""
    return value


def NO_SERIALIZER(_: Any, value: Any) -> Any:
    """The serializer of fields that have none."""
    return value


NO_INITIAL: Any = object()

# `create` functions, and factories, that return an instance of the type as it is.
_PASSES_INSTANCES: set[Any] = {create_sequence, CheckedPMap.__dict__["create"].__func__}


def passes_instances(function: _T) -> _T:
    """Say that a factory returns an instance of the type of its field as it is."""
    _PASSES_INSTANCES.add(function)
    return function


class PField:
    """What a field accepts; made by `field`.

    Attributes
    ----------
    type : frozenset
        The types, or dotted names of types; empty: any.
    invariant : callable
        Takes a value and returns (verdict, error).
    initial
        The value of a field that isn't given.
    mandatory : bool
        Whether the field has to be there.
    factory : callable
        Takes what was given and returns the value.
    serializer : callable
        Takes a format and the value, and returns plain data.
    """

    __slots__ = (
        "_factory",
        "initial",
        "invariant",
        "mandatory",
        "own_invariant",
        "serializer",
        "type",
    )

    def __init__(
        self,
        type: frozenset[Any],
        invariant: Any,
        initial: Any,
        mandatory: bool,
        factory: Any,
        serializer: Any,
    ) -> None:
        self.type = type
        self.own_invariant = None if invariant is NO_INVARIANT else invariant
        self.invariant = (
            wrapped(invariant)
            if invariant is not NO_INVARIANT and callable(invariant)
            else invariant
        )
        self.initial = initial
        self.mandatory = mandatory
        self._factory = factory
        self.serializer = serializer

    @property
    def factory(self) -> Any:
        if self._factory is NO_FACTORY and len(self.type) == 1:
            (only,) = get_types(self.type)
            if issubclass(only, CheckedType):
                return only.create
        return self._factory

    def make(self, given: Any, ignore_extra: Any) -> Any:
        """Return the value that the factory makes of what was given."""
        factory = self.factory
        if factory is NO_FACTORY:
            return given
        if ignore_extra and "ignore_extra" in inspect.signature(factory).parameters:
            return factory(given, ignore_extra=ignore_extra)
        return factory(given)

    def check_type(self, cls: type[Any], name: str, value: Any) -> None:
        """Raise PTypeError when the value has none of the types."""
        if self.type and not isinstance(value, get_types(self.type)):
            actual = type(value)
            raise PTypeError(
                cls,
                name,
                self.type,
                actual,
                f"Invalid type for field {cls.__name__}.{name}, was {actual.__name__}",
            )

    def serialize(self, format: Any, value: Any) -> Any:
        """Return the value as plain data."""
        if isinstance(value, CheckedType) and self.serializer is NO_SERIALIZER:
            return value.serialize(format)
        return self.serializer(format, value)

    def stored_as_given(self) -> bool:
        """Whether a value of the right type is stored as it is, whatever the factory."""
        if self._factory is NO_FACTORY and len(self.type) != 1:
            return True
        factory = self.factory
        return factory is NO_FACTORY or (
            getattr(factory, "__func__", factory) in _PASSES_INSTANCES
        )


@overload
def field(
    type: type[_T] | tuple[type[_T], ...] | list[type[_T]] | set[type[_T]] = ...,
    invariant: Callable[[Any], Any] = ...,
    initial: Any = ...,
    mandatory: bool = False,
    factory: Callable[[Any], _T] = ...,
    serializer: Callable[[Any, _T], Any] = ...,
) -> _T: ...
@overload
def field(
    type: Any = ...,
    invariant: Callable[[Any], Any] = ...,
    initial: Any = ...,
    mandatory: bool = False,
    factory: Callable[[Any], Any] = ...,
    serializer: Callable[[Any, Any], Any] = ...,
) -> Any: ...
def field(
    type: Any = (),
    invariant: Any = NO_INVARIANT,
    initial: Any = NO_INITIAL,
    mandatory: bool = False,
    factory: Any = NO_FACTORY,
    serializer: Any = NO_SERIALIZER,
) -> Any:
    """Declare a field in the body of a `PClass` or `PRecord`.

    Parameters
    ----------
    type : type, str, or iterable of these
        What values may be; a str is a dotted name that is looked up when it is first needed.
        Where it is a single checked type, values are made with its `create`.
    invariant : callable
        Takes the value and returns (verdict, error), or an iterable of such pairs.
    initial
        Value of a field that isn't given; a callable is called for it.
    mandatory : bool
        Whether the field has to be there.
    factory : callable
        Takes what is given for the field and returns the value.
    serializer : callable
        Takes the format given to `serialize`, and the value; returns plain data.

    Raises
    ------
    TypeError
        `type` holds no types, `initial` has none of the types, or something is not callable.

    Examples
    --------
    >>> from pstructs import PClass
    >>> class Point(PClass):
    ...     x = field(type=int, mandatory=True)
    ...     y = field(type=int, initial=0, invariant=lambda y: (y >= 0, "below the axis"))
    >>> Point(x=1)
    Point(x=1, y=0)
    """
    made = PField(frozenset(parse_types(type)), invariant, initial, mandatory, factory, serializer)
    known = tuple(t for t in made.type if not isinstance(t, str))
    named = len(known) < len(made.type)
    if (
        initial is not NO_INITIAL
        and not callable(initial)
        and made.type
        and not isinstance(initial, get_types(made.type) if named else known)
    ):
        raise TypeError(f"Initial has invalid type {initial.__class__}")
    for part, what in ((invariant, "Invariant"), (factory, "Factory"), (serializer, "Serializer")):
        if not callable(part):
            raise TypeError(f"{what} must be callable")
    return made


# ---- fields of a class


def add_fields(
    namespace: dict[str, Any], bases: tuple[type, ...], attribute: str, hide: Callable[[str], bool]
) -> tuple[str, ...]:
    """Take the fields out of a class body, and make slots for those that are new.

    Parameters
    ----------
    attribute : str
        Where a class keeps the dict of its fields, and where it is put in `namespace`.
    hide : callable
        Whether a field of this name must not be an attribute.
    """
    fields: dict[str, PField] = {}
    slots: dict[str, str] = {}
    for base in bases:
        fields |= base.__dict__.get(attribute, {})
        slots |= base.__dict__.get("_record_slots", {})
    for name, value in list(namespace.items()):
        if isinstance(value, PField):
            fields[name] = value
            del namespace[name]
    new = [name for name in fields if name not in slots]
    for name in new:
        slots[name] = f"_field_{len(slots)}" if hide(name) else name
    namespace[attribute] = fields
    namespace["_record_slots"] = slots
    namespace["_record_invariants"] = gathered_invariants(namespace, bases)
    return tuple(slots[name] for name in new)


def make_class(
    make: Callable[..., Any], name: str, bases: tuple[type, ...], namespace: dict[str, Any]
) -> Any:
    """Return make(name, bases, namespace), with a message for bases that don't go together."""
    try:
        return make(name, bases, namespace)
    except TypeError as error:
        if "lay-out conflict" not in str(error):
            raise
        names = ", ".join(base.__name__ for base in bases)
        raise TypeError(
            f"{name} can't inherit from {names}: only one of them may have fields of its own, "
            f"since the fields of a record are slots; declare the others' fields in {name}"
        ) from error


def lay_out(cls: Any, fields: dict[str, PField], refill: bool) -> None:
    """Tell the C core about the fields of a class: again, once types that had names are known."""
    cls._record_pending = False
    specs = []
    for name, found in fields.items():
        types, plain = _known_types(found)
        cls._record_pending |= types is None
        constant = found.initial is not NO_INITIAL and not callable(found.initial)
        specs.append(
            (
                name,
                _slot(cls, cls._record_slots[name]),
                types or None,
                (found.initial,) if found.initial is not NO_INITIAL else None,
                found.own_invariant,
                found.mandatory,
                plain,
                constant and (plain or refill),
            )
        )
    cls._record_layout = _core.RecordLayout(cls, tuple(specs), cls._record_invariants, refill)


def _known_types(found: PField) -> tuple[Any, bool]:
    """The types of a field, None when a name stands for one that isn't there yet; plain?"""
    try:
        types = get_types(found.type)
        return (types[0] if len(types) == 1 else types), found.stored_as_given()
    except (ImportError, AttributeError, ValueError):
        return None, False


def _slot(cls: type[Any], name: str) -> Any:
    return next(c.__dict__[name] for c in cls.__mro__ if name in c.__dict__.get("__slots__", ()))


class Checks:
    """What classes of records do about invariants; the C core calls both methods."""

    __slots__ = ()
    _record_invariants: tuple[Any, ...]

    @staticmethod
    def _errors_in(answer: Any) -> list[Any]:
        """Return the errors in what an invariant returned."""
        holds, error = verdict(answer)
        return [] if holds else [error]

    @staticmethod
    def _refuse(errors: list[Any], whole: bool) -> None:
        """Raise for errors of fields, or of invariants of the whole record."""
        raise InvariantException(
            tuple(errors), (), "Global invariant failed" if whole else "Field invariant failed"
        )

    def _check_whole(self) -> None:
        """Raise InvariantException for the invariants of the whole record that don't hold."""
        errors = [e for check in self._record_invariants for e in self._errors_in(check(self))]
        if errors:
            self._refuse(errors, True)


# ---- fields that hold checked collections

_sequence_types: dict[Any, Any] = {}
_map_types: dict[Any, Any] = {}
SUFFIXES: dict[Any, str] = {CheckedPSet: "PSet"}


def _restore_sequence(checked_class: Any, item_type: Any, place: Any, data: Any) -> Any:
    return restore_pickle(_sequence_types[checked_class, item_type, place], data)


def _restore_map(key_type: Any, value_type: Any, data: Any) -> Any:
    return restore_pickle(_map_types[key_type, value_type], data)


def _place(function: Any) -> Any:
    """Where a function is defined: tells invariants apart, in another process as well."""
    if function is NO_INVARIANT:
        return None
    code = getattr(function, "__code__", None)
    line = None if code is None else code.co_firstlineno
    return getattr(function, "__module__", None), getattr(function, "__qualname__", None), line


def _names(types: Iterable[Any]) -> str:
    return "".join(get_type(t).__name__.capitalize() for t in types)


def _sequence_type(checked_class: Any, item_type: Any, item_invariant: Any) -> Any:
    """The checked class of a field; fields of the same type and invariant share one."""
    if isinstance(item_type, list):
        item_type = tuple(item_type)
    place = _place(item_invariant)
    found = _sequence_types.get((checked_class, item_type, place))
    if found is not None and found.__dict__["_item_invariant"] == (item_invariant,):
        return found

    def reduce(self: Any) -> tuple[Any, ...]:
        return _restore_sequence, (checked_class, item_type, place, list(self))

    body: dict[str, Any] = {
        "__type__": item_type,
        "_item_invariant": (item_invariant,),
        "__reduce__": reduce,
        "__module__": __name__,
    }
    if item_invariant is not NO_INVARIANT:
        body["__invariant__"] = item_invariant
    made = type(checked_class)("Checked", (checked_class,), body)
    made.__name__ = made.__qualname__ = _names(made._checked_types) + SUFFIXES[checked_class]
    _sequence_types[checked_class, item_type, place] = made
    return made


def sequence_field(
    checked_class: Any,
    item_type: Any,
    optional: bool,
    initial: Any,
    invariant: Any,
    item_invariant: Any,
) -> Any:
    """Return a mandatory field that holds a checked set or vector."""
    made = _sequence_type(checked_class, item_type, item_invariant)
    factory = optional_factory(made) if optional else made.create
    return field(
        type=optional_types(made) if optional else made,
        factory=factory,
        mandatory=True,
        invariant=invariant,
        initial=factory(initial),
    )


def optional_factory(made: Any) -> Any:
    """Return a factory that makes instances of a checked class, and lets None be."""

    def factory(argument: Any, _factory_fields: Any = None, ignore_extra: bool = False) -> Any:
        if argument is None:
            return None
        return made.create(argument, _factory_fields=_factory_fields, ignore_extra=ignore_extra)

    return passes_instances(factory)


@overload
def pset_field(
    item_type: type[_T],
    optional: bool = False,
    initial: Iterable[_T] = ...,
    invariant: Callable[[Any], Any] = ...,
    item_invariant: Callable[[Any], Any] = ...,
) -> PSet[_T]: ...
@overload
def pset_field(
    item_type: Any,
    optional: bool = False,
    initial: Any = (),
    invariant: Callable[[Any], Any] = ...,
    item_invariant: Callable[[Any], Any] = ...,
) -> PSet[Any]: ...
def pset_field(
    item_type: Any,
    optional: bool = False,
    initial: Any = (),
    invariant: Any = NO_INVARIANT,
    item_invariant: Any = NO_INVARIANT,
) -> Any:
    """Declare a mandatory field that holds a `CheckedPSet`.

    Parameters
    ----------
    item_type : type, str, or iterable of these
        What elements may be.
    optional : bool
        Whether the field may be None.
    initial : iterable
        The elements when the field isn't given.
    invariant, item_invariant : callable
        Invariants of the set and of each element.

    Examples
    --------
    >>> from pstructs import PRecord
    >>> class Team(PRecord):
    ...     names = pset_field(str)
    >>> Team(names=["Ada"]).names
    StrPSet(['Ada'])
    """
    return sequence_field(CheckedPSet, item_type, optional, initial, invariant, item_invariant)


def _map_type(key_type: Any, value_type: Any) -> Any:
    if isinstance(key_type, list):
        key_type = tuple(key_type)
    if isinstance(value_type, list):
        value_type = tuple(value_type)
    found = _map_types.get((key_type, value_type))
    if found is not None:
        return found

    def reduce(self: Any) -> tuple[Any, ...]:
        return _restore_map, (key_type, value_type, dict(self))

    body: dict[str, Any] = {
        "__key_type__": key_type,
        "__value_type__": value_type,
        "__reduce__": reduce,
        "__module__": __name__,
    }
    made: Any = CheckedMapTypeMeta("Checked", (CheckedPMap,), body)
    names = _names(made._checked_key_types), _names(made._checked_value_types)
    made.__name__ = made.__qualname__ = "{}To{}PMap".format(*names)
    _map_types[key_type, value_type] = made
    return made


@overload
def pmap_field(
    key_type: type[_K],
    value_type: type[_V],
    optional: bool = False,
    invariant: Callable[[Any], Any] = ...,
) -> PMap[_K, _V]: ...
@overload
def pmap_field(
    key_type: Any,
    value_type: Any,
    optional: bool = False,
    invariant: Callable[[Any], Any] = ...,
) -> PMap[Any, Any]: ...
def pmap_field(
    key_type: Any, value_type: Any, optional: bool = False, invariant: Any = NO_INVARIANT
) -> Any:
    """Declare a mandatory field that holds a `CheckedPMap`, at first an empty one.

    Parameters
    ----------
    key_type, value_type : type, str, or iterable of these
        What keys and values may be.
    optional : bool
        Whether the field may be None.
    invariant : callable
        Invariant of the map.

    Examples
    --------
    >>> from pstructs import PRecord
    >>> class Team(PRecord):
    ...     goals = pmap_field(str, int)
    >>> Team(goals={"Ada": 3}).goals
    StrToIntPMap({'Ada': 3})
    """
    made = _map_type(key_type, value_type)
    return field(
        mandatory=True,
        initial=made(),
        type=optional_types(made) if optional else made,
        factory=optional_factory(made) if optional else made.create,
        invariant=invariant,
    )
