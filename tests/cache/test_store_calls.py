"""Every i-th call to the operating system fails, and the store is sound afterwards.

`make syscalls` fails each of them; an ordinary test run one of a few hundred (PSTRUCTS_STRIDE).
"""

from __future__ import annotations

import os
from pathlib import Path

from fault_methods import CALLS

from pstructs.cache import SnapshotStore
from support import faults

STRIDE = int(os.environ.get("PSTRUCTS_STRIDE", "240"))
DRIVER = Path(__file__).with_name("fault_calls.py")


def test_a_failing_call_is_a_clear_error_and_leaves_a_sound_store() -> None:
    with faults.quick_folder() as work:
        library = faults.build(Path(work))
        out = faults.run(library, DRIVER, work, STRIDE, 1)
    print(out)
    assert int(out.splitlines()[-1].split()[0]) > 10_000 // STRIDE


def test_every_public_call_of_a_store_is_among_them() -> None:
    tried = {name for call in CALLS for name in call.name.split()} | {"close"}
    public = {name for name in dir(SnapshotStore) if not name.startswith("_")}
    assert public - tried == {"path", "durable"}  # which ask nothing of the system
