"""User code in the middle of sorted collections: comparisons, key functions, destructors.

Whatever it does, an operation ends in its result or in the exception, old values are as they
were, and the invariants of every tree hold. Then: cycles are collected, and deep nesting ends in
RecursionError.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import pstructs
from pstructs import _core, psortedmap, psortedset
from pstructs.errors import EvolverBusyError
from support.sorted_keys import LessKeyError, Ordered, calling, raising

N = 60
KEYS = [Ordered(2 * i) for i in range(N)]
ABSENT = Ordered(31)


def same(i: int) -> Ordered:
    """An equal key that is another object."""
    return Ordered(2 * i)


def other() -> Any:
    return psortedmap({Ordered(3 * i): "o" for i in range(N)})


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "get": lambda a: a.get(same(7)),
    "contains": lambda a: ABSENT in a,
    "set": lambda a: a.set(same(7), "new"),
    "set_new": lambda a: a.set(ABSENT, "new"),
    "remove": lambda a: a.remove(same(9)),
    "update_few": lambda a: a.update({same(i): "u" for i in range(4)}),
    "update": lambda a: a.update({same(i): "u" for i in range(0, N, 2)}),
    "update_with": lambda a: a.update_with(lambda x, y: y, {same(3): 1, ABSENT: 2}),
    "build": lambda a: psortedmap([(same(i * 7 % N), i) for i in range(N)]),
    "build_sorted": lambda a: psortedmap([(same(i), i) for i in range(N)]),
    "or": lambda a: a | other(),
    "equal": lambda a: a == psortedmap({same(i): i for i in range(N)}),
    "keys_and": lambda a: a.keys() & other().keys(),
    "keys_xor": lambda a: psortedset(a) ^ psortedset(other()),
    "subset": lambda a: psortedset(a) <= psortedset([same(i) for i in range(N)]),
    "disjoint": lambda a: psortedset(a).isdisjoint(psortedset([ABSENT])),
    "between": lambda a: a.between(same(3), same(20)),
    "irange": lambda a: list(a.irange(same(3), ABSENT, reverse=True)),
    "split": lambda a: a.split(ABSENT),
    "floor": lambda a: a.floor(ABSENT),
    "index": lambda a: a.index(same(11)),
    "diff": lambda a: pstructs.diff(a, other()),
    "patch": lambda a: pstructs.patch(a, pstructs.diff(a, a.set(ABSENT, 1).remove(same(5)))),
    "merge": lambda a: pstructs.merge(a, a.set(same(1), "x"), a.set(ABSENT, 1).remove(same(2))),
}


def fresh() -> Any:
    return psortedmap({k: k.number // 2 for k in KEYS})


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_exception_at_any_comparison_leaves_everything_as_it_was(name: str) -> None:
    do = OPERATIONS[name]
    a = fresh()
    entries = list(a.items())
    raised = 0
    for n in range(2000):
        try:
            with raising(n):
                do(a)
        except LessKeyError:
            raised += 1
        else:
            break
        assert [(k, v) for k, v in a.items() if k is not None] == entries
        if n > 60 and n % 37:
            continue
        _core._check(a)
    assert raised


@pytest.mark.parametrize("name", OPERATIONS)
def test_user_code_may_work_with_the_same_collection(name: str) -> None:
    do = OPERATIONS[name]
    a = fresh()
    expected = do(a)
    made: list[Any] = []

    def meddle() -> None:
        made.append(a.set(Ordered(99), 1))
        made.append(next(reversed(a)))
        if len(made) > 50:
            made.clear()
            gc.collect(0)

    with calling(meddle):
        got = do(a)
    assert got == expected
    _core._check(a)


WRITES: dict[str, Callable[[Any], Any]] = {
    "set": lambda e: e.set(same(7), "new"),
    "set_new": lambda e: e.set(Ordered(33), "new"),
    "remove": lambda e: e.remove(same(9)),
    "update": lambda e: e.update([(same(i), "u") for i in range(4)]),
}


@pytest.mark.parametrize("name", WRITES)
@pytest.mark.parametrize("write", [*WRITES, "pop_first", "persistent"])
def test_a_write_inside_a_write_of_one_evolver_is_refused(name: str, write: str) -> None:
    e = fresh().evolver()
    e[Ordered(-1)] = "dirty"
    refused = []

    def meddle() -> None:
        with pytest.raises(EvolverBusyError, match="PSortedMapEvolver is in the middle"):
            WRITES[write](e) if write in WRITES else getattr(e, write)()
        refused.append(1)

    before = len(e)
    with calling(meddle):
        WRITES[name](e)
    assert refused
    assert len(e) - before == {"set": 0, "set_new": 1, "remove": -1, "update": 0}[name]
    made = e.persistent()
    assert len(made) == len(list(made)) == len(e)
    _core._check(made)


@pytest.mark.parametrize("name", WRITES)
def test_reading_and_iterating_inside_a_write_is_allowed(name: str) -> None:
    e = fresh().evolver()
    e[Ordered(-1)] = "dirty"

    def meddle() -> None:
        assert e.get(Ordered(-1)) == "dirty" and same(8) in e and len(e) >= N

    with calling(meddle):
        WRITES[name](e)
    _core._check(e.persistent())


def test_a_write_inside_a_read_is_done_and_the_read_sees_a_valid_tree() -> None:
    e = fresh().evolver()
    e[Ordered(-1)] = "dirty"

    def meddle() -> None:
        for i in range(20):
            e.discard(same(i))
        e[Ordered(77)] = 1

    with calling(meddle):
        assert e[same(11)] == 11
    assert len(e) == N - 20 + 2
    _core._check(e.persistent())


def test_an_exception_inside_an_evolver_leaves_it_valid_and_usable() -> None:
    for name in WRITES:
        for n in range(100):
            e = fresh().evolver()
            e[Ordered(-1)] = "dirty"
            entries = list(e.persistent().items())
            try:
                with raising(n):
                    WRITES[name](e)
            except LessKeyError:
                made = e.persistent()
                _core._check(made)
                if name != "update":  # an update keeps what it had done
                    assert list(made.items()) == entries
                e[ABSENT] = 1
                assert e[ABSENT] == 1
            else:
                break
        assert n > 0


def test_a_key_function_may_use_and_change_the_evolver_that_calls_it() -> None:
    e: Any = None
    inside = False

    def key(k: int) -> int:
        nonlocal inside
        if e is not None and not inside:
            inside = True
            e[1000 + k] = "from the key function"
            inside = False
        return -k

    e = psortedmap(key=key).evolver()
    for i in range(40):
        e[i] = i
    assert len(e) == 80
    _core._check(e.persistent())


def test_a_raising_key_function_changes_nothing() -> None:
    a = psortedmap({i: i for i in range(20)}, key=lambda k: 1 // (k + 1))
    for do in (
        lambda: a.set(-1, 0),
        lambda: a[-1],
        lambda: a.update({3: 3, -1: 0}),
        lambda: a.between(-1, 5),
        lambda: psortedset([1, -1], key=a.key),
    ):
        with pytest.raises(ZeroDivisionError):
            do()  # type: ignore[no-untyped-call]
    _core._check(a)


def test_destructors_meet_a_complete_evolver() -> None:
    e = psortedmap({i: i for i in range(50)}).evolver()
    log: list[Any] = []

    class Value:
        def __del__(self) -> None:
            log.append(len(e))
            e[len(log) + 1000] = e.get(26)
            e.discard(len(log))

    for i in range(0, 50, 5):
        e[i] = Value()
    for i in range(0, 50, 5):
        if i % 10:
            e[i] = "replaced"
        else:
            e.discard(i)
    assert len(log) == 10
    _core._check(e.persistent())
    assert len(e) == len(list(e.persistent()))


def test_an_iterator_survives_a_destructor_that_advances_it() -> None:
    e = psortedmap().evolver()
    for i in range(200):
        e[i] = None
    it: Any = None

    class Value:
        def __del__(self) -> None:
            try:
                next(it, None)
            except ValueError:
                pass

    for i in range(200):
        e[i] = Value()
    it = iter(e.persistent().items())
    del e
    gc.collect()
    assert sum(1 for _ in it) > 0


# ---------------------------------------------------------------- collector, deep nesting


class Node:
    """Something that a weak reference can watch."""


def test_cycles_through_sorted_collections_are_collected() -> None:
    for make in (
        lambda x: psortedmap({1: x}),
        lambda x: psortedmap(dict.fromkeys(range(100), x)),
        lambda x: psortedmap({1: 1}, key=lambda k, x=x: k),
        lambda x: psortedmap({1: x}).items(),
        lambda x: iter(psortedmap({1: x}).items()),
        lambda x: psortedmap({i: i for i in range(100)}).evolver().set(1, x),
        lambda x: psortedset([(1, x)]),
    ):
        node = Node()
        node.cycle = make(node)  # type: ignore[attr-defined]
        dead = weakref.ref(node)
        del node
        gc.collect()
        assert dead() is None


def test_the_collector_does_not_see_collections_of_atoms() -> None:
    a = psortedmap({i: str(i) for i in range(100)})
    assert not gc.is_tracked(a) and not gc.is_tracked(psortedmap({1: a}))
    assert not gc.is_tracked(a.keys()) and not gc.is_tracked(psortedset("abc"))
    assert gc.is_tracked(a.set(1, [])) and gc.is_tracked(psortedmap({1: 1}, key=lambda k: k))
    e = a.evolver()
    e[5] = []
    _core._check(e.persistent())


def test_deep_nesting_is_freed_and_every_recursion_ends_in_an_error() -> None:
    depth = 100_000
    a: Any = psortedmap({1: 1})
    b: Any = psortedmap({1: 1})
    for _ in range(depth):
        a, b = psortedmap({1: a}), psortedmap({1: b})
    for do in (lambda: hash(a), lambda: a == b, lambda: repr(a)):
        with pytest.raises(RecursionError):
            do()  # type: ignore[no-untyped-call]
    a = b = None
    tuples: Any = psortedset([0])
    for _ in range(depth):
        tuples = psortedset([(1, tuples)])
    del tuples
    keyed: Any = psortedmap({1: []}, key=abs)
    for _ in range(depth):
        keyed = psortedmap({1: keyed}, key=abs)
    del keyed
    assert sys.getrecursionlimit() < depth
