"""Sum up a snapshot in processes of this machine, without Ray."""

# [processes]
import operator
import tempfile

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.distributed import parallel


def main(folder: str) -> None:
    with SnapshotStore(folder) as store:
        store.save(pmap({n: n % 100 for n in range(50_000)}))
        table = store.load()
    below = parallel(table, processes=2).map_values(operator.neg)
    assert below.reduce(operator.add) == -sum(n % 100 for n in range(50_000))


if __name__ == "__main__":  # the processes import this file
    with tempfile.TemporaryDirectory() as folder:
        main(folder)
# [end]
