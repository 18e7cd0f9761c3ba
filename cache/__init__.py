"""The cache layer: snapshots of persistent collections on disk.

`SnapshotStore` keeps versions in a folder. It needs the `cache` extra (`pip install
"pstructs[cache]"`): diskcache holds the small packs and the catalog, in SQLite.
"""

from __future__ import annotations

from pstructs.cache.receiving import Transfer
from pstructs.cache.remote import RemoteFolder
from pstructs.cache.store import SnapshotStore
from pstructs.cache.verify import VerifyReport
from pstructs.cache.version import Version, VersionName

__all__ = ["RemoteFolder", "SnapshotStore", "Transfer", "VerifyReport", "Version", "VersionName"]
