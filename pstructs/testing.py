"""Hypothesis strategies for persistent collections.

Each takes strategies for what the collection holds and the bounds of hypothesis' own
`dictionaries`, `sets` and `lists`, and shrinks as these do: towards few and simple elements.
hypothesis has to be installed; it is imported when a strategy is asked for. It finds this module
by itself, so that `from_type(PMap[str, int])`, and `builds` of a class with such a field, work.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any, TypeVar, get_args

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
from pstructs.interop.kinds import KINDS, Kind, Shape

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

__all__ = ["pbags", "pdeques", "plists", "pmaps", "psets", "pvectors", "register"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
H = TypeVar("H", bound=Hashable)
T = TypeVar("T")


def pmaps(
    keys: SearchStrategy[K],
    values: SearchStrategy[V],
    *,
    min_size: int = 0,
    max_size: int | None = None,
) -> SearchStrategy[PMap[K, V]]:
    """Return a strategy for maps.

    Parameters
    ----------
    keys, values : SearchStrategy
        For the keys, which are hashable, and the values.
    min_size, max_size : int
        Bounds of the number of entries; no upper bound by default.

    Examples
    --------
    >>> from hypothesis import given, strategies as st
    >>> @given(pmaps(st.text(), st.integers()))
    ... def check(m):
    ...     assert m.set("k", 1)["k"] == 1
    >>> check()
    """
    from hypothesis import strategies as st

    return st.dictionaries(keys, values, min_size=min_size, max_size=max_size).map(pmap)


def psets(
    elements: SearchStrategy[H], *, min_size: int = 0, max_size: int | None = None
) -> SearchStrategy[PSet[H]]:
    """Return a strategy for sets.

    Parameters
    ----------
    elements : SearchStrategy
        For the elements, which are hashable.
    min_size, max_size : int
        Bounds of the number of elements; no upper bound by default.

    Examples
    --------
    >>> from hypothesis import given, strategies as st
    >>> @given(psets(st.integers(0, 9), min_size=1))
    ... def check(s):
    ...     assert 1 <= len(s) <= 10
    >>> check()
    """
    from hypothesis import strategies as st

    return st.sets(elements, min_size=min_size, max_size=max_size).map(pset)


def pvectors(
    elements: SearchStrategy[T], *, min_size: int = 0, max_size: int | None = None
) -> SearchStrategy[PVector[T]]:
    """Return a strategy for vectors.

    Parameters
    ----------
    elements : SearchStrategy
        For the elements.
    min_size, max_size : int
        Bounds of the length; no upper bound by default.

    Examples
    --------
    >>> from hypothesis import given, strategies as st
    >>> @given(pvectors(st.integers(), max_size=5))
    ... def check(v):
    ...     assert v.append(1)[-1] == 1
    >>> check()
    """
    from hypothesis import strategies as st

    return st.lists(elements, min_size=min_size, max_size=max_size).map(pvector)


def plists(
    elements: SearchStrategy[T], *, min_size: int = 0, max_size: int | None = None
) -> SearchStrategy[PList[T]]:
    """Return a strategy for linked lists; see `pvectors`."""
    from hypothesis import strategies as st

    return st.lists(elements, min_size=min_size, max_size=max_size).map(plist)


def pdeques(
    elements: SearchStrategy[T], *, min_size: int = 0, max_size: int | None = None
) -> SearchStrategy[PDeque[T]]:
    """Return a strategy for deques without a maxlen; see `pvectors`."""
    from hypothesis import strategies as st

    return st.lists(elements, min_size=min_size, max_size=max_size).map(pdeque)


def pbags(
    elements: SearchStrategy[H], *, min_size: int = 0, max_size: int | None = None
) -> SearchStrategy[PBag[H]]:
    """Return a strategy for bags of hashable elements; see `pvectors`. Equal elements count."""
    from hypothesis import strategies as st

    return st.lists(elements, min_size=min_size, max_size=max_size).map(pbag)


def register() -> None:
    """Tell hypothesis' `from_type` about every collection.

    hypothesis calls this by itself, as an entry point of the installed package.

    Examples
    --------
    >>> from hypothesis import given, strategies as st
    >>> from pstructs import PMap
    >>> register()
    >>> @given(st.from_type(PMap[str, int]))
    ... def check(m):
    ...     assert all(isinstance(value, int) for value in m.values())
    >>> check()
    """
    from hypothesis import strategies as st

    for kind in KINDS:
        st.register_type_strategy(kind.cls, _resolver(kind))


def _resolver(kind: Kind) -> Any:
    """Return what makes a strategy of an annotation: `PMap` or `PMap[str, int]`."""
    from hypothesis import strategies as st

    def resolve(annotation: Any) -> Any:
        parts = [st.from_type(part) for part in get_args(annotation)] or _simple(kind)
        if kind.shape is Shape.MAPPING:
            return st.dictionaries(*parts).map(kind.make)
        if kind.shape is Shape.SET and kind.hashed:
            return st.sets(*parts).map(kind.make)
        return st.lists(*parts).map(kind.make)

    return resolve


def _simple(kind: Kind) -> list[Any]:
    """Return strategies for the parts of an annotation without arguments."""
    from hypothesis import strategies as st

    some = st.none() | st.booleans() | st.integers() | st.text()
    if not kind.hashed and kind.shape is not Shape.SEQUENCE:
        some = st.integers()  # which have an order
    return [some, some] if kind.shape is Shape.MAPPING else [some]
