"""What tests of stores share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from pstructs import pmap
from pstructs.cache import SnapshotStore

SMALL = pmap({"n": 1})
BIG = pmap({n: f"{n:020}" for n in range(4000)})  # a pack of more than 32 KiB


def state(store: SnapshotStore) -> dict[str, Any]:
    """All that a store tells: versions, heads, the moves of heads, and its packs."""
    con = store._folder.con
    tables = [
        "pstructs_version",
        "pstructs_head",
        "pstructs_tag",
        "pstructs_reflog",
        "pstructs_pending",
    ]
    found: dict[str, Any] = {
        table: con.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables
    }
    found["packs"] = con.execute("SELECT key, size, mode FROM Cache ORDER BY key").fetchall()
    found["files"] = sorted(os.listdir(Path(store.path, "packs")))
    found["waiting"] = waiting(store)
    return found


def waiting(store: SnapshotStore) -> list[str]:
    """The files in incoming/, besides the lock."""
    folder = Path(store.path, "incoming")
    return sorted(set(os.listdir(folder)) - {"lock"}) if folder.exists() else []


def same_versions(a: SnapshotStore, b: SnapshotStore) -> bool:
    """Whether all versions of `a` are in `b`, with equal values."""
    for version in a.versions:
        there = b.version(version.id)
        assert (there.parents, there.time, there.message) == (
            version.parents,
            version.time,
            version.message,
        )
        assert b.load(there) == a.load(version)
    return True


def grown(store: SnapshotStore, versions: int = 3, head: str = "main") -> SnapshotStore:
    """Save a few versions: one large, the others small changes of it, and an undo."""
    value = BIG
    store.save(value, head=head, message="the large one")
    for n in range(versions):
        value = value.set(n, f"changed {n}")
        store.save(value, head=head, message=f"change {n}")
    store.undo(head)
    return store


def tagged(store: SnapshotStore, name: str, message: str | None, head: str = "main") -> None:
    """Tag where a head is."""
    with store._folder.transaction(sync=False) as con:
        version = store._catalog.find(con, head)
        store._catalog.add_tag(con, name, version.number, bytes.fromhex(version.id), message)


def untouched(store: SnapshotStore, versions: int = 0, packs: int = 0) -> None:
    """A call left nothing behind: no version, no file, nothing in the table of packs under way."""
    assert len(store.versions) == versions
    assert store._con().execute("SELECT count(*) FROM pstructs_pending").fetchone() == (0,)
    assert len(os.listdir(os.path.join(store.path, "packs"))) == packs
    found = {name.partition("-")[0] for name in os.listdir(store.path)}
    assert found <= {"cache.db", "packs", "leases"}
    assert store.verify().unlisted == ()
