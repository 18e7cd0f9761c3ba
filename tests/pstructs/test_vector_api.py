"""What PVector offers, by example: pyrsistent's API, a list's protocols, and more."""

from __future__ import annotations

import array
import copy
import pickle
import weakref
from collections.abc import Hashable, Sequence
from typing import Any

import pytest

from pstructs import PVector, PVectorEvolver, _core, pset, pvector, stable_hash, v
from support.hash_reference import parts, reference_hash

N = 2500  # deep enough for two levels of inner nodes


class Sub(PVector[Any]):
    """A subclass with a state of its own."""

    label = "none"


def test_making_vectors() -> None:
    assert v() == [] and v(1, "a") == [1, "a"] and pvector() == []
    assert pvector([1, 2]) == pvector((1, 2)) == pvector(iter([1, 2])) == [1, 2]
    assert pvector("abc") == ["a", "b", "c"] and pvector({1: 2}) == [1]
    assert pvector(x for x in range(100)) == list(range(100))
    assert PVector([1]) == [1] and isinstance(v(1), PVector)
    a = v(1, 2)
    assert pvector(a) is a and PVector(a) is a
    assert pvector(iterable=[1]) == [1]
    assert v() is pvector([])
    with pytest.raises(TypeError):
        pvector(5)  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        PVector(a=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("code", "bBhHiIlLqQ")
def test_an_array_of_integers_gives_ints(code: str) -> None:
    values = [0, 1, 100, *([-1, -100] if code.islower() else [])] * 30
    for source in (array.array(code, values), memoryview(array.array(code, values))):
        a: Any = pvector(source)
        assert a == values and all(type(x) is int for x in a)
        _core._check(a)


@pytest.mark.parametrize("code", "fd")
def test_an_array_of_floats_gives_floats(code: str) -> None:
    a = pvector(array.array(code, [0.5, -2.0, 1e10]))
    assert a == [0.5, -2.0, 1e10] and type(a[0]) is float


def test_bytes_and_strided_memory_give_ints() -> None:
    assert pvector(b"abc") == [97, 98, 99] == pvector(bytearray(b"abc"))
    assert pvector(memoryview(b"abcdef")[::-2]) == [102, 100, 98]
    assert pvector(memoryview(b"ab").cast("c")) == [b"a", b"b"]


def test_numpy_arrays_give_python_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    for dtype in ("int8", "uint16", "int32", "int64", "uint64", "float32", "float64", "bool"):
        source = numpy.arange(100).astype(dtype)
        a: Any = pvector(source)
        assert a == source.tolist()
        assert type(a[0]) is type(source.tolist()[0])
    assert pvector(numpy.arange(20)[::-3]) == list(range(20))[::-3]
    table = pvector(numpy.arange(6).reshape(2, 3))
    assert len(table) == 2 and table[1].tolist() == [3, 4, 5]
    assert pvector(numpy.array(["a", None], dtype=object)) == ["a", None]
    assert len(pvector(numpy.array(["2020-01-01"], dtype="datetime64[D]"))) == 1
    assert pvector(numpy.arange(3).astype(">i4")).tolist() == [0, 1, 2]


def test_indexing() -> None:
    a = pvector(range(N))
    assert a[0] == 0 == a[-N] and a[N - 1] == N - 1 == a[-1] and a[True] == 1
    for i in (N, -N - 1, 1 << 70):
        with pytest.raises(IndexError):
            a[i]
    for bad in ("x", 1.0, None):
        with pytest.raises(TypeError, match="must be integers or slices"):
            a[bad]  # type: ignore[index]


def test_slicing_is_a_lists() -> None:
    a, model = pvector(range(200)), list(range(200))
    bounds = [None, -300, -200, -33, -1, 0, 1, 31, 32, 64, 199, 200, 999]
    for start in bounds:
        for stop in bounds:
            for step in (None, 1, 3, -1, -7):
                cut = slice(start, stop, step)
                assert a[cut] == model[cut], cut
    assert a[:] is a and a[0:] is a and a[::1] is a
    with pytest.raises(ValueError, match="zero"):
        a[::0]


def test_updates_leave_the_old_vector_alone() -> None:
    for n in (0, 1, 31, 32, 33, N):
        model = list(range(n))
        a: Any = pvector(model)
        assert a.append("x") == [*model, "x"]
        assert a.appendleft("x") == ["x", *model] == a.prepend("x")
        assert a.extend([7, 8]) == [*model, 7, 8] == a + (7, 8) == a + v(7, 8)
        assert a.extendleft([7, 8]) == [8, 7, *model]
        assert a.insert(n // 2, "x") == [*model[: n // 2], "x", *model[n // 2 :]]
        assert a.insert(-1, "x") == [*model[:-1], "x", *model[-1:]]
        assert a.insert(10**9, "x") == [*model, "x"] and a.insert(-(10**9), "x")[0] == "x"
        assert a * 3 == model * 3 == 3 * a and a * 0 == [] == a * -1
        if n:
            assert a.set(n // 2, "x") == [*model[: n // 2], "x", *model[n // 2 + 1 :]]
            assert a.set(-1, "x") == [*model[:-1], "x"]
            assert a.mset(0, "x", n - 1, "y")[n - 1] == "y"
            assert a.pop() == model[:-1] and a.popleft() == model[1:]
            assert a.delete(n // 2) == model[: n // 2] + model[n // 2 + 1 :]
            assert a.remove(n // 2) == a.delete(n // 2)
        assert a.delete(1, n // 2) == model[:1] + model[max(1, n // 2) :]
        assert a.set(n, "x") == [*model, "x"] == a.set(i=n, val="x")
        assert a.mset(n, "x", n + 1, "y") == [*model, "x", "y"] and a.mset() is a
        assert a == model
        _core._check(a)


def test_updates_that_change_nothing_return_the_vector_itself() -> None:
    a = pvector([[], 1, 2])
    assert a.extend([]) is a and a + () is a and a * 1 is a and v() + a == a
    assert a.set(0, a[0]) is a and a.delete(2, 1) is a and a.extendleft([]) is a


def test_what_is_not_there_is_an_error() -> None:
    a = v(1, 2, 3)
    for f in (
        lambda: a.set(4, 0),
        lambda: a.set(-4, 0),
        lambda: a.delete(3),
        lambda: a.delete(-4),
        lambda: a.mset(0, 1, 9, 1),
        lambda: v().pop(),
        lambda: v().popleft(),
    ):
        with pytest.raises(IndexError):
            f()
    for g in (lambda: a.remove(9), lambda: a.index(9), lambda: a.index(1, 1)):
        with pytest.raises(ValueError, match="not in vector"):
            g()
    for h in (
        lambda: a.mset(1),
        lambda: a.set("a", 1),  # type: ignore[arg-type]
        lambda: a + 5,  # type: ignore[operator]
        lambda: a * "x",  # type: ignore[operator]
        lambda: [1] + a,  # type: ignore[operator]
        lambda: a.delete("x"),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            h()


def test_a_failed_extend_gives_no_vector_and_keeps_the_old_one() -> None:
    def numbers() -> Any:
        yield from range(50)
        raise ZeroDivisionError

    a = pvector(range(100))
    with pytest.raises(ZeroDivisionError):
        a.extend(numbers())
    with pytest.raises(ZeroDivisionError):
        pvector(numbers())
    assert a == list(range(100))


def test_searching() -> None:
    a = pvector([1, 2, 3, 2, float("nan")])
    assert 2 in a and 9 not in a and a.count(2) == 2 and a.count(9) == 0
    assert a.index(2) == 1 and a.index(2, 2) == 3 and a.index(2, -3, -1) == 3
    assert a[4] in a and a.index(a[4]) == 4  # by identity first, as in a list


def test_equality_and_order_are_a_lists() -> None:
    a = v(1, 2, 3)
    assert a == [1, 2, 3] == a and a != [1, 2] and a != (1, 2, 3) and a != 5
    assert not a != [1, 2, 3]
    assert a < v(1, 2, 4) and a < [1, 3] and a <= a and a > v(1, 2) and a >= [1, 2, 3]
    assert v() < a and not a < a and v(1) < v(1, 0)
    with pytest.raises(TypeError):
        _ = a < (1, 2, 4)  # type: ignore[operator]
    with pytest.raises(TypeError):
        _ = a < v("x")
    nan = float("nan")
    assert v(nan) == v(nan) == [nan]


def test_versions_are_compared_by_what_they_do_not_share() -> None:
    a: Any = pvector(range(N))
    b = a.set(N // 2, "x")
    assert a != b and a == b.set(N // 2, N // 2)
    assert a == a[: N // 2] + a[N // 2 :]
    assert a.insert(0, 0) != a and a.insert(0, 0)[1:] == a


def test_the_hash_is_the_tuples() -> None:
    for n in (0, 1, 33, N):
        assert hash(pvector(range(n))) == hash(tuple(range(n)))
    a = v(1, (2,))
    assert hash(a) == hash(a) and {a: 1}[v(1, (2,))] == 1
    with pytest.raises(TypeError, match="unhashable"):
        hash(v([]))


def test_equal_vectors_have_equal_stable_hashes() -> None:
    a: Any = pvector(range(100))
    b = a[50:][::-1][::-1]
    assert stable_hash(a) == stable_hash(a[:50] + b) == stable_hash(Sub(a))
    assert stable_hash(v(1)) == stable_hash(v(True)) != stable_hash((1,))
    assert len({stable_hash(x) for x in (v(), v(v()), v(1, 2), v(2, 1), v(1), pset([1]))}) == 6


def test_the_stable_hash_is_the_one_of_the_spec() -> None:
    for key in ((), (1, "a", None), tuple(range(100))):
        expected = parts(1, 27, (reference_hash(1, x) for x in key))
        assert stable_hash(pvector(key)) == expected


def test_vectors_match_sequence_patterns() -> None:
    match v(1, 2, 3):
        case [first, *rest]:
            assert first == 1 and rest == [2, 3]
        case _:
            raise AssertionError
    match v():
        case {}:
            raise AssertionError
        case []:
            pass


def test_it_is_a_sequence() -> None:
    a = v(1, 2)
    assert isinstance(a, Sequence) and isinstance(a, Hashable)
    assert a.tolist() == [1, 2] and a._totuple() == (1, 2)
    assert list(reversed(a)) == [2, 1] and [*a] == [1, 2]
    assert not v() and a and len(a) == 2
    assert str(PVector[int]).endswith("PVector[int]")
    it = iter(pvector(range(100)))
    next(it)
    assert it.__length_hint__() == 99  # type: ignore[attr-defined]
    back = reversed(pvector(range(100)))
    next(back)
    assert back.__length_hint__() == 99 and list(back) == list(range(99))[::-1]  # type: ignore[attr-defined]
    assert next(it, None) == 1 and list(it) == list(range(2, 100)) and next(it, None) is None


def test_repr_shows_how_to_make_it() -> None:
    assert repr(v("a", v(1))) == "pvector(['a', pvector([1])])" == str(v("a", v(1)))
    loop: list[Any] = []
    a = v(loop)
    loop.append(a)
    assert repr(a) == "pvector([[pvector([...])]])"


def test_copies_and_pickles() -> None:
    a: Any = pvector([*range(N), [1]])
    assert copy.copy(a) is a is a.copy()
    deep = copy.deepcopy(a)
    assert deep == a and deep[-1] is not a[-1]
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        again = pickle.loads(pickle.dumps(a, protocol))
        assert again == a and type(again) is PVector


def test_subclasses_keep_their_state_and_give_plain_vectors() -> None:
    a = Sub([1, 2])
    a.label = "mine"
    assert a == v(1, 2) == a and hash(a) == hash(v(1, 2)) and isinstance(a, PVector)
    assert type(a.append(3)) is PVector and type(a[:1]) is PVector and a[:] is a
    again = pickle.loads(pickle.dumps(a))
    assert type(again) is Sub and again == a and again.label == "mine"
    assert copy.deepcopy(a).label == "mine"
    assert Sub() == [] and Sub() is not Sub()
    assert pvector(a) == a and type(pvector(a)) is PVector


def test_vectors_can_be_weakly_referenced() -> None:
    a = v(1, 2)
    ref = weakref.ref(a)
    assert ref() is a
    del a
    assert ref() is None
    e = v(1).evolver()
    assert weakref.ref(e)() is e and isinstance(e, PVectorEvolver)


def test_invariants_hold_for_strange_arguments() -> None:
    with pytest.raises(TypeError, match="_check"):
        _core._check([1])  # type: ignore[arg-type]
