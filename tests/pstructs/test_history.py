"""History: what each operation promises, with small examples. The model test has the rest."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import tracemalloc
import weakref
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from pstructs import Atom, History, diff, m, pmap
from pstructs.errors import (
    HistoryBusyError,
    HistoryEndError,
    HistoryError,
    MissingStepError,
    PstructsError,
)
from support.history_model import check_history
from support.history_states import State, Ticks, states
from support.threads import run_together


def numbers(history: History[Any]) -> list[int]:
    return [step.number for step in history]


# ---- undo, redo, branches


def test_undo_and_redo_give_the_very_states() -> None:
    first, second = m(a=1), m(a=2)
    history = History(first)
    history.record(second)
    assert history.undo() is first and history.state is first
    assert history.redo() is second and history.state is second


def test_the_ends_raise_with_a_remedy_and_change_nothing() -> None:
    history = History("a")
    with pytest.raises(HistoryEndError, match=r"nothing to undo.*can_undo"):
        history.undo()
    with pytest.raises(HistoryEndError, match=r"nothing to redo.*branches"):
        history.redo()
    assert history.state == "a" and not history.can_undo and not history.can_redo
    assert issubclass(HistoryEndError, (HistoryError, LookupError))
    assert issubclass(HistoryError, PstructsError)


def test_an_edit_after_undo_keeps_the_other_future() -> None:
    history = History("start")
    history.record("left")
    left = history.record("left, twice")
    history.undo(), history.undo()
    right = history.record("right")
    assert not history.can_redo
    assert history.branches() == [left, right]
    assert history.goto(left) == "left, twice"
    assert states(history) == ["start", "left", "left, twice"]
    history.undo(), history.undo()
    assert [history.redo(), history.redo()] == ["left", "left, twice"]  # the branch gone to last


def test_redo_follows_the_branch_that_was_gone_to_beyond_its_step() -> None:
    history = History(0)
    for n in 1, 2, 3:
        history.record(n)
    history.goto(0)
    history.record(10)
    history.goto(1)
    assert [step.state for step in history.future()] == [2, 3]
    assert [step.state for step in history.children(0)] == [1, 10]


def test_the_present_state_again_makes_no_step() -> None:
    state = m(a=1)
    history = History(state)
    assert history.record(state.set("a", 1), "nothing new") is history.current
    assert len(history) == 1
    history.record(pmap({"a": 1}))  # equal, and another object
    assert len(history) == 2


def test_steps_are_found_by_step_number_and_label() -> None:
    history = History("a", label="start")
    step = history.record("b", "edit")
    history.record("c", "edit")
    assert history["edit"].state == "c" and history[1] is step and history[step] is step
    assert history.goto("start") == "a"
    assert step in history and 1 in history and 7 not in history and "edit" not in history
    assert history.parent(1) is history[0] and history.parent(0) is None
    history.relabel("start", "the beginning")
    assert history["the beginning"].number == 0
    for name in "start", 9, -1, History("x").current:
        with pytest.raises(MissingStepError):
            history.goto(name)  # type: ignore[arg-type]
    assert history.state == "a"


def test_steps_bear_the_time_of_the_clock() -> None:
    clock = Ticks()
    history = History("a", clock=clock)
    clock.now = 60.5
    step = history.record("b")
    assert (history[0].time, step.time) == (0.0, 60.5)
    assert step.when == datetime(1970, 1, 1, 0, 1, 0, 500000, UTC)
    assert history.as_of(60.0) is history[0]
    assert history.as_of(61.0) is step
    assert history.as_of(-1.0) is None


def test_steps_are_read_only() -> None:
    step = History("a").current
    for name in "state", "number", "label", "time", "when":
        with pytest.raises(AttributeError):
            setattr(step, name, None)


def test_iteration_is_over_all_branches_and_the_path_over_one() -> None:
    history = History(0)
    history.record(1), history.undo(), history.record(2)
    seen = []
    for step in history:
        seen.append(step.state)
        history.record(object())  # those recorded meanwhile are not met
    assert seen == [0, 1, 2]
    assert [s.state for s in reversed(history)][-3:] == [2, 1, 0]
    assert states(history)[:2] == [0, 2]


# ---- bounds


def test_the_oldest_steps_of_the_line_go_when_there_are_too_many() -> None:
    history = History(0, max_steps=3)
    for n in range(1, 10):
        history.record(n)
    assert states(history) == [6, 7, 8, 9]
    assert [history.undo() for _ in range(3)] == [8, 7, 6]
    with pytest.raises(HistoryEndError, match="step 6 is the first that is kept"):
        history.undo()


def test_branches_that_were_left_go_before_the_line() -> None:
    history = History(0, max_steps=4)
    for n in 1, 2, 3:
        history.record(n)
    history.goto(0)
    history.record(4), history.record(5)
    assert states(history) == [0, 4, 5]
    assert numbers(history) == [0, 2, 3, 4, 5]  # the first step of the branch that was left
    assert history.parent(2) is history[0]
    history.record(6), history.record(7)
    assert states(history) == [0, 4, 5, 6, 7]
    history.record(8)
    assert states(history) == [4, 5, 6, 7, 8]


def test_undo_goes_past_steps_that_were_dropped_in_between() -> None:
    history = History(0, max_steps=4)
    for n in 1, 2, 3:
        history.record(n)
    history.goto(0)
    history.record(4), history.record(5)
    history.goto(3)
    assert [history.undo(), history.undo()] == [2, 0]


def test_no_step_but_the_present_one_is_kept_with_a_bound_of_none() -> None:
    history = History(0, max_steps=0)
    history.record(1)
    assert states(history) == [1] and len(history) == 1


def test_what_redo_leads_to_is_never_dropped() -> None:
    clock = Ticks()
    history = History(0, max_steps=3, max_age=10, clock=clock)
    for n in 1, 2, 3:
        history.record(n)
    for _ in range(3):
        history.undo()
    clock.now = 1000
    assert history.prune() == 0
    assert [history.redo() for _ in range(3)] == [1, 2, 3]


def test_an_edit_can_be_undone_for_as_long_as_max_age() -> None:
    clock = Ticks()
    history = History("a", max_age=60, clock=clock)
    clock.now = 1000  # "a" was the present state all the time: its age does not count
    history.record("b")
    clock.now = 1059
    history.record("c")
    assert states(history) == ["a", "b", "c"]
    clock.now = 1060
    assert history.prune() == 1
    assert states(history) == ["b", "c"]
    clock.now = 5000
    assert history.prune() == 1
    assert states(history) == ["c"]


def test_a_branch_can_be_gone_back_to_for_as_long_as_max_age_after_it_was_left() -> None:
    clock = Ticks()
    history = History("a", max_age=60, clock=clock)
    branch = history.record("b")
    clock.now = 1000
    history.undo()
    history.record("c")
    clock.now = 1059
    history.prune()
    assert branch in history
    clock.now = 1060
    history.prune()
    assert branch not in history


def test_a_branch_outlives_the_start_that_it_came_from() -> None:
    clock = Ticks()
    history = History("a", max_age=60, clock=clock)
    history.record("b")
    clock.now = 50
    history.undo()
    history.record("c")
    clock.now = 60
    history.record("d")
    clock.now = 100
    history.goto(1)
    history.goto(3)
    clock.now = 110
    assert history.prune() == 1
    assert states(history) == ["c", "d"]
    check_history(history)
    assert history.goto(1) == "b" and states(history) == ["b"]
    check_history(history)
    history.record("e"), history.goto(3)
    assert states(history) == ["c", "d"]
    check_history(history)


def test_bounds_that_make_no_sense_are_refused() -> None:
    for bad in ({"max_steps": -1}, {"max_age": -0.5}, {"max_age": float("nan")}):
        with pytest.raises(ValueError, match="max_"):
            History(0, **bad)  # type: ignore[arg-type]


# ---- groups


def test_a_group_is_one_step() -> None:
    history = History(0)
    with history.group("three"):
        for n in 1, 2, 3:
            history.record(n)
            assert history.state == n
    assert [(s.state, s.label) for s in history] == [(0, ""), (3, "three")]
    assert history.undo() == 0 and history.redo() == 3


def test_a_group_without_a_label_takes_the_first_of_its_edits() -> None:
    history = History(0)
    with history.group():
        history.record(1)
        history.record(2, "first")
        history.record(3, "second")
    assert history.current.label == "first"


def test_groups_join() -> None:
    history = History(0)
    with history.group():
        history.record(1)
        with history.group("inner"):
            history.record(2)
        history.record(3)
    assert states(history) == [0, 3] and history.current.label == "inner"


def test_a_group_that_changes_nothing_leaves_no_trace() -> None:
    history = History("a")
    history.record("b")
    history.record("c")
    history.undo()
    with history.group("nothing"):
        pass
    with history.group("there and back"):
        history.record("x")
        history.record(history[1].state)
    assert numbers(history) == [0, 1, 2]
    assert history.redo() == "c"
    check_history(history)


def test_a_group_that_raises_keeps_its_edits_as_one_step() -> None:
    history = History(0)
    with pytest.raises(ZeroDivisionError), history.group("half"):
        history.record(1)
        history.record(2)
        history.record(1 // 0)
    assert states(history) == [0, 2]
    assert history.undo() == 0


def test_a_group_with_rollback_that_raises_was_not() -> None:
    history = History(0)
    history.record(1)
    history.undo()
    with pytest.raises(ZeroDivisionError), history.group("half", rollback=True):
        history.record(5)
        history.record(1 // 0)
    assert states(history) == [0] and history.redo() == 1
    check_history(history)


def test_an_inner_rollback_keeps_what_the_outer_group_did_before() -> None:
    history = History(0)
    with history.group():
        history.record(1)
        with pytest.raises(ZeroDivisionError), history.group(rollback=True):
            history.record(2)
            raise ZeroDivisionError
        assert history.state == 1
    assert states(history) == [0, 1]


def test_moves_are_refused_in_a_group() -> None:
    history = History(0)
    history.record(1)
    with history.group():
        for move in (
            history.undo,
            lambda: history.goto(0),
            history.prune,
            history.__getstate__,
            lambda: history.attach(Atom(0)),
            history.detach,
        ):
            with pytest.raises(HistoryBusyError, match="group is open"):
                move()
    history.undo()
    with history.group(), pytest.raises(HistoryBusyError):
        history.redo()
    assert history.redo() == 1


def test_bounds_wait_for_the_end_of_a_group() -> None:
    history = History(0, max_steps=1)
    history.record(1)
    with history.group():
        history.record(2)
        assert len(history) == 3
    assert states(history) == [1, 2]


# ---- diff and bisect


def test_diff_is_between_any_two_points() -> None:
    history = History(pmap({n: n for n in range(100)}))
    history.record(history.state.set(1, "x"), "left")
    history.undo()
    history.record(history.state.set(2, "y"), "right")
    assert history.diff("left", "right") == diff(history["left"].state, history["right"].state)
    assert history.diff("left", "right").changed == {1: ("x", 1), 2: (2, "y")}
    assert history.diff(0) == history.diff(0, history.current)
    with pytest.raises(MissingStepError):
        history.diff("nowhere")


def test_diff_of_states_that_it_does_not_know_is_a_type_error() -> None:
    history = History(1)
    history.record(2)
    with pytest.raises(TypeError):
        history.diff(0, 1)


def test_bisect_asks_about_the_logarithm_of_the_steps() -> None:
    history = History(0)
    for n in range(1, 1000):
        history.record(n)
    asked = []

    def large(n: int) -> bool:
        asked.append(n)
        return n >= 777

    found = history.bisect(large)
    assert found is not None and found.state == 777
    assert len(asked) <= 12
    assert history.bisect(lambda n: n > 5000) is None
    first = history.bisect(lambda n: True)
    assert first is not None and first.number == 0
    assert history.bisect(large, until=776) is None
    assert history.bisect(large, after=999) is None


def test_bisect_wants_a_beginning_on_the_path() -> None:
    history = History(0)
    history.record(1), history.undo(), history.record(2)
    with pytest.raises(MissingStepError, match="not on the path"):
        history.bisect(bool, after=1)
    found = history.bisect(bool, after=0, until=1)
    assert found is not None and found.state == 1


@pytest.mark.parametrize("seed", range(20))
def test_bisect_with_a_predicate_that_goes_on_and_off_finds_a_place_where_it_begins(
    seed: int,
) -> None:
    flags = [random.Random(seed).random() < 0.5 for _ in range(50)]
    history = History(0)
    for n in range(1, 50):
        history.record(n)
    found = history.bisect(lambda n: flags[n])
    if not flags[-1]:
        assert found is None
    else:
        assert found is not None and flags[found.state]
        assert found.state == 0 or not flags[found.state - 1]


def test_what_a_predicate_raises_comes_with_a_note_of_the_step() -> None:
    history = History(1)
    history.record(0, "the zero")
    with pytest.raises(ZeroDivisionError) as caught:
        history.bisect(lambda n: 1 // n)
    assert "'the zero'" in caught.value.__notes__[0]
    assert history.state == 0


def test_a_predicate_may_change_the_history() -> None:
    history = History(0)
    for n in range(1, 5):
        history.record(n)

    def predicate(n: int) -> bool:
        history.goto(0)
        history.record(object())
        return n >= 2

    found = history.bisect(predicate)
    assert found is not None and found.state == 2
    check_history(history)


# ---- life


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
