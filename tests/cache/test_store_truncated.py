"""A pack's file that someone cuts while it is mapped: an error, never a dead process."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from pstructs import _core, dq, pbag, plist, pmap, pset, psortedmap, psortedset, pvector
from pstructs.cache import SnapshotStore
from pstructs.errors import PackError, StoreError

N = 3000
WORDS = [f"element {n:010}" for n in range(N)]
VALUES: dict[str, Any] = {
    "map": pmap({word: word for word in WORDS}),
    "map of long values": pmap({n: f"{n} " * 900 for n in range(40)}),
    "set": pset(WORDS),
    "vector": pvector(WORDS),
    "vector with sizes": pvector(WORDS) + pvector(WORDS[:77]) + pvector(WORDS),
    "vector of int": pvector(range(0, 10**7, 999)),
    "vector of float": pvector([n / 7 for n in range(8000)]),
    "vector of bool": pvector([n % 3 == 0 for n in range(60_000)]),
    "sorted map": psortedmap(enumerate(WORDS)),
    "sorted set": psortedset(WORDS),
    "sorted numbers": psortedset(range(9000)),
    "deque": dq(*WORDS),
    "list": plist(WORDS),
    "bag": pbag(WORDS),
    "nested": pmap({n: pvector(WORDS[n : n + 9]) for n in range(0, N, 9)}),
    "collisions": pset([n * (2**61 - 1) for n in range(1500)]),
    "plain list": WORDS,
}

without_sanitizer = pytest.mark.skipif(
    "asan" in _core.BUILD, reason="the sanitizer has a handler of its own"
)


def listed(value: Any) -> list[Any]:
    """Read all of a value."""
    pairs = getattr(value, "items", None)
    found = list(pairs() if pairs is not None else value)
    return [listed(x) if hasattr(x, "persistent") or hasattr(x, "evolver") else x for x in found]


def outcome(read: Any) -> Any:
    try:
        return read()
    except (PackError, StoreError) as error:
        assert str(error)
        return None


@without_sanitizer
@pytest.mark.parametrize("name", VALUES)
def test_a_pack_that_is_cut_anywhere_is_an_error_or_the_right_answer(
    folder: Path, name: str
) -> None:
    """Before a value is opened, after it was opened, and after all of it was read once."""
    value = VALUES[name]
    with SnapshotStore(folder) as store:
        store.save(value)
    (pack,) = (folder / "packs").iterdir()
    whole, truth = pack.read_bytes(), listed(value)
    failed = 0
    pages = range(0, len(whole), 4096)
    for size in {0, *pages[:: max(1, len(pages) // 3)], pages[-1], pages[-1] + 100}:
        for moment in ("open", "opened", "read"):
            pack.unlink()
            pack.write_bytes(whole)
            with SnapshotStore(folder) as store:
                mapped = store._folder.attach(str(pack))
                opened = mapped.root() if moment != "open" else None
                if moment == "read":
                    assert listed(opened) == truth
                os.truncate(pack, size)
                if opened is None:
                    opened = outcome(mapped.root)
                if opened is None:
                    failed += 1
                elif not isinstance(opened, list):  # a plain list was decoded whole
                    found = outcome(lambda v=opened: listed(v))
                    failed += found is None
                    assert found is None or found == truth
                    again = outcome(lambda v=opened: listed(v))
                    assert again is None or again == truth
                    assert found is not None or again is None, "what is lost stays lost"
                outcome(lambda p=mapped: p.verify())
    assert failed


def run(code: str, *args: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, args)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


READ_CUT = """
    import faulthandler, os, signal, sys, threading
    from pathlib import Path
    from pstructs import pmap
    from pstructs.cache import SnapshotStore
    from pstructs.errors import PackError

    def cut_and_read(store, values):
        (pack,) = Path(store.path, "packs").iterdir()
        os.truncate(pack, 4096)
        for value in values:
            try:
                dict(value)
            except PackError:
                print("raised")
"""


@pytest.fixture
def saved(folder: Path) -> Path:
    with SnapshotStore(folder) as store:
        store.save(pmap({n: f"{n:030}" for n in range(20_000)}))
    return folder


@without_sanitizer
@pytest.mark.parametrize(
    "before",
    [
        "faulthandler.enable()",
        "signal.signal(signal.SIGBUS, lambda *args: None)",
        "signal.signal(signal.SIGBUS, signal.SIG_IGN)",
    ],
)
def test_a_handler_that_was_there_before_is_not_in_the_way(saved: Path, before: str) -> None:
    done = run(
        READ_CUT
        + f"""
    {before}
    store = SnapshotStore(sys.argv[1])
    cut_and_read(store, [store.load()])
    """,
        saved,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "raised\n", "")


@without_sanitizer
def test_faulthandler_that_was_enabled_later_does_not_end_the_process(saved: Path) -> None:
    done = run(
        READ_CUT
        + """
    store = SnapshotStore(sys.argv[1])
    value = store.load()
    faulthandler.enable()
    cut_and_read(store, [value, value])
    """,
        saved,
    )
    assert (done.returncode, done.stdout) == (0, "raised\nraised\n")


@without_sanitizer
def test_a_handler_that_was_set_later_is_passed_by_once_a_value_is_loaded(saved: Path) -> None:
    done = run(
        READ_CUT
        + """
    store = SnapshotStore(sys.argv[1])
    store.load()
    signal.signal(signal.SIGBUS, lambda *args: None)
    cut_and_read(store, [store.load()])
    """,
        saved,
    )
    assert (done.returncode, done.stdout) == (0, "raised\n")


@without_sanitizer
@pytest.mark.parametrize("send", ["signal.raise_signal", "os.kill"])
@pytest.mark.parametrize("later", ["", "faulthandler.enable()"])
def test_a_bus_error_that_is_not_ours_still_ends_the_process(
    saved: Path, send: str, later: str
) -> None:
    what = "os.kill(os.getpid(), signal.SIGBUS)" if send == "os.kill" else f"{send}(signal.SIGBUS)"
    done = run(
        READ_CUT
        + f"""
    store = SnapshotStore(sys.argv[1])
    value = store.load()
    {later or "pass"}
    store.load()
    {what}
    print("alive")
    """,
        saved,
    )
    assert done.returncode < 0
    assert "alive" not in done.stdout
    assert ("Bus error" in done.stderr) == bool(later)


@without_sanitizer
def test_threads_that_read_while_a_pack_is_cut_all_get_an_error(saved: Path) -> None:
    done = run(
        READ_CUT
        + """
    store = SnapshotStore(sys.argv[1])
    values = [store.load() for _ in range(4)]
    started = threading.Barrier(5)
    raised = []
    def read(value):
        started.wait()
        for _ in range(200):
            try:
                assert dict(value)[19_999] == f"{19_999:030}"
            except PackError:
                raised.append(1)
                return
    threads = [threading.Thread(target=read, args=(value,)) for value in values]
    for thread in threads: thread.start()
    started.wait()
    cut_and_read(store, [])
    for thread in threads: thread.join()
    print(len(raised))
    """,
        saved,
    )
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
