"""freeze, thaw, convert and mutant: deep, both ways, and with the types of other libraries."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict, UserDict, defaultdict, deque
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import (
    PDeque,
    PList,
    PMap,
    PRecord,
    PSet,
    PVector,
    convert,
    field,
    freeze,
    l,
    m,
    mutant,
    pbag,
    pdeque,
    plist,
    pset,
    s,
    thaw,
    v,
)

LEAF = st.one_of(st.integers(), st.text(max_size=3), st.none(), st.booleans(), st.binary())
PLAIN = st.recursive(
    LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=3), inner, max_size=5),
        st.tuples(inner, inner),
        st.sets(st.integers(), max_size=3),
    ),
    max_leaves=30,
)


def mutable_parts(x: Any) -> list[Any]:
    """Every list, dict and set in a value."""
    found = [x] if isinstance(x, list | dict | set) else []
    if isinstance(x, list | tuple | PVector | PSet | set):
        inner = list(x)
    elif isinstance(x, dict | PMap):
        inner = list(x.values())
    else:
        inner = []
    return found + [part for y in inner for part in mutable_parts(y)]


@given(PLAIN)
def test_thaw_undoes_freeze(plain: Any) -> None:
    frozen = freeze(plain)
    assert mutable_parts(frozen) == []
    assert thaw(frozen) == plain
    assert freeze(thaw(frozen)) == frozen
    assert freeze(frozen) is frozen or type(frozen) is tuple


@given(PLAIN)
def test_what_is_thawed_shares_nothing_mutable(plain: Any) -> None:
    frozen = freeze(plain)
    parts = {id(x) for x in mutable_parts(plain)}
    assert all(id(x) not in parts for x in mutable_parts(thaw(frozen)))


def test_freeze_goes_by_exact_types() -> None:
    class Point(NamedTuple):
        x: list[int]

    for left_alone in (
        OrderedDict(a=[1]),
        UserDict(a=1),
        deque([1]),
        frozenset([1]),
        Point([1]),
        bytearray(b"x"),
        len,
    ):
        assert freeze(left_alone) is left_alone and thaw(left_alone) is left_alone
    frozen = freeze(defaultdict(list, a=[1]))
    assert type(frozen) is PMap and type(frozen["a"]) is PVector


def test_strict_looks_into_what_is_persistent() -> None:
    assert type(freeze(v([1]))[0]) is PVector and type(freeze(v([1]), strict=False)[0]) is list
    assert type(freeze(m(a={})).a) is PMap and type(freeze(m(a={}), strict=False).a) is dict
    assert type(freeze([m(a={})], False)[0].a) is dict
    assert thaw([v(1)]) == [[1]] and type(thaw([v(1)], strict=False)[0]) is PVector
    assert type(thaw({"a": v(1)}, strict=False)["a"]) is PVector
    assert type(thaw(v({"a": v(1)}), strict=False)[0]["a"]) is PVector


def test_what_is_frozen_stays_the_same_object() -> None:
    for frozen in (m(a=v(1, m(b=2))), v(1, (2, 3)), (1, v(2)), s(1), l([1]), pdeque([[]])):
        assert freeze(frozen) is frozen
    a = m(x=v(1), y=[2])
    assert freeze(a).x is a.x


def test_records_are_maps() -> None:
    class R(PRecord):
        x = field()

    assert thaw(R(x=v(1))) == {"x": [1]} and type(thaw(R(x=1))) is dict
    assert freeze(R(x=[1])) == {"x": v(1)} and type(freeze(R(x=1))) is PMap


def test_mutant_freezes_arguments_and_result() -> None:
    @mutant
    def f(a: Any, *, b: Any) -> Any:
        """Say what came in."""
        return [type(a), type(b), [a]]

    assert f([1], b={2}) == v(PVector, PSet, v(v(1)))
    assert f.__name__ == "f" and f.__doc__ == "Say what came in."


def test_deep_nesting_ends_in_a_recursion_error() -> None:
    plain: Any = []
    frozen: Any = v()
    for _ in range(50_000):
        plain, frozen = [plain], v(frozen)
    for do in (lambda: freeze(plain), lambda: thaw(frozen), lambda: convert(plain, "pstructs")):
        with pytest.raises(RecursionError):
            do()
    while plain:
        plain = plain.pop()


# ---- other libraries


def foreign_values() -> list[tuple[Any, Any]]:
    """(value of another library, what freeze makes of it)."""
    found: list[tuple[Any, Any]] = []
    try:
        import pyrsistent as p
    except ImportError:
        pass
    else:
        found += [
            (p.m(a=[1], b=p.v({2})), m(a=v(1), b=v(s(2)))),
            (p.v(1, p.m(a=p.s(3))), v(1, m(a=s(3)))),
            (p.s(1, 2), s(1, 2)),
            (p.l(1, 2), l(1, 2)),
            (p.plist(), l()),
            (p.pdeque([1, 2], maxlen=3), pdeque([1, 2], maxlen=3)),
            (p.pbag([1, 1]), pbag([1, 1])),
        ]
    try:
        import immutables
    except ImportError:
        pass
    else:
        found += [(immutables.Map(a=[1]), m(a=v(1)))]
    try:
        import rpds  # type: ignore[import-not-found]
    except ImportError:
        pass
    else:
        found += [
            (rpds.HashTrieMap({"a": [1]}), m(a=v(1))),
            (rpds.HashTrieSet([1, 2]), s(1, 2)),
            (rpds.List([1, 2]), l(1, 2)),
            (rpds.Queue([1, 2]), pdeque([1, 2])),
        ]
    return found


@pytest.mark.parametrize(("theirs", "ours"), foreign_values(), ids=lambda x: type(x).__name__)
def test_values_of_other_libraries_become_ours(theirs: Any, ours: Any) -> None:
    frozen = freeze(theirs)
    assert frozen == ours and type(frozen) is type(ours)
    assert getattr(frozen, "maxlen", None) == getattr(ours, "maxlen", None)
    assert mutable_parts(frozen) == []
    assert freeze([theirs]) == v(ours) and freeze({"k": theirs}) == m(k=ours)
    assert thaw(theirs) == thaw(ours) and type(thaw(theirs)) is type(thaw(ours))
    assert convert(theirs, "pstructs") == convert(ours, "pstructs")


def test_without_strict_only_the_outside_of_a_foreign_value_is_converted() -> None:
    p = pytest.importorskip("pyrsistent")
    frozen = freeze(p.m(a=[1]), strict=False)
    assert type(frozen) is PMap and type(frozen.a) is list


@pytest.mark.parametrize("library", ["pyrsistent", "immutables", "rpds"])
def test_convert_gives_the_types_of_a_library_and_back(library: str) -> None:
    module: Any = pytest.importorskip(library)
    value = m(a=v(1, m(b=2)), c=plist([1]), d=pdeque([1, 2]), e=pset([1]), f=(v(3),), g=[m()])
    theirs = convert(value, library)
    roots = {"pyrsistent": ("pyrsistent", "pvectorc"), "immutables": ("immutables",)}
    expected = roots.get(library, (library,))
    assert type(theirs).__module__.split(".")[0] in expected
    assert type(theirs["g"]) is list and type(theirs["f"]) is tuple
    assert type(theirs["g"][0]) is type(theirs)
    back = convert(theirs, "pstructs")
    assert back == value and {type(back[k]) for k in "cde"} == {PList, PDeque, PSet}
    assert module is sys.modules[library]


def test_convert_keeps_a_maxlen_where_it_can() -> None:
    p = pytest.importorskip("pyrsistent")
    assert convert(pdeque([1], maxlen=4), "pyrsistent").maxlen == 4
    assert isinstance(convert(pdeque([1], maxlen=4), "pyrsistent"), p.PDeque)


def test_convert_names_the_libraries_that_it_knows() -> None:
    with pytest.raises(ValueError, match=r"pstructs, pyrsistent, immutables, rpds, not 'numpy'"):
        convert(m(), "numpy")


def test_no_library_is_imported_to_freeze_and_thaw() -> None:
    program = (
        "import sys, pstructs\n"
        "class Strange: pass\n"
        "pstructs.freeze([1, {'a': Strange()}, pstructs.v(Strange())])\n"
        "pstructs.thaw(pstructs.m(a=pstructs.v(Strange())))\n"
        "assert not {'pyrsistent', 'immutables', 'rpds'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
