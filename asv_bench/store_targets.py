"""The figures that the snapshot store promises, beside the usual ways to keep versions.

    python asv_bench/store_targets.py                       # 1,000 versions of a million entries
    python asv_bench/store_targets.py --entries 10000 --versions 100 --rivals all

A table of `entries` entries is saved, and then `versions` times with one key changed; nothing is
synced. Beside it, the same with

- ZODB: an OOBTree in a FileStorage, a transaction a version; old versions are opened with
  `DB.open(before=...)`. It is the only rival that shares structure between versions.
- LMDB and diskcache: the whole value under the version's number (a pickle). LMDB copies pages on
  write, but gives no way back to an older state: a version is a copy.
- a file a version, compressed with zlib and named by its digest, as git keeps a blob.

Whole copies of a million entries take seconds and 20 MB each, so these run for `--copies` versions
(10), and their figures are of these.

Times are the median over the versions (or rounds), with the fastest beside it: on a busy machine
the fastest is what the work costs. Bytes are what the folder grew by, with catalog and indexes.
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import os
import pickle
import random
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pstructs
from pstructs.cache import SnapshotStore

clock = time.perf_counter_ns
KEY = "key-0000042"


class Figures(NamedTuple):
    """Of one way to keep versions; times in microseconds, None where it can't."""

    name: str
    versions: int
    save: list[float]
    nbytes: float
    first: list[float]
    last: list[float]
    diff: list[float]
    history: list[float]


def table(n: int) -> dict[str, int]:
    return {f"key-{i:07}": i for i in range(n)}


def changes(n: int, versions: int) -> Iterator[tuple[str, int]]:
    """A key and its new value for each version; every tenth time the same key."""
    rng = random.Random(7)
    for i in range(versions):
        yield (KEY if i % 10 == 0 else f"key-{rng.randrange(n):07}"), -i - 1


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def timed(call: Callable[[], object], rounds: int = 1) -> list[float]:
    out = []
    for _ in range(rounds):
        start = clock()
        call()
        out.append((clock() - start) / 1e3)
    return out


