"""From plain containers to persistent ones and back, and between libraries.

`freeze` and `thaw` go through everything that is nested. They know the types of pyrsistent,
immutables and rpds as well, without importing them: a value can only be of such a type when its
library is loaded already. What is frozen already stays the same object.
"""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import wraps
from typing import Any

from pstructs._core import (
    MapRecord,
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

__all__ = ["convert", "freeze", "mutant", "thaw"]


# ---- types of other libraries

# Module of a type -> name of the type -> what makes our own type of such a value.
_FOREIGN: dict[str, dict[str, Callable[[Any], Any]]] = {
    "pyrsistent._pmap": {"PMap": pmap},
    "pyrsistent._pset": {"PSet": pset},
    "pyrsistent._pvector": {"PythonPVector": pvector},
    "pvectorc": {"PVector": pvector},
    "pyrsistent._plist": {"PList": plist, "_EmptyPList": plist},
    "pyrsistent._pdeque": {"PDeque": lambda d: pdeque(d, d.maxlen)},
    "pyrsistent._pbag": {"PBag": pbag},
    "immutables._map": {"Map": pmap},
    "immutables.map": {"Map": pmap},
    "rpds": {
        "HashTrieMap": pmap,
        "HashTrieSet": pset,
        "List": plist,
        "Queue": pdeque,
        "Stack": plist,
    },
}
# What makes a library's types of our values; its name for "pstructs" is our own.
_MAKERS: dict[str, dict[type[Any], str]] = {
    "pyrsistent": {
        PMap: "pmap",
        PSet: "pset",
        PVector: "pvector",
        PList: "plist",
        PDeque: "pdeque",
        PBag: "pbag",
    },
    "immutables": {PMap: "Map"},
    "rpds": {PMap: "HashTrieMap", PSet: "HashTrieSet", PList: "List", PDeque: "Queue"},
}


def _maker_of_own(cls: type[Any]) -> Callable[[Any], Any] | None:
    """Return what makes our own type of a value of another library's type, or None."""
    for base in cls.__mro__:
        makers = _FOREIGN.get(base.__module__)
        if makers is not None and base.__name__ in makers:
            return makers[base.__name__]
    return None


# Most values are of these, and nothing else has to be looked up for them.
_ATOMS = frozenset({int, str, float, bool, bytes, type(None)})

# ---- freeze and thaw


def _changed(values: Iterable[Any], convert: Callable[[Any], Any]) -> tuple[list[Any], bool]:
    """Return the converted values, and whether one of them is another object now."""
    old = list(values)
    new = [convert(value) for value in old]
    return new, any(a is not b for a, b in zip(old, new, strict=True))


def freeze(o: Any, strict: bool = True) -> Any:
    """Return o with plain containers turned into persistent ones, at any depth.

    Parameters
    ----------
    o : object
        A list becomes a `PVector`, a dict, defaultdict or `PRecord` a `PMap`, a set a `PSet`, a
        tuple a tuple of frozen elements, and a value of pyrsistent, immutables or rpds its
        counterpart here. Keys of maps and elements of sets are hashable and stay as they are,
        as does anything else, subclasses of the built-in types included.
    strict : bool
        Look into values that are persistent already, too.

    Returns
    -------
    object
        What is frozen already is returned itself.

    Notes
    -----
    *Cost*: O(n) for n elements at all depths.

    Examples
    --------
    >>> from pstructs import freeze
    >>> freeze([1, {"a": {3}}])
    pvector([1, pmap({'a': pset([3])})])
    """
    cls = type(o)
    if cls in _ATOMS:
        return o
    if cls is dict or cls is defaultdict:
        return pmap({k: freeze(v, strict) for k, v in o.items()})
    if cls is list:
        return pvector([freeze(v, strict) for v in o])
    if cls is tuple:
        new, changed = _changed(o, lambda v: freeze(v, strict))
        return tuple(new) if changed else o
    if cls is set:
        return pset(o)
    if isinstance(o, PMap | MapRecord):
        return _freeze_map(o) if strict else o
    if isinstance(o, PVector):
        if not strict:
            return o
        new, changed = _changed(o, freeze)
        return pvector(new) if changed or cls is not PVector else o
    own = _maker_of_own(cls)
    if own is None:
        return o
    return freeze(own(o), strict) if strict else own(o)


def _freeze_map(o: PMap[Any, Any] | MapRecord) -> PMap[Any, Any]:
    evolver = pmap(o).evolver()
    for key, value in o.items():
        frozen = freeze(value)
        if frozen is not value:
            evolver[key] = frozen
    return evolver.persistent()


def thaw(o: Any, strict: bool = True) -> Any:
    """Return o with persistent containers turned into plain ones, at any depth.

    Parameters
    ----------
    o : object
        A `PVector` becomes a list, a `PMap` or `PRecord` a dict, a `PSet` a set, a tuple a
        tuple of thawed elements; values of pyrsistent, immutables and rpds as their
        counterparts here. Lists, deques and bags that are persistent have no plain counterpart
        and stay as they are.
    strict : bool
        Look into lists and dicts, too.

    Returns
    -------
    object
        A new dict, list or set in place of each that is persistent.

    Notes
    -----
    *Cost*: O(n) for n elements at all depths.

    Examples
    --------
    >>> from pstructs import m, s, thaw, v
    >>> thaw(v(1, m(a=s(3))))
    [1, {'a': {3}}]
    """
    cls = type(o)
    if cls in _ATOMS:
        return o
    if isinstance(o, PVector) or (strict and cls is list):
        return [thaw(v, strict) for v in o]
    if isinstance(o, PMap | MapRecord) or (strict and cls is dict):
        return {k: thaw(v, strict) for k, v in o.items()}
    if cls is tuple:
        new, changed = _changed(o, lambda v: thaw(v, strict))
        return tuple(new) if changed else o
    if isinstance(o, PSet):
        return set(o)
    own = _maker_of_own(cls)
    return o if own is None else thaw(own(o), strict)


def mutant(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return fn with its arguments and its result frozen: a decorator.

    Parameters
    ----------
    fn : callable
        Can neither change what its caller passes nor be changed through what it returns.

    Examples
    --------
    >>> from pstructs import mutant
    >>> @mutant
    ... def both(items):
    ...     return [items, {"n": 1}]
    >>> both([1])
    pvector([pvector([1]), pmap({'n': 1})])
    """

    @wraps(fn)
    def inner(*args: Any, **kwargs: Any) -> Any:
        frozen = {name: freeze(value) for name, value in kwargs.items()}
        return freeze(fn(*[freeze(arg) for arg in args], **frozen))

    return inner


# ---- to other libraries


def convert(o: Any, library: str) -> Any:
    """Return o with every persistent collection in it made one of another library.

    Parameters
    ----------
    o : object
        Anything `freeze` knows: collections of this library or of the others; plain containers
        are looked into and stay plain.
    library : {'pstructs', 'pyrsistent', 'immutables', 'rpds'}
        It is imported when needed. A collection for which it has no type stays ours.

    Returns
    -------
    object
        Equal contents. Elements of sets, bags and lists are not looked into, as they are not by
        `freeze`; the maxlen of a deque is lost in rpds, which has none.

    Raises
    ------
    ValueError
        The library is not one of those.
    ImportError
        The library is not installed.

    Examples
    --------
    >>> from pstructs import convert, m
    >>> type(convert(m(a=1), "pyrsistent")).__module__
    'pyrsistent._pmap'
    """
    if library == "pstructs":
        return _convert(o, {})
    if library not in _MAKERS:
        known = ", ".join(["pstructs", *_MAKERS])
        raise ValueError(f"convert() knows the libraries {known}, not {library!r}")
    module = importlib.import_module(library)
    return _convert(o, {own: getattr(module, name) for own, name in _MAKERS[library].items()})


def _convert(o: Any, makers: Mapping[type[Any], Callable[..., Any]]) -> Any:
    cls = type(o)
    if (own := _maker_of_own(cls)) is not None:
        o = own(o)
        cls = type(o)
    elif cls is tuple or cls is list:
        new, changed = _changed(o, lambda v: _convert(v, makers))
        return cls(new) if changed else o
    elif cls is dict:
        new, changed = _changed(o.values(), lambda v: _convert(v, makers))
        return dict(zip(o, new, strict=True)) if changed else o
    if cls is PMap:
        return makers.get(PMap, pmap)({k: _convert(v, makers) for k, v in o.items()})
    if cls is PVector:
        return makers.get(PVector, pvector)([_convert(v, makers) for v in o])
    make = makers.get(cls)
    if make is None:
        return o
    if cls is PDeque and o.maxlen is not None and make.__module__.startswith("pyrsistent"):
        return make(o, o.maxlen)
    return make(o)
