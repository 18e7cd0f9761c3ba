"""A disk that loses power: which contents can be found afterwards, given the calls before it.

The model is the strictest that a filesystem may be. What was written to a file since its last
sync may arrive or not, in any selection, each write in pieces of 512 bytes; names are made and
taken away by the sync of their folder, and before it in any selection, too. A sync of a file
promises its contents and nothing of its name.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass, field
from pathlib import Path

from support import faults
from support.faults import Call

SECTOR = 512

#: What is on the disk: names of files with what is in them, and names of folders with None.
State = dict[str, bytes | None]


@dataclass
class _File:
    """Contents that are safe, and the calls since."""

    safe: bytearray = field(default_factory=bytearray)
    since: list[Call] = field(default_factory=list)


def _apply(content: bytearray, call: Call, keep: random.Random | None = None) -> None:
    """Do a write or a truncation; with `keep`, of a write only some sectors."""
    if call.op == faults.TRUNCATE:
        del content[call.offset :]
        content.extend(bytes(call.offset - len(content)))
        return
    start, end = call.offset, call.offset + len(call.data)
    at = start
    while at < end:
        stop = min(end, (at // SECTOR + 1) * SECTOR) if keep else end
        if keep is None or keep.random() < 0.5:
            content.extend(bytes(max(0, at - len(content))))
            content[at:stop] = call.data[at - start : stop - start]
        at = stop


class Disk:
    """The disk under one folder, as calls change it.

    Parameters
    ----------
    root : str
        The folder; its name is on the disk from the start.
    """

    def __init__(self, root: str) -> None:
        self.root = root
        self.files: list[_File] = []
        self.of_inode: dict[int, int] = {}
        self.names: dict[str, int | None] = {}  # on the disk: path -> file, or None: a folder
        self.since: list[tuple[int, str, int | None]] = []  # changes of names
        self.now: dict[str, int | None] = {}  # names as the program sees them

    def do(self, call: Call) -> None:
        """Take over one call."""
        op, path = call.op, call.path
        if op == faults.CREATE:
            self.files.append(_File())
            self.of_inode[call.inode] = len(self.files) - 1
            self._name(op, path, len(self.files) - 1)
        elif op in (faults.MKDIR, faults.UNLINK):
            self._name(op, path, None)
        elif op in (faults.WRITE, faults.TRUNCATE):
            self.files[self.of_inode[call.inode]].since.append(call)
        elif (op == faults.SYNC and self.now.get(path, -1) is None) or path == self.root:
            rest = []
            for change in self.since:
                if os.path.dirname(change[1]) == path:
                    self._settle(self.names, change)
                else:
                    rest.append(change)
            self.since = rest
        elif op == faults.SYNC:
            file = self.files[self.of_inode[call.inode]]
            for write in file.since:
                _apply(file.safe, write)
            file.since.clear()
        else:
            raise AssertionError(f"no model of {call}")

    def _name(self, op: int, path: str, file: int | None) -> None:
        self._settle(self.now, (op, path, file))
        self.since.append((op, path, file))

    @staticmethod
    def _settle(names: dict[str, int | None], change: tuple[int, str, int | None]) -> None:
        op, path, file = change
        if op == faults.UNLINK:
            names.pop(path, None)
        else:
            names[path] = file

    def cut(self, rng: random.Random) -> State:
        """Return what may be found after a power cut now."""
        arrives, torn = rng.choice(
            [(0.0, False), (1.0, False), (0.5, False), (0.5, True), (0.9, True), (1.0, True)]
        )
        named = rng.choice([0.0, 0.5, 1.0])
        names = dict(self.names)
        for change in self.since:
            if rng.random() < named:
                self._settle(names, change)
        state: State = {}
        for path in sorted(names):
            file = names[path]
            if os.path.dirname(path) != self.root and os.path.dirname(path) not in names:
                continue  # its folder is not there
            if file is None:
                state[path] = None
                continue
            content = bytearray(self.files[file].safe)
            for write in self.files[file].since:
                if rng.random() < arrives:
                    _apply(content, write, rng if torn and rng.random() < 0.5 else None)
            state[path] = bytes(content)
        return state

    def make(self, state: State, root: Path) -> None:
        """Make folders and files as in `state`, with `root` in place of this disk's."""
        root.mkdir(parents=True)
        for path, content in state.items():
            place = root / os.path.relpath(path, self.root)
            if content is None:
                place.mkdir()
            else:
                place.write_bytes(content)