def apart(versions: int) -> tuple[int, int]:
    """Two versions ten changes apart (or as far as there are)."""
    return max(1, versions // 2), min(versions, versions // 2 + 10)


def ours(folder: Path, entries: int, versions: int) -> list[Figures]:
    with SnapshotStore(folder / "s", durable="none") as store:
        value = pstructs.pmap(table(entries))
        store.save(value)
        store._con().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        before, save = size(folder), []
        for key, new in changes(entries, versions):
            value = value.set(key, new)
            save += timed(lambda value=value: store.save(value))  # type: ignore[misc]
        store._con().execute("PRAGMA wal_checkpoint(TRUNCATE)")
        grown = (size(folder) - before) / versions
        packs = statistics.mean(version.nbytes for version in store.log(limit=versions))
        print(f"\n  of {grown:.0f} bytes a version, its pack is {packs:.0f}")
        del value
    gc.collect()
    a, b = apart(versions)
    with SnapshotStore(folder / "s", durable="none") as store:
        first = timed(lambda: store.load(1)[KEY], 21)
        last = timed(lambda: store.load("main")[KEY], 21)
        history = timed(lambda: store.history(KEY), 9)
        cold = timed(lambda: store.diff(a, b), 9)
        one, other = store.load(a), store.load(b)
        pstructs.diff(one, other)
        warm = timed(lambda: pstructs.diff(one, other), 101)
        assert len(store.diff(a, b).changed) <= 10
        assert len(store.history(KEY)) == 1 + (versions + 9) // 10
    found = Figures("pstructs", versions, save, grown, first, last, warm, history)
    return [found, found._replace(name="pstructs, values not loaded before", diff=cold)]


def zodb(folder: Path, entries: int, versions: int) -> list[Figures]:
    import transaction
    from BTrees.OOBTree import OOBTree
    from ZODB.DB import DB
    from ZODB.FileStorage import FileStorage

    def opened() -> Any:
        return DB(FileStorage(str(folder / "z.fs")), cache_size=2 * entries)

    db = opened()
    con = db.open()
    tree = con.root()["tree"] = OOBTree(table(entries))
    transaction.commit()
    before, save, ids = size(folder), [], [db.lastTransaction()]

    def commit(key: str, new: int) -> None:
        tree[key] = new
        transaction.commit()

    for key, new in changes(entries, versions):
        save += timed(lambda key=key, new=new: commit(key, new))  # type: ignore[misc]
        ids.append(db.lastTransaction())
    grown = (size(folder) - before) / versions
    con.close()
    db.close()

    db = opened()

    def look(tid: bytes) -> Any:
        past = db.open(at=tid)
        found = past.root()["tree"][KEY]
        past.close()
        return found

    def history() -> list[tuple[bytes, Any]]:
        found: list[tuple[bytes, Any]] = []
        for tid in ids:
            now = look(tid)
            if not found or found[-1][1] != now:
                found.append((tid, now))
        return found

    def diff() -> dict[str, int]:
        a, b = apart(versions)
        old, new = (db.open(at=ids[i - 1]) for i in (a, b))
        before, after = old.root()["tree"], new.root()["tree"]
        found = {key: v for (key, v), w in zip(after.items(), before.values()) if v != w}
        old.close()
        new.close()
        return found

    first, last = timed(lambda: look(ids[0]), 21), timed(lambda: look(ids[-1]), 21)
    out = Figures("ZODB", versions, save, grown, first, last, timed(diff, 3), timed(history, 3))
    db.close()
    return [out]


class Copies:
    """Versions as whole values under numbers, however they are kept."""

    name: str

    def put(self, number: int, value: dict[str, int]) -> None:
        raise NotImplementedError

    def get(self, number: int) -> dict[str, int]:
        raise NotImplementedError

    def measure(self, folder: Path, entries: int, versions: int) -> list[Figures]:
        value = table(entries)
        self.put(0, value)
        before, save = size(folder), []
        for i, (key, new) in enumerate(changes(entries, versions), 1):
            value[key] = new
            save += timed(lambda i=i: self.put(i, value))  # type: ignore[misc]
        grown = (size(folder) - before) / versions
        a, b = apart(versions)

        def diff() -> dict[str, int]:
            old, new = self.get(a), self.get(b)
            return {key: v for key, v in new.items() if old[key] != v}

        def history() -> list[int]:
            found: list[int] = []
            for i in range(versions + 1):
                now = self.get(i)[KEY]
                if not found or found[-1] != now:
                    found.append(now)
            return found

        first, last = (timed(lambda i=i: self.get(i)[KEY], 3) for i in (0, versions))  # type: ignore[misc]
        return [
            Figures(self.name, versions, save, grown, first, last, timed(diff), timed(history))
        ]


class InLmdb(Copies):
    name = "LMDB, whole values"

    def __init__(self, folder: Path) -> None:
        import lmdb

        self.env = lmdb.open(str(folder / "l"), map_size=2**36, sync=False)

    def put(self, number: int, value: dict[str, int]) -> None:
        with self.env.begin(write=True) as txn:
            txn.put(b"%d" % number, pickle.dumps(value, 5))

    def get(self, number: int) -> dict[str, int]:
        with self.env.begin(buffers=True) as txn:
            found: dict[str, int] = pickle.loads(txn.get(b"%d" % number))
        return found


class InDiskcache(Copies):
    name = "diskcache, a pickle a version"

    def __init__(self, folder: Path) -> None:
        import diskcache

        self.cache = diskcache.Cache(str(folder / "d"), size_limit=2**40)

    def put(self, number: int, value: dict[str, int]) -> None:
        self.cache[number] = value

    def get(self, number: int) -> dict[str, int]:
        found: dict[str, int] = self.cache[number]
        return found


class LikeGit(Copies):
    name = "a compressed file a version, as git"

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names: dict[int, str] = {}

    def put(self, number: int, value: dict[str, int]) -> None:
        data = pickle.dumps(value, 5)
        self.names[number] = hashlib.sha1(data).hexdigest()
        (self.folder / self.names[number]).write_bytes(zlib.compress(data, 1))

    def get(self, number: int) -> dict[str, int]:
        data = zlib.decompress((self.folder / self.names[number]).read_bytes())
        found: dict[str, int] = pickle.loads(data)
        return found


RIVALS: dict[str, Callable[[Path, int, int], list[Figures]]] = {
    "zodb": zodb,
    "lmdb": lambda folder, n, k: InLmdb(folder).measure(folder, n, k),
    "diskcache": lambda folder, n, k: InDiskcache(folder).measure(folder, n, k),
    "git": lambda folder, n, k: LikeGit(folder).measure(folder, n, k),
}


def us(times: list[float]) -> str:
    """Median and fastest, in the unit that fits."""
    middle, best = statistics.median(times), min(times)
    unit, by = ("us", 1.0) if middle < 1e3 else ("ms", 1e3) if middle < 1e6 else ("s", 1e6)
    return f"{middle / by:.4g} ({best / by:.4g}) {unit}"


def report(found: list[Figures]) -> None:
    head = ("", "versions", "save one key", "bytes", "open first", "open last", "diff", "history")
    print("\n| " + " | ".join(head) + " |")
    print("|" + " --- |" * len(head))
    for f in found:
        times = (f.first, f.last, f.diff, f.history)
        cells = (f.name, str(f.versions), us(f.save), f"{f.nbytes:,.0f}", *map(us, times))
        print("| " + " | ".join(cells) + " |")


def plot(found: list[Figures], file: str) -> None:
    """Draw the medians, each kind in a panel of its own, on logarithmic scales."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullLocator

    panels: list[tuple[str, Callable[[Figures], float]]] = [
        ("save, one key changed (\u00b5s)", lambda f: statistics.median(f.save)),
        ("bytes of a version", lambda f: f.nbytes),
        ("open the last version (\u00b5s)", lambda f: statistics.median(f.last)),
        ("diff, 10 keys apart (\u00b5s)", lambda f: statistics.median(f.diff)),
        ("history of a key (ms)", lambda f: statistics.median(f.history) / 1e3),
    ]
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(3, 2, sharey=True).flat
    names = [f"{f.name.split(',')[0]} ({f.versions})" for f in found]
    for axis, (title, value) in zip(axes, panels, strict=False):
        bars = axis.barh(names, [value(f) for f in found], color=["C0"] + ["C7"] * len(found))
        axis.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
        axis.set_xscale("log")
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlim(min(map(value, found)) / 3, max(map(value, found)) * 30)
        axis.xaxis.set_minor_locator(NullLocator())
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    axes[5].set_axis_off()
    axes[5].text(0, 0.5, "lower is better, logarithmic scales;\nin brackets: versions kept")
    figure.savefig(file, metadata={"Date": None})


def targets(f: Figures, entries: int, versions: int) -> None:
    """Ours against what was promised, for 1,000 versions of a million entries."""
    print(f"\nWhat was promised, at {versions:,} versions of {entries:,} entries")
    for label, value, limit, unit in (
        ("bytes of a one-key version", f.nbytes, 1500.0, "bytes"),
        ("one-key save, median", statistics.median(f.save), 60.0, "us"),
        ("one-key save, fastest", min(f.save), 60.0, "us"),
        ("open the first version, and look up", statistics.median(f.first), 200.0, "us"),
        ("open the last version, and look up", statistics.median(f.last), 200.0, "us"),
        ("diff of versions 10 keys apart", statistics.median(f.diff), 200.0, "us"),
        ("history of a key, median", statistics.median(f.history) / 1e3, 50.0, "ms"),
        ("history of a key, fastest", min(f.history) / 1e3, 50.0, "ms"),
    ):
        mark = "" if value <= limit else "   <-- short of it"
        print(f"  {label:38} {value:9.1f} {unit:5} <= {limit:g}{mark}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--versions", type=int, default=1000)
    parser.add_argument("--copies", type=int, default=10, help="versions of those that copy")
    parser.add_argument("--plot", metavar="FILE", help="draw the figures: an .svg or a .png")
    parser.add_argument("--rivals", default="all", help=f"all, none, or of {','.join(RIVALS)}")
    a = parser.parse_args()
    chosen = (
        [] if a.rivals == "none" else list(RIVALS) if a.rivals == "all" else a.rivals.split(",")
    )
    print(
        f"pstructs {pstructs.__version__}, Python {sys.version.split()[0]}, {os.cpu_count()} cores"
    )
    with tempfile.TemporaryDirectory() as folder:
        found = ours(Path(folder), a.entries, a.versions)
    targets(found[0], a.entries, a.versions)
    for name in chosen:
        count = a.versions if name == "zodb" else min(a.copies, a.versions)
        with tempfile.TemporaryDirectory() as folder:
            try:
                found += RIVALS[name](Path(folder), a.entries, count)
            except ImportError as error:
                print(f"  {name} is not installed ({error})")
    report(found)
    if a.plot:
        plot([f for f in found if "before" not in f.name], a.plot)


if __name__ == "__main__":
    main()
