"""Packs beside pickle: encoding, opening, lookups in place, the next version."""

from __future__ import annotations

import pickle
from typing import Any

from .rivals import sample, words

SIZES = (1000, 100_000)


class Pack:
    """str -> int as bytes, by packs and by pickle of a dict."""

    params = (("pstructs", "pickle"), SIZES)
    param_names = ("rival", "entries")

    def setup(self, rival: str, entries: int) -> None:
        keys = words(entries)
        source = {key: number for number, key in enumerate(keys)}
        self.hits = sample(keys)
        self.value: Any = source
        if rival == "pstructs":
            from pstructs import packs, pmap

            self.dumps: Any = packs.dumps
            self.loads: Any = lambda image: packs.loads(image, trusted=True)
            self.value = pmap(source)
        else:
            self.dumps = lambda value: pickle.dumps(value, protocol=5)
            self.loads = pickle.loads
        self.image = self.dumps(self.value)
        self.opened = self.loads(self.image)

    def time_dumps(self, rival: str, entries: int) -> None:
        self.dumps(self.value)

    def time_open_and_first_lookup(self, rival: str, entries: int) -> None:
        self.loads(self.image)[self.hits[0]]

    def time_get(self, rival: str, entries: int) -> None:
        m = self.opened
        for key in self.hits:
            m[key]

    def time_iterate_items(self, rival: str, entries: int) -> None:
        for _ in self.opened.items():
            pass

    def track_bytes_an_entry(self, rival: str, entries: int) -> float:
        return len(self.image) / entries

    track_bytes_an_entry.unit = "bytes"  # type: ignore[attr-defined]


class PackUntrusted:
    """Verifying a whole pack before anything is read; pickle can't be verified at all."""

    params = SIZES
    param_names = ("entries",)

    def setup(self, entries: int) -> None:
        from pstructs import packs, pmap

        self.loads = packs.loads
        self.image = packs.dumps(pmap(zip(words(entries), range(entries), strict=True)))

    def time_verify(self, entries: int) -> None:
        self.loads(self.image, trusted=False)
