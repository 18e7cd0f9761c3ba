"""Share persistent collections with Ray workers, without copies or locks.

`share(collection)` puts packs into the cluster's object store and returns a small `Handle`;
`handle.open()` in a task, an actor or the driver reads them in place. A large collection that is
passed straight to a task goes the same way. `map_reduce` works on the parts of a collection in
parallel. `head(name)` is a value that all of the cluster reads and changes. Without Ray all of
this runs in the calling process, and says so; see `backend`.
"""

from pstructs.distributed.backend import backend
from pstructs.distributed.cluster_tier import ClusterTier
from pstructs.distributed.handle import Handle, share
from pstructs.distributed.head import Head, head
from pstructs.distributed.head_version import HeadVersion
from pstructs.distributed.parallel import Partition, map_reduce, partitions
from pstructs.distributed.pickling import AUTO_SHARE_ENTRIES, enable
from pstructs.distributed.stream import Consumer, Stream
from pstructs.errors import ShareError

__all__ = [
    "AUTO_SHARE_ENTRIES",
    "ClusterTier",
    "Consumer",
    "Handle",
    "Head",
    "HeadVersion",
    "Partition",
    "ShareError",
    "Stream",
    "backend",
    "enable",
    "head",
    "map_reduce",
    "partitions",
    "share",
]

enable()
