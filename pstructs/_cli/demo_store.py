"""The first half of the demo: build, save a thousand versions, undo, compare, reopen."""

from __future__ import annotations

import json
import os
import pickle
import statistics
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import Any

from rich.progress import Progress

from pstructs._cli import screen
from pstructs._cli.demo_data import Dataset, Edit, edits
from pstructs._cli.demo_table import Row, Side
from pstructs._cli.demo_work import Probe
from pstructs._cli.errors import CommandError
from pstructs._cli.text import size
from pstructs.errors import PstructsError

__all__ = ["Demo", "DemoFailedError", "run"]

LOOKUPS = 1_000
FULL_COPIES = 5
"""Versions saved as whole pickles; the rest is extrapolated, since all would take minutes."""
OLD_VERSIONS = 4
"""Old versions, besides the first and the last, that are loaded and compared in full."""


class DemoFailedError(PstructsError):
    """An answer differs from that of plain Python."""


@dataclass
class Demo:
    """What the steps share: the data, the places, the table so far."""

    data: Dataset
    folder: Path
    scratch: Path
    versions: int
    shown: Progress
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    checks: int = 0
    first: int = 0
    last: int = 0
    model: dict[Any, Any] = field(default_factory=dict)
    table: Any = None
    a_changed_key: Any = None

    def check(self, step: str, got: Any, expected: Any) -> None:
        """Refuse to go on with a wrong answer."""
        if not same(got, expected):
            raise DemoFailedError(
                f"{step}: the answer differs from plain Python's. This is a bug of pstructs; "
                f"the store is kept in {self.folder} for a look"
            )
        self.checks += 1

    def some_keys(self) -> list[Any]:
        """Keys for lookups, spread over the whole table."""
        step = max(1, len(self.model) // LOOKUPS)
        return list(islice(self.model, 0, None, step))[:LOOKUPS]


def same(a: Any, b: Any) -> bool:
    """Equal, and NaN counts as equal to NaN."""
    if a == b:
        return True
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if len(a) != len(b):
            return False
        return all(key in a and same(a[key], item) for key, item in b.items())
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a != a and b != b)


def run(demo: Demo) -> None:
    """All steps that need no other machine."""
    from pstructs.cache import SnapshotStore

    with SnapshotStore(demo.folder) as store:
        _build(demo)
        _save_all(demo, store)
        changes = list(edits(demo.data.records, demo.versions))
        _edit_and_save(demo, store, changes)
        _old_versions(demo, store, changes)
        _diff(demo, store)
        _undo(demo, store, changes)
    edited = [edit.key for edit in reversed(changes) if edit.key in demo.model]
    demo.a_changed_key = edited[0] if edited else next(iter(demo.model))
    _reopen(demo)


def _build(demo: Demo) -> None:
    import pstructs

    pairs = list(demo.data.records.items())
    with screen.bar("Building the map", demo.shown):
        start = perf_counter()
        demo.table = pstructs.pmap(pairs)
        ours = perf_counter() - start
        start = perf_counter()
        demo.model = dict(pairs)
        theirs = perf_counter() - start
        demo.check("build the map", demo.table, demo.model)
    demo.rows.append(Row("build from pairs", Side(ours), Side(theirs)))


def _save_all(demo: Demo, store: Any) -> None:
    with screen.bar("Saving the first version", demo.shown):
        start = perf_counter()
        version = store.save(demo.table, message="the whole input")
        ours = perf_counter() - start
        theirs, nbytes = save_pickle(demo.model, demo.scratch / "first.pickle")
    demo.first = version.number
    demo.rows.append(
        Row("save the first version", Side(ours, version.nbytes), Side(theirs, nbytes))
    )


def save_pickle(value: Any, path: Path) -> tuple[float, int]:
    """Write and sync a pickle; seconds and bytes."""
    start = perf_counter()
    with path.open("wb") as file:
        pickle.dump(value, file, pickle.HIGHEST_PROTOCOL)
        file.flush()
        os.fsync(file.fileno())
    return perf_counter() - start, path.stat().st_size


def load_pickle(path: Path) -> Any:
    """Read a pickle that this demo wrote."""
    with path.open("rb") as file:
        return pickle.load(file)


