"""What can be asked of a history: its steps, paths and branches, differences, bisection.

Each question takes the lock for as long as it reads the tree, and answers with steps and lists of
its own; predicates run after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from threading import RLock
from typing import Any, Generic, NoReturn, TypeAlias, TypeVar

from pstructs._timeline import Step, Timeline
from pstructs.diffs import Diff, diff
from pstructs.errors import HistoryBusyError, MissingStepError

__all__ = ["Guard", "Queries", "StepName"]

S = TypeVar("S")

#: How a step can be given: itself, its number, or its label.
StepName: TypeAlias = "Step[Any] | int | str"


class Guard:
    """The lock of a history, and what has to be let go of after it is released.

    A signal handler or a finalizer may call the history from within the thread that holds the
    lock, in the middle of a change: it gets an error instead of a tree that is half linked.

    As a context manager it costs 0.4 us, most of it for two calls of Python functions; `record`,
    `undo` and `redo` do the same by hand in 0.1 us.
    """

    __slots__ = ("busy", "garbage", "lock")

    def __init__(self) -> None:
        self.lock = RLock()
        self.busy = False
        self.garbage: list[Any] = []

    def __enter__(self) -> None:
        self.lock.acquire()
        if self.busy:
            self.lock.release()
            self.refuse()
        self.busy = True

    def refuse(self) -> NoReturn:
        """Tell the one who came in from within."""
        raise HistoryBusyError(
            "a signal handler or finalizer called a history in the middle of its own "
            "operation; let it leave a note, and call the history later"
        )

    def __exit__(self, *exc: object) -> None:
        garbage = self.garbage
        if garbage:
            self.garbage = []
        self.busy = False
        self.lock.release()


class Queries(Generic[S]):
    """The part of a history that only looks."""

    _guard: Guard
    _line: Timeline[S]

    def _catch_up(self) -> None:
        """Take in what is not a step yet."""
        raise NotImplementedError

    # ---- steps
    @property
    def state(self) -> S:
        """The present state."""
        return self.current._state

    @property
    def current(self) -> Step[S]:
        """The present step."""
        with self._guard:
            self._catch_up()
            return self._line.here

    @property
    def can_undo(self) -> bool:
        """Whether there is a step before the present one."""
        return self.current._parent is not None

    @property
    def can_redo(self) -> bool:
        """Whether there is a step after the present one."""
        return self.current._next is not None

    def path(self, step: StepName | None = None) -> list[Step[S]]:
        """The steps that lead to one, oldest first.

        Parameters
        ----------
        step : Step, int or str, optional
            Where they lead; the present step by default.

        Returns
        -------
        list of Step
            The step itself is the last one.

        Notes
        -----
        Cost: O(steps of the path).
        """
        with self._guard:
            self._catch_up()
            found = [*self._line.back(self._find(step))]
        found.reverse()
        return found

    def future(self) -> list[Step[S]]:
        """The steps that redo leads to, nearest first. O(their number)."""
        with self._guard:
            self._catch_up()
            return [*self._line.ahead()]

    def branches(self) -> list[Step[S]]:
        """The last step of every branch, in the order of their making.

        `path` of each gives the branch. O(steps).

        Examples
        --------
        >>> from pstructs import History
        >>> history = History("a")
        >>> _ = history.record("b"), history.undo(), history.record("c")
        >>> [[step.state for step in history.path(end)] for end in history.branches()]
        [['a', 'b'], ['a', 'c']]
        """
        return [step for step in self.steps() if step._next is None]

    def steps(self) -> list[Step[S]]:
        """All steps that are kept, of all branches, in the order of their making. O(steps)."""
        with self._guard:
            self._catch_up()
            return [*self._line.steps.values()]

    def __iter__(self) -> Iterator[Step[S]]:
        """All steps, as `steps` gives them; those that are recorded meanwhile not."""
        return iter(self.steps())

    def __len__(self) -> int:
        """The number of steps that are kept."""
        with self._guard:
            self._catch_up()
            return len(self._line.steps)

    def __reversed__(self) -> Iterator[Step[S]]:
        return reversed(self.steps())

    def __contains__(self, step: object) -> bool:
        """Whether a step, or a number, is kept. O(1)."""
        with self._guard:
            self._catch_up()
            if isinstance(step, Step):
                return self._line.steps.get(step._number) is step
            return isinstance(step, int) and step in self._line.steps

    def __getitem__(self, step: StepName) -> Step[S]:
        """The step of a number or label; `MissingStepError` when it is not kept."""
        with self._guard:
            self._catch_up()
            return self._find(step)

    def parent(self, step: StepName) -> Step[S] | None:
        """The step before one; None for a first one. O(1)."""
        with self._guard:
            self._catch_up()
            parent = self._find(step)._parent
            return None if parent is None else self._line.steps[parent]

    def children(self, step: StepName) -> list[Step[S]]:
        """The steps after one, in the order of their making. O(their number)."""
        with self._guard:
            self._catch_up()
            line = self._line
            return [line.steps[n] for n in line.children_numbers(self._find(step))]

    def _find(self, name: StepName | None) -> Step[S]:
        steps = self._line.steps
        if name is None:
            return self._line.here
        if isinstance(name, str):
            for step in reversed(steps.values()):
                if step._label == name:
                    return step
            raise MissingStepError(f"no step that is kept has the label {name!r}; see steps()")
        number = name._number if isinstance(name, Step) else name
        found = steps.get(number)
        if found is None:
            raise MissingStepError(
                f"step {number!r} is not kept: it was dropped, or never made; see steps()"
            )
        if isinstance(name, Step) and found is not name:
            raise MissingStepError(f"{name!r} belongs to another history; give its number instead")
        return found

    # ---- comparing and searching
    def diff(self, a: StepName, b: StepName | None = None) -> Diff[Any, Any]:
        """Tell what leads from the state of one step to that of another.

        Parameters
        ----------
        a : Step, int or str
        b : Step, int or str, optional
            The present step by default.

        Returns
        -------
        Diff

        Raises
        ------
        MissingStepError
        TypeError
            When `pstructs.diff` does not compare states of this type.

        Notes
        -----
        Cost: that of `pstructs.diff`, O(k log n) for k changes in n entries, however many steps
        lie in between.

        Examples
        --------
        >>> from pstructs import History, m
        >>> history = History(m(a=1))
        >>> _ = history.record(m(a=2))
        >>> history.diff(0).changed
        pmap({'a': (1, 2)})
        """
        with self._guard:
            self._catch_up()
            before, after = self._find(a)._state, self._find(b)._state
        found: Diff[Any, Any] = diff(before, after)  # type: ignore[call-overload]
        return found

    def bisect(
        self,
        predicate: Callable[[S], object],
        *,
        after: StepName | None = None,
        until: StepName | None = None,
    ) -> Step[S] | None:
        """Find the first step of a path from which on a predicate holds.

        Parameters
        ----------
        predicate : callable
            Called with a state; returns something true where it holds.
        after : Step, int or str, optional
            Look only at steps after this one, for which the predicate is taken not to hold; it
            has to lie on the path. By default at all steps of the path.
        until : Step, int or str, optional
            The last step of the path; the present one by default.

        Returns
        -------
        Step or None
            None when the predicate does not hold for the last step.

        Raises
        ------
        MissingStepError
            When a step is not kept, or `after` is not on the path.
        Exception
            What the predicate raises, with a note of the step.

        Notes
        -----
        Cost: O(log steps) calls, and O(steps) to list the path.

        A predicate that goes on and off finds one of the places where it begins to hold: it
        holds for the step that is returned, and not for the one before it on the path, if that
        was looked at. `next(step for step in history.path() if predicate(step.state))` calls it
        for each step and finds the first.

        Examples
        --------
        >>> from pstructs import History, m
        >>> history = History(m(total=0))
        >>> for total in 3, 8, 12, 20:
        ...     _ = history.record(m(total=total))
        >>> history.bisect(lambda state: state["total"] > 10).number
        3
        """
        path = self.path(until)
        low = 0
        if after is not None:
            first = self[after]
            if first not in path:
                raise MissingStepError(
                    f"{first!r} is not on the path to {path[-1]!r}; give until= a step after it"
                )
            low = path.index(first) + 1
        high = len(path) - 1
        if high < low or not _holds(predicate, path[high]):
            return None
        while low < high:
            middle = (low + high) // 2
            if _holds(predicate, path[middle]):
                high = middle
            else:
                low = middle + 1
        return path[high]

    def as_of(self, when: float) -> Step[S] | None:
        """Find what was the newest step of the present path at a time.

        Parameters
        ----------
        when : float
            Seconds, by the clock of the history.

        Returns
        -------
        Step or None
            None when the first step that is kept is newer.

        Notes
        -----
        Cost: O(steps since).
        """
        with self._guard:
            self._catch_up()
            return next((s for s in self._line.back(self._line.here) if s._time <= when), None)


def _holds(predicate: Callable[[S], object], step: Step[S]) -> bool:
    try:
        return bool(predicate(step._state))
    except Exception as error:
        error.add_note(f"raised by the predicate of History.bisect for {step!r}")
        raise
