"""Without Ray, or before `ray.init()`, the same code runs in the process and says so."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name == "ray" or name.startswith("ray."):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""

WORK = """
import logging, operator, pickle
logging.basicConfig(format="LOG %(name)s %(levelname)s %(message)s")
from pstructs import pmap
from pstructs.distributed import backend, enable, map_reduce, partitions, share

m = pmap({i: i for i in range(40_000)})
handle = share(m)
assert backend() == handle.where == "process", (backend(), handle.where)
assert handle.open() is m
assert share(handle) is handle
handle.release()
copy = pickle.loads(pickle.dumps(handle))
assert copy == handle and copy.where == "process" and copy.open() == m
assert sum(len(part.open()) for part in partitions(m, 5)) == len(m)
assert map_reduce(handle, lambda part: sum(part.values()), operator.add) == sum(range(40_000))
assert map_reduce(m, list, operator.add, ["first"], 3)[0] == "first"
assert pickle.loads(pickle.dumps(m)) == m
try:
    map_reduce(m, lambda part: 1 // 0, operator.add)
except ZeroDivisionError:
    print("enabled", enable())
"""


def run(script: str) -> tuple[str, str]:
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout, done.stderr


def test_without_ray_everything_works_in_process_and_says_so_once() -> None:
    out, log = run(BLOCK + WORK)
    assert out == "enabled False\n"
    assert log.count("LOG pstructs.distributed WARNING") == 1
    assert "Ray is not installed; pip install" in log


def test_before_init_everything_works_in_process_and_says_so_once() -> None:
    pytest.importorskip("ray")
    out, log = run(WORK + "\nimport ray\nassert not ray.is_initialized()")
    assert out == "enabled True\n"
    assert log.count("LOG pstructs.distributed WARNING") == 1
    assert "call ray.init() first" in log


def test_a_handle_of_a_cluster_needs_a_cluster() -> None:
    run(
        BLOCK
        + """
from pstructs.distributed import Handle, ShareError
try:
    Handle(b"1" * 16, "packs-01000000").open()
except ShareError as error:
    assert "ray.init(address=...)" in str(error)
else:
    raise AssertionError
"""
    )


def test_the_examples_in_the_docstrings_run() -> None:
    run(
        BLOCK
        + """
import doctest, importlib
ran = 0
names = "backend buffers handle head head_merge opened parallel parts pickling stream"
for name in names.split():
    result = doctest.testmod(importlib.import_module(f"pstructs.distributed.{name}"))
    assert result.failed == 0, name
    ran += result.attempted
assert ran > 10, ran
"""
    )