def _edit_and_save(demo: Demo, store: Any, changes: list[Edit]) -> None:
    """One version for each edit; beside it a full copy for each of the first few."""
    took: list[float] = []
    nbytes: list[int] = []
    table = demo.table
    with screen.bar(f"Saving {demo.versions:,} versions", demo.shown) as move:
        for done, edit in enumerate(changes, 1):
            start = perf_counter()
            if edit.record is None:
                table = table.remove(edit.key)
            else:
                table = table.set(edit.key, edit.record)
            version = store.save(table, message=edit.message)
            took.append(perf_counter() - start)
            nbytes.append(version.nbytes)
            move(done, len(changes))
    demo.table, demo.last = table, version.number

    copies: list[float] = []
    sizes: list[int] = []
    with screen.bar("The same with dict + pickle", demo.shown) as move:
        for done, edit in enumerate(changes[:FULL_COPIES], 1):
            start = perf_counter()
            demo.model = dict(demo.model)
            edit.apply(demo.model)
            copied = perf_counter() - start
            seconds, written = save_pickle(demo.model, demo.scratch / "version.pickle")
            copies.append(copied + seconds)
            sizes.append(written)
            move(done, FULL_COPIES)
    for edit in changes[FULL_COPIES:]:
        edit.apply(demo.model)
    demo.check(f"{demo.versions:,} edits", demo.table, demo.model)

    number = len(changes)
    guessed = number > len(copies)
    per_copy, per_size = statistics.mean(copies), statistics.mean(sizes)
    demo.rows += [
        Row(
            f"{number:,} edits, each saved",
            Side(sum(took), sum(nbytes)),
            Side(per_copy * number, per_size * number, estimated=guessed),
        ),
        Row(
            "  one of them (median)",
            Side(statistics.median(took), statistics.median(nbytes)),
            Side(statistics.median(copies), statistics.median(sizes)),
        ),
    ]
    demo.notes.append(
        f"A version took {size(statistics.median(nbytes))} (median), "
        f"{size(max(nbytes))} at most."
        + (
            f" dict + pickle: {len(copies)} full copies measured, ≈ is those times "
            f"{number / len(copies):,.0f}."
            if guessed
            else ""
        )
    )


def _old_versions(demo: Demo, store: Any, changes: list[Edit]) -> None:
    """Load versions from all over the history and compare each entry: not timed."""
    wanted = {round(len(changes) * part / OLD_VERSIONS) for part in range(OLD_VERSIONS + 1)}
    model = dict(demo.data.records)
    with screen.bar("Checking old versions", demo.shown) as move:
        for done in range(len(changes) + 1):
            if done:
                changes[done - 1].apply(model)
            if done in wanted:
                demo.check(f"version {demo.first + done}", store.load(demo.first + done), model)
                move(done, len(changes))


def _diff(demo: Demo, store: Any) -> None:
    """What did all edits change? The dicts have to be read and compared key by key."""
    import pstructs

    path = demo.scratch / "last.pickle"
    save_pickle(demo.model, path)
    with screen.bar("Comparing versions", demo.shown):
        start = perf_counter()
        found = pstructs.diff(store.load(demo.first), store.load(demo.last))
        ours = perf_counter() - start
        start = perf_counter()
        old, new = load_pickle(demo.scratch / "first.pickle"), load_pickle(path)
        added = {key: new[key] for key in new if key not in old}
        removed = {key: old[key] for key in old if key not in new}
        changed = {
            key: (old[key], new[key]) for key in new if key in old and not same(old[key], new[key])
        }
        theirs = perf_counter() - start
        demo.check("diff: added", found.added, added)
        demo.check("diff: removed", found.removed, removed)
        demo.check(
            "diff: changed",
            {key: list(pair) for key, pair in found.changed.items()},
            {key: list(pair) for key, pair in changed.items()},
        )
    demo.rows.append(Row("diff of first and last", Side(ours), Side(theirs)))


def _undo(demo: Demo, store: Any, changes: list[Edit]) -> None:
    """Undo the last edit: a new version. A pickle has to be read as a whole for that."""
    before = dict(demo.data.records)
    for edit in changes[:-1]:
        edit.apply(before)
    path = demo.scratch / "now.pickle"
    save_pickle(before, path)
    with screen.bar("Undoing", demo.shown):
        start = perf_counter()
        version = store.undo("main")
        demo.table = store.load("main")
        ours = perf_counter() - start
        start = perf_counter()
        demo.model = load_pickle(path)
        theirs = perf_counter() - start
        demo.check("undo", demo.table, before)
        demo.check("undo with pickle", demo.model, before)
    demo.rows.append(Row("undo, and load it", Side(ours, version.nbytes), Side(theirs)))


def _reopen(demo: Demo) -> None:
    """In a Python that has just started, so that nothing is warm but the disk cache."""
    keys = demo.some_keys()
    with screen.bar("Reopening in a new process", demo.shown):
        ours = _fresh_process("store", demo.folder, keys)
        theirs = _fresh_process("pickle", demo.scratch / "now.pickle", keys)
    expected = [demo.model[key] for key in keys]
    demo.check("lookups in a new process", ours.values, expected)
    demo.check("lookups in a pickle", theirs.values, expected)
    demo.rows.append(
        Row(f"new process: open, {len(keys):,} lookups", Side(ours.seconds), Side(theirs.seconds))
    )


def _fresh_process(kind: str, path: Path, keys: list[Any]) -> Probe:
    command = [sys.executable, "-m", "pstructs._cli.demo_work", kind, str(path)]
    done = subprocess.run(command, input=json.dumps(keys).encode(), capture_output=True)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CommandError(f"the new process failed: {last}. Run with --traceback to see where")
    return Probe(*pickle.loads(done.stdout))
