"""The cache layer: snapshots of persistent collections on disk, and cached results.

`SnapshotStore` keeps versions in a folder, for good. `TieredCache` and `memoize` keep results
that can be computed again, in memory and on disk. It needs the `cache` extra (`pip install
"pstructs[cache]"`): diskcache holds small packs, results and the catalog, in SQLite, and
cachetools what is in memory.
"""

from __future__ import annotations

from pstructs.cache.digests import Digest, digest
from pstructs.cache.entry import Entry
from pstructs.cache.memoize import FunctionInfo, Memoized, memoize
from pstructs.cache.memory import MemoryTier
from pstructs.cache.ondisk import DiskTier
from pstructs.cache.store import SnapshotStore
from pstructs.cache.tiered import TieredCache
from pstructs.cache.tiers import Tier, TierInfo
from pstructs.cache.verify import VerifyReport
from pstructs.cache.version import Version, VersionName

__all__ = [
    "Digest",
    "DiskTier",
    "Entry",
    "FunctionInfo",
    "Memoized",
    "MemoryTier",
    "SnapshotStore",
    "Tier",
    "TierInfo",
    "TieredCache",
    "VerifyReport",
    "Version",
    "VersionName",
    "digest",
    "memoize",
]
