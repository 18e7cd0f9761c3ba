"""Every i-th call to the operating system fails, and the store is sound afterwards.

`make syscalls` fails each of them; an ordinary test run about every twelfth (PSTRUCTS_STRIDE).
"""

from __future__ import annotations

import os
from pathlib import Path

from support import faults

STRIDE = int(os.environ.get("PSTRUCTS_STRIDE", "12"))
DRIVER = Path(__file__).with_name("fault_calls.py")


def test_a_failing_call_is_a_clear_error_and_leaves_a_sound_store() -> None:
    with faults.quick_folder() as work:
        library = faults.build(Path(work))
        out = faults.run(library, DRIVER, work, STRIDE, 1)
    print(out)
    assert int(out.splitlines()[-1].split()[0]) > 1000 // STRIDE
