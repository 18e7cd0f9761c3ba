"""Nodes, the module and interpreters come and go without leaving memory behind."""

from __future__ import annotations

import os
import subprocess
import sys

BUILD_AND_DROP = """
import sys
from pstructs import pmap
def rounds(n):
    for _ in range(n):
        pmap({i: i for i in range(1000)}).set(1, 2)
rounds(3)
before = sys.getallocatedblocks()
rounds(20)
print(sys.getallocatedblocks() - before)
"""

LOAD_AND_DROP = """
import gc, sys, typing
def alive():
    return sum(isinstance(o, type) and o.__name__ == "PMap" for o in gc.get_objects())
def load():
    import pstructs
    pstructs.m(a=[1]).evolver()
    for name in [n for n in sys.modules if n.partition(".")[0] == "pstructs"]:
        del sys.modules[name]
for _ in range(4):
    load()
    for clear in typing._cleanups:  # it remembers what generic classes were subscripted with
        clear()
    gc.collect()
print(alive())
"""


def run(code: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout.strip()


def test_nodes_in_memory_that_looks_immortal_are_freed() -> None:
    """From 3.12 on fresh memory with bit 31 set made a node immortal: it was never freed.

    The debug allocator fills memory with such bytes; else it hung on the address.
    """
    assert int(run(BUILD_AND_DROP, PYTHONMALLOC="debug")) < 100


def test_a_dropped_module_is_collected() -> None:
    """The untracked empty map kept PMap, and so the whole module, alive for ever."""
    assert int(run(LOAD_AND_DROP)) <= 1


INTERPRETERS = """
import sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import pstructs
CODE = '''
import sys
sys.path[:] = PATH
import pstructs
a = pstructs.pmap({i: [i] for i in range(100)})
e = a.evolver()
e["itself"] = e
iterator = iter(a.items())
next(iterator)
'''
for _ in range(3):
    each = interpreters.create()
    result = interpreters.run_string(each, CODE.replace("PATH", repr(sys.path)))
    assert result is None, result
    interpreters.destroy(each)
print(len(pstructs.pmap(dict(a=1))))
"""


def test_interpreters_load_their_own_module() -> None:
    """3.12 refused the module where an interpreter has a lock of its own."""
    assert run(INTERPRETERS) == "1"
