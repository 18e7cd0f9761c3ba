"""The evolver of a vector: a builder that writes in place and never touches what it gave out."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pstructs import PVector, _core, errors, pvector, v
from support.wilful_keys import EqKeyError, Key, calling, raising


def test_methods_return_the_evolver() -> None:
    e = v(1, 2, 3).evolver()
    assert e.append(4).extend([5, 6]).set(0, "a").set(i=6, val=7).delete(1).remove(3) is e
    assert e.insert(0, 0) is e
    assert e.persistent() == [0, "a", 4, 5, 6, 7] and len(e) == 6


def test_reading_an_evolver() -> None:
    e = v(1, 2, 3).evolver()
    e.append(4)
    assert e[0] == 1 and e[3] == 4 and e[-1] == 4 and len(e) == 4
    for i in (4, -5, 1 << 70):
        with pytest.raises(IndexError):
            e[i]
    with pytest.raises(TypeError):
        e["x"]  # type: ignore[index]
    with pytest.raises(TypeError):
        iter(e)  # type: ignore[call-overload]


def test_setting_one_behind_the_end_appends() -> None:
    e = v().evolver()
    e[0] = "a"
    e[1] = "b"
    e[-1] = "c"
    assert e.persistent() == ["a", "c"]
    for i in (3, -3):
        with pytest.raises(IndexError):
            e[i] = 1
    with pytest.raises(TypeError):
        e["a"] = 1  # type: ignore[index]


def test_deleting_by_index_and_slice() -> None:
    for cut in (slice(1, 3), slice(None, None, 2), slice(None, None, -3), slice(5, 2), slice(0)):
        model = list(range(80))
        e = pvector(model).evolver()
        del e[cut], model[cut]  # type: ignore[arg-type]
        _core._check(e)
        assert e.persistent() == model
    e = v(1, 2).evolver()
    del e[-1]
    with pytest.raises(IndexError):
        del e[1]
    assert e.persistent() == [1]


def test_persistent_without_a_change_is_the_start_itself() -> None:
    a = v(1)
    e = a.evolver()
    assert not e.is_dirty() and e.persistent() is a
    e.append(2)
    assert e.is_dirty()
    made = e.persistent()
    assert made == [1, 2] and not e.is_dirty() and e.persistent() is made


def test_an_error_changes_nothing() -> None:
    e = v(1, 2).evolver()
    with pytest.raises(ValueError, match="not in vector"):
        e.remove(9)
    with pytest.raises(IndexError):
        e[7] = 1
    with pytest.raises(TypeError):
        e.extend(5)  # type: ignore[arg-type]
    assert not e.is_dirty()


@pytest.mark.parametrize("value", [1, []])
def test_what_was_handed_out_never_changes(value: Any) -> None:
    e = pvector().evolver()
    versions: list[tuple[PVector[Any], list[Any]]] = []
    model: list[Any] = []
    rng = random.Random(4)
    for step in range(1500):
        if not model or rng.random() < 0.6:
            e.append((step, value))
            model.append((step, value))
        elif rng.random() < 0.9:
            i = rng.randrange(len(model))
            e[i] = model[i] = (value, step)
        else:
            i = rng.randrange(len(model))
            del e[i], model[i]
        if step % 11 == 0:
            versions.append((e.persistent(), list(model)))
        if step % 200 == 0:
            versions = versions[::2]  # some die, and the evolver owns nodes again
    for made, expected in versions:
        assert made == expected
        _core._check(made)


def test_an_iterator_is_not_disturbed_by_the_evolver_that_goes_on() -> None:
    e = pvector(range(100)).evolver()
    e.append(100)
    it = iter(e.persistent())
    seen = [next(it) for _ in range(98)]
    for i in range(100):
        e[i] = "x"
        e.append("y")
    assert seen + list(it) == list(range(101))


def test_a_plain_leaf_takes_a_container_in_place() -> None:
    e = pvector(range(3000)).evolver()
    for i in range(0, 3000, 7):
        e[i] = [i]
    _core._check(e)
    made = e.persistent()
    assert made == [[i] if i % 7 == 0 else i for i in range(3000)]
    _core._check(made)


def test_the_destructor_of_a_replaced_value_meets_a_whole_evolver() -> None:
    e = pvector(range(100)).evolver()
    log: list[Any] = []

    class Writer:
        def __del__(self) -> None:
            log.append(e[50])
            e[50] = "by the destructor"
            e.append("one more")
            _core._check(e)

    e[50] = Writer()
    e[50] = "new"
    assert log == ["new"] and e[50] == "by the destructor" and len(e) == 101
    e[3] = Writer()
    del e[3]
    assert len(e) == 101 and e[len(e) - 1] == "one more"


def test_remove_that_is_re_entered_refuses() -> None:
    e = pvector([Key(i, 1) for i in range(50)]).evolver()

    def write(key: Key, other: object) -> None:
        e.append(1)

    with calling(on_eq=write), pytest.raises(errors.EvolverBusyError):
        e.remove(Key(30, 1))
    assert len(e) == 50 + 31  # written to in each of the comparisons, and nothing removed
    with raising(eq_after=3), pytest.raises(EqKeyError):
        e.remove(Key(30, 1))
    assert len(e) == 50 + 31
    _core._check(e)


def test_extend_from_an_iterator_that_writes_to_the_evolver() -> None:
    e = v("start").evolver()

    def numbers() -> Any:
        for i in range(40):
            e[0] = i
            e.append("inner")
            yield i

    e.extend(numbers())
    _core._check(e)
    assert len(e) == 81 and e[0] == 39
