"""A `History` as an object: copies, memory, code that calls back, threads."""

from __future__ import annotations

import copy
import gc
import pickle
import tracemalloc
import weakref
from functools import partial
from typing import Any

import pytest

from pstructs import History, m
from pstructs.errors import (
    HistoryBusyError,
    HistoryEndError,
    MissingStepError,
)
from support.history_model import check_history
from support.history_states import State, states
from support.threads import run_together


def test_a_long_history_is_pickled_copied_and_freed_without_recursion() -> None:
    history = History(0)
    for n in range(1, 50_000):
        history.record(n)
    twin = pickle.loads(pickle.dumps(history))
    assert states(twin) == states(history)
    assert len(copy.copy(history)) == len(copy.deepcopy(history)) == 50_000
    del history, twin


def test_copies_are_apart() -> None:
    history = History(m(a=1))
    history.record(m(a=2), "two")
    twin = copy.copy(history)
    twin.undo()
    twin.relabel(1, "changed")
    assert history.state == m(a=2) and history[1].label == "two"
    assert twin[0].state is history[0].state
    with pytest.raises(MissingStepError, match="another history"):
        twin.goto(history.current)


def test_a_pickle_keeps_bounds_and_branches() -> None:
    history = History(0, max_steps=2)
    history.record(1), history.undo(), history.record(2)
    twin = pickle.loads(pickle.dumps(history))
    assert [s.state for s in twin.branches()] == [1, 2]
    twin.record(3)
    assert len(twin) == 3
    check_history(twin)


def test_a_clock_that_does_not_pickle_keeps_a_history_from_it() -> None:
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        pickle.dumps(History(0, clock=lambda: 0.0))


def test_a_history_is_freed_at_once_with_all_its_states() -> None:
    gc.collect()
    gc.disable()
    try:
        history = History(State())
        for _ in range(10):
            history.record(State())
        history.undo(), history.record(State())
        seen = [weakref.ref(step.state) for step in history]
        del history
        assert [ref() for ref in seen] == [None] * 12
    finally:
        gc.enable()


def test_a_state_is_freed_when_its_step_is_dropped() -> None:
    history = History(State(), max_steps=1)
    first = weakref.ref(history.state)
    history.record(State())
    assert first() is not None
    history.record(State())
    assert first() is None


def test_states_that_a_group_replaced_are_freed() -> None:
    history: History[Any] = History(None)
    with history.group():
        history.record(State())
        between = weakref.ref(history.state)
        history.record(State())
        assert between() is None


def test_the_destructor_of_a_dropped_state_may_use_the_history() -> None:
    seen = []
    history: History[Any] = History(None, max_steps=1)

    def on_death() -> None:
        seen.append(history.state)
        history.record("from a destructor")

    history.record(State(on_death=on_death))
    history.record("b")
    history.record("c")
    assert seen == ["c"] and history.state == "from a destructor"
    check_history(history)


def test_a_call_from_within_an_operation_is_refused_and_nothing_is_half_done() -> None:
    history = History(0)
    history.record(1)
    caught = []

    class Meddler(dict):  # type: ignore[type-arg]
        """Stands for a signal handler or finalizer that runs in the middle of `record`."""

        def __setitem__(self, key: object, value: object) -> None:
            for call in (history.undo, history.redo, lambda: history.record(9), history.steps):
                try:
                    call()
                except HistoryBusyError as error:
                    caught.append(error)
            super().__setitem__(key, value)

    history._line.steps = Meddler(history._line.steps)
    history.record(2)
    assert len(caught) == 4
    history._line.steps = dict(history._line.steps)
    assert states(history) == [0, 1, 2]
    check_history(history)


def test_a_clock_that_raises_leaves_everything_as_it_was() -> None:
    answers = iter([0.0, 1.0])
    history = History(0, clock=lambda: next(answers))
    history.record(1)
    for call in (lambda: history.record(2), history.prune, lambda: history.goto(0)):
        with pytest.raises(StopIteration):
            call()
    assert states(history) == [0, 1]
    check_history(history)


def test_a_clock_that_raises_at_the_end_of_a_group_closes_it() -> None:
    answers = iter([0.0, 1.0, 2.0])
    history = History(0, clock=lambda: next(answers))
    with pytest.raises((StopIteration, RuntimeError)), history.group("one"):
        history.record(1)
    assert [(s.state, s.label) for s in history] == [(0, ""), (1, "one")]
    assert history.undo() == 0
    check_history(history)


def test_a_kept_step_has_few_bytes_of_its_own() -> None:
    states = [object() for _ in range(2000)]
    history: History[Any] = History(None)
    tracemalloc.start()
    try:
        for state in states:
            history.record(state)
        used = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert used / len(states) < 400


def test_operations_leave_nothing_behind() -> None:
    history: History[Any] = History(None, max_steps=20)

    def work() -> None:
        for n in range(15):
            history.record((n,))
        for _ in range(10):
            history.undo()
        history.record(("branch",))
        with history.group("group"):
            history.record((1,)), history.record((2,))
        with pytest.raises(ZeroDivisionError), history.group(rollback=True):
            history.record((3,))
            raise ZeroDivisionError
        history.goto(history.branches()[0])
        history.bisect(lambda state: state == ("branch",))
        with pytest.raises(HistoryEndError):
            history.redo()
        copy.copy(history)

    for _ in range(20):
        work()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(200):
            work()
        gc.collect()
        # What it holds now replaced what it held before, which was not traced.
        assert tracemalloc.get_traced_memory()[0] - before < 16_000
    finally:
        tracemalloc.stop()


def test_threads_that_record_lose_no_step() -> None:
    history: History[Any] = History(None)

    def work(name: int) -> None:
        for n in range(300):
            history.record((name, n))
            if n % 3 == 0 and history.can_undo:
                history.undo()

    run_together([partial(work, name) for name in range(4)])
    assert len(history) == 1201
    assert {s.state for s in history} == {None, *((i, n) for i in range(4) for n in range(300))}
    check_history(history)
