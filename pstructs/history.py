"""`History`: undo, redo and branches of any immutable state.

A state is kept whole, which costs what changed: persistent collections share the rest. Undo and
redo move along the present line; an edit after undo begins a new branch and leaves the other one
where `goto` finds it. `pstructs._timeline` is the tree of steps, `pstructs._queries` what can be
asked of it; here are recording, groups, moves, and the following of an atom.

The lock is held for steps of the tree only: clocks, predicates, validators and the destructors of
dropped states run outside of it.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

from pstructs._queries import Guard, Queries, StepName
from pstructs._timeline import Step, Timeline
from pstructs.atom import Atom, Journal
from pstructs.errors import HistoryBusyError, HistoryEndError

__all__ = ["History", "Step"]

S = TypeVar("S")


class _Group:
    """An open group: the step that takes its edits, once there is one."""

    __slots__ = ("base", "depth", "displaced", "label", "step")

    def __init__(self, base: Step[Any], label: str) -> None:
        self.base, self.label, self.depth = base, label, 1
        self.step: Step[Any] | None = None
        self.displaced: int | None = None  # where redo led to before


class History(Queries[S]):
    """The states that a value went through, with undo, redo and branches.

    Parameters
    ----------
    state : object
        The first state. States have to be immutable, since a step holds the state itself.
    label : str, optional
        What to call it.
    max_steps : int, optional
        The most steps to keep besides the present one, so the most edits that can be undone.
        None: all.
    max_age : float, optional
        Seconds for which an edit can be undone, and a branch that was left gone back to.
        None: for ever.
    clock : callable, optional
        Tells the time in seconds, for labels and ages.

    Notes
    -----
    A bound drops steps of branches that were left, those that were left first before the
    others, then the beginning of the present line. The present step is always kept, and what
    redo leads to is never dropped. Bounds are looked at when a step is recorded, and by
    `prune`. Undo goes past steps that were dropped in between.

    Memory: a step holds its state, some 250 bytes and what the state does not share with the
    others: about 1.5 kB for one changed key of a map of a million.

    Thread-safe: each operation happens at once. Threads that record into one history share its
    present step. A history can be pickled and copied if its states and its clock can.

    Examples
    --------
    >>> from pstructs import History, m
    >>> history = History(m(text=""))
    >>> step = history.record(history.state.set("text", "Hello"), "type")
    >>> history.undo()
    pmap({'text': ''})
    >>> history.redo()
    pmap({'text': 'Hello'})
    >>> [(step.number, step.label) for step in history.path()]
    [(0, ''), (1, 'type')]
    """

    def __init__(
        self,
        state: S,
        *,
        label: str = "",
        max_steps: int | None = None,
        max_age: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if max_steps is not None and max_steps < 0:
            raise ValueError(f"max_steps is a number of steps or None, got {max_steps!r}")
        if max_age is not None and not max_age >= 0:
            raise ValueError(f"max_age is a number of seconds or None, got {max_age!r}")
        self._max_steps, self._max_age, self._clock = max_steps, max_age, clock
        self._line: Timeline[S] = Timeline(state, label, clock())
        self._start_up()

    def _start_up(self) -> None:
        self._guard = Guard()
        self._group: _Group | None = None
        self._bounded = not (self._max_steps is None and self._max_age is None)
        self._atom: Atom[S] | None = None
        self._journal: Journal | None = None

    @classmethod
    def follow(
        cls,
        atom: Atom[S],
        *,
        label: str = "",
        max_steps: int | None = None,
        max_age: float | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Self:
        """Return a history of an atom: each change of it is a step from now on.

        Undo, redo and `goto` reset the atom, with its validator and its watches. See `attach`.

        Parameters
        ----------
        atom : Atom
        label, max_steps, max_age, clock
            As for `History`.

        Returns
        -------
        History

        Examples
        --------
        >>> from pstructs import Atom, History
        >>> counter = Atom(1)
        >>> history = History.follow(counter)
        >>> counter.swap(lambda n: n + 1)
        2
        >>> history.undo()
        1
        >>> counter.value
        1
        """
        history = cls(atom.deref(), label=label, max_steps=max_steps, max_age=max_age, clock=clock)
        history.attach(atom)
        return history

    # ---- recording
    def record(self, state: S, label: str = "") -> Step[S]:
        """Make a step of a state, after the present one.

        Parameters
        ----------
        state : object
            The new state. The very object that is the present state makes no step.
        label : str, optional
            What to call the step.

        Returns
        -------
        Step
            The new step, or the present one when the state is its own. Within a `group` all
            edits share one step, whose state is that of the last.

        Raises
        ------
        HistoryBusyError
            When the history follows an atom: change the atom instead.

        Notes
        -----
        Cost: O(1), amortised: what redo led to is put aside, and what is beyond the bounds is
        dropped.

        Examples
        --------
        >>> from pstructs import History
        >>> history = History("a")
        >>> history.record("b", "second"), history.record("c").number
        (<step 1 'second'>, 2)
        """
        now = self._clock()
        guard = self._guard
        garbage = None  # freed when the lock is
        with guard.lock:
            if guard.busy:
                guard.refuse()
            guard.busy = True
            try:
                if self._atom is not None:
                    raise HistoryBusyError(
                        "this history follows an atom: change the atom (atom.swap, atom.reset), "
                        "and name the step by history.group(label); or detach() first"
                    )
                step = self._note(state, label, now)
                if guard.garbage:
                    garbage, guard.garbage = guard.garbage, []
            finally:
                guard.busy = False
        del garbage
        return step

    def _note(self, state: S, label: str, now: float) -> Step[S]:
        """Record, within the guard."""
        line, group = self._line, self._group
        here = line.here
        if state is here._state:
            return here
        if group is None:
            step = line.record(state, label, now)
            if self._bounded:
                self._prune(now)
            return step
        if group.step is None:
            group.displaced = here._next
            group.step = line.record(state, group.label or label, now)
        else:
            self._guard.garbage.append(here._state)
            here._state, here._time = state, now
            here._label = here._label or label
        return group.step

    @contextmanager
    def group(self, label: str = "", *, rollback: bool = False) -> Iterator[None]:
        """Make one step of all edits within a `with` block.

        Parameters
        ----------
        label : str, optional
            What to call the step; else it gets the first label that an edit within gives.
        rollback : bool
            What becomes of the edits when the block raises. False: they stay, as one step, and
            one undo takes them back. True: the state is at once what it was before the block,
            and there is no step. The exception goes on in both cases.

        Notes
        -----
        A group within a group joins it. Edits of other threads during the block are part of
        the group, and of a rollback. Undo, redo, `goto` and `prune` raise within a group.
        Edits that lead back to the very state of the beginning make no step.

        Examples
        --------
        >>> from pstructs import History
        >>> history = History(0)
        >>> with history.group("count to three"):
        ...     for number in 1, 2, 3:
        ...         _ = history.record(number)
        >>> len(history), history.current.label, history.undo()
        (2, 'count to three', 0)
        """
        now = self._clock()
        with self._guard:
            self._catch_up()
            group = self._group
            if group is None:
                group = self._group = _Group(self._line.here, label)
            else:
                group.depth += 1
                group.label = group.label or label
            before = self._line.here._state
        try:
            yield
        except BaseException:
            if rollback:
                self._set(before)
            raise
        finally:
            try:
                now = self._clock()
            finally:  # a clock that raises leaves no group open
                with self._guard:
                    self._catch_up()
                    group.depth -= 1
                    if not group.depth:
                        self._group = None
                        self._close(group, now)

    def _close(self, group: _Group, now: float) -> None:
        step = group.step
        if step is not None and step._state is group.base._state:
            self._guard.garbage.append(self._line.retract(group.displaced, now))
        elif step is not None:
            step._label = group.label or step._label
            self._prune(now)

    def _set(self, state: S) -> None:
        atom = self._atom
        if atom is not None:
            atom.reset(state)
        else:
            now = self._clock()
            with self._guard:
                self._note(state, "", now)

    # ---- moving
    def undo(self) -> S:
        """Go back to the state before the present one.

        Returns
        -------
        object
            The state that is the present one now.

        Raises
        ------
        HistoryEndError
            When there is none before; `can_undo` tells.
        HistoryBusyError
            Within a group.

        Notes
        -----
        Cost: O(1). With an atom: it is reset, so its validator may refuse, and watches may raise
        a `WatchError` after the move.

        Examples
        --------
        >>> from pstructs import History
        >>> history = History("a")
        >>> history.undo()
        Traceback (most recent call last):
        ...
        pstructs.errors.HistoryEndError: nothing to undo: step 0 is the first that is kept; ...
        """
        guard = self._guard
        with guard.lock:
            if guard.busy:
                guard.refuse()
            guard.busy = True
            try:
                if self._atom is None:
                    target = self._line.here = self._before()
                    return target._state
            finally:
                guard.busy = False
        return self._move(self._before)

    def redo(self) -> S:
        """Go on to the state that the last undo left, or to which the branch led.

        Returns
        -------
        object
            The state that is the present one now.

        Raises
        ------
        HistoryEndError
            When there is none; `can_redo` tells.
        HistoryBusyError
            Within a group.

        Notes
        -----
        Cost: O(1); with an atom as `undo`. After `goto` another branch, redo leads along that
        one.
        """
        guard = self._guard
        with guard.lock:
            if guard.busy:
                guard.refuse()
            guard.busy = True
            try:
                if self._atom is None:
                    target = self._line.here = self._after()
                    return target._state
            finally:
                guard.busy = False
        return self._move(self._after)

    def goto(self, step: StepName) -> S:
        """Go to any step that is kept, of any branch.

        Parameters
        ----------
        step : Step, int or str
            The step, its number, or its label: the newest step of that label.

        Returns
        -------
        object
            The state that is the present one now.

        Raises
        ------
        MissingStepError
            When no such step is kept.
        HistoryBusyError
            Within a group.

        Notes
        -----
        Cost: O(1) along the present line, by step or number. To another branch: O(steps that
        join or leave the line). By label: O(steps).

        Examples
        --------
        >>> from pstructs import History
        >>> history = History("a")
        >>> tip = history.record("b", "first try")
        >>> _ = history.undo()
        >>> _ = history.record("c", "second try")
        >>> history.goto("first try")
        'b'
        >>> history.goto(2)
        'c'
        """
        return self._move(lambda: self._find(step))

    def _before(self) -> Step[S]:
        line = self._line
        parent = line.here._parent
        if parent is None:
            raise HistoryEndError(
                f"nothing to undo: step {line.here._number} is the first that is kept; "
                "ask can_undo before"
            )
        if self._group is not None:
            self._refuse_in_group()
        return line.steps[parent]

    def _after(self) -> Step[S]:
        line = self._line
        following = line.here._next
        if following is None:
            raise HistoryEndError(
                f"nothing to redo: step {line.here._number} is the last of its branch; ask "
                "can_redo before, and branches() for the ends of others"
            )
        if self._group is not None:
            self._refuse_in_group()
        return line.steps[following]

    def _refuse_in_group(self) -> None:
        if self._group is not None:
            raise HistoryBusyError(
                "a group is open, and its edits are one step: leave the `with` block first"
            )

    def _move(self, choose: Callable[[], Step[S]]) -> S:
        """Go to the step that `choose` tells, and take the atom along."""
        while True:
            now = self._clock()
            with self._guard:
                self._catch_up()
                self._refuse_in_group()
                here, target = self._line.here, choose()
                atom, journal = self._atom, self._journal
                if atom is None or journal is None:
                    self._line.go(target, now)
                    return target._state
            validator = atom.validator
            if validator is not None:
                atom._admit(validator, target._state)
            with self._guard:
                # Changes that came in between are steps of their own, and are moved from.
                if (
                    self._line.here is here
                    and self._line.steps.get(target._number) is target
                    and self._group is None
                    and atom._exchange(here._state, target._state, journal, validator)
                ):
                    self._line.go(target, now)
                    break
        atom._notify(here._state, target._state)
        return target._state

    # ---- keeping
    def relabel(self, step: StepName, label: str) -> None:
        """Call a step something else.

        Parameters
        ----------
        step : Step, int or str
        label : str
        """
        with self._guard:
            self._catch_up()
            self._find(step)._label = label

    def prune(self) -> int:
        """Drop what is beyond the bounds by now; the number of steps that were.

        Recording does this by itself. O(dropped steps).
        """
        now = self._clock()
        with self._guard:
            self._catch_up()
            self._refuse_in_group()
            return self._prune(now)

    def _prune(self, now: float) -> int:
        if self._group is not None or not self._bounded:
            return 0
        cutoff = None if self._max_age is None else now - self._max_age
        dropped = self._line.prune(self._max_steps, cutoff)
        self._guard.garbage += dropped
        return len(dropped)

    # ---- atoms
    def attach(self, atom: Atom[S]) -> None:
        """Follow an atom: each change of it is a step, and moves of the history reset it.

        Parameters
        ----------
        atom : Atom
            Its value is recorded if it is not the present state.

        Raises
        ------
        HistoryBusyError
            When this history follows an atom already, when another one follows this atom, or
            within a group.

        Notes
        -----
        Steps come in the order of the changes, whatever threads make them, and none is left
        out. A change to the very object that was there makes no step.

        The history holds the atom; the atom does not hold the history.
        """
        now = self._clock()
        journal = Journal(self)
        with self._guard:
            self._refuse_in_group()
            if self._atom is not None:
                raise HistoryBusyError("this history follows an atom already; detach() first")
            value = atom._follow(journal)
            self._atom, self._journal = atom, journal
            self._note(value, "", now)

    def detach(self) -> None:
        """Stop following; the steps stay. Nothing happens when no atom is followed.

        Raises
        ------
        HistoryBusyError
            Within a group.
        """
        with self._guard:
            self._refuse_in_group()
            atom, journal = self._atom, self._journal
            if atom is not None and journal is not None:
                atom._release(journal)
                self._catch_up()
            self._atom = self._journal = None

    @property
    def atom(self) -> Atom[S] | None:
        """The atom that is followed, or None."""
        return self._atom

    def _catch_up(self) -> None:
        """Record the changes of the atom that are not steps yet; within the guard."""
        journal = self._journal
        if journal is not None:
            trail: deque[tuple[S, float]] = journal.trail
            while trail:
                self._note(trail[0][0], "", trail[0][1])
                self._guard.garbage.append(trail.popleft())

    def _take_note(self) -> None:
        """Catch up after a change; in the middle of an operation, leave it to the next one."""
        guard = self._guard
        with guard.lock:
            if not guard.busy:
                with guard:
                    self._catch_up()

    # ---- the rest
    def __repr__(self) -> str:
        with self._guard:
            self._catch_up()
            return f"<history of {len(self._line.steps)} steps, at {self._line.here!r}>"

    def __getstate__(self) -> dict[str, Any]:
        with self._guard:
            self._catch_up()
            self._refuse_in_group()
            return {
                "line": self._line.dump(),
                "max_steps": self._max_steps,
                "max_age": self._max_age,
                "clock": self._clock,
            }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._max_steps, self._max_age = state["max_steps"], state["max_age"]
        self._clock = state["clock"]
        self._line = Timeline.load(state["line"])
        self._start_up()
