"""A parameter sweep whose results are computed once in the cluster, and never again."""

import math

import ray

from pstructs import PMap, pmap
from pstructs.cache import MemoryTier, TieredCache, memoize
from pstructs.distributed import ClusterTier, Handle, share

ray.init(
    address="local",
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="ERROR",
)

# [function]
tier = ClusterTier("sweep", limit=100 * 2**20)


def model(cache: TieredCache):
    @memoize(cache, name="smooth", version="1")
    def smooth(series: PMap, width: int) -> PMap:
        """The mean of each point and its neighbours up to `width` away."""
        points = range(len(series))
        near = {n: range(max(0, n - width), min(len(series), n + width + 1)) for n in points}
        return pmap({n: math.fsum(series[i] for i in near[n]) / len(near[n]) for n in points})

    return smooth


# [sweep]
@ray.remote
def error(series: Handle, tier: ClusterTier, width: int) -> tuple[int, float, int]:
    smooth = model(TieredCache(MemoryTier(), tier))
    before = series.open()
    after = smooth(before, width)  # by the digest of `before`, whichever process had it first
    squares = math.fsum((after[n] - math.sin(n / 40)) ** 2 for n in before)
    return width, squares, smooth.cache_info().misses


noisy = {n: math.sin(n / 40) + (n * 7919 % 101 - 50) / 100 for n in range(2_000)}
series = share(pmap(noisy))
sweep = [ray.get([error.remote(series, tier, w) for w in range(1, 13)], timeout=180)]
sweep += [ray.get([error.remote(series, tier, w) for w in range(1, 17)], timeout=180)]

# [result]
computed = [sum(misses for _, _, misses in results) for results in sweep]
assert computed == [12, 4]  # the second sweep computes what is new
best = min(sweep[1], key=lambda result: result[1])
print(f"width {best[0]} is the best of 16; {sum(computed)} of 28 results were computed")
# [end]
tier.end()
ray.shutdown()
