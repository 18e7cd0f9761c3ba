"""The tree of steps behind a `History`: who follows whom, what is kept, and what goes first.

    start                 the line: what undo and redo walk
      |
      0 --- 1 --- 2 === 3 === 4       === after the present step 2: redo
             \\
              5 --- 6                  aside: left when the line went another way

Every step but a first one has a parent, and each remembers the child that redo leads to. The
*line* is the way from its start to the present step and on along redo; all other steps are
*aside*. Steps are numbered in the order of their making, so a parent's number is below those of
its children.

Steps name each other by number, and only the timeline holds them. So there are no reference
cycles: a step that is dropped gives its state free at once, and a timeline of any length is
freed, copied and pickled without recursion.

A state is whole, not a change to the one before. So any step but the present one can be dropped:
its children become its parent's, and undo goes past it. Steps aside go first, those that were
left first before the others; then the line loses its start. Moving along the line is O(1);
leaving it for another branch is linear in the steps that change sides.

Nothing here locks or runs user code: `History` does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

__all__ = ["Step", "Timeline"]

S = TypeVar("S")


class Step(Generic[S]):
    """One state of a history, and what is known of it.

    Steps are made by a `History`, and are read-only. Two steps are equal only if they are one.

    Attributes
    ----------
    number : int
        Its place in the order of making, from 0; never used again.
    state : object
        The whole state.
    label : str
        What the user called it; empty when nothing was said.
    time : float
        When it was recorded: seconds, by the clock of the history (since 1970 by default).
    """

    __slots__ = (
        "__weakref__",
        "_label",
        "_left",
        "_next",
        "_number",
        "_others",
        "_parent",
        "_state",
        "_time",
    )

    def __init__(
        self, number: int, state: S, label: str, time: float, parent: int | None = None
    ) -> None:
        self._number, self._state, self._label, self._time = number, state, label, time
        self._parent = parent
        self._next: int | None = None  # the child that redo leads to
        self._others: set[int] | None = None  # the other children
        self._left: float | None = None  # when it was put aside; None on the line

    @property
    def number(self) -> int:
        """Its place in the order of making."""
        return self._number

    @property
    def state(self) -> S:
        """The whole state."""
        return self._state

    @property
    def label(self) -> str:
        """What the user called it."""
        return self._label

    @property
    def time(self) -> float:
        """When it was recorded, in seconds."""
        return self._time

    @property
    def when(self) -> datetime:
        """`time` as a datetime in UTC, for clocks that count from 1970."""
        return datetime.fromtimestamp(self._time, UTC)

    def __repr__(self) -> str:
        called = f" {self._label!r}" if self._label else ""
        return f"<step {self._number}{called}>"


class Timeline(Generic[S]):
    """The steps of one history; see the module's text."""

    __slots__ = ("aside", "count", "here", "start", "steps")

    def __init__(self, state: S, label: str, now: float) -> None:
        self.start = self.here = Step(0, state, label, now)
        self.steps: dict[int, Step[S]] = {0: self.start}
        self.aside: OrderedDict[int, None] = OrderedDict()  # in the order of leaving the line
        self.count = 1

    # ---- growing and moving
    def record(self, state: S, label: str, now: float) -> Step[S]:
        """Put a new step after the present one and go there. O(1) after another record."""
        here = self.here
        step = Step(self.count, state, label, now, here._number)
        if here._next is not None:
            self._put_aside(here._next, now)
            if here._others is None:
                here._others = set()
            here._others.add(here._next)
        here._next = step._number
        self.steps[step._number] = step
        self.count += 1
        self.here = step
        return step

    def go(self, target: Step[S], now: float) -> None:
        """Make `target` the present step; when it is aside, its branch becomes the line."""
        if target._left is not None:
            if target._next is not None:
                self._bring_back(target._next)
            node = target
            while True:
                node._left = None
                del self.aside[node._number]
                if node._parent is None:
                    self._put_aside(self.start._number, now)
                    self.start = node
                    break
                parent = self.steps[node._parent]
                if parent._next != node._number:
                    self._turn(parent, node._number, now)
                if parent._left is None:
                    break
                node = parent
        self.here = target

    def _turn(self, parent: Step[S], number: int, now: float) -> None:
        """Let redo lead from `parent` to another one of its children."""
        assert parent._others is not None
        parent._others.remove(number)
        if parent._next is not None:
            if parent._left is None:
                self._put_aside(parent._next, now)
            parent._others.add(parent._next)
        parent._others = parent._others or None
        parent._next = number

    def _put_aside(self, number: int | None, now: float) -> None:
        while number is not None:
            step = self.steps[number]
            step._left = now
            self.aside[number] = None
            number = step._next

    def _bring_back(self, number: int | None) -> None:
        while number is not None:
            step = self.steps[number]
            step._left = None
            del self.aside[number]
            number = step._next

    # ---- dropping
    def drop(self, step: Step[S]) -> None:
        """Forget a step that is aside, or the start of a line that goes on."""
        number, parent = step._number, step._parent
        if step is self.start:
            assert step._next is not None
            self.start = self.steps[step._next]
            if step._others is None:  # the common case: undo is bounded, and nothing branches
                self.start._parent = None
                del self.steps[number]
                return
        children = set(self.children_numbers(step))
        for child in children:
            self.steps[child]._parent = parent
        if parent is not None:
            above = self.steps[parent]
            others = children if above._others is None else above._others | children
            others.discard(number)
            if above._next == number:
                # A branch that lost its end goes on to its newest child, if there is one.
                above._next = step._next
                if above._next is None and others:
                    above._next = max(others)
            if above._next is not None:
                others.discard(above._next)
            above._others = others or None
        self.aside.pop(number, None)
        del self.steps[number]

    def retract(self, displaced: int | None, now: float) -> Step[S]:
        """Take the present step back as if it had not been recorded; return it.

        It has no children. `displaced` is the number of the step that redo led to before.
        """
        step = self.here
        assert step._parent is not None
        parent = self.steps[step._parent]
        parent._next = None
        del self.steps[step._number]
        if displaced is not None:
            self.go(self.steps[displaced], now)
        self.here = parent
        return step

    def prune(self, most: int | None, cutoff: float | None) -> list[Step[S]]:
        """Drop what is beyond the bounds; the dropped steps, for the caller to let go of.

        `most` is the number of steps to keep besides the present one, `cutoff` the time
        before which steps were left. O(dropped steps).
        """
        dropped: list[Step[S]] = []
        while most is not None and len(self.steps) > most + 1:
            if self.aside:
                step = self.steps[next(iter(self.aside))]
            elif self.start is not self.here:
                step = self.start
            else:  # what is left lies before redo
                break
            self.drop(step)
            dropped.append(step)
        if cutoff is None:
            return dropped
        while self.aside:
            step = self.steps[next(iter(self.aside))]
            if step._left is None or step._left > cutoff:
                break
            self.drop(step)
            dropped.append(step)
        while self.start is not self.here:
            step = self.start
            # A step is left when the next one is recorded: until then it can't be old.
            assert step._next is not None
            if self.steps[step._next]._time > cutoff:
                break
            self.drop(step)
            dropped.append(step)
        return dropped

    # ---- looking around
    def children_numbers(self, step: Step[S]) -> list[int]:
        """Numbers of the children, in the order of their making."""
        others = step._others or ()
        return sorted(others if step._next is None else (*others, step._next))

    def back(self, step: Step[S] | None) -> Iterator[Step[S]]:
        """The step and all before it, newest first."""
        while step is not None:
            yield step
            step = None if step._parent is None else self.steps[step._parent]

    def ahead(self) -> Iterator[Step[S]]:
        """What redo leads to, nearest first."""
        number = self.here._next
        while number is not None:
            step = self.steps[number]
            yield step
            number = step._next

    # ---- pickling
    def dump(self) -> tuple[Any, ...]:
        """All of it, as plain tuples."""
        rows = [
            (s._number, s._state, s._label, s._time, s._parent, s._next, s._others, s._left)
            for s in self.steps.values()
        ]
        return (rows, tuple(self.aside), self.start._number, self.here._number, self.count)

    @classmethod
    def load(cls, dumped: tuple[Any, ...]) -> Timeline[S]:
        """What `dump` gave, as new steps."""
        rows, aside, start, here, count = dumped
        self = cls.__new__(cls)
        self.steps = {}
        for number, state, label, time, parent, following, others, left in rows:
            step: Step[S] = Step(number, state, label, time, parent)
            step._next, step._left = following, left
            step._others = None if others is None else set(others)
            self.steps[number] = step
        self.aside = OrderedDict.fromkeys(aside)
        self.start, self.here, self.count = self.steps[start], self.steps[here], count
        return self
