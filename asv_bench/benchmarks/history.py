"""Histories and atoms: a kept step, undo, redo, swap, derived values."""

from __future__ import annotations

import copy
import itertools
from typing import Any

from .rivals import words


class Step:
    """One changed key of a map, and the version before is kept."""

    params = (("pstructs", "pyrsistent", "dict.copy", "deepcopy"), (1000, 100_000))
    param_names = ("rival", "entries")
    timeout = 300

    def setup(self, rival: str, entries: int) -> None:
        self.keys = itertools.cycle(words(entries))
        self.fresh = itertools.count(10**9)
        source = {key: number for number, key in enumerate(words(entries))}
        # Bounded alike: a benchmark that keeps all it ever made would measure the swap disk.
        if rival == "pstructs":
            from pstructs import History, pmap

            self.history: Any = History(pmap(source), max_steps=50)
        elif rival == "pyrsistent":
            try:
                import pyrsistent
            except ImportError as error:
                raise NotImplementedError("pyrsistent is not installed") from error
            self.versions: list[Any] = [pyrsistent.pmap(source)]
        else:
            self.versions = [source]

    def time_step(self, rival: str, entries: int) -> None:
        key, value = next(self.keys), next(self.fresh)
        if rival == "pstructs":
            self.history.record(self.history.state.set(key, value))
            return
        last = self.versions[-1]
        if rival == "pyrsistent":
            last = last.set(key, value)
        else:
            last = last.copy() if rival == "dict.copy" else copy.deepcopy(last)
            last[key] = value
        self.versions.append(last)
        del self.versions[:-51]


class Moves:
    """Undo and redo, at several lengths of the history."""

    params = (10, 1000, 100_000)
    param_names = ("steps",)

    def setup(self, steps: int) -> None:
        from pstructs import History

        self.history = History(-1)
        for number in range(steps):
            self.history.record(number)

    def time_undo_and_redo(self, steps: int) -> None:
        self.history.undo()
        self.history.redo()


class Atoms:
    """What an atom costs when nobody else wants it."""

    def setup(self) -> None:
        from pstructs import Atom, History, m

        self.atom = Atom(0)
        self.followed = Atom(0)
        self.history = History.follow(self.followed, max_steps=100)
        self.tree = Atom(m(a=m(b=m(c=0)), other=0))
        self.cursor = self.tree.cursor("a", "b", "c")
        self.derived = self.cursor.derive(lambda n: n + 1)
        self.derived.deref()

    def time_deref(self) -> None:
        self.atom.deref()

    def time_swap(self) -> None:
        self.atom.swap(lambda n: n + 1)

    def time_swap_followed(self) -> None:
        self.followed.swap(lambda n: n + 1)

    def time_cursor_deref(self) -> None:
        self.cursor.deref()

    def time_cursor_swap(self) -> None:
        self.cursor.swap(lambda n: n + 1)

    def time_derived_unchanged(self) -> None:
        self.derived.deref()
