"""PRecord: a flat mapping with declared fields that never changes."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import (
    Callable,
    Hashable,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    ValuesView,
)
from typing import TYPE_CHECKING, Any, Self

from pstructs._checked_types import CheckedType, InvariantException, restore_pickle
from pstructs._core import MapRecord, _record_make
from pstructs._field import (
    NO_INITIAL,
    Checks,
    PField,
    add_fields,
    lay_out,
    make_class,
    passes_instances,
)
from pstructs._transformations import transform

__all__ = ["PRecord"]

_MISSING: Any = object()


class PRecordMeta(ABCMeta):
    """Turns the fields in the body of a class into slots."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> Any:
        def hide(field: str) -> bool:
            # Methods win over fields: record.items() works, whatever the fields are.
            return not field.isidentifier() or any(hasattr(base, field) for base in bases)

        slots = add_fields(namespace, bases, "_precord_fields", hide)
        fields: dict[str, PField] = namespace["_precord_fields"]
        namespace["_precord_mandatory_fields"] = {n for n, f in fields.items() if f.mandatory}
        namespace["_precord_initial_values"] = {
            n: f.initial for n, f in fields.items() if f.initial is not NO_INITIAL
        }
        namespace["__slots__"] = slots
        cls = make_class(
            lambda *parts: super(PRecordMeta, mcs).__new__(mcs, *parts, **kwargs),
            name,
            bases,
            namespace,
        )
        lay_out(cls, fields, refill=False)
        return cls


class PRecord(MapRecord, Checks, CheckedType, metaclass=PRecordMeta):
    """A flat mapping with declared fields that never changes: an update returns a new one.

    Parameters
    ----------
    **fields
        The values, by name.

    Raises
    ------
    PTypeError
        A value is of none of the types of its field.
    InvariantException
        An invariant doesn't hold, or mandatory fields are missing.
    AttributeError
        A name is not that of a field.

    Notes
    -----
    A record is a Mapping from the names of its fields to their values, in the order in which they
    are declared, and equals every mapping of the same entries. It is no `PMap`: fields are slots,
    so reading one costs what it costs in any class with `__slots__`. A field that has the name of
    a method is reached by subscript only.

    Cost: making, `set` and comparing O(fields).

    Examples
    --------
    >>> from pstructs import field
    >>> class Point(PRecord):
    ...     x = field(type=int)
    ...     y = field(type=int, initial=0)
    >>> p = Point(x=1)
    >>> p.set(y=5), p["x"], p.y, p == {"x": 1, "y": 0}
    (Point(x=1, y=5), 1, 0, True)
    >>> p.set(z=1)
    Traceback (most recent call last):
    ...
    AttributeError: 'z' is not among the specified fields for Point
    """

    _precord_fields: dict[str, PField]
    _precord_mandatory_fields: set[str]
    _precord_initial_values: dict[str, Any]
    _record_pending: bool

    @classmethod
    def _build(cls, given: dict[str, Any]) -> Self:
        """The long way of making an instance: runs everything, and says what is wrong."""
        factory_fields = given.pop("_factory_fields", None)
        ignore_extra = given.pop("_ignore_extra", False)
        values = {
            k: given[k] if k in given else v() if callable(v) else v
            for k, v in cls._precord_initial_values.items()
        }
        evolver = PRecordEvolver(cls, None, factory_fields, ignore_extra)
        for name, value in (values | given).items():
            evolver.set(name, value)
        made: Self = evolver.persistent()
        return made

    def _replace(self, changes: dict[str, Any]) -> Self:
        return self.update(changes)

    @classmethod
    @passes_instances
    def create(cls, kwargs: Any, _factory_fields: Any = None, ignore_extra: bool = False) -> Self:
        """Return an instance made from a mapping of values.

        Parameters
        ----------
        kwargs : mapping
            The values, by name. An instance of the class is returned as it is.
        ignore_extra : bool
            Whether names that are no fields are ignored, here and in records below.

        Notes
        -----
        Cost: O(fields); O(1) for an instance.
        """
        if isinstance(kwargs, cls):
            return kwargs
        if ignore_extra:
            kwargs = {k: kwargs[k] for k in cls._precord_fields if k in kwargs}
        return cls(_factory_fields=_factory_fields, _ignore_extra=ignore_extra, **kwargs)

    def serialize(self, format: Any = None) -> dict[str, Any]:
        """Return the fields as a dict of plain data, made by the serializers of the fields.

        Notes
        -----
        Cost: O(fields), and what the serializers cost.
        """
        fields = self._precord_fields
        values = MapRecord._to_dict(self)
        return {name: fields[name].serialize(format, value) for name, value in values.items()}

    def evolver(self) -> PRecordEvolver:
        """Return a mutable builder that starts from this record.

        Notes
        -----
        Cost: O(fields).
        """
        return PRecordEvolver(type(self), self)

    def update(self, *maps: Any) -> Self:
        """Return a record with the entries of maps as well; the rightmost value wins.

        Notes
        -----
        Cost: O(fields).
        """
        return self.update_with(lambda _, new: new, *maps)

    def update_with(self, update_fn: Callable[[Any, Any], Any], *maps: Any) -> Self:
        """As update(); where a field is set its value becomes update_fn(old, new).

        Notes
        -----
        Cost: O(fields).
        """
        evolver = PRecordEvolver(type(self), self)
        for entries in maps:
            for name, value in entries.items():
                old = evolver._data.get(name, _MISSING)
                evolver.set(name, value if old is _MISSING else update_fn(old, value))
        made: Self = evolver.persistent()
        return made

    def remove(self, key: Any) -> Self:
        """Return a record without the field; KeyError if it isn't there.

        Notes
        -----
        Cost: O(fields).
        """
        made: Self = PRecordEvolver(type(self), self).remove(key).persistent()
        return made

    def discard(self, key: Any) -> Self:
        """Return a record without the field; the record itself if it isn't there.

        Notes
        -----
        Cost: O(fields).
        """
        return self.remove(key) if key in self else self

    def __add__(self, other: Any) -> Self:
        return self.update(other) if isinstance(other, Mapping) else NotImplemented

    __or__ = __add__

    def get(self, key: Any, default: Any = None) -> Any:
        """Return the value of a field, or default."""
        try:
            return self[key]
        except KeyError:
            return default

    def keys(self) -> KeysView[str]:
        """Return the names of the fields that are set, as a Set."""
        return MapRecord._to_dict(self).keys()

    def values(self) -> ValuesView[Any]:
        """Return the values of the fields that are set, as a Collection."""
        return MapRecord._to_dict(self).values()

    def items(self) -> ItemsView[str, Any]:
        """Return the (name, value) pairs of the fields that are set, as a Set."""
        return MapRecord._to_dict(self).items()

    def iterkeys(self) -> Iterator[str]:
        """Iterate over the names of the fields that are set."""
        return iter(self)

    def itervalues(self) -> Iterator[Any]:
        """Iterate over the values of the fields that are set."""
        return iter(MapRecord._to_dict(self).values())

    def iteritems(self) -> Iterator[tuple[str, Any]]:
        """Iterate over the (name, value) pairs of the fields that are set."""
        return iter(MapRecord._to_dict(self).items())

    def __reversed__(self) -> Iterator[str]:
        return reversed(MapRecord._to_dict(self))

    def transform(self, *transformations: Any) -> Any:
        """Return a record with changes made along paths; see `pstructs.transform`.

        Notes
        -----
        Cost: O(fields) for each record on the way.
        """
        return transform(self, transformations)

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={v!r}" for k, v in MapRecord._to_dict(self).items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return restore_pickle, (type(self), MapRecord._to_dict(self))


