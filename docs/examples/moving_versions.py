"""Move versions between stores: as a file, between folders, and through a remote folder."""

import tempfile
from pathlib import Path

from pstructs import merge, pmap
from pstructs.cache import RemoteFolder, SnapshotStore
from pstructs.errors import DamagedExportError, HeadMovedError

folder = Path(tempfile.mkdtemp())
office = SnapshotStore(folder / "office.store")
laptop = SnapshotStore(folder / "laptop.store")

# a file with everything, then one with what is new since
prices = pmap({f"item {n}": n * 10 for n in range(10_000)})
first = office.save(prices, message="the list")
office.export_to(folder / "all.pstructs")
laptop.import_from(folder / "all.pstructs")
assert laptop.load("origin/main") == prices
assert laptop.version("origin/main").id == first.id  # ids are the same everywhere

office.save(prices.set("item 7", 75), message="item 7 is dearer")
office.export_to(folder / "new.pstructs", since=first)
assert (folder / "new.pstructs").stat().st_size < 4000
laptop.import_from(folder / "new.pstructs")

# a file that is not as it was written is refused, and changes nothing
cut = (folder / "all.pstructs").read_bytes()[:-1]
(folder / "cut.pstructs").write_bytes(cut)
try:
    laptop.import_from(folder / "cut.pstructs")
except DamagedExportError as damage:
    print(damage)

# push and pull send what is missing; heads of the other store are tracked as origin/...
laptop.pull(office)
laptop.save(laptop.load("origin/main"), head="main")
laptop.save(laptop.load().set("item 1", 11))
office.save(office.load().set("item 2", 22))
try:
    laptop.push(office, heads="main")
except HeadMovedError:  # the office has gone on: bring both sides together
    laptop.pull(office)
    base = laptop.load("main~1")
    both = merge(base, laptop.load(), laptop.load("origin/main"))
    laptop.save(both, message="merged")
assert laptop.load()["item 1"] == 11
assert laptop.load()["item 2"] == 22

# the same through any filesystem that fsspec reaches: s3://bucket/prices, sftp://...
remote = RemoteFolder("memory://prices")
office.push(remote)
with SnapshotStore(folder / "third.store") as third:
    third.pull(remote)
    assert third.load("origin/main") == office.load()

# a store that lost a file gets it back from any place that has it
for path in (folder / "office.store" / "packs").iterdir():
    path.unlink()
report = office.repair(folder / "all.pstructs")
assert report.problems == ()
office.close()
laptop.close()
