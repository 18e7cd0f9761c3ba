"""Cache the results of functions, in memory and on disk."""

import asyncio
import tempfile
from pathlib import Path

from pstructs import pmap
from pstructs.cache import DiskTier, MemoryTier, TieredCache, memoize

folder = Path(tempfile.mkdtemp()) / "results"
cache = TieredCache(MemoryTier(64 * 2**20), DiskTier(folder, 2**30))
computed = []


# a pure function of its arguments
@memoize(cache)
def total(prices, currency="EUR"):
    computed.append(currency)
    return sum(prices.values())


prices = pmap({f"item {n}": n for n in range(10_000)})
assert total(prices) == total(prices, currency="EUR") == total(pmap(dict(prices)))
assert computed == ["EUR"]  # equal content is the same call, however it was made
total(prices.set("item 1", 5))
assert len(computed) == 2  # and other content another one: a result is never stale
print(total.cache_info())


# what changes outside of the arguments: a time to live, and tags to invalidate by
@memoize(cache, ttl=300, jitter=0.1, tags=lambda user: [f"user:{user}"])
def profile(user):
    return {"name": user.title(), "visits": 0}


mine = profile("ann")
mine["visits"] += 1
assert profile("ann")["visits"] == 0  # a dict can be changed, so everyone gets a new one
assert cache.invalidate("user:ann") == 1  # for all processes that use the folder


# "there is none" as an answer: kept for a short time
@memoize(cache, errors=(LookupError,), negative_ttl=10)
def find(name):
    computed.append(name)
    raise LookupError(f"nobody is called {name}")


for _ in range(2):
    try:
        find("zoe")
    except LookupError as error:
        print(error)
assert computed.count("zoe") == 1


# an async function; of all tasks, threads and processes that ask at once, one computes
@memoize(cache, version="2")  # in place of a digest of the code
async def fetch(page):
    computed.append(page)
    await asyncio.sleep(0.01)
    return f"<{page}>"


async def main():
    return await asyncio.gather(*[fetch("start") for _ in range(20)])


assert asyncio.run(main()) == ["<start>"] * 20
assert computed.count("start") == 1


# a method; the connection makes no difference to the result
class Shop:
    """What one connection reaches."""

    def __init__(self, connection):
        self.connection = connection

    @memoize(cache, ignore=["self"])
    def taxes(self, country):
        """Return the tax rate of a country, in percent."""
        return {"DE": 19, "FR": 20}[country]


assert Shop(object()).taxes("DE") == Shop(object()).taxes("DE") == 19

# without a function
assert cache.get_or_compute(("report", 2024), lambda: [1, 2, 3], tags=("reports",)) == [1, 2, 3]
assert cache.get(("report", 2024)) == [1, 2, 3]
assert cache.get(("report", 1999), "none yet") == "none yet"

for name, tier in cache.cache_info().items():
    print(name, tier)
cache.close()
