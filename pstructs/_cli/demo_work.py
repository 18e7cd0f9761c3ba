"""What other processes do for the demo: Ray workers, and a fresh Python started by this module.

Measures are taken in the process that does the work: wall time, and USS, the memory that belongs
to this process alone (shared pages count for nobody).
"""

from __future__ import annotations

import json
import pickle
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from time import perf_counter, sleep
from typing import Any, NamedTuple

from pstructs._cli.demo_data import group_of

__all__ = [
    "Probe",
    "Prober",
    "add_counts",
    "count_map",
    "count_part_of_dict",
    "reopen",
    "settle",
    "uss",
]


class Probe(NamedTuple):
    """What one process measured: seconds, bytes over its baseline (None: unknown), answers."""

    seconds: float
    memory: int | None
    values: list[Any]


def uss() -> int | None:
    """Bytes that belong to this process alone; None where the system does not tell."""
    try:
        text = Path("/proc/self/smaps_rollup").read_text(encoding="ascii")
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in text.splitlines()[1:])
    return 1024 * sum(int(fields[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))


def _beyond(before: int | None) -> int | None:
    after = uss()
    return None if before is None or after is None else max(0, after - before)


class Prober:
    """A Ray actor that opens shared data once, looks keys up, and measures itself."""

    def __init__(self) -> None:
        import pstructs.distributed  # noqa: F401  (part of the baseline, not of the measure)

        self.kept: Any = None

    def ready(self) -> bool:
        """Answers when the process is up."""
        return True

    def open_shared(self, handle: Any, keys: Sequence[Any]) -> Probe:
        """pstructs: open the handle, look up in place."""
        return self._probe(handle.open, keys)

    def open_dict(self, refs: Sequence[Any], keys: Sequence[Any]) -> Probe:
        """Plain Ray: `ray.get` of the dict, look up."""
        import ray

        return self._probe(lambda: ray.get(refs[0]), keys)

    def _probe(self, open_it: Any, keys: Sequence[Any]) -> Probe:
        before, start = uss(), perf_counter()
        self.kept = open_it()
        values = [self.kept[key] for key in keys]
        seconds = perf_counter() - start
        return Probe(seconds, _beyond(before), values)


def count_map(part: Any, column: str) -> Counter[str]:
    """Count the records of a map, or of a partition of one, by `column`."""
    return _count(part.values(), column)


def count_part_of_dict(refs: Sequence[Any], column: str, part: int, parts: int) -> Counter[str]:
    """Plain Ray: get the whole dict and count every `parts`-th record of it."""
    import ray

    table = ray.get(refs[0])
    return _count(islice(table.values(), part, None, parts), column)


def _count(records: Iterable[Any], column: str) -> Counter[str]:
    return Counter(group_of(record, column) for record in records)


def add_counts(a: Counter[str], b: Counter[str]) -> Counter[str]:
    """Join the counts of two partitions."""
    return a + b


def settle() -> None:
    """A task that only makes sure that its process is up, with everything imported."""
    import pstructs.distributed  # noqa: F401

    sleep(0.2)


def reopen(kind: str, path: str, keys: Sequence[Any]) -> Probe:
    """Open a store (its newest version) or a pickle, and look up `keys`."""
    if kind == "store":
        from pstructs.cache import SnapshotStore

        start = perf_counter()
        with SnapshotStore(path) as store:
            table = store.load("main")
            values = [table[key] for key in keys]
            return Probe(perf_counter() - start, None, values)
    start = perf_counter()
    with open(path, "rb") as file:
        table = pickle.load(file)
    values = [table[key] for key in keys]
    return Probe(perf_counter() - start, None, values)


def main() -> None:
    """Keys come as JSON on stdin, the answer goes as a pickle to stdout, to the demo alone."""
    kind, path = sys.argv[1:]
    probe = reopen(kind, path, json.load(sys.stdin))
    plain = [dict(value) if isinstance(value, Mapping) else value for value in probe.values]
    sys.stdout.buffer.write(pickle.dumps(tuple(probe._replace(values=plain))))


if __name__ == "__main__":
    main()
