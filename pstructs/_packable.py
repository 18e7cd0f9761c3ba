"""One decorator that teaches packs a class of records.

`packable` reads the fields off a dataclass, an attrs class, a named tuple, a `PClass`, a `PRecord`
or a checked collection, and registers a codec made of them: see `register_codec` for what that
means. A record is saved as its name and a map from the names of its fields to their values, so
that fields may be added later, with a default, and packs written before can still be read.

The codecs, and what they import, are loaded when a class is registered, not with this module.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from pstructs._checked_collections import CheckedPMap, CheckedPSet
from pstructs._checked_types import CheckedType, get_types, restore_pickle
from pstructs._checked_vector import CheckedPVector
from pstructs._core import MapRecord, PMap, PSet, PVector, Record
from pstructs._field import PField
from pstructs.errors import CodecError

__all__ = ["packable"]

_C = TypeVar("_C", bound=type)

# Checked class -> what its instances are without their checks.
PLAIN: dict[type[Any], type[Any]] = {CheckedPMap: PMap, CheckedPSet: PSet, CheckedPVector: PVector}
_PLAIN_TYPES: tuple[Any, ...] = tuple(PLAIN.values())


class _Plan(NamedTuple):
    """How a class is taken apart and put together."""

    encode: Callable[[Any], Any]
    decode: Callable[[Any], Any]
    key: Callable[[Any], Any] | None  # what a key hashes by; None: by nothing of ours
    why_no_key: str = ""


def packable(name: str, *, key: bool | None = None) -> Callable[[_C], _C]:
    """Teach packs a class of records: a decorator.

    Parameters
    ----------
    name : str
        What packs call the class. It has to mean the same class for as long as the packs are
        kept; "shop.Item" is a good name.
    key : bool, optional
        Whether instances may be keys of maps and elements of sets that are saved. By default they
        may when they are hashable and compare by their fields.

    Returns
    -------
    callable
        Registers the class and returns it.

    Raises
    ------
    CodecError
        The class is none of those below, the name is taken, or `key=True` can't be granted.

    Notes
    -----
    The class is one of

    - a dataclass or attrs class: made again by calling it with its fields, so its own checks run;
      fields that are not arguments are set afterwards,
    - a named tuple. As a key it equals a plain tuple, and is saved as one,
    - a `PClass` or `PRecord`: made again as pickle does it, with types and invariants checked and
      factories left out. Fields that hold checked collections need no decorator of their own. A
      `PRecord` as a key equals a `PMap`, and is saved as one; then it can't hold unregistered
      checked collections,
    - a `CheckedPMap`, `CheckedPSet` or `CheckedPVector`: elements are checked when it is read.
      It shares the nodes of the plain collection in the pack.

    Subclasses need a decorator of their own. Use it on the outside, above `@dataclass`.

    Cost: O(fields), once a class.

    Examples
    --------
    >>> from dataclasses import dataclass
    >>> from pstructs import m, packable
    >>> from pstructs.packs import dumps, loads
    >>> @packable("doc.Point")
    ... @dataclass(frozen=True)
    ... class Point:
    ...     x: int
    ...     y: int = 0
    >>> loads(dumps(m(home=Point(1, 2))))["home"]
    Point(x=1, y=2)
    >>> loads(dumps({Point(1): "a key"}))
    {Point(x=1, y=0): 'a key'}
    """
    if not isinstance(name, str):
        raise CodecError(
            f"packable needs a name that stays the same for as long as packs are kept: "
            f"@packable('app.{getattr(name, '__name__', 'Name')}')"
        )

    def register(cls: _C) -> _C:
        from pstructs._codecs import add_codec, check_codec

        check_codec(cls, name)
        plan = _plan(cls)
        if key and plan.key is None:
            raise CodecError(f"{cls.__name__!r} can't be a key of its own: {plan.why_no_key}")
        key_encode = None if key is False else plan.key
        add_codec(cls, name, plan.encode, plan.decode, key_encode, by_parts=True)
        return cls

    return register


def _plan(cls: Any) -> _Plan:
    if issubclass(cls, Record):
        return _record_plan(cls)
    for checked, plain in PLAIN.items():
        if issubclass(cls, checked):
            why = "it equals a plain collection and is saved as it is"
            return _Plan(plain, lambda x: restore_pickle(cls, x), None, why)
    if dataclasses.is_dataclass(cls):
        return _dataclass_plan(cls)
    if hasattr(cls, "__attrs_attrs__"):
        return _attrs_plan(cls)
    if issubclass(cls, tuple) and hasattr(cls, "_fields"):
        return _named_tuple_plan(cls)
    raise CodecError(
        f"{cls.__name__!r} is no dataclass, attrs class, named tuple, PClass, PRecord or checked "
        f"collection; use pstructs.packs.register_codec for it"
    )


def _getter(names: tuple[str, ...]) -> Callable[[Any], tuple[Any, ...]]:
    return lambda value: tuple([getattr(value, name) for name in names])


def _key(cls: Any, names: tuple[str, ...], by_all: bool, generated: str) -> dict[str, Any]:
    """What keys of a dataclass or attrs class hash by, or why there are none."""
    why = ""
    if cls.__hash__ is None:
        why = "it is not hashable; make the class frozen"
    elif cls.__eq__ is object.__eq__:
        why = "it compares by identity"
    elif not by_all:
        why = "some of its fields don't count for equality"
    elif not _is_generated(cls.__eq__, generated) or not _is_generated(cls.__hash__, generated):
        why = "it has an __eq__ or __hash__ of its own; use pstructs.packs.register_codec"
    return {"key": None if why else _getter(names), "why_no_key": why}


def _is_generated(method: Any, prefix: str) -> bool:
    code = getattr(method, "__code__", None)
    return code is not None and code.co_filename.startswith(prefix)


def _made(cls: Any, arguments: dict[str, str], rest: tuple[str, ...]) -> Callable[[Any], Any]:
    """A decoder: fields that are arguments (field -> argument), then the others."""
    for parameter in inspect.signature(cls).parameters.values():
        if (
            parameter.default is parameter.empty
            and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            and parameter.name not in arguments.values()
        ):
            raise CodecError(
                f"{cls.__name__!r} can't be made from its fields: it wants {parameter.name!r} as "
                f"well, which no instance remembers; use pstructs.packs.register_codec"
            )

    def decode(values: Any) -> Any:
        left = dict(values)
        given = {a: left.pop(name) for name, a in arguments.items() if name in left}
        made = cls(**given)
        for name in rest:
            if name in left:
                object.__setattr__(made, name, left.pop(name))
        if left:
            raise ValueError(f"{cls.__name__} has no field {next(iter(left))!r}")
        return made

    return decode


def _encoder(names: tuple[str, ...]) -> Callable[[Any], Any]:
    return lambda value: {name: getattr(value, name) for name in names}


def _dataclass_plan(cls: Any) -> _Plan:
    fields = dataclasses.fields(cls)
    names = tuple(f.name for f in fields)
    arguments = {f.name: f.name for f in fields if f.init}
    rest = tuple(f.name for f in fields if not f.init)
    by_all = all(f.compare and f.hash is not False for f in fields)
    return _Plan(
        _encoder(names), _made(cls, arguments, rest), **_key(cls, names, by_all, "<string>")
    )


def _attrs_plan(cls: Any) -> _Plan:
    fields = cls.__attrs_attrs__
    names = tuple(a.name for a in fields)
    arguments = {a.name: getattr(a, "alias", None) or a.name.lstrip("_") for a in fields if a.init}
    rest = tuple(a.name for a in fields if not a.init)
    by_all = all(a.eq and a.eq_key is None and a.hash is not False for a in fields)
    return _Plan(
        _encoder(names), _made(cls, arguments, rest), **_key(cls, names, by_all, "<attrs")
    )


def _named_tuple_plan(cls: Any) -> _Plan:
    names = tuple(cls._fields)
    decode = _made(cls, {n: n for n in names}, ())
    why = "it equals a plain tuple, and is saved as one without a codec"
    return _Plan(_encoder(names), decode, None, why)


# ---- PClass and PRecord


def _record_plan(cls: Any) -> _Plan:
    from pstructs._codecs import encoders

    fields: dict[str, PField] = getattr(cls, "_pclass_fields", None) or cls._precord_fields

    def encode(value: Any) -> Any:
        values = Record._to_dict(value)
        for name, part in values.items():
            if isinstance(part, CheckedType) and type(part) not in encoders:
                values[name] = _without_checks(fields[name], part)
        return values

    def decode(values: Any) -> Any:
        values = dict(values)
        for name, part in values.items():
            if isinstance(part, _PLAIN_TYPES) and name in fields:
                values[name] = _with_checks(fields[name], part)
        return restore_pickle(cls, values)

    if issubclass(cls, MapRecord):
        return _Plan(encode, decode, None, "it equals a PMap, and is saved as one")
    if cls.__hash__ is not Record.__hash__ or cls.__eq__ is not Record.__eq__:
        why = "it has an __eq__ or __hash__ of its own; use pstructs.packs.register_codec"
        return _Plan(encode, decode, None, why)
    return _Plan(encode, decode, lambda value: tuple(Record._to_dict(value).items()))


def _checked_class(field: PField) -> Any:
    """The one checked collection among the types of a field; None when there is none, or more."""
    found = [t for t in get_types(field.type) if issubclass(t, tuple(PLAIN))]
    return found[0] if len(found) == 1 else None


def _without_checks(field: PField, value: Any) -> Any:
    if type(value) is not _checked_class(field):
        return value
    return next(plain(value) for c, plain in PLAIN.items() if isinstance(value, c))


def _with_checks(field: PField, value: Any) -> Any:
    checked = _checked_class(field)
    if checked is None or isinstance(value, get_types(field.type)):
        return value
    return restore_pickle(checked, value)
