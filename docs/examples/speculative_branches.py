"""Monte Carlo over a shared snapshot: each task tries changes of its own, the best one is kept."""

import random

import ray

from pstructs import m, pmap
from pstructs.distributed import HeadVersion, head

ray.init(
    address="local",
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="ERROR",
)

# [plan]
random.seed(1)
CITIES = 5_000
places = {n: (random.random(), random.random()) for n in range(CITIES)}
depots = head("depots", m(places=pmap(places), assigned=pmap({n: n % 20 for n in places})))


def cost(value, cities) -> float:
    """How far these cities are from city number `depot`, which stands for their depot."""
    at = value["places"]

    def away(n: int) -> float:
        (x, y), (p, q) = at[n], at[value["assigned"][n]]
        return (x - p) ** 2 + (y - q) ** 2

    return sum(away(n) for n in cities)


# [branch]
@ray.remote
def speculate(version: HeadVersion, seed: int):
    value = version.open()  # 5,000 cities, read in place
    choose = random.Random(seed)
    cities = choose.sample(range(CITIES), 50)
    before = cost(value, cities)
    assigned = value["assigned"]
    for n in cities:  # a branch of its own: no copy, and nobody else sees it
        assigned = assigned.set(n, choose.randrange(20))
    branch = value.set("assigned", assigned)
    return cost(branch, cities) - before, {n: assigned[n] for n in cities}


# [keep]
cities = range(CITIES)
first = cost(depots.value, cities)
for round_ in range(3):
    seen = depots.version
    tries = ray.get([speculate.remote(seen, 100 * round_ + n) for n in range(16)], timeout=120)
    gain, moves = min(tries, key=lambda tried: tried[0])
    if gain < 0:
        depots.swap(lambda value, new: value.set("assigned", value["assigned"].update(new)), moves)

assert depots.version.number > 1
assert cost(depots.value, cities) < first
assert depots.open(1)["assigned"] == {n: n % 20 for n in places}  # the first plan is still there
# [end]
depots.end()
ray.shutdown()
