"""Let old versions expire, give back their space, archive, and erase."""

import gc
import tempfile
from datetime import timedelta
from pathlib import Path

from pstructs import pmap
from pstructs.cache import SnapshotStore
from pstructs.cache.retention import KeepWithin, keep
from pstructs.errors import ExpiredVersionError, HeldVersionError

folder = Path(tempfile.mkdtemp())
store = SnapshotStore(folder / "prices.store")
prices = pmap({f"item {n}": n * 10 for n in range(10_000)})
for n in range(200):
    prices = prices.set(f"item {n}", 0)
    if n == 100:
        prices = prices.set("customer", "Ann Example, 12 Elm Street")
    store.save(prices, message=f"change {n}")

# say what stays
policy = keep(last=20, daily=7, weekly=4, within=timedelta(0))
store.pin(1, "the opening list")
store.hold(150, "case 2026-7")
report = store.expire(policy, dry_run=True)
assert report.kept[1] == "pinned as 'the opening list'"
assert report.kept[150] == "held by 'case 2026-7'"
print(report)  # 178 versions expire and 22 stay

# archive what would expire, instead of losing it
old = report.expired[:50]
store.archive(old, folder / "prices-2026.archive")
store.attach_archive(folder / "prices-2026.archive")
assert store.load(10)["item 9"] == 0

# expire the rest
assert store.expire(policy).expired == report.expired[50:]
try:
    store.load(100)
except ExpiredVersionError as error:
    print(error)  # ... version 100 ... expired at ...
assert len(store.log(limit=1000)) == 200  # the log is whole

# give back the space
del prices
gc.collect()  # packs that a value of this process lies in stay
before = store.report()
print(store.compact())
print(store.gc())
after = store.report()
assert after.live < before.live
assert after.dead == after.retired == 0

# erase a key from all versions, for good
try:
    store.erase("customer")
except HeldVersionError:
    store.release_hold(150, "case 2026-7")
gc.collect()
proof = store.erase("customer")
assert 150 in proof.versions
assert not proof.traces  # its bytes are in no file of the store
print(proof.archives)  # the archive still has it: it is yours to delete

# policies are values that can be combined and tried out
strict = KeepWithin(timedelta(days=30)) & keep(monthly=12)
print(strict.keeps(list(store.versions), now=store.version().time))
store.close()
