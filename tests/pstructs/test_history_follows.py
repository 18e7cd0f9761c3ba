"""A history that follows an atom."""

from __future__ import annotations

import copy
import pickle
import weakref
from typing import Any

import pytest

from pstructs import Atom, History, errors, m
from pstructs.errors import (
    HistoryBusyError,
    HistoryEndError,
    InvalidValueError,
    MissingStepError,
    WatchError,
)
from support.history_model import check_history
from support.history_states import State, Ticks, states
from support.threads import run_together


def test_changes_of_an_atom_are_steps_and_moves_reset_it() -> None:
    atom = Atom(m(n=0))
    history = History.follow(atom)
    for n in 1, 2, 3:
        atom.swap(lambda value, n=n: value.set("n", n))
    atom.cursor("n").reset(4)
    assert [s.state["n"] for s in history.path()] == [0, 1, 2, 3, 4]
    assert history.undo() is atom.value and atom.value["n"] == 3
    history.goto(1)
    assert atom.value["n"] == 1
    assert history.redo() is atom.value and atom.value["n"] == 2
    atom.reset(m(n=9))
    assert [s.state["n"] for s in history.branches()] == [4, 9]
    assert history.atom is atom


def test_a_move_tells_the_watches() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    atom.reset(1)
    seen = []
    atom.add_watch("seen", lambda key, atom, old, new: seen.append((old, new)))
    history.undo(), history.redo()
    assert seen == [(1, 0), (0, 1)]


