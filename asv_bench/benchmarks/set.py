"""Sets: membership, single changes, algebra."""

from __future__ import annotations

from .rivals import SIZES, sample, set_rival, words

RIVALS = ("pstructs", "rpds", "pyrsistent", "frozenset")


class Set:
    """Strings, met in random order; 1000 calls each unless it works on the whole set."""

    params = (RIVALS, SIZES)
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        self.rival = set_rival(rival)
        items = words(entries)
        self.items = items
        self.set = self.rival.build(items)
        self.half = self.rival.build(items[entries // 2 :] + words(entries // 2, seed=5))
        self.near = self.rival.add(self.set, "another")
        self.hits = sample(items)
        self.fresh = sample(words(1000, seed=6))

    def time_contains(self, rival: str, entries: int) -> None:
        s = self.set
        for item in self.hits:
            item in s  # noqa: B015

    def time_build(self, rival: str, entries: int) -> None:
        self.rival.build(self.items)

    def time_union(self, rival: str, entries: int) -> None:
        self.set | self.half

    def time_intersection(self, rival: str, entries: int) -> None:
        self.set & self.half

    def time_difference(self, rival: str, entries: int) -> None:
        self.set - self.half

    def time_union_of_versions(self, rival: str, entries: int) -> None:
        self.set | self.near


class SetUpdate(Set):
    """Single changes; a frozenset is copied for each."""

    params = (RIVALS, (10, 1000))

    def time_add(self, rival: str, entries: int) -> None:
        add, s = self.rival.add, self.set
        for item in self.fresh:
            add(s, item)

    def time_remove(self, rival: str, entries: int) -> None:
        remove, s = self.rival.remove, self.set
        for item in self.hits:
            remove(s, item)

    time_contains = time_build = time_union = time_intersection = None
    time_difference = time_union_of_versions = None
