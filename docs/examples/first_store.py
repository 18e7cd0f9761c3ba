"""First steps: versions on disk."""

import tempfile
from pathlib import Path

from pstructs import pmap
from pstructs.cache import SnapshotStore

folder = Path(tempfile.mkdtemp()) / "people.store"

with SnapshotStore(folder) as store:
    people = pmap({"ada": {"born": 1815}, "alan": {"born": 1912}})
    first = store.save(people, message="two people")

    people = people.set("grace", {"born": 1906})
    second = store.save(people, message="and grace")  # appends only what is new

with SnapshotStore(folder) as store:
    now = store.load("main")  # opened in place: nothing is decoded yet
    assert now["grace"] == {"born": 1906}
    assert now == people
    assert [version.message for version in store.log()] == ["and grace", "two people"]
