"""The same random program runs on pyrsistent's records and checked collections and on ours."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pstructs
from pstructs import _core

pyrsistent = pytest.importorskip("pyrsistent")


def declare(lib: Any, base: Any, prefix: str) -> dict[str, Any]:
    """The same classes with either library; they pickle by their place in this module."""

    class Inner(base):  # type: ignore[misc]
        n = lib.field(type=int, mandatory=True, invariant=lambda n: (n < 5, "n is large"))
        t = lib.field(type=str, initial="")

    class Outer(base):  # type: ignore[misc]
        a = lib.field(type=int, invariant=lambda a: (a >= 0, "a is negative"))
        b = lib.field(
            type=(int, str),
            initial=1,
            invariant=lambda b: [(b != 3, "three"), (b != "x", "x"), (b != 4, "four")],
        )
        c = lib.field(type=Inner)
        d = lib.field(factory=lambda x: x * 2, serializer=lambda f, x: (f, x))
        e = lib.field(type=lib.optional(int), initial=lambda: 7)
        s = lib.pset_field(int, invariant=lambda s: (len(s) < 4, "many"))
        m = lib.pmap_field(str, (int, str), optional=True)
        __invariant__ = lambda o: (getattr(o, "a", 0) != getattr(o, "b", 1) or o.a == 1, "a is b")  # noqa: E731

    class Sub(Outer):
        f = lib.field(mandatory=True)
        a = lib.field(type=(int, float), initial=0)

    made = {"Inner": Inner, "Outer": Outer, "Sub": Sub}
    for name, cls in made.items():
        cls.__name__ = name
        cls.__qualname__ = prefix + name
        cls.__module__ = __name__
        globals()[prefix + name] = cls
    return made


KINDS = {
    "PClass": (
        declare(pyrsistent, pyrsistent.PClass, "TheirC"),
        declare(pstructs, pstructs.PClass, "OurC"),
    ),
    "PRecord": (
        declare(pyrsistent, pyrsistent.PRecord, "TheirR"),
        declare(pstructs, pstructs.PRecord, "OurR"),
    ),
}

NAMES = st.sampled_from(["a", "b", "c", "d", "e", "f", "s", "m", "n", "nothing"])
PLAIN = st.one_of(st.integers(-1, 6), st.sampled_from(["", "x", "yy"]), st.none())
VALUES = st.one_of(
    PLAIN,
    st.fixed_dictionaries({}, optional={"n": st.integers(0, 6), "t": st.just("t"), "q": PLAIN}),
    st.lists(st.integers(0, 6), max_size=5),
    st.dictionaries(st.sampled_from(["k", "l"]), st.one_of(st.integers(0, 3), st.none())),
)
GOOD = {
    "a": st.integers(0, 6),
    "b": st.one_of(st.integers(0, 2), st.just("yy")),
    "c": st.fixed_dictionaries({"n": st.integers(0, 4)}),
    "d": st.integers(0, 3),
    "e": st.one_of(st.none(), st.integers()),
    "f": PLAIN,
    "s": st.lists(st.integers(0, 6), max_size=3),
    "m": st.one_of(st.none(), st.dictionaries(st.sampled_from("kl"), st.integers(0, 3))),
}
PAIRS = st.one_of(
    st.sampled_from(sorted(GOOD)).flatmap(lambda n: st.tuples(st.just(n), GOOD[n])),
    st.tuples(NAMES, VALUES),
)
CHANGES = st.lists(PAIRS, max_size=4).map(dict)


def name_of(error: Exception) -> Any:
    """What a caller can see of an error, in both libraries."""
    seen: list[Any] = [type(error).__name__]
    if isinstance(error, (pyrsistent.InvariantException, pstructs.InvariantException)):
        seen += [error.invariant_errors, sorted(error.missing_fields)]
    for detail in ("source_class", "actual_type", "field", "actual_value"):
        if hasattr(error, detail):
            part = getattr(error, detail)
            seen += [part.__name__ if isinstance(part, type) else plain(part), str(error)]
    return seen


def plain(value: Any) -> Any:
    """A value without its library."""
    if isinstance(value, (pyrsistent.PClass, pstructs.PClass)):
        fields = value._pclass_fields
        parts = {k: plain(getattr(value, k)) for k in fields if hasattr(value, k)}
        return type(value).__name__, parts
    if isinstance(value, (pyrsistent.PRecord, pstructs.PRecord)):
        return type(value).__name__, {k: plain(v) for k, v in value.items()}
    if isinstance(value, (pyrsistent.PMap, pstructs.PMap)):
        return type(value).__name__, {k: plain(v) for k, v in value.items()}
    if isinstance(value, (pyrsistent.PSet, pstructs.PSet)):
        return type(value).__name__, set(value)
    if isinstance(value, (pyrsistent.PVector, pstructs.PVector)):
        # pyrsistent's vector without checks has a name of its own in Python and in C.
        name = type(value).__name__
        return name if name == "Steps" else "PVector", [plain(x) for x in value]
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    return value


def outcome(step: Any, value: Any) -> tuple[str, Any, Any]:
    try:
        result = step(value)
    except Exception as error:
        return "error", name_of(error), None
    return "value", plain(result), result


def evolve(ops: list[tuple[str, str, Any]]) -> Any:
    def step(r: Any) -> Any:
        e = r.evolver()
        for op, name, value in ops:
            if op == "set":
                assert e.set(name, value) is e
            elif op == "item":
                e[name] = value
            else:
                e.remove(name)
        return e.persistent()

    return step


STEPS = st.one_of(
    CHANGES.map(lambda c: lambda r: r.set(**c)),
    PAIRS.map(lambda p: lambda r: r.set(*p)),
    NAMES.map(lambda n: lambda r: r.remove(n)),
    st.lists(st.tuples(st.sampled_from(["set", "item", "remove"]), NAMES, VALUES), max_size=3).map(
        evolve
    ),
    st.lists(PAIRS.map(lambda p: ("set", *p)), max_size=3).map(evolve),
    PAIRS.map(lambda p: lambda r: r.transform([p[0]], p[1])),
    PAIRS.map(lambda p: lambda r: r.transform(["c", "n"], p[1])),
    st.just(lambda r: r.transform(["c", "n"], lambda n: n + 1 if isinstance(n, int) else 0)),
    st.just(lambda r: pickle.loads(pickle.dumps(r))),
)
MAP_STEPS = st.one_of(
    STEPS,
    CHANGES.map(lambda c: lambda r: r.update(c)),
    st.tuples(CHANGES, CHANGES).map(lambda c: lambda r: r.update(*c)),
    CHANGES.map(lambda c: lambda r: r.update_with(lambda a, b: a, c)),
    CHANGES.map(lambda c: lambda r: r + c),
    NAMES.map(lambda n: lambda r: r.discard(n)),
)
QUESTIONS: list[Any] = [
    lambda r: r.serialize("fmt"),
    lambda r: r == r.set(a=2),
    lambda r: r != r.set(a=2),
    lambda r: hash(r) == hash(pickle.loads(pickle.dumps(r))),
    lambda r: r == pickle.loads(pickle.dumps(r)),
    lambda r: r < r,
    lambda r: type(r).create(r) is r,
    lambda r: r.evolver().persistent() is r,
    lambda r: r.a,
    lambda r: r.c.n,
]
MAP_QUESTIONS: list[Any] = [
    *QUESTIONS,
    len,
    lambda r: r["a"],
    lambda r: r["nothing"],
    lambda r: r.get("b", 5),
    lambda r: "c" in r,
    lambda r: set(r),
    lambda r: set(r.keys()),
    lambda r: dict(r.items()).keys(),
    lambda r: r == dict(r),
    lambda r: dict(r) == r,
    lambda r: len(r.evolver()),
    lambda r: r.evolver().is_dirty(),
]


@pytest.mark.parametrize("kind", KINDS)
@given(
    name=st.sampled_from(["Inner", "Outer", "Sub"]),
    start=CHANGES,
    ignore=st.booleans(),
    data=st.data(),
)
@settings(max_examples=max(200, settings().max_examples))
def test_records_answer_as_pyrsistents(
    kind: str, name: str, start: Any, ignore: bool, data: Any
) -> None:
    their_classes, our_classes = KINDS[kind]
    if name == "Inner":
        start = {"n": 1, **start}
    expected = outcome(lambda c: c.create(start, ignore_extra=ignore), their_classes[name])
    got = outcome(lambda c: c.create(start, ignore_extra=ignore), our_classes[name])
    assert got[:2] == expected[:2]
    if got[0] == "error":
        expected = outcome(lambda c: c(**GOOD_START[name]), their_classes[name])
        got = outcome(lambda c: c(**GOOD_START[name]), our_classes[name])
        assert got[0] == "value" and got[:2] == expected[:2]
    theirs, ours = expected[2], got[2]
    steps = data.draw(st.lists(MAP_STEPS if kind == "PRecord" else STEPS, max_size=8))
    for step in steps:
        before = plain(ours)
        expected, got = outcome(step, theirs), outcome(step, ours)
        assert got[:2] == expected[:2]
        assert plain(ours) == before
        if got[0] == "value":
            theirs, ours = expected[2], got[2]
    for question in MAP_QUESTIONS if kind == "PRecord" else QUESTIONS:
        assert outcome(question, ours)[:2] == outcome(question, theirs)[:2]


GOOD_START: dict[str, dict[str, Any]] = {
    "Inner": {"n": 1},
    "Outer": {"a": 0, "c": {"n": 1}, "d": 1},
    "Sub": {"f": 0, "d": 1},
}


# ---- checked collections


def declare_checked(lib: Any, prefix: str) -> dict[str, Any]:
    class Small(lib.CheckedPSet):  # type: ignore[misc,name-defined]
        __type__ = (int, float)
        __invariant__ = lambda n: (n < 5, f"{n} is large")  # noqa: E731

    class Table(lib.CheckedPMap):  # type: ignore[misc,name-defined]
        __key_type__ = str
        __value_type__ = (int, Small)
        __invariant__ = lambda k, v: (k != "bad", "bad key")  # noqa: E731

    class Narrow(Table):
        __invariant__ = lambda k, v: [(k != "x", "x"), (v != 3, "three")]  # noqa: E731

    class Steps(lib.CheckedPVector):  # type: ignore[misc,name-defined]
        __type__ = (int, Small)
        __invariant__ = lambda n: (n != 3, "three")  # noqa: E731

    made = {"Small": Small, "Table": Table, "Narrow": Narrow, "Steps": Steps}
    for name, cls in made.items():
        cls.__name__ = name
        cls.__qualname__ = prefix + name
        cls.__module__ = __name__
        globals()[prefix + name] = cls
    return made


CHECKED = declare_checked(pyrsistent, "Their"), declare_checked(pstructs, "Our")
ELEMENTS = st.one_of(st.integers(0, 4), st.integers(0, 6), st.sampled_from(["a", None, 1.5]))
SETS = st.lists(ELEMENTS, max_size=4)
KEYS = st.one_of(st.sampled_from(["a", "b", "c"]), st.sampled_from(["x", "bad", 1]))
ENTRIES = st.dictionaries(KEYS, st.one_of(st.integers(0, 4), st.lists(st.integers(0, 5))))


def evolve_checked(ops: Any) -> Any:
    def step(c: Any) -> Any:
        e = c.evolver()
        for op, args in ops:
            getattr(e, op)(*args)
        return len(e), e.is_dirty(), e.persistent()

    return lambda c: step(c)[2]


SET_STEPS = st.one_of(
    ELEMENTS.map(lambda x: lambda c: c.add(x)),
    ELEMENTS.map(lambda x: lambda c: c.remove(x)),
    ELEMENTS.map(lambda x: lambda c: c.discard(x)),
    SETS.map(lambda x: lambda c: c.update(x)),
    st.lists(st.tuples(st.sampled_from(["add", "remove"]), st.tuples(ELEMENTS)), max_size=3).map(
        evolve_checked
    ),
    st.just(lambda c: pickle.loads(pickle.dumps(c))),
)
TABLE_STEPS = st.one_of(
    st.tuples(KEYS, ELEMENTS).map(lambda p: lambda c: c.set(*p)),
    KEYS.map(lambda k: lambda c: c.remove(k)),
    KEYS.map(lambda k: lambda c: c.discard(k)),
    ENTRIES.map(lambda x: lambda c: c.update(type(c).create(x))),
    ENTRIES.map(lambda x: lambda c: c.update(x, x)),
    ENTRIES.map(lambda x: lambda c: c.update_with(lambda a, b: a, x)),
    ENTRIES.map(lambda x: lambda c: c + x),
    st.lists(st.tuples(st.just("set"), st.tuples(KEYS, ELEMENTS)), max_size=3).map(evolve_checked),
    st.lists(st.tuples(st.just("remove"), st.tuples(KEYS)), max_size=2).map(evolve_checked),
    KEYS.map(lambda k: lambda c: c.transform([k], 2)),
    st.just(lambda c: pickle.loads(pickle.dumps(c))),
)
INDICES = st.integers(-3, 5)
STEPS_OF_VECTORS = st.one_of(
    ELEMENTS.map(lambda x: lambda c: c.append(x)),
    st.tuples(INDICES, ELEMENTS).map(lambda p: lambda c: c.set(*p)),
    st.tuples(INDICES, ELEMENTS).map(lambda p: lambda c: c.mset(*p)),
    SETS.map(lambda x: lambda c: c.extend(x)),
    SETS.map(lambda x: lambda c: c + x),
    st.lists(
        st.one_of(
            st.tuples(st.just("append"), st.tuples(ELEMENTS)),
            st.tuples(st.just("extend"), st.tuples(SETS)),
            st.tuples(st.just("__setitem__"), st.tuples(INDICES, ELEMENTS)),
            st.tuples(st.just("set"), st.tuples(INDICES, ELEMENTS)),
        ),
        max_size=3,
    ).map(evolve_checked),
    st.tuples(INDICES, ELEMENTS).map(lambda p: lambda c: c.transform([p[0]], p[1])),
    st.just(lambda c: pickle.loads(pickle.dumps(c))),
    st.just(lambda c: type(c)(c[1:])),
)
CHECKED_QUESTIONS: list[Any] = [
    len,
    lambda c: c.serialize(),
    lambda c: type(c).create(c) is c,
    lambda c: c.evolver().persistent() is c,
    lambda c: hash(c) == hash(type(c).create(c.serialize())),
    lambda c: c == type(c).create(c.serialize()),
    lambda c: 1 in c,
]


CHECKED_KINDS = {
    "Small": (SETS, SET_STEPS),
    "Table": (ENTRIES, TABLE_STEPS),
    "Narrow": (ENTRIES, TABLE_STEPS),
    "Steps": (SETS, STEPS_OF_VECTORS),
}


@given(name=st.sampled_from(sorted(CHECKED_KINDS)), data=st.data())
@settings(max_examples=max(200, settings().max_examples))
def test_checked_collections_answer_as_pyrsistents(name: str, data: Any) -> None:
    starts, steps = CHECKED_KINDS[name]
    start = data.draw(starts)
    expected, got = (outcome(lambda c: c[name].create(start), lib) for lib in CHECKED)
    assert got[:2] == expected[:2]
    if got[0] == "error":
        expected, got = (outcome(lambda c: c[name](), lib) for lib in CHECKED)
        assert got[:2] == expected[:2]
    theirs, ours = expected[2], got[2]
    for step in data.draw(st.lists(steps, max_size=10)):
        before = plain(ours)
        expected, got = outcome(step, theirs), outcome(step, ours)
        assert got[:2] == expected[:2]
        assert plain(ours) == before
        if got[0] == "value":
            theirs, ours = expected[2], got[2]
            _core._check(ours)
    for question in CHECKED_QUESTIONS:
        assert outcome(question, ours)[:2] == outcome(question, theirs)[:2]