def test_a_watch_that_raises_is_told_after_the_move() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    atom.reset(1)
    atom.add_watch("bad", lambda *args: 1 // 0)
    with pytest.raises(WatchError):
        history.undo()
    assert history.state == atom.value == 0
    with pytest.raises(WatchError):
        atom.reset(5)
    assert history.state == atom.value == 5


def test_a_validator_can_refuse_a_move() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    atom.reset(1)
    atom.set_validator(lambda n: n > 0)
    with pytest.raises(InvalidValueError):
        history.undo()
    assert history.state == atom.value == 1
    atom.set_validator(None)
    assert history.undo() == atom.value == 0


def test_a_validator_and_a_watch_may_use_the_history() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    seen = []
    atom.set_validator(lambda n: seen.append(len(history)) or True)
    atom.add_watch("length", lambda key, atom, old, new: seen.append(history.state))
    seen.clear()
    atom.reset(1)
    assert seen == [1, 1]
    history.undo()
    assert seen == [1, 1, 2, 0]


def test_a_change_during_the_validation_of_a_move_is_a_step_of_its_own() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    atom.reset(1)
    once = [True]

    def validator(n: int) -> bool:
        if once and n == 0:
            once.clear()
            atom.reset(5)
        return True

    atom.set_validator(validator)
    assert history.undo() == 1  # what is taken back is the newest change
    assert atom.value == 1
    assert [s.state for s in history] == [0, 1, 5]


def test_a_move_takes_note_of_changes_that_led_back_to_the_same_object() -> None:
    one = m(n=1)
    atom = Atom(m(n=0))
    history = History.follow(atom)
    atom.reset(one)
    once = [True]

    def validator(value: Any) -> bool:
        if once and value["n"] == 0:
            once.clear()
            # As another thread does that is stopped before it tells the history.
            history._take_note = lambda: None  # type: ignore[method-assign]
            atom.reset(m(n=5)), atom.reset(one)
            del history._take_note
        return True

    atom.set_validator(validator)
    assert history.undo() == m(n=5)
    assert [s.state["n"] for s in history] == [0, 1, 5, 1]
    assert atom.value == m(n=5)
    check_history(history)


def test_a_history_that_comes_while_a_change_is_made_takes_note_of_it() -> None:
    atom = Atom(0)
    histories: list[History[int]] = []

    def validator(n: int) -> bool:
        if n == 1 and not histories:
            histories.append(History.follow(atom))
        return True

    atom.set_validator(validator)
    atom.reset(1)
    assert states(histories[0]) == [0, 1]


def test_a_step_that_is_dropped_during_a_move_to_it_is_missing() -> None:
    clock = Ticks()
    atom = Atom(0)
    history = History.follow(atom, max_age=10, clock=clock)
    atom.reset(1), atom.reset(2)

    def validator(n: int) -> bool:
        if n == 0:
            clock.now = 1000
            assert history.prune() == 2
        return True

    atom.set_validator(validator)
    with pytest.raises(MissingStepError):
        history.goto(0)
    assert atom.value == history.state == 2
    check_history(history)


def test_a_group_makes_one_step_of_changes_of_an_atom() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    with history.group("three"):
        for _ in range(3):
            atom.swap(lambda n: n + 1)
    assert [(s.state, s.label) for s in history] == [(0, ""), (3, "three")]
    with pytest.raises(ZeroDivisionError), history.group(rollback=True):
        atom.reset(10)
        raise ZeroDivisionError
    assert atom.value == history.state == 3 and len(history) == 2


def test_the_history_of_an_atom_is_not_recorded_into_directly() -> None:
    history = History.follow(Atom(0))
    with pytest.raises(HistoryBusyError, match="change the atom"):
        history.record(1)
    history.detach()
    assert history.record(1).number == 1


def test_an_atom_has_one_history_at_a_time() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    with pytest.raises(HistoryBusyError, match="follows this atom"):
        History.follow(atom)
    with pytest.raises(HistoryBusyError, match="follows an atom already"):
        history.attach(Atom(0))
    atom.reset(1)
    history.detach()
    history.detach()
    atom.reset(2)
    assert history.state == 1 and history.atom is None
    History.follow(atom)


def test_an_atom_does_not_hold_its_history() -> None:
    atom = Atom(State())
    history = History.follow(atom)
    first = weakref.ref(atom.value)
    atom.reset(State())
    assert first() is not None
    del history
    assert first() is None
    atom.reset(State())
    assert atom._journal is None
    History.follow(atom)


def test_attaching_a_kept_history_goes_on_with_it() -> None:
    history = History(m(n=0))
    history.record(m(n=1))
    history = pickle.loads(pickle.dumps(history))
    atom = Atom(history.state)
    history.attach(atom)
    assert len(history) == 2
    assert history.undo() is atom.value
    other = Atom(m(n=7))
    history.detach()
    history.attach(other)
    assert history.state is other.value and [s.state["n"] for s in history.path()] == [0, 7]


def test_a_copy_of_a_history_that_follows_does_not_follow() -> None:
    atom = Atom(0)
    history = History.follow(atom)
    atom.reset(1)
    twin = copy.copy(history)
    atom.reset(2)
    assert twin.atom is None and twin.state == 1
    twin.undo()
    assert atom.value == 2


def test_a_clock_that_raises_keeps_the_atom_as_it_was() -> None:
    answers = iter([0.0, 1.0, 2.0])
    atom = Atom(0)
    history = History.follow(atom, clock=lambda: next(answers))
    atom.reset(1)
    with pytest.raises(StopIteration):
        atom.reset(2)
    assert atom.value == 1 and states(history) == [0, 1]


@pytest.mark.parametrize("threads, each", [(4, 250)])
def test_steps_come_in_the_order_of_the_changes_and_none_is_left_out(
    threads: int, each: int
) -> None:
    atom = Atom(0)
    history = History.follow(atom)

    def work() -> None:
        for _ in range(each):
            atom.swap(lambda n: n + 1)

    run_together([work] * threads)
    assert [s.state for s in history.path()] == list(range(threads * each + 1))


def test_undo_and_changes_of_other_threads_agree_on_the_value() -> None:
    atom = Atom((0,))
    history = History.follow(atom)

    def change() -> None:
        for n in range(200):
            atom.swap(lambda value, n=n: (*value, n))

    def move() -> None:
        for _ in range(200):
            try:
                history.undo()
                history.redo()
            except HistoryEndError:
                pass

    run_together([change, change, move, move])
    assert history.state is atom.value
    for step in history:
        parent = history.parent(step)
        assert parent is None or step.state[:-1] == parent.state
    assert len(history) == 401
    check_history(history)


def test_errors_of_histories_are_public() -> None:
    assert {"HistoryError", "HistoryEndError", "HistoryBusyError", "MissingStepError"} <= set(
        errors.__all__
    )
