"""A head: one value that all of a cluster reads and changes, kept in a store."""

import tempfile

import ray

from pstructs import diff, m
from pstructs.cache import SnapshotStore
from pstructs.distributed import Head, head

ray.init(
    address="local",
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="ERROR",
)
folder = tempfile.mkdtemp()

# [make]
stock = head("stock", m(apple=30, fig=7), store=folder)


@ray.remote
def sell(stock: Head, fruit: str, count: int) -> int:
    left = stock.swap(lambda fruits: fruits.set(fruit, fruits[fruit] - count))
    return left[fruit]


sold = [sell.remote(stock, "apple", 1) for _ in range(10)]
assert sorted(ray.get(sold, timeout=60)) == list(range(20, 30))
assert stock.value == {"apple": 20, "fig": 7}
# [compare]
seen = stock.version
assert stock.compare_and_set(seen, seen.open().set("fig", 8)) is not None
assert stock.compare_and_set(seen, seen.open().set("fig", 9)) is None  # it has moved on
# [once]
order = stock.using(write_id="order 17")
for _ in range(3):  # a job that is run again after a crash
    order.swap(lambda fruits: fruits.set("apple", fruits["apple"] - 5))
assert stock.value["apple"] == 15
# [follow]
before = seen
for version in stock.subscribe(since=seen, timeout=0.5):
    print(version.number, dict(diff(before.open(), version.open()).changed))
    before = version
assert before == stock.version
# [store]
stock.end()  # or its actor died, or the cluster was restarted
stock = head("stock", store=folder)
assert stock.value == {"apple": 15, "fig": 8}
order.swap(lambda fruits: fruits.set("apple", 0))  # known: nothing happens
with SnapshotStore(folder) as store:
    assert store.load("stock") == stock.value
    assert len(store.log("stock")) == stock.version.number == 13
# [end]
stock.end()
ray.shutdown()
