"""A result is computed once on a machine, whatever happens to the process that computes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from pstructs.cache import DiskTier, MemoryTier, TieredCache, digest

PROCESSES = int(os.environ.get("PSTRUCTS_PROCESSES", "5"))
KILLS = int(os.environ.get("PSTRUCTS_KILLS", "6"))

WORKER = """
import os, sys, time
from pstructs.cache import DiskTier, MemoryTier, TieredCache, memoize

folder, log, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
cache = TieredCache(MemoryTier(), DiskTier(folder))

@memoize(cache, version="1", name="slow")
def slow(n):
    with open(log, "a") as out:
        out.write(f"{n} {os.getpid()}\\n")
    time.sleep(seconds)
    return [n] * 20_000

print("ready", flush=True)
sys.stdin.readline()
for n in map(int, sys.argv[4:]):
    assert slow(n) == [n] * 20_000
"""

KILLED = """
import sys, threading
from pstructs.cache import DiskTier, Entry, digest
tier = DiskTier(sys.argv[1], 2**20)
def write(k):
    n = 0
    while True:
        n += 1
        key = n % 40
        tier.put(digest(key), Entry.of([key] * (key * 300), tags=(f"tag {key % 5}",)))
        if n % 10 == 0:
            tier.invalidate(f"tag {key % 5}")
for k in range(2):
    threading.Thread(target=write, args=(k,), daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"""


def start(code: str, *arguments: object) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def lines(log: Path) -> list[str]:
    return log.read_text().split("\n")[:-1] if log.exists() else []


def wait_for(log: Path, count: int) -> None:
    end = time.monotonic() + 20
    while len(lines(log)) < count:
        assert time.monotonic() < end, "nobody computes"
        time.sleep(0.01)


def test_a_stampede_of_processes_computes_each_result_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    workers = [start(WORKER, tmp_path / "r", log, 0.05, *range(6)) for _ in range(PROCESSES)]
    for worker in workers:
        go(worker)
    assert [worker.wait(60) for worker in workers] == [0] * PROCESSES
    assert sorted(line.split()[0] for line in lines(log)) == [str(n) for n in range(6)]


def test_when_the_computing_process_is_killed_another_takes_over_at_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    first = start(WORKER, tmp_path / "r", log, 1000, 1)
    go(first)
    wait_for(log, 1)
    others = [start(WORKER, tmp_path / "r", log, 0.1, 1) for _ in range(2)]
    for worker in others:
        go(worker)
    time.sleep(0.2)
    assert len(lines(log)) == 1  # they wait
    first.send_signal(signal.SIGKILL)
    first.wait(10)
    assert [worker.wait(20) for worker in others] == [0, 0]
    assert len(lines(log)) == 2


def test_a_forked_child_of_a_killed_owner_does_not_keep_the_claim(tmp_path: Path) -> None:
    code = (
        "import os, sys, time\n"
        "from pstructs.cache import DiskTier, digest\n"
        "tier = DiskTier(sys.argv[1])\n"
        "assert tier.claim(digest('k'))\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    print('ready', flush=True)\n"
        "    sys.stdin.readline()\n"  # ends with the test's end of the pipe
        "    os._exit(0)\n"
        "time.sleep(1000)\n"
    )
    owner = start(code, tmp_path / "r")
    tier = DiskTier(tmp_path / "r")
    try:
        assert not tier.claim(digest("k"))
        owner.send_signal(signal.SIGKILL)
        owner.wait(10)
        assert tier.claim(digest("k"))
    finally:
        owner.kill()
        owner.communicate()


def test_a_forked_child_does_not_hold_the_claims_of_its_parent(tmp_path: Path) -> None:
    tier = DiskTier(tmp_path / "r")
    assert tier.claim(digest("k"))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if not tier.claim(digest("k")) and tier.claim(digest("l")) else 1)
    assert os.waitpid(pid, 0)[1] == 0
    other = DiskTier(tmp_path / "r")
    assert not other.claim(digest("k"))
    tier.release(digest("k"))
    assert other.claim(digest("k"))


def test_many_processes_may_make_the_same_folder_at_once(tmp_path: Path) -> None:
    code = (
        "import sys\nprint('ready', flush=True)\nsys.stdin.readline()\n"
        "from pstructs.cache import DiskTier, Entry, digest\n"
        "tier = DiskTier(sys.argv[1])\nassert tier.put(digest(1), Entry.of(1))\n"
        "assert tier.get(digest(1)).value() == 1\n"
    )
    workers = [start(code, tmp_path / "r") for _ in range(PROCESSES)]
    for worker in workers:
        go(worker)
    assert [worker.wait(60) for worker in workers] == [0] * PROCESSES


def test_kill_9_of_writers_leaves_results_right_and_the_limit_kept(tmp_path: Path) -> None:
    for n in range(KILLS):
        process = start(KILLED, tmp_path / "r")
        time.sleep(0.02 + n % 7 * 0.01)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        assert process.stdout is not None
        assert process.stdin is not None
        process.stdout.close()
        process.stdin.close()
        tier = DiskTier(tmp_path / "r", 2**20)
        for key in range(40):
            found = tier.get(digest(key))
            assert found is None or found.value() == [key] * (key * 300)
        assert tier.info().errors == 0
        assert tier.info().bytes <= 2**20
        assert tier.epoch == tier.marks_since(0)[0]
        tier.close()


def test_results_are_invalidated_in_the_memory_of_other_processes(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pstructs.cache import *\n"
        "cache = TieredCache(MemoryTier(), DiskTier(sys.argv[1]))\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
        "assert cache.invalidate('t') == 1\n"
    )
    cache = TieredCache(MemoryTier(), DiskTier(tmp_path / "r"))
    other = start(code, tmp_path / "r")
    cache.set("k", 1, tags=("t",))
    assert cache.get("k") == 1
    go(other)
    assert other.wait(20) == 0
    assert cache.get("k") is None
