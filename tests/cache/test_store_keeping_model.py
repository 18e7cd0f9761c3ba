"""A store that expires, collects and compacts, against a dict of versions; values stay loaded."""

from __future__ import annotations

import gc
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import KeepLast
from pstructs.errors import ExpiredVersionError

EXAMPLES = int(os.environ.get("PSTRUCTS_MODEL_EXAMPLES", "30"))
HEADS = st.sampled_from(["main", "main", "side"])
PICK = st.integers(0, 10**6)
START = {n: f"{n:020}" for n in range(1500)}


class KeepingModel(RuleBasedStateMachine):
    """Versions are (head, contents), and contents are None once they expired."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = SnapshotStore(self.folder / "s", durable="none")
        self.versions: dict[int, tuple[str, dict[Any, Any] | None]] = {}
        self.heads: dict[str, int] = {}
        self.pins: set[int] = set()
        self.value: Any = pmap()
        self.loaded: list[tuple[Any, dict[Any, Any]]] = []

    def teardown(self) -> None:
        for value, contents in self.loaded:
            assert dict(value) == contents
        report = self.store.verify()
        assert (report.versions, report.unlisted) == (len(self.versions), ())
        self.value = value = None
        self.loaded.clear()
        gc.collect()
        assert self.store.gc().waiting == 0
        self.store.verify()
        self.store.close()
        assert os.listdir(self.folder / "s" / "leases") == []
        shutil.rmtree(self.folder)

    @initialize(large=st.booleans())
    def start(self, large: bool) -> None:
        self.value = pmap(START if large else {})

    @rule(head=HEADS)
    def save(self, head: str) -> None:
        number = self.store.save(self.value, head=head).number
        assert number == len(self.versions) + 1
        self.versions[number] = head, dict(self.value)
        self.heads[head] = number

    @rule(key=st.integers(0, 200), value=st.one_of(st.integers(), st.text(max_size=9)))
    def change(self, key: int, value: object) -> None:
        self.value = self.value.set(key, value)

    @rule(key=st.integers(0, 200))
    def remove(self, key: int) -> None:
        self.value = self.value.discard(key)

    @rule(pick=PICK, hold=st.booleans())
    def load(self, pick: int, hold: bool) -> None:
        if self.versions:
            number = 1 + pick % len(self.versions)
            contents = self.versions[number][1]
            if contents is None:
                with pytest.raises(ExpiredVersionError):
                    self.store.load(number)
                return
            self.value = self.store.load(number)
            if hold:
                self.loaded.append((self.value, contents))

    @rule()
    def let_go(self) -> None:
        self.loaded.clear()

    @rule(pick=PICK)
    def read_what_was_loaded(self, pick: int) -> None:
        if self.loaded:
            value, contents = self.loaded[pick % len(self.loaded)]
            assert dict(value) == contents

    @rule(pick=PICK)
    def pin(self, pick: int) -> None:
        there = [n for n, (_, contents) in self.versions.items() if contents is not None]
        if there:
            number = there[pick % len(there)]
            self.store.pin(number, "x")
            self.pins.add(number)

    @rule(last=st.integers(0, 4))
    def expire(self, last: int) -> None:
        stay = self.pins | set(self.heads.values())
        for head in self.heads:
            numbers = [n for n, (h, c) in self.versions.items() if h == head and c is not None]
            stay |= set(numbers[max(0, len(numbers) - last) :])
        report = self.store.expire(KeepLast(last))
        gone = {n for n, (_, c) in self.versions.items() if c is not None} - stay
        assert {version.number for version in report.expired} == gone
        for number in gone:
            self.versions[number] = self.versions[number][0], None

    @rule(grace=st.sampled_from([0, 0, 2]))
    def collect(self, grace: int) -> None:
        self.store.gc(grace)

    @rule(keep_above=st.sampled_from([None, None, 20_000]))
    def compact(self, keep_above: int | None) -> None:
        there = [n for n, (_, contents) in self.versions.items() if contents is not None]
        assert self.store.compact(keep_above).versions == len(there)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SnapshotStore(self.folder / "s", durable="none")

    @invariant()
    def versions_that_stay_can_be_loaded(self) -> None:
        there = [n for n, (_, contents) in self.versions.items() if contents is not None]
        for number in {*there[:1], *there[-1:]}:
            assert dict(self.store.load(number)) == self.versions[number][1]


KeepingModel.TestCase.settings = settings(
    deadline=None, max_examples=EXAMPLES, stateful_step_count=40
)
test_a_store_that_forgets_is_its_model = KeepingModel.TestCase
