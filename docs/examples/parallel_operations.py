"""Filter, map, join and sum up the parts of a shared table."""

import collections
import operator
import tempfile
import threading

import ray

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.distributed import WorkCancelledError, parallel

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

# [chain]
stations = pmap({f"st{n}": {"height": n % 3000, "country": "ABC"[n % 3]} for n in range(50_000)})

feet = (
    parallel(stations)
    .filter(lambda name, station: station["height"] > 2000)
    .map_values(lambda station: round(station["height"] * 3.2808))
    .collect()
)
assert feet["st2500"] == 8202
assert "st1999" not in feet
# [values]
work = parallel(stations)
assert work.filter(lambda name, station: station["country"] == "A").count() == 16_667
highest = work.map_values(lambda station: station["height"]).top_k(2)
assert [height for name, height in highest] == [2999, 2999]
assert work.map_values(lambda station: station["height"]).reduce(max) == 2999
by_country = work.group_by(lambda name, station: station["country"])
assert len(by_country["B"]) == 16_667
# To count groups, map_reduce sends less than group_by.
counted = work.map_reduce(
    lambda part: collections.Counter(s["country"] for s in part.values()), operator.add
)
assert counted["B"] == 16_667
# [join]
winds = pmap({f"st{n}": n % 40 for n in range(0, 50_000, 2)})
gusty = work.join(winds).filter(lambda name, both: both[1] > 30).count()
assert gusty == 5_000
assert work.join(winds, "left").collect()["st1"][1] is None
# [tables]
table = work.filter(lambda name, station: station["height"] < 10).to_arrow()
assert table.column_names == ["height", "country"]
with tempfile.TemporaryDirectory() as folder, SnapshotStore(folder) as store:
    version = work.map_values(lambda s: s["height"]).to_snapshot(store, message="heights")
    assert store.load(version)["st7"] == 7
# [watch]
cancel = threading.Event()


def progress(done: int, parts: int) -> None:
    if done > parts // 2:  # or move a bar
        cancel.set()


try:
    parallel(stations, partitions=100, progress=progress, cancel=cancel).group_by(
        lambda name, station: station["height"]
    )
except WorkCancelledError as error:
    assert "of 100 parts" in str(error)
# [end]
ray.shutdown()
