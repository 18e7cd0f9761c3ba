"""History: what each operation promises, with small examples. The model test has the rest."""

from __future__ import annotations

import random
from datetime import UTC, datetime

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
from support.history_states import Ticks, numbers, states

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
