"""The cache layer: snapshots of persistent collections on disk.

`SnapshotStore` keeps versions in a folder. It needs the `cache` extra (`pip install
"pstructs[cache]"`): diskcache holds the small packs and the catalog, in SQLite.
"""

from __future__ import annotations

from pstructs.cache.collecting import CollectReport
from pstructs.cache.compacting import CompactReport
from pstructs.cache.expiring import ExpireReport
from pstructs.cache.marks import Mark
from pstructs.cache.report import Space, StoreReport
from pstructs.cache.store import SnapshotStore
from pstructs.cache.verify import VerifyReport
from pstructs.cache.version import Version, VersionName

__all__ = [
    "CollectReport",
    "CompactReport",
    "ExpireReport",
    "Mark",
    "SnapshotStore",
    "Space",
    "StoreReport",
    "VerifyReport",
    "Version",
    "VersionName",
]
