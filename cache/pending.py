"""Packs that are being written: tells the leftovers of a crash from work in progress.

A large pack is a file, and a file is there before the commit that makes it part of the store.
Before it is made, a row says who makes it; the commit takes the row away. A row that stays
behind belongs to a process that died, and its file is nobody's: `sweep` removes it.

    (no row) -> WRITING -> committed: the row goes, in the same transaction
                        -> SWEEPING (owner dead): file removed, then the row

A commit needs its row to be WRITING still, so a sweep that misjudged an owner makes that commit
fail and never lose a file that was committed. An owner on this machine is dead when its process
is; one that can't be looked at (another host or container) when its lease has run out.
"""

from __future__ import annotations

import contextlib
import os
import socket
import sqlite3
import time
from collections.abc import Callable
from functools import cache
from typing import NoReturn

__all__ = ["LEASE_SECONDS", "add", "drop", "is_dead", "owner", "stale"]

WRITING, SWEEPING = 0, 1
LEASE_SECONDS = 24 * 3600


def _read(path: str) -> str:
    try:
        with open(path) as source:
            return source.read().strip()
    except OSError:
        return ""


@cache
def _machine() -> str:
    """Name what process numbers on this machine, since its last boot, are unique in."""
    boot = _read("/proc/sys/kernel/random/boot_id")
    with contextlib.suppress(OSError):
        boot += "/" + os.readlink("/proc/self/ns/pid")
    return f"{socket.gethostname()}/{boot}"


def _started(pid: int) -> str | None:
    """Return when a process was started; None when there is none, "?" when it can't be told."""
    text = _read(f"/proc/{pid}/stat")
    if text:
        fields = text.rpartition(")")[2].split()  # the name in ( ) may hold anything
        return None if fields[0] in "ZX" else fields[19]
    if os.name == "nt":
        return "?"
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:
        pass
    return "?"


def owner() -> str:
    """Return the text that names this process in pending rows."""
    pid = os.getpid()
    return f"{_machine()} {pid} {_started(pid)}"


def is_dead(owner: str, lease: int) -> bool:
    """Whether the process that a pending row names is gone for sure, or its lease has run out."""
    machine, _, rest = owner.rpartition(" ")[0].rpartition(" ")
    started = owner.rpartition(" ")[2]
    if machine != _machine() or not rest.isdecimal():
        return time.time_ns() > lease
    now = _started(int(rest))
    return now is None or (now != "?" and started != "?" and now != started)


def add(con: sqlite3.Connection, pack: bytes) -> None:
    """Say that this process is about to write `pack` into a file."""
    lease = time.time_ns() + LEASE_SECONDS * 10**9
    con.execute(
        "INSERT OR REPLACE INTO pstructs_pending VALUES (?, ?, ?, ?)",
        (pack, owner(), lease, WRITING),
    )


def drop(con: sqlite3.Connection, pack: bytes, state: int = WRITING) -> bool:
    """Take the row of `pack` away; False when there is none in that state."""
    done = con.execute("DELETE FROM pstructs_pending WHERE pack = ? AND state = ?", (pack, state))
    return done.rowcount == 1


def stale(con: sqlite3.Connection, damaged: Callable[[str], NoReturn]) -> list[bytes]:
    """Mark the rows of dead owners as being swept, in the caller's transaction; return them.

    `damaged` is told of a row that no process writes.
    """
    found = []
    for pack, who, lease, state in con.execute("SELECT * FROM pstructs_pending").fetchall():
        kinds = (type(pack), type(who), type(lease), type(state))
        if kinds != (bytes, str, int, int) or len(pack) != 16:
            damaged(f"the catalog's row of a pack that is being written ({pack!r:.60}) is damaged")
        if state == SWEEPING or is_dead(who, lease):
            con.execute("UPDATE pstructs_pending SET state = ? WHERE pack = ?", (SWEEPING, pack))
            found.append(pack)
    return found
