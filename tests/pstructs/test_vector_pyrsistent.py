"""The same random program runs on pyrsistent's pvector and on ours."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pstructs

pyrsistent = pytest.importorskip("pyrsistent")

VALUES = st.one_of(st.integers(0, 4), st.sampled_from("ab"))
PLACES = st.integers(-40, 40)
SOME = st.lists(VALUES, max_size=40)


def run(step: Any, value: Any) -> tuple[str, Any]:
    """The outcome of a step: its result, or the class of its exception."""
    try:
        return "value", step(value)
    except Exception as error:
        return "error", type(error)


def evolve(ops: list[tuple[str, int, Any]]) -> Any:
    def step(a: Any) -> Any:
        e = a.evolver()
        for name, i, x in ops:
            if name == "append":
                assert e.append(x) is e
            elif name == "extend":
                assert e.extend([x, x]) is e
            elif name == "set":
                e.set(i % (len(e) + 1), x)
            elif name == "setitem":
                e[i % (len(e) + 1)] = x
            elif len(e) and name == "delete":
                e.delete(i % len(e))
            elif len(e):
                del e[i % len(e)]
            assert len(e) == 0 or e[0] == e[-len(e)]
        e.is_dirty()
        return e.persistent()

    return step


STEPS = st.one_of(
    VALUES.map(lambda x: lambda a: a.append(x)),
    SOME.map(lambda x: lambda a: a.extend(x)),
    SOME.map(lambda x: lambda a: a.extend(tuple(x))),
    SOME.map(lambda x: lambda a: a + x),
    st.just(lambda a: a + a),
    st.integers(-1, 3).map(lambda n: lambda a: a[:30] * n),
    st.integers(-1, 3).map(lambda n: lambda a: n * a[:30]),
    st.tuples(PLACES, VALUES).map(lambda p: lambda a: a.set(*p)),
    st.lists(st.tuples(PLACES, VALUES), max_size=4).map(
        lambda p: lambda a: a.mset(*(x for pair in p for x in pair))
    ),
    PLACES.map(lambda i: lambda a: a.delete(i)),
    st.tuples(PLACES, PLACES).map(lambda p: lambda a: a.delete(*p)),
    VALUES.map(lambda x: lambda a: a.remove(x)),
    st.tuples(st.none() | PLACES, st.none() | PLACES, st.sampled_from([None, 1, 2, -1, 0])).map(
        lambda p: lambda a: a[slice(*p)]
    ),
    st.lists(
        st.tuples(
            st.sampled_from(["append", "extend", "set", "setitem", "delete", "del"]),
            st.integers(0, 90),
            VALUES,
        ),
        max_size=12,
    ).map(evolve),
)
QUESTIONS: list[Any] = [
    len,
    bool,
    list,
    repr,
    str,
    lambda a: a.tolist(),
    lambda a: list(reversed(a)),
    lambda a: a[0],
    lambda a: a[-1],
    lambda a: a[33],
    lambda a: a[1000],
    lambda a: a["x"],
    lambda a: a.index(1),
    lambda a: a.index("a", 2),
    lambda a: a.index("b", -9, 30),
    lambda a: a.count(2),
    lambda a: 3 in a,
    lambda a: a == a.tolist(),
    lambda a: a.tolist() == a,
    lambda a: a != a.tolist(),
    lambda a: a == tuple(a),
    lambda a: a == 5,
    lambda a: a < a.append(1),
    lambda a: a.append(0) >= [*a.tolist(), 1],
    lambda a: a < (1,),
    lambda a: hash(a) == hash(a[:] + []),
    lambda a: hash(a.append([])),
    lambda a: {a: 1}[a],
    lambda a: a.mset(1),
    lambda a: a.append(),
    lambda a: a + 5,
    lambda a: a * "x",
    lambda a: [] + a,
    lambda a: a.evolver().persistent() is a,
    lambda a: a.evolver().is_dirty(),
    lambda a: a.evolver()[3],
    lambda a: a.evolver().set("x", 1),
    lambda a: iter(a.evolver()),
    lambda a: a.no_such_name,
]


@given(start=SOME, steps=st.lists(STEPS, max_size=12))
def test_a_program_has_the_same_outcomes(start: list[Any], steps: list[Any]) -> None:
    ours, theirs = pstructs.pvector(start), pyrsistent.pvector(start)
    for step in steps:
        mine, other = run(step, ours), run(step, theirs)
        assert mine[0] == other[0] and (mine[0] == "value" or mine[1] is other[1])
        if mine[0] == "value" and len(mine[1]) < 500:
            ours, theirs = mine[1], other[1]
        assert ours.tolist() == theirs.tolist()
        for question in QUESTIONS:
            assert run(question, ours) == run(question, theirs), question


def test_both_compare_equal() -> None:
    a, b = pstructs.v(1, 2), pyrsistent.v(1, 2)
    assert a == b and b == a and not a != b and pstructs.pvector(b) == a
