"""Hypothesis drives a history against a list of steps with parents; so for one of an atom.

After each step the invariants of the tree are checked, and all that can be asked is asked.
"""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pstructs import Atom, History, PMap, diff, pmap
from pstructs.errors import HistoryBusyError, HistoryEndError, MissingStepError
from support.history_model import HistoryModel, check_history

LABELS = st.sampled_from(["", "", "a", "b"])
BOUNDS = st.one_of(st.none(), st.integers(0, 12))


class Clock:
    """A clock that goes when it is told to; it pickles."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class BlockError(Exception):
    pass


class HistoryMachine(RuleBasedStateMachine):
    history: History[PMap[str, int]]
    model: HistoryModel

    @initialize(most=BOUNDS, age=st.one_of(st.none(), st.integers(0, 20)))
    def begin(self, most: int | None, age: float | None) -> None:
        self.clock = Clock()
        self.serial = 0
        state = pmap({"n": 0})
        self.model = HistoryModel(state, self.clock.now, most, age)
        self.make(state, {"max_steps": most, "max_age": age, "clock": self.clock})

    def make(self, state: Any, options: dict[str, Any]) -> None:
        self.history = History(state, **options)

    def new_state(self) -> Any:
        self.serial += 1
        return self.history.state.set("n", self.serial).set(f"k{self.serial % 7}", self.serial)

    def edit(self, state: Any, label: str = "") -> None:
        self.history.record(state, label)

    def check_moved(self, state: Any) -> None:
        assert state is self.history.state

    # ---- rules
    @rule(label=LABELS)
    def record(self, label: str) -> None:
        state = self.new_state()
        self.edit(state, label)
        self.model.record(state, label, self.clock.now)

    @rule(label=LABELS)
    def record_what_is_there(self, label: str) -> None:
        self.edit(self.history.state, label)

    @rule(seconds=st.integers(0, 8))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def undo(self) -> None:
        parent = self.model.nodes[self.model.here].parent
        assert self.history.can_undo == (parent is not None)
        if parent is None:
            with pytest.raises(HistoryEndError, match="nothing to undo"):
                self.history.undo()
        else:
            self.check_moved(self.history.undo())
            self.model.move(parent, self.clock.now)

    @rule()
    def redo(self) -> None:
        future = self.model.future()
        assert self.history.can_redo == bool(future)
        if not future:
            with pytest.raises(HistoryEndError, match="nothing to redo"):
                self.history.redo()
        else:
            self.check_moved(self.history.redo())
            self.model.move(future[0], self.clock.now)

    @rule(data=st.data(), by_number=st.booleans())
    def goto(self, data: st.DataObject, by_number: bool) -> None:
        n = data.draw(st.sampled_from(list(self.model.nodes)))
        self.check_moved(self.history.goto(n if by_number else self.history[n]))
        self.model.move(n, self.clock.now)

    @rule(label=st.sampled_from(["a", "b"]))
    def goto_a_label(self, label: str) -> None:
        bearers = [n for n, node in self.model.nodes.items() if node.label == label]
        if bearers:
            self.history.goto(label)
            self.model.move(bearers[-1], self.clock.now)
        else:
            with pytest.raises(MissingStepError):
                self.history.goto(label)

    @rule(n=st.integers(-2, 80))
    def goto_what_is_not_there(self, n: int) -> None:
        if n not in self.model.nodes:
            with pytest.raises(MissingStepError):
                self.history.goto(n)

    @rule(
        label=LABELS,
        edits=st.integers(0, 3),
        back=st.booleans(),
        inner=st.booleans(),
        fails=st.booleans(),
        rollback=st.booleans(),
    )
    def group(
        self, label: str, edits: int, back: bool, inner: bool, fails: bool, rollback: bool
    ) -> None:
        before = last = self.history.state
        try:
            with self.history.group(label, rollback=rollback):
                for _ in range(edits):
                    last = self.new_state()
                    self.edit(last)
                if inner:
                    last = self.new_state()
                    with self.history.group("inner"):
                        self.edit(last)
                        with pytest.raises(HistoryBusyError):
                            self.history.undo()
                if back:
                    last = before
                    self.edit(last)
                if fails:
                    raise BlockError
        except BlockError:
            assert fails
        if not (fails and rollback):
            self.model.record(last, label or ("inner" if inner else ""), self.clock.now)
        else:
            assert self.history.state is before
        # The group took one number, even if nothing came of it.
        self.model.made = self.history._line.count

    @rule()
    def prune(self) -> None:
        assert self.history.prune() == self.model.prune(self.clock.now)

    @rule(data=st.data(), label=LABELS)
    def relabel(self, data: st.DataObject, label: str) -> None:
        n = data.draw(st.sampled_from(list(self.model.nodes)))
        self.history.relabel(n, label)
        self.model.nodes[n].label = label

    @rule(data=st.data())
    def diff_any_two(self, data: st.DataObject) -> None:
        a, b = (data.draw(st.sampled_from(list(self.model.nodes))) for _ in range(2))
        nodes = self.model.nodes
        assert self.history.diff(a, b) == diff(nodes[a].state, nodes[b].state)

    @rule(data=st.data(), limit=st.integers(0, 80))
    def bisect(self, data: st.DataObject, limit: int) -> None:
        end = data.draw(st.sampled_from(list(self.model.nodes)))
        path = self.model.path(end)
        after = data.draw(st.sampled_from([None, *path]))
        searched = path if after is None else path[path.index(after) + 1 :]

        def large(state: Any) -> bool:
            return bool(state["n"] >= limit)

        expected = next((n for n in searched if large(self.model.nodes[n].state)), None)
        found = self.history.bisect(large, after=after, until=end)
        assert (None if found is None else found.number) == expected

    @rule(ago=st.integers(0, 40))
    def as_of(self, ago: int) -> None:
        when = self.clock.now - ago
        path = self.model.path(self.model.here)
        expected = [n for n in path if self.model.nodes[n].time <= when][-1:]
        found = self.history.as_of(when)
        assert ([] if found is None else [found.number]) == expected

    @rule()
    def a_copy_and_a_pickle_are_the_same_and_apart(self) -> None:
        for twin in (copy.copy(self.history), pickle.loads(pickle.dumps(self.history))):
            check_history(twin)
            assert [(s.number, s.state, s.label, s.time) for s in twin] == [
                (s.number, s.state, s.label, s.time) for s in self.history
            ]
            twin.record(pmap())
            twin.goto(twin.path()[0])

    # ---- checks
    @invariant()
    def is_the_model(self) -> None:
        check_history(self.history)
        nodes = self.model.nodes
        assert len(self.history) == len(nodes)
        assert self.history.current.number == self.model.here
        assert self.history.state is nodes[self.model.here].state
        assert [s.number for s in self.history] == list(nodes)
        for step, node in zip(self.history.steps(), nodes.values(), strict=True):
            assert step.state is node.state
            assert (step.label, step.time) == (node.label, node.time)
        assert [s.number for s in self.history.path()] == self.model.path(self.model.here)
        assert [s.number for s in self.history.future()] == self.model.future()
        assert [s.number for s in self.history.branches()] == [
            n for n in nodes if not self.model.children(n)
        ]
        for n in nodes:
            assert [s.number for s in self.history.children(n)] == self.model.children(n)
        assert list(self.history._line.aside) == [n for n, _ in self.model.aside]

    @invariant()
    def states_are_what_they_were(self) -> None:
        for step in self.history:
            assert step.state["n"] <= self.serial


class AtomMachine(HistoryMachine):
    """The same with a history that follows an atom: edits are resets, moves reset it."""

    def make(self, state: Any, options: dict[str, Any]) -> None:
        self.atom = Atom(state)
        self.history = History.follow(self.atom, **options)
        self.seen: list[Any] = [state]
        self.atom.add_watch("seen", lambda key, atom, old, new: self.seen.append(new))

    def edit(self, state: Any, label: str = "") -> None:
        with self.history.group(label):
            self.atom.reset(state)

    def check_moved(self, state: Any) -> None:
        assert state is self.history.state is self.seen[-1]

    @invariant()
    def the_atom_has_the_present_state(self) -> None:
        assert self.atom.value is self.history.state is self.seen[-1]
        assert self.history._journal is not None and not self.history._journal.trail


SETTINGS = settings(
    max_examples=2 * settings().max_examples, stateful_step_count=75, deadline=None
)
TestHistory = HistoryMachine.TestCase
TestHistory.settings = SETTINGS
TestAtom = AtomMachine.TestCase
TestAtom.settings = SETTINGS
