"""The cache layer: snapshots of persistent collections on disk, and cached results.

`SnapshotStore` keeps versions in a folder, for good. `TieredCache` and `memoize` keep results
that can be computed again, in memory and on disk. It needs the `cache` extra (`pip install
"pstructs[cache]"`): diskcache holds small packs, results and the catalog, in SQLite, and
cachetools what is in memory.
"""

from __future__ import annotations

from pstructs.cache.branching import HeadMove, Reflog, TagInfo
from pstructs.cache.collecting import CollectReport
from pstructs.cache.compacting import CompactReport
from pstructs.cache.compressing import CompressReport
from pstructs.cache.digests import Digest, digest
from pstructs.cache.entry import Entry
from pstructs.cache.erasing import EraseReport
from pstructs.cache.expiring import ExpireReport
from pstructs.cache.history import ValueChange
from pstructs.cache.memoize import FunctionInfo, Memoized, memoize
from pstructs.cache.memory import MemoryTier
from pstructs.cache.merging import Transaction
from pstructs.cache.ondisk import DiskTier
from pstructs.cache.pins import Mark
from pstructs.cache.receiving import Transfer
from pstructs.cache.remote import RemoteFolder
from pstructs.cache.repairing import RepairReport
from pstructs.cache.report import Space, StoreReport
from pstructs.cache.store import SnapshotStore
from pstructs.cache.tiered import TieredCache
from pstructs.cache.tiers import Tier, TierInfo
from pstructs.cache.verify import VerifyReport
from pstructs.cache.version import Version, VersionName

__all__ = [
    "CollectReport",
    "CompactReport",
    "CompressReport",
    "Digest",
    "DiskTier",
    "Entry",
    "EraseReport",
    "ExpireReport",
    "FunctionInfo",
    "HeadMove",
    "Mark",
    "Memoized",
    "MemoryTier",
    "Reflog",
    "RemoteFolder",
    "RepairReport",
    "SnapshotStore",
    "Space",
    "StoreReport",
    "TagInfo",
    "Tier",
    "TierInfo",
    "TieredCache",
    "Transaction",
    "Transfer",
    "ValueChange",
    "VerifyReport",
    "Version",
    "VersionName",
    "digest",
    "memoize",
]
