"""The shape of the RRB tree: balanced and half full whatever was joined and cut."""

from __future__ import annotations

import random
from typing import Any

import pytest

from pstructs import _core, pvector


@pytest.mark.parametrize("seed", range(4))
def test_thousands_of_joins_and_cuts_keep_the_invariants(seed: int) -> None:
    """`_check` bounds the height by the number of elements."""
    rng = random.Random(seed)
    a: Any = pvector(range(500))
    model = list(range(500))
    for _ in range(1500):
        n = len(a)
        at = rng.randint(0, n)
        what = rng.randrange(5)
        if what == 0:
            a, model = a[at:] + a[:at], model[at:] + model[:at]
        elif what == 1:
            end = rng.randint(at, min(n, at + 9))
            a, model = a.delete(at, end), model[:at] + model[end:]
        elif what == 2:
            few = list(range(rng.randint(0, 12)))
            a, model = a[:at] + pvector(few) + a[at:], model[:at] + few + model[at:]
        elif what == 3:
            end = n - at
            a, model = a[end:] + a[: min(300, n)], model[end:] + model[: min(300, n)]
        else:
            a, model = a.insert(at, at), [*model[:at], at, *model[at:]]
        if len(a) > 3000:
            lo, size = rng.randint(0, 1500), rng.randint(1, 900)
            a, model = a[lo:][:size], model[lo:][:size]
        _core._check(a)
        assert a == model


def test_a_large_tree_that_is_cut_to_a_few_elements_gets_low() -> None:
    a: Any = pvector(range(40_000))
    for at in (1, 31, 32, 33, 1023, 1024, 1025, 20_000, 32_768, 39_990):
        for size in (1, 2, 5, 40, 1100):
            cut = a[at : at + size]
            _core._check(cut)
            assert cut == list(range(at, min(40_000, at + size)))


def test_joining_a_vector_with_itself_many_times_stays_cheap_and_balanced() -> None:
    a: Any = pvector(range(7))
    for _ in range(40):
        a = a + a
    assert len(a) == 7 << 40
    assert a[7 << 39] == 0 and a[-1] == 6 and a[(7 << 39) + 5] == 5
    middle = a[(7 << 39) - 3 : (7 << 39) + 4]
    assert middle == [4, 5, 6, 0, 1, 2, 3]
    _core._check(middle)


def test_a_vector_too_large_to_count_is_refused() -> None:
    a: Any = pvector([1])
    with pytest.raises(OverflowError):
        for _ in range(64):
            a = a + a
    assert len(a) == 1 << 62
    assert a[1 << 61] == 1
    with pytest.raises(OverflowError):
        a * 2
    with pytest.raises(OverflowError):
        a.extend(a)


@pytest.mark.parametrize("n", [1, 4, 5, 16, 17, 31, 32, 33, 64, 1024, 1056, 1057, 5000])
def test_building_in_bulk_and_one_by_one_gives_equal_vectors(n: int) -> None:
    one_by_one: Any = pvector()
    for i in range(n):
        one_by_one = one_by_one.append(i)
    bulk: Any = pvector(range(n))
    left: Any = pvector()
    for i in reversed(range(n)):
        left = left.appendleft(i)
    for a in (one_by_one, bulk, left):
        _core._check(a)
        assert a == list(range(n))
        assert [a[i] for i in range(n)] == list(range(n))


def test_popping_from_either_end_down_to_nothing() -> None:
    for cut in (0, 700):
        a: Any = pvector(range(1500))
        a = a[cut:] + a[:cut]
        model = a.tolist()
        rng = random.Random(cut)
        while model:
            if rng.random() < 0.5:
                a = a.pop()
                model.pop()
            else:
                a = a.popleft()
                del model[0]
            _core._check(a)
            assert len(a) == len(model)
            if model:
                assert (a[0], a[-1]) == (model[0], model[-1])
        assert a == []


def test_joining_trees_of_every_pair_of_sizes() -> None:
    sizes = [0, 1, 3, 5, 15, 16, 17, 32, 33, 50, 64, 65, 200, 1040, 1100]
    vectors = [pvector(range(n)) for n in sizes]
    # The same with thin edges: cut out of something larger.
    cut = [pvector(range(-20_000, 20_000))[20_000 : 20_000 + n] for n in sizes]
    for left in vectors + cut:
        for right in vectors + cut:
            a = left + right
            _core._check(a)
            assert a == left.tolist() + right.tolist()
