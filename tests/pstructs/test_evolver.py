"""Evolvers: builders that write in place and never touch what was handed out."""

from __future__ import annotations

import random
import weakref
from typing import Any

import pytest

from pstructs import PMap, PMapEvolver, PSet, PSetEvolver, _core, m, pmap, pset, s
from support.wilful_keys import colliding

SIZES = [0, 1, 10, 33, 500]


@pytest.mark.parametrize("n", SIZES)
def test_a_map_evolver_behaves_as_a_dict(n: int) -> None:
    d: dict[Any, Any] = {f"k{i}": i for i in range(n)}
    start = pmap(d)
    e = start.evolver()
    assert isinstance(e, PMapEvolver) and not e.is_dirty()
    model = dict(d)
    rng = random.Random(n)
    for step in range(300):
        k = f"k{rng.randrange(n + 20)}"
        what = rng.randrange(5)
        if what < 2:
            e[k] = model[k] = step
        elif what == 2:
            assert e.discard(k) is e
            model.pop(k, None)
        elif k in model:
            del e[k], model[k]
        else:
            with pytest.raises(KeyError):
                del e[k]
        assert len(e) == len(model) and e.get(k) == model.get(k) and (k in e) == (k in model)
    assert e.persistent() == model
    assert start == d
    _core._check(e.persistent())


def test_methods_return_the_evolver() -> None:
    e = m(a=1).evolver()
    assert e.set("b", 2).set(key="c", val=3).remove("a").discard("zz").update({"d": 4}) is e
    assert e.persistent() == {"b": 2, "c": 3, "d": 4}
    t = s(1).evolver()
    assert t.add(2).remove(1).discard(7).update([3, 4]) is t
    assert t.persistent() == {2, 3, 4}


def test_lookup_in_an_evolver() -> None:
    e = m(a=1).evolver()
    assert e["a"] == 1 and e.get("b") is None and e.get("b", 2) == 2 and e.get("b", default=3) == 3
    with pytest.raises(KeyError) as error:
        e["b", "c"]  # type: ignore[index]
    assert error.value.args == (("b", "c"),)
    with pytest.raises(KeyError):
        e.remove("b")
    with pytest.raises(TypeError, match="unhashable"):
        e[[]] = 1  # type: ignore[index]


def test_persistent_without_a_change_is_the_start_itself() -> None:
    a = m(a=1)
    e = a.evolver()
    assert e.persistent() is a
    e["a"] = a["a"]
    e.discard("b")
    assert not e.is_dirty() and e.persistent() is a
    e["b"] = 2
    assert e.is_dirty()
    made = e.persistent()
    assert not e.is_dirty() and e.persistent() is made
    t = s(1).evolver()
    assert not t.is_dirty() and t.persistent() == {1}
    assert t.add(1).is_dirty() is False and t.add(2).is_dirty() is True


@pytest.mark.parametrize("value", [1, []])
def test_what_was_handed_out_never_changes(value: Any) -> None:
    e = pmap().evolver()
    versions: list[tuple[PMap[Any, Any], dict[Any, Any]]] = []
    model: dict[Any, Any] = {}
    rng = random.Random(4)
    for step in range(400):
        k = rng.randrange(120)
        if rng.random() < 0.6:
            e[k] = model[k] = (step, value)
        else:
            e.discard(k)
            model.pop(k, None)
        if step % 7 == 0:
            versions.append((e.persistent(), dict(model)))
        if step % 50 == 0:
            versions = versions[::2]  # some die, and the evolver owns nodes again
    for made, expected in versions:
        assert made == expected
        _core._check(made)


def test_update_takes_mappings_pairs_and_maps() -> None:
    e = m(a=1).evolver()
    e.update({"b": 2}, [("c", 3)], m(d=4), iter([("a", 0)]))
    assert e.persistent() == {"a": 0, "b": 2, "c": 3, "d": 4}
    with pytest.raises(ValueError, match="length 1"):
        e.update(["x"])
    t = pset().evolver()
    t.update(range(3), {5}, s(7), "a")
    assert t.persistent() == {0, 1, 2, 5, 7, "a"}


def test_a_set_evolver_behaves_as_a_set() -> None:
    e = pset(range(50)).evolver()
    assert isinstance(e, PSetEvolver) and len(e) == 50 and 7 in e and 70 not in e
    for i in range(0, 100, 3):
        e.add(i)
    for i in range(0, 50, 2):
        e.remove(i)
    with pytest.raises(KeyError):
        e.remove("no")
    assert e.persistent() == (set(range(50)) | set(range(0, 100, 3))) - set(range(0, 50, 2))
    assert type(e.persistent()) is PSet


def test_evolvers_are_not_iterable_nor_made_by_hand() -> None:
    for e in (m(a=1).evolver(), s(1).evolver()):
        with pytest.raises(TypeError, match="not iterable"):
            iter(e)  # type: ignore[call-overload]
        with pytest.raises(TypeError):
            type(e)()


def test_an_iterator_over_what_was_handed_out_survives_further_writes() -> None:
    e = pmap({i: i for i in range(200)}).evolver()
    e[0] = -1
    it = iter(e.persistent().items())
    seen = dict(next(it) for _ in range(50))
    for i in range(200):
        e[i] = "changed"
    seen.update(it)
    assert seen == {**{i: i for i in range(200)}, 0: -1}


def test_emptying_and_filling_again() -> None:
    e = pmap({i: i for i in range(100)}).evolver()
    for i in range(100):
        del e[i]
    assert len(e) == 0 and e.persistent() is pmap()
    e["x"] = 1
    assert e.persistent() == {"x": 1}


def test_colliding_keys_in_an_evolver() -> None:
    keys = colliding(20)
    e = pmap({k: k.name for k in keys}).evolver()
    for k in keys[::2]:
        del e[k]
    for k in keys[1::4]:
        e[k] = "new"
    expected = {k: ("new" if k in keys[1::4] else k.name) for k in keys[1::2]}
    assert e.persistent() == expected
    _core._check(e.persistent())


def test_replaced_values_are_released_at_once() -> None:
    class Value:
        pass

    e = pmap().evolver()
    first = Value()
    ref = weakref.ref(first)
    e["a"] = first
    del first
    assert ref() is not None
    e["a"] = 1
    assert ref() is None
    second = Value()
    ref = weakref.ref(second)
    e["b"] = second
    del second
    del e["b"]
    assert ref() is None


def test_generic_aliases_and_weak_references() -> None:
    assert PMapEvolver[str, int] is not None and PSetEvolver[int] is not None
    e = m().evolver()
    assert weakref.ref(e)() is e
