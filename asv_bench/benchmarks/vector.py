"""Vectors: one operation a benchmark, 1000 calls each unless it works on the whole vector."""

from __future__ import annotations

from typing import Any

from .rivals import SIZES, sample, vector_rival, words

RIVALS = ("pstructs", "pyrsistent", "tuple")


class Vector:
    """Strings, met in random order."""

    params = (RIVALS, SIZES)
    param_names = ("rival", "elements")

    def setup(self, rival: str, elements: int) -> None:
        self.rival = vector_rival(rival)
        self.source = words(elements)
        self.vector = self.rival.build(self.source)
        self.twin = self.rival.build(list(self.source))
        self.places = sample(list(range(elements)))

    def time_index(self, rival: str, elements: int) -> None:
        a = self.vector
        for i in self.places:
            a[i]

    def time_iterate(self, rival: str, elements: int) -> None:
        for _ in self.vector:
            pass

    def time_build(self, rival: str, elements: int) -> None:
        self.rival.build(self.source)

    def time_equal_built_apart(self, rival: str, elements: int) -> None:
        assert self.vector == self.twin

    def time_hash_again(self, rival: str, elements: int) -> None:
        hash(self.vector)


class VectorUpdate:
    """Single updates, 100 calls each; of something that is copied for each, 10 calls."""

    params = (RIVALS, SIZES)
    param_names = ("rival", "elements")

    def setup(self, rival: str, elements: int) -> None:
        self.rival = vector_rival(rival)
        self.vector: Any = self.rival.build(words(elements))
        copied = rival != "pstructs" and elements > 1000
        self.places = sample(list(range(elements)), 10 if copied else 100)

    def time_append(self, rival: str, elements: int) -> None:
        append, a = self.rival.append, self.vector
        for i in self.places:
            append(a, i)

    def time_set(self, rival: str, elements: int) -> None:
        put, a = self.rival.set, self.vector
        for i in self.places:
            put(a, i, None)

    def time_pop(self, rival: str, elements: int) -> None:
        pop, a = self.rival.pop, self.vector
        for _ in self.places:
            pop(a)

    def time_insert(self, rival: str, elements: int) -> None:
        insert, a = self.rival.insert, self.vector
        for i in self.places:
            insert(a, i, None)

    def time_delete(self, rival: str, elements: int) -> None:
        delete, a = self.rival.delete, self.vector
        for i in self.places:
            delete(a, i)

    def time_concatenate(self, rival: str, elements: int) -> None:
        a = self.vector
        for _ in self.places:
            a + a

    def time_slice_the_middle_half(self, rival: str, elements: int) -> None:
        a, lo = self.vector, elements // 4
        for _ in self.places:
            a[lo : -lo or None]
