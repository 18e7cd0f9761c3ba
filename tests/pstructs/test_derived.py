"""Derived values: computed when read, once a change of what they read, and by one thread."""

from __future__ import annotations

import gc
import threading
import weakref
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pstructs import Atom, derived, m, pmap
from pstructs.deriving import same
from pstructs.errors import MissingPathError, ReentryError
from support.threads import run_together
from support.wilful_keys import Key, calling


class Counting:
    """A function that notes its calls."""

    def __init__(self, fn: Any) -> None:
        self.fn, self.calls = fn, 0

    def __call__(self, *args: Any) -> Any:
        self.calls += 1
        return self.fn(*args)


def test_nothing_is_computed_before_the_first_read() -> None:
    atom = Atom(1)
    double = Counting(lambda n: 2 * n)
    value = atom.derive(double)
    assert double.calls == 0
    assert value.value == value.deref() == 2 and double.calls == 1


def test_it_is_computed_again_only_after_a_change_and_only_when_read() -> None:
    atom = Atom(1)
    double = Counting(lambda n: 2 * n)
    value = atom.derive(double)
    assert value.value == 2
    for n in range(10, 20):
        atom.reset(n)
    assert double.calls == 1
    assert value.value == 38 and value.value == 38 and double.calls == 2


def test_a_change_of_another_part_computes_nothing() -> None:
    atom = Atom(m(a=m(b=m(c=1)), other=0))
    total = Counting(lambda part: sum(part.values()))
    value = atom.cursor("a", "b").derive(total)
    assert value.value == 1
    for n in range(5):
        atom.cursor("other").reset(n)
        atom.cursor("a", "d").reset(n)
        assert value.value == 1
    assert total.calls == 1
    atom.cursor("a", "b", "e").reset(5)
    assert value.value == 6 and total.calls == 2


def test_several_sources_are_read_together() -> None:
    one, two = Atom(m(n=1)), Atom(10)
    add = Counting(lambda a, b, c: a + b + c)
    value = derived(add, one.cursor("n"), two, two.derive(lambda n: n * 10))
    assert value.value == 111
    two.reset(20)
    assert value.value == 221
    one.cursor("m").reset(0)
    assert value.value == 221 and add.calls == 2


def test_a_chain_stops_where_nothing_changes() -> None:
    atom = Atom(5)
    parity = Counting(lambda n: n % 2)
    text = Counting(lambda odd: "odd" if odd else "even")
    first = atom.derive(parity)
    second = first.derive(text)
    assert second.value == "odd"
    atom.reset(7)
    assert second.value == "odd" and parity.calls == 2 and text.calls == 1
    atom.reset(8)
    assert second.value == "even" and text.calls == 2


def test_all_sources_of_a_read_see_one_value_of_the_atom() -> None:
    atom = Atom(m(a=0, b=0))
    a, b = atom.cursor("a"), atom.cursor("b")
    pair = derived(lambda x, y, z: (x, y, z), a, b.derive(lambda n: n), b)
    halves: list[Any] = []
    stop = threading.Event()

    def write() -> None:
        for n in range(1500):
            atom.reset(m(a=n, b=n))
        stop.set()

    def read() -> None:
        while not stop.is_set():
            seen = pair.value
            if len(set(seen)) != 1:
                halves.append(seen)

    run_together([write, read, read])
    assert halves == []
    assert pair.value == (1499, 1499, 1499)


def test_numbers_that_are_made_anew_are_no_change() -> None:
    class Fresh:
        """Gives another object for the same number at each lookup, as raw arrays do."""

        def __init__(self, numbers: dict[str, int]) -> None:
            self.numbers = numbers

        def __getitem__(self, key: str) -> int:
            return int(str(self.numbers[key]))

        def set(self, key: str, value: int) -> Fresh:
            return Fresh({**self.numbers, key: value})

    atom = Atom(Fresh({"a": 10**6, "b": 0}))
    text = Counting(str)
    value = atom.cursor("a").derive(text)
    assert value.value == "1000000"
    atom.cursor("b").reset(1)
    assert value.value == "1000000" and text.calls == 1
    atom.cursor("a").reset(2)
    assert value.value == "2" and text.calls == 2


def test_below_an_object_that_stayed_nothing_has_changed() -> None:
    class Opened:
        """Makes a part anew at each lookup, as collections that are read in place do."""

        def __getitem__(self, key: str) -> list[str]:
            return [key]

    atom = Atom(m(a=Opened(), b=0))
    first = Counting(lambda part: part[0])
    value = atom.cursor("a", "x").derive(first)
    assert value.value == "x"
    atom.cursor("b").reset(1)
    assert value.value == "x" and first.calls == 1


def test_nothing_is_computed_for_a_value_that_is_gone_before_it_begins() -> None:
    atom = Atom(pmap({Key("a", 1): 0, Key("b", 1): 0}))
    given: list[int] = []
    value = atom.cursor(Key("b", 1)).derive(given.append)

    def change(*args: object) -> None:
        if atom.value[Key("b", 1)] == 0:
            atom.reset(pmap({Key("b", 1): 1}))

    with calling(on_eq=change):  # while the path is walked
        _ = value.value
    assert given == [1]


@given(st.one_of(st.integers(), st.floats(), st.text(), st.binary(), st.booleans(), st.none()))
def test_same_holds_for_what_no_function_can_tell_apart(value: Any) -> None:
    assert same(value, value)
    for other in (0, 0.0, -0.0, False, 1, 1.0, True, "", b"", None, float("nan")):
        if value is not other and same(value, other):
            assert type(value) is type(other) and repr(value) == repr(other)


