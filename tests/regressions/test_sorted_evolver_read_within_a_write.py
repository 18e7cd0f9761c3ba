"""A sorted evolver that is read while a write of it waits for memory."""

from __future__ import annotations

import gc
import sys
import threading
from typing import Any

import pytest

from pstructs import psortedmap

writer = threading.get_ident()
seen = threading.Event()
over = threading.Event()


class Key:
    def __init__(self, n: int) -> None:
        self.n = n

    def __lt__(self, other: Key) -> bool:
        if threading.get_ident() != writer:
            seen.set()
            over.wait(30)
        else:
            gc.enable()  # the next object that it looks after makes it run: the copy
        return self.n < other.n

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Key) and self.n == other.n

    def __hash__(self) -> int:
        return self.n


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="the collector waits for the write")
def test_a_reader_that_came_while_a_leaf_was_copied_finds_its_entry() -> None:
    """The copy took the references of a leaf that the reader still looked at."""
    evolver: Any = psortedmap({Key(2 * i): [i] for i in range(10)}).evolver()
    del evolver[Key(0)]  # the leaf is the evolver's own now
    found: list[Any] = []

    def read() -> None:
        found.append(evolver.get(Key(6)))

    reader = threading.Thread(target=read)

    def collected(phase: str, info: dict[str, int]) -> None:
        gc.disable()
        if phase == "start":
            reader.start()
            seen.wait(30)

    key, value = Key(7), [7]
    gc.disable()
    ballast: list[Any] = [[] for _ in range(2 * gc.get_threshold()[0])]
    gc.callbacks.append(collected)
    try:
        evolver[key] = value
    finally:
        gc.callbacks.remove(collected)
        gc.enable()
        del ballast
    assert seen.is_set()
    for i in range(1, 10):
        evolver.discard(Key(2 * i))
    over.set()
    reader.join()
    assert found == [[3]]
    assert list(evolver.persistent().items()) == [(key, value)]
