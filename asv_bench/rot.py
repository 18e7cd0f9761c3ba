"""What stores answer after a single bit of them was flipped: prints a table.

    python asv_bench/rot.py [FLIPS]

Each store holds the same 300 entries in four versions, or states where it has no versions. For
each flip, a child process opens the files, with the bit flipped, and reads the newest state
whole. Its answer is right, an error, or wrong; or the process dies. Bits are drawn evenly from
all bytes of the files that hold data; LMDB's lock file and ZODB's index can be made again and
are left out.
"""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import sys
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import lmdb
import transaction
import ZODB
import ZODB.FileStorage
from BTrees.OOBTree import OOBTree

from pstructs import pmap
from pstructs.cache import SnapshotStore

STATES = [
    {f"key {n}": f"value {n + turn * (n % 100 == 0):09}" for n in range(300)} for turn in range(4)
]
TRUTH = STATES[-1]


def make_pstructs(folder: Path) -> None:
    value = pmap()
    with SnapshotStore(folder / "s") as store:
        for state in STATES:
            value = value.update(state)
            store.save(value)


def read_pstructs(folder: Path) -> dict[str, str]:
    with SnapshotStore(folder / "s") as store:
        return dict(store.load())


def make_sqlite(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "data.db")) as con:
        con.execute("CREATE TABLE state (key TEXT PRIMARY KEY, value TEXT)")
        for state in STATES:
            with con:
                con.executemany("INSERT OR REPLACE INTO state VALUES (?, ?)", state.items())


def read_sqlite(folder: Path) -> dict[str, str]:
    with closing(sqlite3.connect(folder / "data.db")) as con:
        return dict(con.execute("SELECT key, value FROM state"))


def make_lmdb(folder: Path) -> None:
    with lmdb.open(str(folder), map_size=1 << 22) as env:
        for state in STATES:
            with env.begin(write=True) as txn:
                for key, value in state.items():
                    txn.put(key.encode(), value.encode())


def read_lmdb(folder: Path) -> dict[str, str]:
    options = {"map_size": 1 << 22, "readonly": True, "lock": False}
    with lmdb.open(str(folder), **options) as env, env.begin() as txn:
        return {key.decode(): value.decode() for key, value in txn.cursor()}


def make_zodb(folder: Path) -> None:
    db = ZODB.DB(ZODB.FileStorage.FileStorage(str(folder / "data.fs")))
    with db.transaction() as con:
        con.root.state = OOBTree(STATES[0])
    for state in STATES[1:]:
        with db.transaction() as con:
            con.root.state.update(state)
    db.close()
    transaction.abort()


def read_zodb(folder: Path) -> dict[str, str]:
    db = ZODB.DB(ZODB.FileStorage.FileStorage(str(folder / "data.fs"), read_only=True))
    with db.transaction() as con:
        found = dict(con.root.state)
    db.close()
    return found


STORES: dict[str, tuple[Callable[[Path], None], Callable[[Path], dict[str, str]]]] = {
    "pstructs": (make_pstructs, read_pstructs),
    "SQLite": (make_sqlite, read_sqlite),
    "LMDB": (make_lmdb, read_lmdb),
    "ZODB": (make_zodb, read_zodb),
}
LEFT_OUT = {"lock.mdb", "data.fs.index", "data.fs.lock", "data.fs.tmp"}
RIGHT, ERROR, WRONG = range(3)


def ask(read: Callable[[Path], dict[str, str]], folder: Path) -> int | None:
    """Read in a child; None when it died."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        code = ERROR
        try:
            code = RIGHT if read(folder) == TRUTH else WRONG
        except Exception:
            code = ERROR
        finally:
            os._exit(code)
    status = os.waitpid(child, 0)[1]
    return os.waitstatus_to_exitcode(status) if os.WIFEXITED(status) else None


def main() -> None:
    flips = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    print(f"{'':10}{'bytes':>9}{'right':>9}{'error':>9}{'wrong':>9}{'died':>9}   of {flips} flips")
    for name, (make, read) in STORES.items():
        with tempfile.TemporaryDirectory() as where:
            sample, copy = Path(where) / "sample", Path(where) / "copy"
            sample.mkdir()
            make(sample)
            assert read(sample) == TRUTH
            files = [
                p for p in sorted(sample.rglob("*")) if p.is_file() and p.name not in LEFT_OUT
            ]
            total = sum(path.stat().st_size for path in files)
            rng = random.Random(name)
            outcomes: dict[int | None, int] = {}
            for _ in range(flips):
                shutil.copytree(sample, copy)
                bit = rng.randrange(8 * total)
                for path in files:
                    size = 8 * path.stat().st_size
                    if bit < size:
                        target = copy / path.relative_to(sample)
                        content = bytearray(target.read_bytes())
                        content[bit // 8] ^= 1 << bit % 8
                        target.write_bytes(content)
                        break
                    bit -= size
                outcome = ask(read, copy)
                outcomes[outcome] = outcomes.get(outcome, 0) + 1
                shutil.rmtree(copy)
            row = "".join(f"{outcomes.get(k, 0):>9}" for k in (RIGHT, ERROR, WRONG, None))
            print(f"{name:10}{total:>9}{row}", flush=True)


if __name__ == "__main__":
    main()
