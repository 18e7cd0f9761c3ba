"""A memoryview that the collector met in a cycle with the pack that reads it gave up its memory
first, and the interpreter crashed (python/cpython#77894, in 3.11 and 3.12)."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc
from pstructs import pmap
from pstructs.packs import Pack, PackWriter

class Reader:
    def pack(self, key):
        return None

gc.disable()
view = memoryview(bytes(PackWriter(pmap({i: i for i in range(100)})).image))
reader = Reader()
reader.read = Pack.from_buffer(view, trusted=True, resolve=reader.pack, owner=reader)
del view, reader
gc.collect()
print("fine")
"""


def test_the_collector_may_meet_a_pack_and_its_memoryview_in_a_cycle() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "fine\n", "")
