"""A history as one would write it down: a list of steps, everything worked out anew each time."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pstructs import History
from pstructs._timeline import Timeline


@dataclass
class Node:
    state: Any
    label: str
    time: float
    parent: int | None


class HistoryModel:
    """The tree by parents alone; which way redo leads is remembered for each step."""

    def __init__(self, state: Any, now: float, most: int | None, age: float | None) -> None:
        self.nodes = {0: Node(state, "", now, None)}
        self.here, self.made = 0, 1
        self.most, self.age = most, age
        self.redo: dict[int, int] = {}
        self.aside: list[tuple[int, float]] = []  # (step, when it was left)

    # ---- what can be read off
    def children(self, n: int | None) -> list[int]:
        return [c for c, node in self.nodes.items() if node.parent == n]

    def path(self, n: int) -> list[int]:
        parent = self.nodes[n].parent
        return [*([] if parent is None else self.path(parent)), n]

    def future(self) -> list[int]:
        found, n = [], self.here
        while n in self.redo:
            n = self.redo[n]
            found.append(n)
        return found

    def line(self) -> list[int]:
        return self.path(self.here) + self.future()

    # ---- what can be done
    def move(self, n: int, now: float) -> None:
        before = self.line()
        self.here = n
        path = self.path(n)
        self.redo.update(pairwise(path))
        self.settle(before, now)

    def record(self, state: Any, label: str, now: float) -> None:
        if state is self.nodes[self.here].state:
            return
        before = self.line()
        self.nodes[self.made] = Node(state, label, now, self.here)
        self.redo[self.here] = self.here = self.made
        self.made += 1
        self.settle(before, now)
        self.prune(now)

    def settle(self, before: list[int], now: float) -> None:
        after = self.line()
        self.aside = [(n, left) for n, left in self.aside if n not in after]
        self.aside += [(n, now) for n in before if n not in after]

    def prune(self, now: float) -> int:
        size = len(self.nodes)
        while self.most is not None and len(self.nodes) > self.most + 1:
            self.drop(self.aside[0][0] if self.aside else self.line()[0])
        if self.age is not None:
            while self.aside and self.aside[0][1] <= now - self.age:
                self.drop(self.aside[0][0])
            while (line := self.line())[0] != self.here:
                if self.nodes[line[1]].time > now - self.age:
                    break
                self.drop(line[0])
        return size - len(self.nodes)

    def drop(self, n: int) -> None:
        assert n != self.here
        parent = self.nodes.pop(n).parent
        for c in [c for c, node in self.nodes.items() if node.parent == n]:
            self.nodes[c].parent = parent
        following = self.redo.pop(n, None)
        if parent is not None and self.redo[parent] == n:
            del self.redo[parent]
            rest = self.children(parent)
            if following is not None or rest:
                self.redo[parent] = max(rest) if following is None else following
        self.aside = [(a, left) for a, left in self.aside if a != n]


def check_timeline(line: Timeline[Any]) -> None:
    """Every invariant of the tree, one a line."""
    steps = line.steps
    on_line = [*line.back(line.here)][::-1] + [*line.ahead()]
    assert on_line[0] is line.start
    assert list(steps) == sorted(steps)
    assert all(n == step._number < line.count for n, step in steps.items())
    assert all((step._left is None) == (step in on_line) for step in steps.values())
    assert set(line.aside) == {n for n, step in steps.items() if step._left is not None}
    for n, step in steps.items():
        children = line.children_numbers(step)
        assert children == [c for c, child in steps.items() if child._parent == n]
        assert step._parent is None or step._parent < n
        assert step._others is None or (step._others and step._next is not None)
        assert step._others is None or step._next not in step._others
    for left, right in pairwise(on_line):
        assert left._next == right._number and right._parent == left._number


def check_history(history: History[Any]) -> None:
    check_timeline(history._line)
    assert history._guard.garbage == [] and not history._guard.busy
