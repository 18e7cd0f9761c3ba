"""Writing in place forgot where nodes were saved while some were already emptied.

The last of them closes its pack, and what dies with the pack may look at the evolver.
"""

from __future__ import annotations

from typing import Any

import pytest

from pstructs import pmap
from pstructs.packs import Pack, PackWriter


class Owner:
    """Looks every key up in the evolver when the pack that it owns is closed."""

    def __init__(self, evolver: Any, keys: list[str], seen: list[list[str]]) -> None:
        self.evolver, self.keys, self.seen = evolver, keys, seen

    def __del__(self) -> None:
        self.seen.append([k for k in self.keys if k not in self.evolver])


@pytest.mark.parametrize("entries", range(40, 400, 9))
def test_code_that_runs_when_a_pack_closes_sees_a_whole_evolver(entries: int) -> None:
    keys = [f"k{i}" for i in range(entries)]
    seen: list[list[str]] = []
    evolver = pmap().evolver()
    evolver.update(dict.fromkeys(keys, 0))
    writer = PackWriter(evolver.persistent())
    pack = Pack.from_buffer(writer.image, trusted=True, owner=Owner(evolver, keys, seen))
    writer.adopt(pack)
    del writer, pack
    for i, key in enumerate(keys):  # each path in turn, until no node remembers the pack
        evolver.remove(key)
        evolver[key] = i
    assert len(seen) == 1
    assert len(seen[0]) <= 1  # at most the key that is being removed
