"""A child that was forked while other threads used SQLite hung, often within `os.fork`."""

import os
import signal
import threading
import time

import pytest

import pstructs
from pstructs.cache import SnapshotStore

FORKS = 10


def _ends(pid: int) -> bool:
    """Whether a child ends well within a minute; it is killed if it does not."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            return status == 0
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_child_forked_while_threads_save_and_load_uses_the_store(tmp_path):
    stop = threading.Event()
    with SnapshotStore(tmp_path / "store", durable="none") as store:
        store.save(pstructs.m(a=1))

        def save() -> None:
            while not stop.is_set():
                store.save(pstructs.m(a=2), head="other")

        def load() -> None:
            while not stop.is_set():
                assert store.load()["a"] == 1

        threads = [threading.Thread(target=target) for target in (save, load)]
        for thread in threads:
            thread.start()
        try:
            for number in range(FORKS):
                pid = os.fork()
                if pid == 0:
                    done = False
                    try:
                        store.save(pstructs.m(a=number), head=f"child{number}")
                        done = store.load()["a"] == 1
                    finally:
                        os._exit(0 if done else 1)
                assert _ends(pid)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert {f"child{number}" for number in range(FORKS)} <= store.heads().keys()
