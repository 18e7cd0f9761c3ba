"""Many tasks look features up in one shared table, and a new version of it takes over at once."""

import random

import ray

from pstructs import pmap
from pstructs.distributed import Handle, share

ray.init(
    num_cpus=2,
    include_dashboard=False,
    log_to_driver=False,
    logging_level="ERROR",
    object_store_memory=200_000_000,
)
USERS = 1_000_000  # 47 MB, once a node

# [features]
features = pmap({n: (n % 7 / 7, n % 11 / 11, n % 13 / 13) for n in range(USERS)})
WEIGHTS = (0.2, 0.3, 0.5)


@ray.remote
def score(table: Handle, users: list[int]) -> list[float]:
    rows = table.open()  # in place: the first task of a worker opens it, the others find it open
    return [sum(w * x for w, x in zip(WEIGHTS, rows[user], strict=True)) for user in users]


dice = random.Random(1)
batches = [[dice.randrange(USERS) for _ in range(100)] for _ in range(20)]
table = share(features)
before = ray.get([score.remote(table, batch) for batch in batches], timeout=120)

# A batch of fresh features: tasks that run go on with the version that they were given.
updated = features.update(dict.fromkeys(batches[0], (1.0, 1.0, 1.0)))
after = ray.get([score.remote(share(updated), batch) for batch in batches], timeout=120)
assert all(abs(value - 1.0) < 1e-9 for value in after[0])
assert max(before[0]) < 1.0
# [end]
ray.shutdown()
