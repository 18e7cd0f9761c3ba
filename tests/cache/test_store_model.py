"""A store against a list of versions, over any sequence of calls."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pstructs import pmap
from pstructs.cache import SnapshotStore, Version
from pstructs.errors import HeadMovedError, MissingVersionError

HEADS = st.sampled_from(["main", "main", "side"])
KEYS = st.integers(0, 300)
VALUES = st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))
START = {n: f"{n:020}" for n in range(2000)}


class StoreModel(RuleBasedStateMachine):
    """Versions are (parent's number, contents); heads are numbers; undo keeps its origin."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = SnapshotStore(self.folder / "s", durable="none")
        self.made: list[tuple[Version, int | None, dict[Any, Any]]] = []
        self.origins: dict[int, int] = {}
        self.heads: dict[str, int] = {}
        self.value: Any = pmap()

    def teardown(self) -> None:
        if self.made:
            report = self.store.verify()
            assert report.versions == len(self.made)
            assert (report.unlisted, report.swept) == ((), 0)
        self.store.close()
        shutil.rmtree(self.folder)

    @initialize(large=st.booleans())
    def start(self, large: bool) -> None:
        self.value = pmap(START if large else {})

    def saved(self, version: Version, head: str, contents: dict[Any, Any]) -> None:
        before = self.heads.get(head)
        assert version.number == len(self.made) + 1
        ids = () if before is None else (self.made[before - 1][0].id,)
        assert version.parents == ids
        self.made.append((version, before, contents))
        self.heads[head] = version.number

    @rule(head=HEADS)
    def save(self, head: str) -> None:
        self.saved(self.store.save(self.value, head=head), head, dict(self.value))

    @rule(head=HEADS, pick=st.integers(0, 10**6))
    def save_expecting(self, head: str, pick: int) -> None:
        expected = self.made[pick % len(self.made)][0] if self.made else None
        actual = self.heads.get(head)
        if actual == (None if expected is None else expected.number):
            version = self.store.save(self.value, head=head, expected=expected)
            self.saved(version, head, dict(self.value))
        else:
            with pytest.raises(HeadMovedError):
                self.store.save(self.value, head=head, expected=expected)

    @rule(key=KEYS, value=VALUES)
    def change(self, key: int, value: object) -> None:
        self.value = self.value.set(key, value)

    @rule(key=KEYS)
    def remove(self, key: int) -> None:
        self.value = self.value.discard(key)

    @rule(pick=st.integers(0, 10**6))
    def load(self, pick: int) -> None:
        if self.made:
            version, _, contents = self.made[pick % len(self.made)]
            self.value = self.store.load(version.number)
            assert dict(self.value) == contents

    @rule(head=HEADS)
    def undo(self, head: str) -> None:
        at = self.heads.get(head)
        origin = None if at is None else self.origins.get(at, at)
        target = None if origin is None else self.made[origin - 1][1]
        if target is None:
            with pytest.raises(MissingVersionError):
                self.store.undo(head)
            return
        target = self.origins.get(target, target)
        version = self.store.undo(head)
        self.saved(version, head, self.made[target - 1][2])
        self.origins[version.number] = target
        assert version.restores == self.made[target - 1][0].id

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SnapshotStore(self.folder / "s", durable="none")

    @invariant()
    def heads_and_histories_are_those_of_the_model(self) -> None:
        heads = {name: self.made[number - 1][0] for name, number in self.heads.items()}
        assert self.store.heads() == heads
        for name, number in self.heads.items():
            log, at = [], number
            while at is not None:
                log.append(self.made[at - 1][0])
                at = self.made[at - 1][1]  # type: ignore[assignment]
            assert self.store.log(name) == log


StoreModel.TestCase.settings = settings(deadline=None, max_examples=40, stateful_step_count=40)
test_a_store_is_its_model = StoreModel.TestCase
