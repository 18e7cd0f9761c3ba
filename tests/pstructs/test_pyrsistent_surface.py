"""The public surface of pyrsistent 0.20 is here: names, classes, methods and signatures.

The walk finds every difference by itself, and each one has to be a row of the tables in
docs/reference/pyrsistent.md, which gives its reason; a row that is no longer true fails, too.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import pstructs
import pstructs.typing

pyrsistent: Any = pytest.importorskip("pyrsistent")
pyrsistent_typing: Any = pytest.importorskip("pyrsistent.typing")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "pyrsistent.md"

# ---- what is compared

# What a class has by being one, or for pickle, or because it is written in Python.
INCIDENTAL = {
    "__annotations__",
    "__dataclass_fields__",
    "__dict__",
    "__doc__",
    "__init__",
    "__module__",
    "__new__",
    "__nonzero__",
    "__orig_bases__",
    "__parameters__",
    "__slotnames__",  # of copyreg, once something was pickled
    "__slots__",
    "__static_attributes__",
    "__firstlineno__",
    "__weakref__",
    "__abstractmethods__",
    "__bool__",  # len() says it, too
    "__getattr__",  # how attributes are found
    "__type_params__",
}


def record(lib: Any) -> Any:
    return type("R", (lib.PRecord,), {"x": lib.field(initial=1)})


def pclass(lib: Any) -> Any:
    return type("C", (lib.PClass,), {"x": lib.field(initial=1)})


def checked(lib: Any, name: str) -> Any:
    types = {"__type__": int, "__key_type__": int, "__value_type__": int}
    return type(name, (getattr(lib, name),), types)


# Name in the table -> how to get the class from a library.
CLASSES: dict[str, Callable[[Any], Any]] = {
    "PMap": lambda lib: type(lib.pmap()),
    "PMap.evolver()": lambda lib: type(lib.pmap().evolver()),
    "PMap.keys()": lambda lib: type(lib.m(a=1).keys()),
    "PMap.values()": lambda lib: type(lib.m(a=1).values()),
    "PMap.items()": lambda lib: type(lib.m(a=1).items()),
    "PSet": lambda lib: type(lib.pset()),
    "PSet.evolver()": lambda lib: type(lib.pset().evolver()),
    "PVector": lambda lib: type(lib.pvector()),
    "PVector.evolver()": lambda lib: type(lib.pvector().evolver()),
    "PList": lambda lib: type(lib.plist([1])),
    "PDeque": lambda lib: type(lib.pdeque()),
    "PBag": lambda lib: type(lib.pbag([])),
    "PRecord": record,
    "PRecord.evolver()": lambda lib: type(record(lib)().evolver()),
    "PClass": pclass,
    "PClass.evolver()": lambda lib: type(pclass(lib)().evolver()),
    "CheckedPMap": lambda lib: checked(lib, "CheckedPMap"),
    "CheckedPMap.evolver()": lambda lib: type(checked(lib, "CheckedPMap")().evolver()),
    "CheckedPSet": lambda lib: checked(lib, "CheckedPSet"),
    "CheckedPSet.evolver()": lambda lib: type(checked(lib, "CheckedPSet")().evolver()),
    "CheckedPVector": lambda lib: checked(lib, "CheckedPVector"),
    "CheckedPVector.evolver()": lambda lib: type(checked(lib, "CheckedPVector")().evolver()),
    "CheckedType": lambda lib: lib.CheckedType,
    "InvariantException": lambda lib: lib.InvariantException,
    "CheckedKeyTypeError": lambda lib: lib.CheckedKeyTypeError,
    "CheckedValueTypeError": lambda lib: lib.CheckedValueTypeError,
    "PTypeError": lambda lib: lib.PTypeError,
    "immutable()": lambda lib: lib.immutable("x, y"),
}


def attributes(cls: type[Any]) -> Iterator[str]:
    for name in dir(cls):
        dunder = name.startswith("__") and name.endswith("__")
        if name in INCIDENTAL or (name.startswith("_") and not dunder) or hasattr(object, name):
            continue
        yield name


def signature(f: Any) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(f).parameters.values())
    except (TypeError, ValueError):
        return None


def same_default(mine: Any, theirs: Any) -> bool:
    """Whether two defaults mean the same; of functions and marks only that there is one."""
    if mine is inspect.Parameter.empty:
        return False
    plain = theirs is None or isinstance(theirs, int | str | tuple | dict)
    return not plain or mine == theirs or (not mine and not theirs)


def accepts_all(ours: list[inspect.Parameter], theirs: list[inspect.Parameter]) -> bool:
    """Whether every call that fits the one signature fits the other, with the same defaults."""
    P = inspect.Parameter
    named = {p.name: p for p in ours}
    any_keyword = any(p.kind is P.VAR_KEYWORD for p in ours)
    any_position = any(p.kind is P.VAR_POSITIONAL for p in ours)
    for i, p in enumerate(theirs):
        mine = named.get(p.name)
        if p.name == "self" or p.kind is P.POSITIONAL_ONLY:
            fits = i < len(ours) or any_position
        elif p.kind is P.VAR_POSITIONAL:
            fits = any_position
        elif p.kind is P.VAR_KEYWORD:
            fits = any_keyword
        elif mine is None:
            fits = any_keyword and any_position
        else:
            fits = mine.kind is p.kind and (p.kind is P.KEYWORD_ONLY or ours.index(mine) == i)
            if p.default is not P.empty:
                fits = fits and same_default(mine.default, p.default)
        if not fits:
            return False
    known = {p.name for p in theirs}
    variable = (P.VAR_POSITIONAL, P.VAR_KEYWORD)
    return all(
        p.default is not P.empty or p.kind in variable
        for p in ours[len(theirs) :]
        if p.name not in known
    )


def differences() -> set[str]:
    """Every name of pyrsistent that is missing here, or is called differently."""
    found = {name for name in pyrsistent.__all__ if not hasattr(pstructs, name)}
    found |= {
        f"typing.{name}"
        for name, value in vars(pyrsistent_typing).items()
        if inspect.isclass(value)
        and value.__module__ == "pyrsistent.typing"
        and not hasattr(pstructs.typing, name)
    }
    pairs: list[tuple[str, Any, Any]] = [
        (name, getattr(pyrsistent, name), getattr(pstructs, name, None))
        for name in pyrsistent.__all__
        if inspect.isfunction(getattr(pyrsistent, name))
    ]
    for name, of in CLASSES.items():
        theirs, ours = of(pyrsistent), of(pstructs)
        for attribute in attributes(theirs):
            if not hasattr(ours, attribute):
                found.add(f"{name}.{attribute}")
            elif callable(getattr(theirs, attribute)) and not attribute.startswith("__"):
                pair = getattr(theirs, attribute), getattr(ours, attribute)
                pairs.append((f"{name}.{attribute}", *pair))
    for name, their_function, our_function in pairs:
        theirs_ = signature(their_function)
        ours_ = signature(our_function)
        if theirs_ is not None and (ours_ is None or not accepts_all(ours_, theirs_)):
            found.add(name)
    return found


# ---- what the page says


def rows(title: str) -> list[str]:
    """The first column of the table below a heading, without the marks of code."""
    section = PAGE.read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    cells = re.findall(r"^\| (.*?) \| ", section, re.MULTILINE)[1:]  # without the head
    return [cell.replace("`", "") for cell in cells if not cell.startswith("---")]


def test_the_page_lists_every_difference_of_the_surface() -> None:
    listed = [name for row in rows("Names and signatures") for name in row.split(", ")]
    assert len(listed) == len(set(listed)), "a row comes twice"
    assert differences() == set(listed)


def test_the_walk_sees_a_missing_name_and_a_changed_signature(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = differences()
    monkeypatch.delattr(pstructs, "rex")
    monkeypatch.setattr(pstructs, "freeze", lambda o: o)
    monkeypatch.setattr(pstructs.PBag, "update", lambda self, other: self)
    monkeypatch.delattr(pstructs.PBag, "count")
    monkeypatch.delattr(pstructs.typing, "PVector")
    assert differences() - before == {
        "rex",
        "freeze",
        "PBag.update",
        "PBag.count",
        "typing.PVector",
    }


# ---- behaviour

# What the page says -> a question to which both libraries give the answers that follow.
NAN = float("nan")


def nested_repr(lib: Any) -> str:
    inner: list[Any] = []
    inner.append(lib.pvector([inner]))
    return repr(inner[0])


def refreeze(lib: Any) -> bool:
    frozen = lib.freeze([1, {"a": [2]}])
    return lib.freeze(frozen) is frozen


BEHAVIOUR: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "order of maps and sets": (
        lambda lib: list(lib.pmap(dict.fromkeys(range(100)))) == list(range(100)),
        True,
        False,
    ),
    "calling a class": (
        lambda lib: [list(lib.PList([1])), list(lib.PDeque([1])), len(lib.PBag([1]))],
        TypeError,
        [[1], [1], 1],
    ),
    "PMap.keys()": (lambda lib: isinstance(lib.m(a=1).keys(), lib.PSet), True, False),
    "hash of a set": (lambda lib: hash(lib.s(1, 2)) == hash(frozenset([1, 2])), False, True),
    "^ of a set and a built-in set": (lambda lib: set(lib.s(1) ^ {2}), TypeError, {1, 2}),
    "a map plus something else": (lambda lib: lib.m(a=1) + 1, AttributeError, TypeError),
    "elements that are not equal to themselves": (
        lambda lib: lib.l(NAN) == lib.l(NAN),
        False,
        True,
    ),
    "the empty list": (lambda lib: isinstance(lib.plist(), lib.PList), False, True),
    "length of a list": (lambda lib: hasattr(iter(lib.l(1)), "__length_hint__"), False, True),
    "<= and >= of lists and deques": (
        lambda lib: [lib.l(1) <= lib.l(2), lib.dq(1) >= lib.dq(2)],
        TypeError,
        [True, False],
    ),
    "slices of lists from a negative start": (
        lambda lib: list(lib.l(1, 2, 3)[-2:]),
        IndexError,
        [2, 3],
    ),
    "slices of deques": (lambda lib: list(lib.dq(1, 2, 3)[:3]), [], [1, 2, 3]),
    "a deque with maxlen 0": (lambda lib: len(lib.pdeque([1, 2], maxlen=0)), 2, 0),
    "reverse() and remove() of a bounded deque": (
        lambda lib: [
            lib.pdeque([1, 2], maxlen=2).reverse().maxlen,
            lib.pdeque([1, 2], maxlen=2).remove(1).maxlen,
        ],
        [None, None],
        [2, 2],
    ),
    "rotating a deque by more than its length": (
        lambda lib: list(lib.dq(1, 2, 3).rotate(4)),
        [1, 2, 3],
        [3, 1, 2],
    ),
    "a bag beside anything else": (lambda lib: lib.b(1) == 1, TypeError, False),
    "a PRecord": (lambda lib: isinstance(record(lib)(), lib.PMap), True, False),
    "freeze of what is frozen": (refreeze, False, True),
    "freeze and thaw of other libraries' values": (
        lambda lib: [
            type(lib.freeze(other)) is type(other)
            for other in (pyrsistent.m(a=1), pstructs.m(a=1))
            if type(other) is not type(lib.m())
        ],
        [True],
        [False],
    ),
    "a vector inside of itself": (
        nested_repr,
        "pvector([[pvector([[...]])]])",
        "pvector([[pvector([...])]])",
    ),
}


def outcome(question: Callable[[Any], Any], lib: Any) -> Any:
    try:
        return question(lib)
    except Exception as error:
        return type(error)


def test_the_page_lists_every_difference_of_behaviour() -> None:
    assert rows("Behaviour") == list(BEHAVIOUR)


@pytest.mark.parametrize("title", BEHAVIOUR)
def test_the_behaviour_is_what_the_page_says(title: str) -> None:
    question, theirs, ours = BEHAVIOUR[title]
    assert outcome(question, pyrsistent) == theirs
    assert outcome(question, pstructs) == ours
