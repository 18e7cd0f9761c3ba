"""Drives faults.c: builds it, loads a process with it, and reads what it recorded."""

from __future__ import annotations

import ctypes
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCE = Path(__file__).with_name("faults.c")
CREATE, WRITE, TRUNCATE, SYNC, RENAME, UNLINK, MKDIR, MARK = range(1, 9)
_HEAD = struct.Struct("<BQQII")


def build(folder: Path) -> Path:
    """Compile the shim, or skip the test where that is not possible."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler")
    library = folder / "faults.so"
    done = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-w", "-o", library, SOURCE, "-ldl", "-lpthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return library


def run(library: Path, script: Path, *args: object, timeout: float = 3600) -> str:
    """Run a Python script with the shim in front of libc; return what it printed."""
    preload = " ".join(filter(None, [str(library), os.environ.get("LD_PRELOAD", "")]))
    done = subprocess.run(
        [sys.executable, str(script), *map(str, args)],
        env={
            **os.environ,
            "LD_PRELOAD": preload,
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        },
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def quick_folder() -> tempfile.TemporaryDirectory[str]:
    """Return a temporary folder in memory, where there is such a filesystem."""
    shared = Path("/dev/shm")
    return tempfile.TemporaryDirectory(dir=shared if os.access(shared, os.W_OK) else None)


class Shim:
    """The shim, from inside of the process that has it."""

    def __init__(self, folder: str) -> None:
        self._library = ctypes.CDLL(None)
        self._library.faults_fired.restype = ctypes.c_long
        self._library.faults_name.restype = ctypes.c_char_p
        self._library.faults_watch(os.fsencode(folder))

    def record(self, path: str) -> None:
        self._library.faults_record(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY))

    def mark(self, number: int) -> None:
        self._library.faults_mark(ctypes.c_long(number))

    def arm(self, nth: int, number: int, lasting: bool = False) -> None:
        self._library.faults_arm(ctypes.c_long(nth), number, int(lasting))

    def fired(self) -> str:
        """Return the name of the call that failed; empty if none did."""
        self._library.faults_arm.restype = None
        return self._library.faults_name().decode() if self._library.faults_fired() else ""


class Call(NamedTuple):
    """A recorded call. `inode` is the number of a mark."""

    op: int
    inode: int
    offset: int
    path: str
    data: bytes


def calls(path: Path) -> Iterator[Call]:
    """Yield what was recorded."""
    text = path.read_bytes()
    at = 0
    while at < len(text):
        op, inode, offset, length, size = _HEAD.unpack_from(text, at)
        at += _HEAD.size
        name = os.fsdecode(text[at : at + length])
        at += length
        yield Call(op, inode, offset, name, text[at : at + size])
        at += size
