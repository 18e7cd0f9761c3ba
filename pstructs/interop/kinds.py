"""What each collection looks like to other libraries: one table.

The adapters know three shapes: a mapping, a set, a sequence. A new collection is one more line
in `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NamedTuple, get_args, get_origin

from pstructs._core import (
    PDeque,
    PList,
    PMap,
    PSet,
    PVector,
    pdeque,
    plist,
    pmap,
    pset,
    pvector,
)
from pstructs.bags import PBag, pbag

__all__ = ["KINDS", "Kind", "Shape", "kind_of", "plain", "rebuild", "split", "vectors"]


class Shape(Enum):
    """What a collection becomes in a format that has no persistent ones."""

    MAPPING = "mapping"
    SET = "set"
    SEQUENCE = "sequence"


class Kind(NamedTuple):
    """One collection type.

    Attributes
    ----------
    cls : type
        The class; its subclasses are of the kind, too.
    shape : Shape
        What it looks like.
    make : callable
        Makes an exact `cls` of a dict (mappings) or of an iterable.
    hashed : bool
        Whether keys or elements have to be hashable.
    settings : tuple of str
        Attributes of an instance that its constructor takes as keywords, beside the entries.
    """

    cls: type[Any]
    shape: Shape
    make: Callable[..., Any]
    hashed: bool
    settings: tuple[str, ...] = ()

    def brackets(self, value: Any) -> tuple[str, str]:
        """Return what stands around the entries in the repr of a value."""
        name = self.cls.__name__.lower()
        rest = "".join(
            f", {name}={setting!r}" for name, setting in self.settings_of(value).items()
        )
        if self.shape is Shape.MAPPING:
            return f"{name}({{", f"}}{rest})"
        return f"{name}([", f"]{rest})"

    def settings_of(self, value: Any) -> dict[str, Any]:
        """Return the settings of a value that are not None."""
        found = {name: getattr(value, name) for name in self.settings}
        return {name: setting for name, setting in found.items() if setting is not None}


KINDS = (
    Kind(PMap, Shape.MAPPING, pmap, True),
    Kind(PSet, Shape.SET, pset, True),
    Kind(PVector, Shape.SEQUENCE, pvector, False),
    Kind(PList, Shape.SEQUENCE, plist, False),
    Kind(PDeque, Shape.SEQUENCE, pdeque, False, ("maxlen",)),
    Kind(PBag, Shape.SEQUENCE, pbag, True),
)
_BY_CLASS = {kind.cls: kind for kind in KINDS}

# Equal values of one of these types can't be told apart; others are compared by identity.
_ATOMIC = frozenset({int, float, str, bytes})


def kind_of(cls: type[Any]) -> Kind | None:
    """Return the kind of a class, or None. Cost: O(length of its mro)."""
    for base in cls.__mro__:
        kind = _BY_CLASS.get(base)
        if kind is not None:
            return kind
    return None


def split(annotation: Any) -> tuple[type[Any], tuple[Any, ...]]:
    """Return the class and the type arguments of `PMap` or `PMap[str, int]`.

    The arguments are `Any` where the annotation has none.
    """
    cls = get_origin(annotation) or annotation
    kind = kind_of(cls)
    if kind is None:
        raise TypeError(f"{annotation!r} is no collection of pstructs")
    wanted = 2 if kind.shape is Shape.MAPPING else 1
    arguments = get_args(annotation) or (Any,) * wanted
    if len(arguments) != wanted:
        raise TypeError(
            f"{annotation!r} has {len(arguments)} type arguments; "
            f"{cls.__name__} takes {wanted}: {'key and value' if wanted == 2 else 'element'}"
        )
    return cls, arguments


def plain(value: Any, kind: Kind) -> dict[Any, Any] | list[Any]:
    """Return the dict or list of what a collection holds. Cost: O(n)."""
    return dict(value) if kind.shape is Shape.MAPPING else list(value)


def vectors(value: Any) -> Any:
    """Return a list as a vector, with the lists in it; anything else as it is. Cost: O(n)."""
    if type(value) is list:
        return pvector([vectors(element) for element in value])
    return value


def rebuild(cls: type[Any], kind: Kind, old: Any, entries: Any) -> Any:
    """Return a `cls` of validated entries: `old` itself where validation changed nothing.

    Parameters
    ----------
    cls : type
        The class wanted: `kind.cls` or a subclass.
    kind : Kind
        Its kind.
    old : object
        What was validated.
    entries : dict or list
        What became of it, in the same order: a dict for mappings.

    Notes
    -----
    Cost: O(n).
    """
    if (
        isinstance(old, cls)
        and len(old) == len(entries)
        and _same(old, entries)
        and (kind.shape is not Shape.MAPPING or _same(old.values(), entries.values()))
    ):
        return old
    settings = kind.settings_of(old) if isinstance(old, kind.cls) else {}
    return (kind.make if cls is kind.cls else cls)(entries, **settings)


def _same(old: Iterable[Any], new: Iterable[Any]) -> bool:
    return all(
        a is b or (type(a) is type(b) and type(a) in _ATOMIC and a == b)
        for a, b in zip(old, new, strict=True)
    )
