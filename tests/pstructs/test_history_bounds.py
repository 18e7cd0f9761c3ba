"""What a `History` drops, and what it keeps."""

from __future__ import annotations

import pytest

from pstructs import History
from pstructs.errors import (
    HistoryEndError,
)
from support.history_model import check_history
from support.history_states import Ticks, numbers, states


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