def test_an_exception_goes_to_the_reader_and_is_not_kept() -> None:
    atom = Atom(0)
    inverse = Counting(lambda n: 1 / n)
    value = atom.derive(inverse)
    for calls in 1, 2:
        with pytest.raises(ZeroDivisionError):
            _ = value.value
        assert inverse.calls == calls
    atom.reset(2)
    assert value.value == 0.5
    atom.reset(0)
    with pytest.raises(ZeroDivisionError):
        _ = value.value
    atom.reset(4)
    assert value.value == 0.25


def test_a_source_that_is_not_there_raises_or_has_its_default() -> None:
    atom = Atom(pmap())
    value = atom.cursor("n").derive(lambda n: n + 1)
    with pytest.raises(MissingPathError):
        _ = value.value
    with_default = atom.cursor("n", default=0).derive(lambda n: n + 1)
    assert with_default.value == 1
    atom.cursor("n").reset(5)
    assert value.value == with_default.value == 6


def test_what_cannot_be_followed_is_refused() -> None:
    with pytest.raises(TypeError, match="at least one"):
        derived(lambda: 1)
    with pytest.raises(TypeError, match="not from PMap; pass the atom"):
        derived(len, m(a=1))


def test_a_value_that_needs_itself_is_an_error() -> None:
    atom = Atom(1)
    values: list[Any] = []
    values.append(atom.derive(lambda n: n + values[0].value))
    with pytest.raises(ReentryError, match="compute itself"):
        _ = values[0].value
    # the same over two
    values[:] = [atom.derive(lambda n: values[1].value), atom.derive(lambda n: values[0].value)]
    with pytest.raises(ReentryError):
        _ = values[0].value


def test_two_values_that_need_each_other_do_not_hang_two_threads() -> None:
    atom = Atom(1)
    meet = threading.Barrier(2)
    errors: list[BaseException] = []
    values: list[Any] = []

    def need(other: int) -> Any:
        def fn(n: int) -> Any:
            if len(errors) == 0 and not meet.broken:
                try:
                    meet.wait(5)
                except threading.BrokenBarrierError:
                    pass
            return values[other].value

        return fn

    values[:] = [atom.derive(need(1)), atom.derive(need(0))]

    def read(which: int) -> None:
        try:
            _ = values[which].value
        except ReentryError as error:
            errors.append(error)

    run_together([lambda: read(0), lambda: read(1)], timeout=60)
    assert len(errors) == 2


def test_threads_that_read_at_once_compute_once_a_change() -> None:
    atom = Atom(0)
    begun, go_on = threading.Event(), threading.Event()

    def slow(n: int) -> int:
        begun.set()
        assert go_on.wait(30)
        return n + 1

    compute = Counting(slow)
    value = atom.derive(compute)
    for change in range(3):
        begun.clear(), go_on.clear()
        atom.reset(change * 1000)
        results: list[int] = []

        def read(first: bool) -> None:
            if not first:
                begun.wait(30)
            results.append(value.value)

        def release() -> None:
            begun.wait(30)
            go_on.set()

        run_together([lambda: read(True), *[lambda: read(False)] * 6, release], timeout=60)
        assert results == [change * 1000 + 1] * 7
        assert compute.calls == change + 1


def test_those_who_waited_try_for_themselves_when_the_function_raised() -> None:
    atom = Atom(0)
    begun, go_on = threading.Event(), threading.Event()

    def slow(n: int) -> int:
        if compute.calls == 1:
            begun.set()
            assert go_on.wait(30)
            raise ValueError
        return 7

    compute = Counting(slow)
    value = atom.derive(compute)
    results: list[Any] = []

    def first() -> None:
        try:
            results.append(value.value)
        except ValueError:
            results.append("raised")

    def second() -> None:
        begun.wait(30)
        threading.Timer(0, go_on.set).start()
        results.append(value.value)

    run_together([first, second], timeout=60)
    assert sorted(map(str, results)) == ["7", "raised"] and compute.calls == 2


def test_a_slow_computation_of_an_old_value_does_not_displace_a_newer_one() -> None:
    atom = Atom(0)
    begun, go_on = threading.Event(), threading.Event()

    def fn(n: int) -> int:
        if n == 0:
            begun.set()
            assert go_on.wait(30)
        return n + 1

    compute = Counting(fn)
    value = atom.derive(compute)
    results: list[int] = []

    def old() -> None:
        results.append(value.value)

    def new() -> None:
        begun.wait(30)
        atom.reset(10)
        results.append(value.value)
        go_on.set()

    run_together([old, new], timeout=60)
    assert sorted(results) == [1, 11]
    assert value.value == 11 and compute.calls == 2


def test_a_function_may_change_what_it_reads() -> None:
    atom = Atom(0)

    def fn(n: int) -> int:
        if n < 3:
            atom.reset(n + 1)
        return n

    value = atom.derive(fn)
    assert [value.value for _ in range(5)] == [0, 1, 2, 3, 3]


def test_the_atom_does_not_hold_what_is_derived_from_it() -> None:
    gc.collect()
    gc.disable()
    try:
        atom = Atom(m(a=1))
        value = atom.cursor("a").derive(lambda n: n)
        assert value.value == 1
        ref = weakref.ref(value)
        del value
        assert ref() is None
    finally:
        gc.enable()


def test_results_that_a_change_made_stale_are_freed_by_the_next_read() -> None:
    class Result:
        pass

    atom = Atom(0)
    value = atom.derive(lambda n: Result())
    ref = weakref.ref(value.value)
    assert ref() is not None
    atom.reset(1)
    assert value.value is not ref() and ref() is None
