"""A store against a list of versions, over any sequence of calls."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pstructs import ABSENT, pmap
from pstructs.cache import SnapshotStore, Version
from pstructs.errors import (
    HeadMovedError,
    MergeConflictError,
    MissingVersionError,
    NameTakenError,
    WriteIdError,
)

EXAMPLES = int(os.environ.get("PSTRUCTS_EXAMPLES", "200"))
STEPS = int(os.environ.get("PSTRUCTS_STEPS", "75"))
HEADS = st.sampled_from(["main", "main", "side"])
NAMES = st.sampled_from(["main", "side", "third", "v1", "v2"])
KEYS = st.integers(0, 300)
VALUES = st.one_of(st.integers(), st.text(max_size=5), st.lists(st.integers(), max_size=3))
PICKS = st.integers(0, 10**6)
WRITES = st.sampled_from([None, None, "w1", "w2", "w3"])
START = {n: f"{n:020}" for n in range(2000)}


class Made(NamedTuple):
    """What the model knows of a version: the numbers of its parents, and its contents."""

    version: Version
    parents: tuple[int, ...]
    contents: dict[Any, Any]


def merged(
    base: dict[Any, Any], ours: dict[Any, Any], theirs: dict[Any, Any]
) -> dict[Any, Any] | None:
    """Merge key by key; None when both sides changed one of them."""
    found = {}
    for key in {**base, **ours, **theirs}:
        was, mine, other = (typed(side.get(key, ABSENT)) for side in (base, ours, theirs))
        if mine not in (was, other) and was != other:
            return None
        side = ours if other in (was, mine) else theirs
        if key in side:
            found[key] = side[key]
    return found


def typed(value: Any) -> Any:
    """A value that differs from equal ones of other types."""
    return (type(value), value)


class StoreModel(RuleBasedStateMachine):
    """Heads and tags are numbers of versions; moves are kept; undo keeps its origin."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.store = SnapshotStore(self.folder / "s", durable="none")
        self.made: list[Made] = []
        self.origins: dict[int, int] = {}
        self.heads: dict[str, int] = {}
        self.tags: dict[str, int] = {}
        self.moves: dict[str, list[int | None]] = {}
        self.writes: dict[str, int] = {}
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

    # ---- the model
    def moved(self, head: str, number: int | None) -> None:
        self.moves.setdefault(head, []).append(number)
        if number is None:
            del self.heads[head]
        else:
            self.heads[head] = number

    def saved(self, version: Version, head: str, contents: dict[Any, Any], *others: int) -> None:
        before = self.heads.get(head)
        assert version.number == len(self.made) + 1
        parents = (*(() if before is None else (before,)), *others)
        assert version.parents == tuple(self.made[n - 1].version.id for n in parents)
        self.made.append(Made(version, parents, contents))
        self.moved(head, version.number)

    def history(self, number: int) -> set[int]:
        """Numbers of a version and all that it was made from."""
        found, todo = set[int](), [number]
        while todo:
            at = todo.pop()
            if at not in found:
                found.add(at)
                todo += self.made[at - 1].parents
        return found

    def taken(self, name: str) -> bool:
        return name in self.heads or name in self.tags

    # ---- saving
    @rule(head=HEADS, write=WRITES)
    def save(self, head: str, write: str | None) -> None:
        contents = dict(self.value)
        if write in self.writes:
            before = self.made[self.writes[write] - 1]
            same = pmap(before.contents) == self.value
            if before.version.head == head and same and before.version.root == self.root():
                assert self.store.save(self.value, head, write_id=write) == before.version
            elif before.version.head != head or not same:
                with pytest.raises(WriteIdError):
                    self.store.save(self.value, head, write_id=write)
            return
        self.saved(self.store.save(self.value, head, write_id=write), head, contents)
        if write is not None:
            self.writes[write] = len(self.made)

    def root(self) -> str:
        """The digest that the value would be saved under."""
        from pstructs.packs import PackWriter

        return PackWriter(self.value).root_digest.hex()

    @rule(head=HEADS, pick=PICKS)
    def save_expecting(self, head: str, pick: int) -> None:
        expected = self.made[pick % len(self.made)].version if self.made else None
        actual = self.heads.get(head)
        if actual == (None if expected is None else expected.number):
            version = self.store.save(self.value, head=head, expected=expected)
            self.saved(version, head, dict(self.value))
        else:
            with pytest.raises(HeadMovedError):
                self.store.save(self.value, head=head, expected=expected)

    @rule(key=KEYS, value=VALUES)
    def commit_two(self, key: int, value: object) -> None:
        other = self.value.set(key, value)
        made = self.store.commit({"main": self.value, "side": other})
        self.saved(made["main"], "main", dict(self.value))
        self.saved(made["side"], "side", dict(other))

    @rule(key=KEYS, value=VALUES)
    def change(self, key: int, value: object) -> None:
        self.value = self.value.set(key, value)

    @rule(key=KEYS)
    def remove(self, key: int) -> None:
        self.value = self.value.discard(key)

    @precondition(lambda self: self.made)
    @rule(pick=PICKS)
    def load(self, pick: int) -> None:
        made = self.made[pick % len(self.made)]
        self.value = self.store.load(made.version.number)
        assert dict(self.value) == made.contents

    @rule(head=HEADS)
    def undo(self, head: str) -> None:
        at = self.heads.get(head)
        origin = None if at is None else self.origins.get(at, at)
        parents = () if origin is None else self.made[origin - 1].parents
        if not parents:
            with pytest.raises(MissingVersionError):
                self.store.undo(head)
            return
        target = self.origins.get(parents[0], parents[0])
        version = self.store.undo(head)
        self.saved(version, head, self.made[target - 1].contents)
        self.origins[version.number] = target
        assert version.restores == self.made[target - 1].version.id

    # ---- names
    @precondition(lambda self: self.made)
    @rule(name=NAMES, pick=PICKS, tag=st.booleans())
    def name(self, name: str, pick: int, tag: bool) -> None:
        made = self.made[pick % len(self.made)].version
        call = self.store.tag if tag else self.store.branch
        if self.taken(name):
            with pytest.raises(NameTakenError):
                call(name, at=made)
        else:
            assert call(name, at=made.id) == made
            if tag:
                self.tags[name] = made.number
            else:
                self.moved(name, made.number)
        if name in self.tags:  # `save` and `undo` of the other rules expect heads
            assert self.store.version(name).number == self.tags[name]
            if name in ("main", "side"):
                self.store.delete_tag(name)
                del self.tags[name]

    @rule(name=NAMES, tag=st.booleans())
    def delete(self, name: str, tag: bool) -> None:
        names = self.tags if tag else self.heads
        call = self.store.delete_tag if tag else self.store.delete_head
        if name not in names:
            with pytest.raises(MissingVersionError):
                call(name)
            return
        assert call(name).number == names[name]
        if tag:
            del self.tags[name]
        else:
            self.moved(name, None)

    # ---- bringing versions together
    @precondition(lambda self: "main" in self.heads)
    @rule(pick=PICKS)
    def merge(self, pick: int) -> None:
        ours, theirs = self.heads["main"], pick % len(self.made) + 1
        mine, others = self.history(ours), self.history(theirs)
        if theirs in mine:
            assert self.store.merge(theirs).number == ours
            return
        if not mine & others:
            with pytest.raises(MissingVersionError):
                self.store.merge(theirs)
            return
        base = max(mine & others, key=lambda n: self.made[n - 1].version.time)
        sides = (self.made[n - 1].contents for n in (base, ours, theirs))
        expected = merged(*sides)
        if expected is None:
            with pytest.raises(MergeConflictError):
                self.store.merge(theirs)
            return
        self.saved(self.store.merge(theirs), "main", expected, theirs)
        assert dict(self.store.load()) == expected

    @precondition(lambda self: "main" in self.heads)
    @rule(pick=PICKS)
    def revert(self, pick: int) -> None:
        taken = self.made[pick % len(self.made)]
        if not taken.parents:
            with pytest.raises(MissingVersionError):
                self.store.revert(taken.version)
            return
        now = self.made[self.heads["main"] - 1].contents
        expected = merged(taken.contents, now, self.made[taken.parents[0] - 1].contents)
        if expected is None:
            with pytest.raises(MergeConflictError):
                self.store.revert(taken.version)
            return
        self.saved(self.store.revert(taken.version), "main", expected)
        assert dict(self.store.load()) == expected

    @precondition(lambda self: "main" in self.heads)
    @rule(key=KEYS, value=VALUES, other=KEYS)
    def transact(self, key: int, value: object, other: int) -> None:
        """A transaction that loses a race to a save."""
        before = self.made[self.heads["main"] - 1].contents
        with self.store.transaction() as t:
            t.value = t.value.set(key, value)
            theirs = self.store.load().discard(other)
            self.saved(self.store.save(theirs), "main", dict(theirs))
            if key == other and key in before and typed(before[key]) != typed(value):
                t.value = t.value.set(key, before[key])
        mine = dict(t.value)
        if typed(mine.get(key, ABSENT)) == typed(before.get(key, ABSENT)):
            mine = before
        assert t.version is not None
        if t.version.number > len(self.made):
            expected = merged(before, mine, dict(theirs))
            assert expected is not None
            self.saved(t.version, "main", expected)
            assert dict(self.store.load()) == expected

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = SnapshotStore(self.folder / "s", durable="none")

    # ---- looking back
    @precondition(lambda self: self.heads)
    @rule(key=KEYS, head=HEADS)
    def history_of_a_key(self, key: int, head: str) -> None:
        at = self.heads.get(head)
        while at is not None and len(self.made[at - 1].parents) > 1:
            at = self.made[at - 1].parents[1]
        if at is None:
            return
        told = [change.version.number for change in self.store.history(key, head=at)]
        expected, line = [], at
        while len(self.made[line - 1].parents) <= 1:
            parents = self.made[line - 1].parents
            now = self.made[line - 1].contents.get(key, ABSENT)
            before = self.made[parents[0] - 1].contents.get(key, ABSENT) if parents else ABSENT
            if typed(now) != typed(before):
                expected.append(line)
            if not parents:
                assert told == expected
                return
            line = parents[0]
        assert told[: len(expected)] == expected

    @precondition(lambda self: self.heads)
    @rule(pick=PICKS, head=HEADS)
    def as_of(self, pick: int, head: str) -> None:
        moves = self.moves.get(head, [])
        if not moves:
            return
        place = pick % len(moves)
        moment = self.store.reflog(head)[place].time
        if moves[place] is None:
            with pytest.raises(MissingVersionError):
                self.store.as_of(moment, head)
        else:
            assert self.store.as_of(moment, head).number == moves[place]

    @precondition(lambda self: "main" in self.heads)
    @rule(pick=PICKS)
    def since(self, pick: int) -> None:
        point = pick % len(self.made) + 1
        expected = self.history(self.heads["main"]) - self.history(point)
        assert {version.number for version in self.store.since(point)} == expected

    @invariant()
    def names_and_histories_are_those_of_the_model(self) -> None:
        found = self.store.heads()
        assert {name: version.number for name, version in found.items()} == self.heads
        assert {n: tag.version.number for n, tag in self.store.tags().items()} == self.tags
        for name, number in self.heads.items():
            log = self.store.log(name)
            assert {version.number for version in log} == self.history(number)
            assert log == [self.made[version.number - 1].version for version in log]
        for name, moves in self.moves.items():
            ids = [None if n is None else self.made[n - 1].version.id for n in moves]
            assert [move.new for move in self.store.reflog(name)] == ids


StoreModel.TestCase.settings = settings(
    deadline=None, max_examples=EXAMPLES, stateful_step_count=STEPS
)
test_a_store_is_its_model = StoreModel.TestCase