class PRecordEvolver:
    """The mutable builder of a PRecord.

    Types are checked when a field is set; invariants and mandatory fields by `persistent`.
    """

    __slots__ = (
        "_cls",
        "_data",
        "_dirty",
        "_errors",
        "_factory_fields",
        "_ignore_extra",
        "_missing",
        "_original",
    )

    def __init__(
        self, cls: Any, original: Any, _factory_fields: Any = None, _ignore_extra: Any = False
    ) -> None:
        self._cls = cls
        self._original = original
        self._data: dict[str, Any] = {} if original is None else MapRecord._to_dict(original)
        self._dirty = original is None
        self._errors: list[Any] = []
        self._missing: list[str] = []
        self._factory_fields = _factory_fields
        self._ignore_extra = _ignore_extra

    def set(self, key: Any, original_value: Any) -> Self:
        """Give a field a value, made by its factory.

        Raises
        ------
        PTypeError
            The value is of none of the types of the field.
        AttributeError
            There is no such field.
        """
        field = self._cls._precord_fields.get(key)
        if field is None:
            raise AttributeError(
                f"'{key}' is not among the specified fields for {self._cls.__name__}"
            )
        value = original_value
        if self._factory_fields is None or key in self._factory_fields:
            try:
                value = field.make(original_value, self._ignore_extra)
            except InvariantException as error:
                self._errors += error.invariant_errors
                self._missing += error.missing_fields
                return self
        field.check_type(self._cls, key, value)
        holds, error_code = field.invariant(value)
        if not holds:
            self._errors.append(error_code)
        if self._data.get(key, _MISSING) is not value:
            self._data[key] = value
            self._dirty = True
        return self

    def __setitem__(self, key: Any, original_value: Any) -> None:
        self.set(key, original_value)

    def __getitem__(self, key: Any) -> Any:
        return self._data[key]

    def __contains__(self, key: object) -> bool:
        return key in self._data

    def __len__(self) -> int:
        return len(self._data)

    def remove(self, key: Any) -> Self:
        """Remove a field; KeyError if it isn't there."""
        del self._data[key]
        self._dirty = True
        return self

    def __delitem__(self, key: Any) -> None:
        self.remove(key)

    def is_dirty(self) -> bool:
        """Whether anything changed since the evolver began or last gave a record out."""
        return self._dirty

    def persistent(self) -> Any:
        """Return the record.

        Raises
        ------
        InvariantException
            An invariant doesn't hold, or mandatory fields are missing.
        """
        cls = self._cls
        missing = [
            f"{cls.__name__}.{name}"
            for name in cls._precord_fields
            if name in cls._precord_mandatory_fields and name not in self._data
        ]
        if self._errors or self._missing or missing:
            raise InvariantException(
                tuple(self._errors), (*self._missing, *missing), "Field invariant failed"
            )
        made = _record_make(cls, self._data) if self._dirty else self._original
        made._check_whole()
        if self._dirty:
            self._original, self._dirty = made, False
            if cls._record_pending:
                lay_out(cls, cls._precord_fields, refill=False)
        return made


if not TYPE_CHECKING:  # type checkers know that MapRecord is a Mapping
    Mapping.register(PRecord)
    Hashable.register(PRecord)
