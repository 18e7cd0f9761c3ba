"""Share persistent collections with Ray workers, without copies or locks.

`share(collection)` puts packs into the cluster's object store and returns a small `Handle`;
`handle.open()` in a task, an actor or the driver reads them in place. A large collection that is
passed straight to a task goes the same way. `parallel` works on the parts of a collection, in Ray
tasks or in processes. `head(name)` is a value that all of the cluster reads and changes. Without
Ray all of this runs in the calling process, and says so; see `backend`.
"""

from pstructs.distributed.backend import backend
from pstructs.distributed.cluster_tier import ClusterTier
from pstructs.distributed.handle import Handle, share
from pstructs.distributed.head import Head, head
from pstructs.distributed.head_version import HeadVersion
from pstructs.distributed.parallel import Parallel, map_reduce, parallel
from pstructs.distributed.parts import Partition, partitions
from pstructs.distributed.pickling import AUTO_SHARE_ENTRIES, enable
from pstructs.distributed.stream import Consumer, Stream
from pstructs.errors import ShareError, WorkCancelledError

__all__ = [
    "AUTO_SHARE_ENTRIES",
    "ClusterTier",
    "Consumer",
    "Handle",
    "Head",
    "HeadVersion",
    "Parallel",
    "Partition",
    "ShareError",
    "Stream",
    "WorkCancelledError",
    "backend",
    "enable",
    "head",
    "map_reduce",
    "parallel",
    "partitions",
    "share",
]

enable()
