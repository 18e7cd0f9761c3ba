"""PClass: a flat object with declared fields that never changes."""

from __future__ import annotations

from abc import ABCMeta
from collections.abc import Hashable
from typing import Any, Self

from pstructs._checked_types import CheckedType, InvariantException, restore_pickle
from pstructs._core import Record, _record_make
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

__all__ = ["PClass", "PClassMeta"]

# What the machinery calls by name; a field may have such a name all the same.
_RESERVED = {"_build", "_check_whole", "_errors_in", "_refuse", "_replace"}
_MISSING: Any = object()


class PClassMeta(ABCMeta):
    """Turns the fields in the body of a class into slots."""

    def __new__(
        mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **kwargs: Any
    ) -> Any:
        slots = add_fields(namespace, bases, "_pclass_fields", _RESERVED.__contains__)
        namespace["__slots__"] = slots
        cls = make_class(
            lambda *parts: super(PClassMeta, mcs).__new__(mcs, *parts, **kwargs),
            name,
            bases,
            namespace,
        )
        lay_out(cls, cls._pclass_fields, refill=True)
        return cls


class PClass(Record, Checks, CheckedType, metaclass=PClassMeta):
    """A flat object with declared fields that never changes: an update returns a new one.

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
    Fields are slots: reading one costs what it costs in any class with `__slots__`. A field that
    is neither given nor has an initial value is not there, and reading it raises AttributeError.
    Instances of one class are equal when their fields are.

    Cost: making, `set` and comparing O(fields).

    Examples
    --------
    >>> from pstructs import field
    >>> class Point(PClass):
    ...     x = field(type=int)
    ...     y = field(type=int, initial=0)
    >>> p = Point(x=1)
    >>> p.set(y=5), p
    (Point(x=1, y=5), Point(x=1, y=0))
    >>> p.set(x="one")
    Traceback (most recent call last):
    ...
    pstructs._checked_types.PTypeError: Invalid type for field Point.x, was str
    """

    _pclass_fields: dict[str, PField]
    _record_pending: bool

    @classmethod
    def _build(cls, given: dict[str, Any]) -> Self:
        """The long way of making an instance: runs everything, and says what is wrong."""
        factory_fields = given.pop("_factory_fields", None)
        ignore_extra = given.pop("ignore_extra", None)
        values: dict[str, Any] = {}
        missing, errors = [], []
        for name, field in cls._pclass_fields.items():
            if name in given:
                value = given.pop(name)
                if factory_fields is None or name in factory_fields:
                    value = field.make(value, ignore_extra)
            elif field.initial is not NO_INITIAL:
                value = field.initial() if callable(field.initial) else field.initial
            else:
                if field.mandatory:
                    missing.append(f"{cls.__name__}.{name}")
                continue
            field.check_type(cls, name, value)
            holds, error = field.invariant(value)
            if holds:
                values[name] = value
            else:
                errors.append(error)
        if errors or missing:
            raise InvariantException(tuple(errors), tuple(missing), "Field invariant failed")
        if given:
            raise AttributeError(
                "'{}' are not among the specified fields for {}".format(
                    ", ".join(map(str, given)), cls.__name__
                )
            )
        made = _record_make(cls, values)
        made._check_whole()
        if cls._record_pending:
            lay_out(cls, cls._pclass_fields, refill=True)
        return made

    def _replace(self, changes: dict[str, Any]) -> Self:
        return type(self)(_factory_fields=set(changes), **{**Record._to_dict(self), **changes})

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
            kwargs = {k: kwargs[k] for k in cls._pclass_fields if k in kwargs}
        return cls(_factory_fields=_factory_fields, ignore_extra=ignore_extra, **kwargs)

    def serialize(self, format: Any = None) -> dict[str, Any]:
        """Return the fields as a dict of plain data, made by the serializers of the fields.

        Notes
        -----
        Cost: O(fields), and what the serializers cost.
        """
        fields = self._pclass_fields
        values = Record._to_dict(self)
        return {name: fields[name].serialize(format, value) for name, value in values.items()}

    def evolver(self) -> PClassEvolver:
        """Return a mutable builder that starts from this instance.

        Notes
        -----
        Cost: O(fields).
        """
        return PClassEvolver(self, Record._to_dict(self))

    def remove(self, name: Any) -> Self:
        """Return an instance without the field; AttributeError if it isn't there.

        Notes
        -----
        Cost: O(fields).
        """
        evolver = PClass.evolver(self)
        del evolver[name]
        made: Self = evolver.persistent()
        return made

    def transform(self, *transformations: Any) -> Any:
        """Return a record with changes made along paths; see `pstructs.transform`.

        Notes
        -----
        Cost: O(fields) for each record on the way.
        """
        return transform(self, transformations)

    def __repr__(self) -> str:
        fields = ", ".join(f"{k}={v!r}" for k, v in Record._to_dict(self).items())
        return f"{type(self).__name__}({fields})"

    def __reduce__(self) -> tuple[Any, ...]:
        return restore_pickle, (type(self), Record._to_dict(self))


class PClassEvolver:
    """The mutable builder of a PClass: items and attributes are its fields.

    Types and invariants are checked in the end, by `persistent`.
    """

    __slots__ = ("_evolver_changed", "_evolver_data", "_evolver_dirty", "_evolver_original")

    _evolver_original: Any
    _evolver_data: dict[str, Any]
    _evolver_dirty: bool
    _evolver_changed: set[str]

    def __init__(self, original: Any, initial_dict: dict[str, Any]) -> None:
        put = object.__setattr__
        put(self, "_evolver_original", original)
        put(self, "_evolver_data", initial_dict)
        put(self, "_evolver_dirty", False)
        put(self, "_evolver_changed", set())

    def __getitem__(self, item: Any) -> Any:
        return self._evolver_data[item]

    def set(self, key: Any, value: Any) -> Self:
        """Give a field a value."""
        if self._evolver_data.get(key, _MISSING) is not value:
            self._evolver_data[key] = value
            self._evolver_changed.add(key)
            object.__setattr__(self, "_evolver_dirty", True)
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        self.set(key, value)

    def remove(self, item: Any) -> Self:
        """Remove a field; AttributeError if it isn't there."""
        if item not in self._evolver_data:
            raise AttributeError(item)
        del self._evolver_data[item]
        self._evolver_changed.discard(item)
        object.__setattr__(self, "_evolver_dirty", True)
        return self

    def __delitem__(self, item: Any) -> None:
        self.remove(item)

    def persistent(self) -> Any:
        """Return the instance; raises as making a new one does."""
        if not self._evolver_dirty:
            return self._evolver_original
        return type(self._evolver_original)(
            _factory_fields=self._evolver_changed, **self._evolver_data
        )

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies would be filled by setattr, which is for fields.
        state = self._evolver_dirty, set(self._evolver_changed)
        return type(self), (self._evolver_original, dict(self._evolver_data)), state

    def __setstate__(self, state: tuple[bool, Any]) -> None:
        object.__setattr__(self, "_evolver_dirty", state[0])
        object.__setattr__(self, "_evolver_changed", state[1])

    def __setattr__(self, key: str, value: Any) -> None:
        self.set(key, value)

    def __getattr__(self, item: str) -> Any:
        try:
            return self._evolver_data[item]
        except KeyError as error:
            raise AttributeError(item) from error


Hashable.register(PClass)
