"""Share a table with Ray tasks: by handle, straight, a derived version, and in parallel."""

import collections
import operator

import ray

from pstructs import pmap
from pstructs.distributed import Handle, map_reduce, share

ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")

# [share]
prices = pmap({f"item {n}": {"price": n % 97, "kind": "abc"[n % 3]} for n in range(50_000)})
handle = share(prices)
assert handle.where == "ray"


@ray.remote
def price_of(handle: Handle, items: list[str]) -> list[int]:
    table = handle.open()  # no copy; the second task in this worker finds it open
    return [table[item]["price"] for item in items]


assert ray.get(price_of.remote(handle, ["item 5", "item 98"]), timeout=60) == [5, 1]
# [straight]


@ray.remote
def reprice(table, item: str, price: int):
    return table.set(item, table[item] | {"price": price})


# A large collection goes by handle on its own, and so does the result.
repriced = ray.get(reprice.remote(prices, "item 5", 1000), timeout=60)
assert repriced["item 5"]["price"] == 1000
assert prices["item 5"]["price"] == 5
# [derived]
later = share(repriced.remove("item 7"))  # sends the new nodes only
assert ray.get(price_of.remote(later, ["item 5"]), timeout=60) == [1000]


# [parallel]
def count(part):
    return collections.Counter(entry["kind"] for entry in part.values())


counted = map_reduce(handle, count, operator.add)
assert counted == collections.Counter(entry["kind"] for entry in prices.values())
# [release]
handle.release()
later.release()
# [end]
ray.shutdown()
