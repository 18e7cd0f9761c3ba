"""Bugs that other persistent collections had, as tests of ours. Each names where it was found."""

from __future__ import annotations

import gc
import random
import subprocess
import sys
import weakref
from typing import Any

import pytest

from pstructs import _core, pmap, pset, s
from pstructs.errors import EvolverBusyError
from support.wilful_keys import EqKeyError, Key, calling, colliding, raising


def test_deletes_in_an_evolver_leave_the_other_keys_reachable() -> None:
    """MagicStack/immutables#24: KeyError for a present key after deletes in a mutation."""
    rng = random.Random(24)
    keys = [Key(i, rng.choice([i, i % 7, (i % 5) << 60, i << 35])) for i in range(200)]
    e = pmap({k: k.name for k in keys}).evolver()
    left = dict.fromkeys(keys)
    rng.shuffle(keys)
    for k in keys:
        del e[k]
        del left[k]
        for other in list(left)[:10]:
            assert e[other] == other.name
    assert len(e) == 0


@pytest.mark.parametrize("n", [2, 3, 5])
def test_iteration_reaches_a_collision_one_level_deeper(n: int) -> None:
    """MagicStack/immutables#85: iteration ended early behind a deep collision node."""
    keys = colliding(n) + [Key(f"near{i}", 17 + (i << 10)) for i in range(4)]
    keys += [Key(f"far{i}", i * 104729) for i in range(50)]
    a = pmap({k: i for i, k in enumerate(keys)})
    assert len(list(a)) == len(list(a.items())) == len(a) == len(keys)
    assert set(a) == set(keys)


def test_pattern_matching_knows_maps() -> None:
    """MagicStack/immutables#95."""
    match pmap({"a": {"b": 1}}):
        case {"a": {"b": found}}:
            assert found == 1
        case _:
            raise AssertionError


@pytest.mark.parametrize("where", range(4))
def test_the_shape_is_canonical_after_removing_from_a_collision(where: int) -> None:
    """usethesource/vallang#308: equal maps of different shape after a collision removal."""
    keys = colliding(4)
    others = {Key(f"k{i}", i * 7919): i for i in range(20)}
    for rest in ({}, others):
        full = pmap({**dict.fromkeys(keys, 1), **rest})
        e = full.evolver()
        for k in keys[:where] + keys[where + 1 :]:
            full = full.remove(k)
            del e[k]
        fresh = pmap({keys[where]: 1, **rest})
        for a in (full, e.persistent()):
            _core._check(a)
            assert a == fresh and list(a.items()) == list(fresh.items())


def test_union_leaves_both_inputs_alone() -> None:
    """lacuna/bifurcan#59: union wrote into its inputs."""
    for make in (lambda: colliding(6), lambda: [f"k{i}" for i in range(300)]):
        keys: list[Any] = make()  # type: ignore[no-untyped-call]
        a = pmap(dict.fromkeys(keys[: len(keys) * 2 // 3], "a"))
        b = pmap(dict.fromkeys(keys[len(keys) // 3 :], "b"))
        before = list(a.items()), list(b.items())
        union = a | b
        union = union.evolver().update(dict.fromkeys(keys, "c")).persistent()
        assert set(union.values()) == {"c"}
        assert (list(a.items()), list(b.items())) == before
        x, y = pset(keys[:4]), pset(keys[2:])
        elements = list(x), list(y)
        for made in (x | y, x & y, x - y, x ^ y):
            made.evolver().update(keys).persistent()
        assert (list(x), list(y)) == elements


def test_editing_a_surviving_collision_entry_leaves_the_old_map_alone() -> None:
    """immutable-js/immutable-js#2279."""
    keys = colliding(3)
    old = pmap(dict.fromkeys(keys, "old"))
    shorter = old.remove(keys[0])
    newer = shorter.set(keys[1], "new")
    e = shorter.evolver()
    e[keys[2]] = "new"
    assert old == dict.fromkeys(keys, "old")
    assert shorter == dict.fromkeys(keys[1:], "old")
    assert newer == {keys[1]: "new", keys[2]: "old"}
    assert e.persistent() == {keys[1]: "old", keys[2]: "new"}


def test_long_common_prefixes_do_not_overflow_the_stack() -> None:
    """orium/rpds#113: chains of one-child nodes recursed without a bound."""
    a = pmap({Key(0, 0): 0})
    for bit in range(60):
        a = a.set(Key(bit + 1, 1 << bit), bit).set(Key(-bit - 1, 0), bit)
    _core._check(a)
    assert len(a) == 121


def test_cycles_are_collected() -> None:
    """crate-py/rpds: cycles through a map leaked."""

    class Node:
        to: Any

    node = Node()
    node.to = pmap({"a": s(node)})
    ref = weakref.ref(node)
    del node
    gc.collect()
    assert ref() is None


def test_unequal_is_the_opposite_of_equal() -> None:
    """crate-py/rpds: != was wrong."""
    values: list[Any] = [pmap(), pmap({1: 2}), pmap({1: 3}), pmap({2: 2}), pset(), s(1), s(2)]
    for i, a in enumerate(values):
        for k, b in enumerate(values):
            assert (a == b) is (i == k) and (a != b) is (i != k)


def test_an_exception_in_eq_comes_through_as_itself() -> None:
    """crate-py/rpds: PanicException."""
    a = pmap(dict.fromkeys(colliding(3), 1))
    with raising(eq_after=0), pytest.raises(EqKeyError):
        a.get(Key(2, 17))


def test_values_nested_100000_deep_do_not_crash_the_interpreter() -> None:
    """crate-py/rpds, MagicStack/immutables: segmentation fault."""
    program = (
        "from pstructs import pmap\n"
        "a = 1\n"
        "for i in range(100_000): a = pmap({'a': a, 'b': [a]})\n"
        "for f in (repr, hash, lambda a: a == pmap(a.set('c', 1).remove('c'))):\n"
        "    try: f(a)\n"
        "    except (RecursionError, TypeError): pass\n"
        "del a\n"
        "print('alive')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.stdout == "alive\n", done.stderr[-2000:]


def test_eq_that_deletes_from_the_evolver_is_refused() -> None:
    """spork: segmentation fault when __eq__ deletes from the transient."""
    keys = colliding(5)
    e = pmap(dict.fromkeys(keys, 1)).evolver()
    e["own"] = 1

    def delete(*_: Any) -> None:
        for k in keys:
            e.discard(k)

    with calling(on_eq=delete), pytest.raises(EvolverBusyError):
        e[Key(4, 17)] = 2
    assert len(e.persistent()) == 6
    with calling(on_eq=delete):
        e.get(Key(4, 17))
    assert len(e) == len(list(e.persistent())) == 1


def test_a_large_set_is_not_slow_to_search() -> None:
    """pyrsistent: pset(iterable) kept 8 buckets, so a lookup compared n / 8 elements."""
    n = 2000
    keys = [Key(i, i * 7919) for i in range(n)]
    a = pset(keys)
    compared = 0

    def count(*_: Any) -> None:
        nonlocal compared
        compared += 1

    with calling(on_eq=count):
        for k in keys:
            assert Key(k.name, k.hash) in a
    assert compared <= 3 * n
