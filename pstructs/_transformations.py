"""Changes along paths into nested collections: `transform` and the words that go with it.

A path is a sequence of steps. A step is a key (of a map), an index (of a vector), a field name
(of a record), or a function that picks keys: `key -> bool` or `(key, value) -> bool`. The change
runs bottom-up: each collection on the way is written through its evolver, once for all the keys
that were picked in it, and one in which nothing changed stays the object that it was.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from inspect import Parameter, signature
from typing import Any, Final

__all__ = ["dec", "discard", "get_in", "inc", "ny", "rex", "transform"]

_MISSING: Final = object()


def inc(x: Any) -> Any:
    """Return x + 1.

    Examples
    --------
    >>> from pstructs import inc, m
    >>> m(visits=3).transform(["visits"], inc)
    pmap({'visits': 4})
    """
    return x + 1


def dec(x: Any) -> Any:
    """Return x - 1."""
    return x - 1


def discard(evolver: Any, key: Any) -> None:
    """Remove what the path leads to, when given as the change; nothing where there is nothing.

    Parameters
    ----------
    evolver : evolver
        Of the collection that holds the key.
    key : object
        What to remove.

    Examples
    --------
    >>> from pstructs import discard, m
    >>> m(a=m(b=1, c=2)).transform(["a", "b"], discard)
    pmap({'a': pmap({'c': 2})})
    """
    with suppress(KeyError):
        del evolver[key]


def rex(expr: str) -> Callable[[object], Any]:
    """Return a step that picks the string keys that a regular expression matches.

    Parameters
    ----------
    expr : str
        As for `re.match`: it has to match from the beginning of the key.

    Examples
    --------
    >>> from pstructs import inc, pmap, rex
    >>> a = pmap({"n1": 1, "n2": 2, "x": 3}).transform([rex("n")], inc)
    >>> a == {"n1": 2, "n2": 3, "x": 3}
    True
    """
    pattern = re.compile(expr)
    return lambda key: isinstance(key, str) and pattern.match(key)


def ny(_: object) -> bool:
    """Pick any key: a step that stands for all.

    Examples
    --------
    >>> from pstructs import inc, ny, pmap
    >>> pmap({"a": 1, 2: 3}).transform([ny], inc) == {"a": 2, 2: 4}
    True
    """
    return True


def get_in(keys: Iterable[Any], coll: Any, default: Any = None, no_default: bool = False) -> Any:
    """Return `coll[k0][k1]...` for the keys k0, k1, ...

    Parameters
    ----------
    keys : iterable
        Where to go, outermost first. No keys: coll itself.
    coll : object
        Anything that can be indexed.
    default : object
        What to return where a key is missing or the value can't be indexed.
    no_default : bool
        Raise the KeyError, IndexError or TypeError instead.

    Returns
    -------
    object
        The value, or default.

    Examples
    --------
    >>> from pstructs import get_in, m
    >>> user = m(name="Ada", tags=("x", "y"))
    >>> get_in(["tags", 1], user), get_in(["tags", 9], user), get_in(["age"], user, 0)
    ('y', None, 0)
    """
    value = coll
    try:
        for key in keys:
            value = value[key]
    except (KeyError, IndexError, TypeError):
        if no_default:
            raise
        return default
    return value


def transform(structure: Any, transformations: Sequence[Any]) -> Any:
    """Return structure with changes made along paths.

    Parameters
    ----------
    structure : collection
        A map, vector or record, with others inside.
    transformations : sequence
        path, change, path, change, ...: applied in turn. A change is a function of the old
        value, the word `discard`, or a new value.

    Returns
    -------
    collection
        The same object when nothing changed. A key that is missing on the way gets an empty
        map.

    Raises
    ------
    ValueError
        A path without a change, or a function in a path that takes neither one nor two
        arguments.
    """
    if len(transformations) % 2:
        raise ValueError(
            f"transform() wants pairs of a path and a change, and got {len(transformations)} "
            "arguments: the last path has no change"
        )
    for i in range(0, len(transformations), 2):
        structure = _change(structure, transformations[i], transformations[i + 1])
    return structure


def _change(structure: Any, path: Sequence[Any], change: Any) -> Any:
    if not path:
        return change(structure) if callable(change) else change
    picked = _pick(structure, path[0])
    below = path[1:]
    evolver = structure.evolver()
    if change is discard and not below:
        # From the end, so that the indices of a vector that are still to come stay right.
        for key, _ in reversed(picked):
            discard(evolver, key)
        return evolver.persistent()
    for key, value in picked:
        new = value is _MISSING
        if new:
            if change is discard:
                continue
            value = _empty_map()
        result = _change(value, below, change)
        if new or result is not value:
            evolver[key] = result
    return evolver.persistent()


def _pick(structure: Any, step: Any) -> list[tuple[Any, Any]]:
    """(key, value) of all that a step of a path stands for."""
    if not callable(step):
        return [(step, _value(structure, step))]
    arity = _arity(step)
    if arity == 1:
        return [(k, v) for k, v in _items(structure) if step(k)]
    if arity == 2:
        return [(k, v) for k, v in _items(structure) if step(k, v)]
    raise ValueError("callable in transform path must take 1 or 2 arguments")


def _value(structure: Any, key: Any) -> Any:
    try:
        if hasattr(structure, "__getitem__"):
            return structure[key]
        return getattr(structure, key)
    except (IndexError, KeyError):
        return _MISSING


def _items(structure: Any) -> Iterable[tuple[Any, Any]]:
    try:
        items = structure.items
    except AttributeError:
        return enumerate(structure)
    found: Iterable[tuple[Any, Any]] = items()
    return found


def _arity(function: Callable[..., Any]) -> int:
    """How many positional arguments a call has to have."""
    return sum(
        p.default is Parameter.empty
        and p.kind in (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
        for p in signature(function).parameters.values()
    )


def _empty_map() -> Any:
    from pstructs._core import pmap

    return pmap()
