"""The snapshot store beside a file of pickle: a new version after one or many changes."""

from __future__ import annotations

import itertools
import pickle
import shutil
import tempfile
from pathlib import Path
from typing import Any

from .rivals import words


class Store:
    """One version more of a map on disk, and opening the newest."""

    params = (("pstructs", "pickle"), (1000, 100_000))
    param_names = ("rival", "entries")
    timeout = 300

    def setup(self, rival: str, entries: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pstructs-bench-"))
        self.keys = words(entries)
        self.fresh = itertools.count(10**9)
        source = {key: number for number, key in enumerate(self.keys)}
        self.rival, self.value = rival, source
        self.store: Any = None
        if rival == "pstructs":
            from pstructs import pmap
            from pstructs.cache import SnapshotStore

            self.value: Any = pmap(source)
            self.store = SnapshotStore(self.folder / "store")
        self.save()

    def teardown(self, rival: str, entries: int) -> None:
        if self.store is not None:
            self.store.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def save(self) -> None:
        if self.store is not None:
            self.store.save(self.value)
        else:
            path = self.folder / "value.pickle"
            path.write_bytes(pickle.dumps(self.value, protocol=5))

    def load(self) -> Any:
        if self.store is not None:
            return self.store.load("main")
        return pickle.loads((self.folder / "value.pickle").read_bytes())

    def change(self, n: int) -> None:
        changes = {key: next(self.fresh) for key in self.keys[:n]}
        if self.store is not None:
            self.value = self.value.update(changes)
        else:
            self.value.update(changes)

    def time_save_one_change(self, rival: str, entries: int) -> None:
        self.change(1)
        self.save()

    def time_save_one_percent(self, rival: str, entries: int) -> None:
        self.change(entries // 100)
        self.save()

    def time_load_and_first_lookup(self, rival: str, entries: int) -> None:
        self.load()[self.keys[0]]
