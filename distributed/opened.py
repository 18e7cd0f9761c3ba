"""The packs that this process has open, so that a second task on the same one pays nothing.

Packs are immutable and known by uuid, so what is here can't be stale: also when the owner of a
pack is gone, an open view of it stays readable. The collections opened from a pack hold it; the
cache itself keeps only the last few, since an open pack can't leave the node's shared memory.
"""

from __future__ import annotations

import threading
import time
import weakref
from collections import OrderedDict

from pstructs.packs import Pack

__all__ = ["OPEN_PACKS", "OpenPacks"]

IDLE = 10.0
"""Seconds after which a pack that nothing uses is closed. Ray keeps idle workers, and what those
have open can't leave the object store; to open a pack again takes 0.3 ms."""

KEEP = 16
"""Packs that stay open although no collection uses them: enough for a task that alternates
between a few tables, few enough that old versions leave the store."""


class OpenPacks:
    """Open packs by the first 8 bytes of their uuid.

    Parameters
    ----------
    keep : int
        How many of the packs used last stay open when nothing else holds them.
    idle : float
        For how many seconds.
    """

    def __init__(self, keep: int = KEEP, idle: float = IDLE) -> None:
        self._keep, self._idle = keep, idle
        self._all: weakref.WeakValueDictionary[bytes, Pack] = weakref.WeakValueDictionary()
        self._last: OrderedDict[bytes, tuple[Pack, float]] = OrderedDict()  # and when it was used
        self._closing = False
        self._lock = threading.RLock()  # closing a pack may run a finaliser that comes back

    def __len__(self) -> int:
        return len(self._all)

    def get(self, uuid: bytes) -> Pack | None:
        """The open pack of that uuid, or whose uuid starts with these 8 bytes; or None."""
        short = uuid[:8]
        with self._lock:
            pack = self._all.get(short)
            return pack if pack is not None and pack.uuid.startswith(uuid) else None

    def add(self, pack: Pack) -> Pack:
        """Keep a pack, or return the one of the same uuid that another thread opened first."""
        short = pack.uuid[:8]
        with self._lock:
            known = self._all.get(short)
            if known is not None and known.uuid == pack.uuid and known.owner is pack.owner:
                pack = known
            else:
                self._all[short] = pack
            return pack

    def use(self, pack: Pack) -> None:
        """Keep a pack open, with those that it has reached, until others were used more lately."""
        with self._lock:
            self._last[pack.uuid] = pack, time.monotonic()
            self._last.move_to_end(pack.uuid)
            while len(self._last) > self._keep:
                self._last.popitem(last=False)
            if not self._closing:
                self._closing = True
                threading.Thread(
                    target=self._close_idle, name="pstructs-packs", daemon=True
                ).start()

    def _close_idle(self) -> None:
        while True:
            with self._lock:
                while self._last:
                    uuid, (_, used) = next(iter(self._last.items()))
                    left = used + self._idle - time.monotonic()
                    if left > 0:
                        break
                    del self._last[uuid]
                else:
                    self._closing = False
                    return
            time.sleep(left)

    def clear(self) -> None:
        """Close what nothing else holds."""
        with self._lock:
            self._last.clear()


OPEN_PACKS = OpenPacks()
