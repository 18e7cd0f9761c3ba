"""Reading a store that someone prepared imports, compiles and runs nothing."""

from __future__ import annotations

import os
import pickle
import random
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

from pstructs import m, pmap, psortedmap, pvector
from pstructs.cache import SnapshotStore
from pstructs.packs import dumps
from support.pack_tools import mutate

READER = """
    import os, sys
    sys.path.insert(0, sys.argv[1])
    from pathlib import Path
    from pstructs.cache import SnapshotStore
    from pstructs.errors import PstructsError

    QUIET = (  # what reading a store may do; opening files only under its folder
        "sqlite3.connect", "sqlite3.connect/handle", "os.listdir", "os.mkdir", "os.remove",
        "object.__getattr__", "object.__setattr__", "object.__delattr__",
        "sys._getframe", "time.sleep", "fcntl.flock", "fcntl.fcntl", "fcntl.lockf",
        "cpython._PySys_ClearAuditHooks", "gc.get_objects",
    )
    OWN = ("/proc/self/", f"/proc/{os.getpid()}/", "/proc/sys/kernel/random/boot_id")
    events, told, watching, root = [], 0, False, ""

    def hook(event, args):
        global told
        if not watching:
            return
        told += 1
        if event == "open" and isinstance(args[0], str) and args[0].startswith((root, *OWN)):
            return
        if event not in QUIET:
            events.append((event, args))

    def everything(value):
        if isinstance(value, str | bytes | int | float | None):
            return
        try:
            children = list(value.items() if hasattr(value, "items") else value)
        except TypeError:
            return
        for child in children:
            everything(child)

    def read(folder):
        errors = 0
        try:
            with SnapshotStore(folder) as store:
                for ask in (store.log, store.heads, store.verify, lambda: list(store.versions)):
                    try:
                        ask()
                    except PstructsError:
                        errors += 1
                for number in range(1, 8):
                    try:
                        everything(store.load(number))
                    except PstructsError:
                        errors += 1
        except PstructsError:
            errors += 1
        return errors

    folders = sorted(Path(sys.argv[2]).iterdir())
    read(folders[0])  # what is imported lazily by honest work is imported now
    read(folders[1])
    sys.addaudithook(hook)
    errors = 0
    for folder in folders:
        root = str(folder)
        watching = True
        errors += read(folder)
        watching = False
    print(told, errors, *events, sep="\\n")
"""


class Runs:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def poison(folder: Path, trap: Path, which: int, rng: random.Random) -> None:
    evil = pickle.dumps(Runs(trap))
    statements: list[tuple[str, tuple[object, ...]]] = [
        ("UPDATE Cache SET mode = 4, value = ? WHERE filename IS NULL", (evil,)),
        ("UPDATE Cache SET value = ? WHERE filename IS NULL", (evil,)),
        ("UPDATE Cache SET raw = 0, key = ? WHERE rowid = 2", (evil,)),
        ("UPDATE Settings SET value = ? WHERE key = 'disk_pickle_protocol'", (evil,)),
        ("INSERT INTO Settings VALUES ('_disk', ?)", (evil,)),
        ("UPDATE pstructs_version SET message = ?", (evil,)),
        ("UPDATE Cache SET filename = '../../../../etc/passwd', mode = 3", ()),
        ("UPDATE Cache SET filename = ?, mode = 2, value = NULL", (str(trap),)),
    ]
    if which < len(statements):
        with closing(sqlite3.connect(folder / "cache.db")) as con, con:
            con.execute(*statements[which])
        return
    pack = rng.choice(sorted((folder / "packs").iterdir()))
    if which % 3 == 0:
        pack.write_bytes(evil)
    else:
        pack.write_bytes(mutate(pack.read_bytes(), rng))  # with checksums that fit


def test_poisoned_stores_run_nothing(tmp_path: Path) -> None:
    sample, stores, trap = tmp_path / "sample", tmp_path / "stores", tmp_path / "trap"
    values = pmap({n: f"{n:020}" for n in range(1500)})
    nested = m(v=pvector(range(90)), s=psortedmap({"a": 1}), deep=[m(x=(1, b"2"))], when=values)
    with SnapshotStore(sample) as store:
        store.save(nested)
        store.save(nested.set("s", psortedmap({"b": 2})))
        store.save(m(other=dumps(nested)), head="side")
    rng = random.Random(18)
    for which in range(40):
        folder = shutil.copytree(sample, stores / f"{which:03}")
        if which:
            poison(folder, trap, which - 1, rng)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent(READER),
            os.pathsep.join(sys.path[:1]),
            str(stores),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, errors, *events = done.stdout.splitlines()
    assert events == []
    assert int(told) > 100, "the hook hears what the store itself does"
    assert int(errors) > 40, "the stores are poisoned"
    assert not trap.exists()
