"""What a store holds already, by digest: for saves of trees that were built anew.

A tree that was made from a loaded one knows where its nodes are saved. One that was built from
scratch does not, and would be written whole. `KnownNodes` answers where a digest is, so
that equal parts become references. It is made of the packs themselves, read when the first such
save asks and whenever there are new ones; nothing of it is kept on disk, and what it says is only
a hint: the writer of packs looks at the record before it refers to it.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pstructs.errors import PackError, StoreError

if TYPE_CHECKING:
    from pstructs.cache.folder import Folder
    from pstructs.packs import Pack

__all__ = ["KnownNodes"]

_RECORD = struct.Struct("=16sQ")
_OFFSET_BITS = 40


class KnownNodes:
    """Finds records by digest in the packs of a store.

    Parameters
    ----------
    folder : Folder

    Notes
    -----
    Memory: about 200 bytes a record; a map of a million small entries has about 150,000.
    """

    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self._places: dict[bytes, int] = {}  # digest: number of the pack << 40 | offset
        self._packs: list[bytes] = []
        self._seen: set[bytes] = set()

    def refresh(self) -> None:
        """Read the packs that came since."""
        keys = self.folder.con.execute("SELECT key FROM Cache").fetchall()
        for (key,) in keys:
            if isinstance(key, bytes) and key not in self._seen:
                self._seen.add(key)
                try:
                    found = self.folder.open_pack(key).digests()
                except (PackError, StoreError):
                    continue  # damaged: nothing is going to refer to it
                base = len(self._packs) << _OFFSET_BITS
                self._packs.append(key)
                for digest, offset in _RECORD.iter_unpack(found):
                    self._places.setdefault(digest, base | offset)

    def find(self, digest: bytes) -> tuple[Pack, int] | None:
        """Return the pack and the offset of the record with that digest; None for none."""
        place = self._places.get(digest)
        if place is None:
            return None
        try:
            pack = self.folder.open_pack(self._packs[place >> _OFFSET_BITS])
        except (PackError, StoreError):  # it has been collected since
            del self._places[digest]
            return None
        return pack, place & ((1 << _OFFSET_BITS) - 1)
