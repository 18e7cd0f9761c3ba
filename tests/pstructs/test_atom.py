"""Atom: Clojure's promises, and what becomes of user code that raises, re-enters or races."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import signal
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pstructs import Atom, History, m, pmap
from pstructs.errors import (
    HistoryBusyError,
    InvalidValueError,
    PstructsError,
    ReentryError,
    WatchError,
)
from support.threads import run_together
from support.wilful_keys import EqKeyError, HashKeyError, Key, raising


class UserError(Exception):
    pass


class Value:
    """A value that can be referred to weakly."""


def fail(*args: object) -> Any:
    raise UserError


def inc(n: int, by: int = 1) -> int:
    return n + by


# ---- reading and changing


def test_deref_and_value_give_the_very_object() -> None:
    value = m(a=1)
    atom = Atom(value)
    assert atom.deref() is atom.value is value
    with pytest.raises(AttributeError):
        atom.value = m()  # type: ignore[misc]


def test_reset_and_swap_return_the_new_value_and_their_vals_both() -> None:
    atom = Atom(1)
    assert atom.reset(5) == 5
    assert atom.reset_vals(6) == (5, 6)
    assert atom.swap(inc) == 7
    assert atom.swap(inc, 10) == 17
    assert atom.swap(inc, by=3) == 20
    assert atom.swap_vals(inc, by=2) == (20, 22)
    assert atom.value == 22


def test_swap_takes_a_keyword_that_is_called_as_its_own_parameter() -> None:
    assert Atom(1).swap(lambda value, fn, self: (value, fn, self), fn=2, self=3) == (1, 2, 3)


def test_compare_and_set_compares_identity() -> None:
    held, equal, new = m(a=1), m(a=1), m(a=2)
    atom = Atom(held)
    assert atom.compare_and_set(equal, new) is False and atom.value is held
    assert atom.compare_and_set(held, new) is True and atom.value is new


def test_what_a_function_raises_leaves_the_value_as_it_was() -> None:
    value = m(a=1)
    atom = Atom(value)
    seen = []
    atom.add_watch("seen", lambda *args: seen.append(args))
    for change in (atom.swap, atom.swap_vals):
        with pytest.raises(UserError):
            change(fail)
    assert atom.value is value and seen == []


def test_an_atom_cannot_be_copied_or_pickled() -> None:
    atom = Atom(1)
    for copier in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="take its value"):
            copier(atom)


def test_repr_of_an_atom_that_holds_itself_ends() -> None:
    atom: Atom[Any] = Atom(None)
    atom.reset(m(me=atom))
    assert repr(atom) == "Atom(pmap({'me': Atom(...)}))"
    atom.reset(None)


def test_atoms_are_equal_only_to_themselves() -> None:
    a, b = Atom(1), Atom(1)
    assert a == a and a != b and len({a, b}) == 2


# ---- validators


def test_a_validator_guards_every_way_to_change() -> None:
    atom = Atom(5, validator=lambda n: n >= 0)
    for change in (
        lambda: atom.reset(-1),
        lambda: atom.reset_vals(-1),
        lambda: atom.swap(inc, -9),
        lambda: atom.swap_vals(inc, -9),
        lambda: atom.compare_and_set(atom.value, -1),
    ):
        with pytest.raises(InvalidValueError, match="returned False for -"):
            change()
    assert atom.value == 5
    assert issubclass(InvalidValueError, (PstructsError, ValueError))


def test_a_validator_may_raise_its_own_error() -> None:
    atom = Atom(0)
    atom.set_validator(lambda n: True if n == 0 else fail())
    with pytest.raises(UserError):
        atom.reset(1)
    assert atom.value == 0


def test_a_validator_that_refuses_the_present_value_is_not_taken() -> None:
    atom = Atom(0)

    def before(n: int) -> bool:
        return n >= 0

    atom.set_validator(before)
    with pytest.raises(InvalidValueError):
        atom.set_validator(lambda n: n > 0)
    with pytest.raises(UserError):
        atom.set_validator(fail)
    assert atom.validator is before
    atom.set_validator(None)
    assert atom.reset(-1) == -1 and atom.validator is None
    with pytest.raises(InvalidValueError):
        Atom(-1, validator=before)


def test_a_validator_that_forgets_to_return_says_so() -> None:
    with pytest.raises(InvalidValueError, match="returned None"):
        Atom(0, validator=lambda n: None)


def test_a_value_is_validated_again_when_the_validator_changes_meanwhile() -> None:
    atom = Atom(0)

    def stricter(n: int) -> bool:
        return n < 5

    def validator(n: int) -> bool:
        if n == 9:
            atom.set_validator(stricter)
        return True

    atom.set_validator(validator)
    with pytest.raises(InvalidValueError):
        atom.reset(9)
    assert atom.value == 0


def test_compare_and_set_does_not_ask_the_validator_in_vain() -> None:
    asked = []
    atom = Atom(0, validator=lambda n: asked.append(n) or True)
    asked.clear()
    assert atom.compare_and_set(object(), 1) is False  # type: ignore[arg-type]
    assert asked == []


# ---- watches


def test_watches_are_told_key_atom_old_and_new() -> None:
    atom = Atom(1)
    seen: list[Any] = []
    atom.add_watch("a", lambda *args: seen.append(args))
    atom.add_watch("b", lambda *args: seen.append(args))
    atom.reset(2)
    assert seen == [("a", atom, 1, 2), ("b", atom, 1, 2)]
    atom.remove_watch("a")
    atom.remove_watch("a")
    atom.add_watch("b", lambda *args: None)  # replaced
    atom.swap(inc)
    assert len(seen) == 2 and list(atom.watches) == ["b"]


def test_watches_are_told_of_a_change_to_the_same_object_but_not_of_a_refused_one() -> None:
    atom = Atom(1)
    seen = []
    atom.add_watch("a", lambda key, atom, old, new: seen.append((old, new)))
    atom.reset(1)
    atom.compare_and_set(object(), 5)  # type: ignore[arg-type]
    assert seen == [(1, 1)]


def test_a_watch_that_raises_keeps_neither_the_change_nor_the_other_watches_back() -> None:
    atom = Atom(1)
    seen = []
    atom.add_watch("bad", fail)
    atom.add_watch("worse", lambda *args: 1 // 0)
    atom.add_watch("good", lambda *args: seen.append(args))
    with pytest.raises(WatchError, match="2 of 3 watches raised") as caught:
        atom.swap(inc)
    assert atom.value == 2 and len(seen) == 1
    error = caught.value
    assert (error.old, error.new) == (1, 2)
    assert [type(e) for e in error.errors] == [UserError, ZeroDivisionError]
    assert error.__cause__ is error.errors[0]
    assert pickle.loads(pickle.dumps(error)).new == 2


def test_a_watch_may_change_the_atom_and_its_watches() -> None:
    atom = Atom(0)
    seen = []

    def watch(key: Any, atom: Any, old: int, new: int) -> None:
        seen.append((old, new))
        if new < 3:
            atom.swap(inc)
        atom.remove_watch(key)

    atom.add_watch("w", watch)
    atom.swap(inc)
    assert atom.value == 3 and seen == [(0, 1), (1, 2), (2, 3)] and not atom.watches


def test_keys_of_watches_that_raise_change_nothing() -> None:
    atom = Atom(0)
    atom.add_watch(Key("a", 1), lambda *args: None)
    before = atom.watches
    with raising(hash_after=0):
        for change in (
            lambda: atom.add_watch(Key("b", 1), fail),
            lambda: atom.remove_watch(Key("a", 1)),
        ):
            with pytest.raises(HashKeyError):
                change()
    with raising(eq_after=0):
        with pytest.raises(EqKeyError):
            atom.add_watch(Key("b", 1), fail)
    assert atom.watches is before
    with pytest.raises(TypeError):
        atom.add_watch([], fail)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        atom.watches["x"] = fail  # type: ignore[index]


# ---- re-entry


def test_a_swap_within_a_swap_of_the_same_atom_works_when_it_settles() -> None:
    atom = Atom(pmap({"a": 1}))

    def ensure(value: Any) -> Any:
        if "b" not in value:
            atom.swap(lambda inner: inner.set("b", 0))
        return value.set("a", value["a"] + 1)

    assert atom.swap(ensure) == {"a": 2, "b": 0}


def test_a_swap_that_never_settles_ends_in_an_error() -> None:
    atom = Atom(0)

    def nested(n: int) -> int:
        atom.swap(inc)
        return n + 1000

    with pytest.raises(ReentryError, match="let it return the new value"):
        atom.swap(nested)
    assert atom.value == 100  # what the function itself did
    assert atom.swap(inc) == 101


def test_a_validator_may_change_the_atom() -> None:
    atom = Atom(0)
    tries = []

    def validator(n: int) -> bool:
        tries.append(n)
        if len(tries) == 2:
            atom.reset(50)
        return True

    atom.set_validator(validator)
    assert atom.swap(inc) == 51


def test_user_code_never_runs_under_the_lock() -> None:
    atom = Atom(0)
    free = []

    def other_thread_gets_in() -> bool:
        done = threading.Event()

        def touch() -> None:
            atom.remove_watch("no such watch")  # takes the lock
            done.set()

        threading.Thread(target=touch, daemon=True).start()
        free.append(done.wait(10))
        return True

    class Old:
        def __del__(self) -> None:
            other_thread_gets_in()

    atom.set_validator(lambda n: other_thread_gets_in())
    atom.add_watch("w", lambda *args: other_thread_gets_in())
    atom.swap(lambda n: other_thread_gets_in() and n + 1)
    atom.reset(Old())  # type: ignore[arg-type]
    atom.reset(0)
    assert len(free) == 9 and all(free)


@contextmanager
def interrupted(handler: Callable[[], object]) -> Iterator[None]:
    """Have a signal handler run every 500 microseconds."""
    before = signal.signal(signal.SIGALRM, lambda *args: handler())
    signal.setitimer(signal.ITIMER_REAL, 500e-6, 500e-6)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_signal_handler_that_swaps_neither_hangs_nor_loses_a_change() -> None:
    atom = Atom(0)
    handled = 0

    def handler() -> None:
        nonlocal handled
        atom.swap(inc)
        handled += 1

    own = 0
    with interrupted(handler):
        while handled < 200:
            atom.swap(inc)
            own += 1
    assert atom.value == own + handled


def test_a_signal_handler_that_changes_a_followed_atom_leaves_its_step_in_order() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    handled = refused = 0

    def handler() -> None:
        nonlocal handled, refused
        atom.swap(inc)
        handled += 1
        try:
            assert history.state >= 0
        except HistoryBusyError:
            refused += 1

    own = 0
    with interrupted(handler):
        while handled < 200:
            atom.swap(inc)
            own += 1
    assert [step.state for step in history.path()] == list(range(own + handled + 1))
    assert len(history) == own + handled + 1 and not history.can_redo


def test_a_finalizer_that_swaps_during_a_collection_loses_no_change() -> None:
    atom = Atom(0)
    died = 0

    class Loop:
        def __init__(self) -> None:
            self.me = self

        def __del__(self) -> None:
            nonlocal died
            atom.swap(inc)
            died += 1

    thresholds = gc.get_threshold()
    gc.set_threshold(5)
    try:
        for _ in range(500):
            Loop()
            atom.swap(inc)
    finally:
        gc.set_threshold(*thresholds)
        gc.collect()
    assert died == 500 and atom.value == 1000


# ---- threads

THREADS = 8
# PSTRUCTS_SWAPS=100000 for the full run.
EACH = int(os.environ.get("PSTRUCTS_SWAPS", "1000"))


def test_no_swap_is_lost() -> None:
    atom = Atom(0)

    def work() -> None:
        for _ in range(EACH):
            atom.swap(inc)

    run_together([work] * THREADS, timeout=600)
    assert atom.value == THREADS * EACH


def test_no_swap_of_a_map_is_lost_whatever_raises() -> None:
    atom = Atom(pmap())
    told: list[tuple[Any, Any]] = []
    atom.add_watch("told", lambda key, atom, old, new: told.append((old, new)))
    atom.set_validator(lambda value: all(n >= 0 for n in value.values()))

    def work(name: int) -> None:
        for n in range(100):
            if n % 5 == 1:
                with pytest.raises(UserError):
                    atom.swap(fail)
            if n % 5 == 2:
                with pytest.raises(InvalidValueError):
                    atom.swap(lambda value: value.set(name, -1))
            atom.swap(lambda value: value.set(name, value.get(name, 0) + 1))

    run_together([lambda name=name: work(name) for name in range(4)])
    assert atom.value == dict.fromkeys(range(4), 100)
    # Every change was told once, and the pairs make one chain.
    following = {id(old): new for old, new in told}
    assert len(following) == len(told) == 400
    value, steps = next(old for old, _ in told if len(old) == 0), 0
    while id(value) in following:
        value, steps = following[id(value)], steps + 1
    assert value is atom.value and steps == 400


def test_compare_and_set_lets_one_of_many_win() -> None:
    atom: Atom[Any] = Atom(None)
    wins: list[int] = []

    def work(name: int) -> None:
        if atom.compare_and_set(None, name):
            wins.append(name)

    run_together([lambda name=name: work(name) for name in range(8)])
    assert len(wins) == 1 and atom.value == wins[0]


def test_reset_vals_of_threads_hand_every_value_on_once() -> None:
    atom = Atom((-1, 0))
    replaced: list[Any] = []

    def work(name: int) -> None:
        for n in range(300):
            replaced.append(atom.reset_vals((name, n))[0])

    run_together([lambda name=name: work(name) for name in range(4)])
    everything = {(-1, 0), *((name, n) for name in range(4) for n in range(300))}
    assert len(replaced) == 1200 and {*replaced, atom.value} == everything


# ---- life


def test_replaced_values_are_freed_at_once() -> None:
    atom = Atom(Value())
    ref = weakref.ref(atom.value)
    atom.reset(Value())
    assert ref() is None
    last = weakref.ref(atom.value)
    del atom
    assert last() is None


def test_an_atom_in_a_cycle_with_its_watches_and_value_is_collected() -> None:
    atom: Atom[Any] = Atom(None)
    value = Value()
    value.atom = atom  # type: ignore[attr-defined]
    atom.reset(value)
    atom.add_watch("w", lambda key, a, old, new, atom=atom: None)
    atom.set_validator(lambda v, atom=atom: True)
    ref = weakref.ref(value)
    del atom, value
    gc.collect()
    assert ref() is None


def test_many_changes_leave_nothing_behind() -> None:
    atom = Atom(0)
    atom.add_watch("w", lambda *args: None)
    atom.set_validator(lambda n: n >= 0)

    def change() -> None:
        atom.swap(inc)
        atom.reset_vals(1000)
        atom.add_watch("x", lambda *args: None)
        atom.remove_watch("x")
        with pytest.raises(InvalidValueError):
            atom.reset(-1)

    for _ in range(50):
        change()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            change()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - before < 16_000
    finally:
        tracemalloc.stop()
