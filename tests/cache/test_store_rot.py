"""Rot: a flipped bit anywhere in a store is an error or does no harm, never a wrong answer.

`make rot FLIPS=1000000` flips more bits than an ordinary test run does. The bits are drawn
evenly from the bytes of all files of a store: the catalog, a pack in a file, packs in rows.
"""

from __future__ import annotations

import mmap
import os
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pstructs import m, pmap, pset, psortedmap, pvector
from pstructs.cache import SnapshotStore
from pstructs.errors import PstructsError
from support import faults

FLIPS = int(os.environ.get("PSTRUCTS_FLIPS", "20000"))
WORKERS = min(2, os.cpu_count() or 1)


#: Part of a value: how to read all of it.
PARTS: dict[str, Callable[[Any], Any]] = {
    "map": dict,
    "plain": list,
    "set": set,
    "vector": list,
    "numbers": list,
    "sorted": lambda x: list(x.items()),
    "deep": lambda x: [dict(y) for y in x],
    "padding": str,
}
CHANGED = ["map", "plain"]  # by later versions, whose packs are rows of the catalog


def make(folder: Path) -> None:
    value = m(
        map=pmap({f"key {n}": n * 1001 for n in range(300)}),
        set=pset(range(0, 10**6, 7919)),
        vector=pvector(f"{n:06}" for n in range(300)),
        numbers=pvector(n / 3 for n in range(500)),
        sorted=psortedmap({n: f"{n}" for n in range(200)}),
        deep=pvector([m(a=n, b="x" * n) for n in range(20)]),
        plain=[1, "two", (3.0, None)] * 20,
    )
    with SnapshotStore(folder) as store:
        value = value.set("padding", "p" * 16_000)
        store.save(value, message="the first")
        for n in range(3):
            value = value.set("map", value["map"].set("key 7", -n))
            store.save(value, message=f"change {n}")
        store.save(value.set("plain", []), head="side")
        store.undo()
    (pack,) = (folder / "packs").iterdir()
    assert pack.stat().st_size < 48 * 1024


class Answers(NamedTuple):
    """All that a store is asked. A part that raised is None."""

    log: list[Any] | None
    heads: dict[str, Any] | None
    values: list[Any]


def read(store: SnapshotStore, number: int) -> Any:
    """Read of the first version all, and of later ones what they changed."""
    try:
        value = store.load(number)
        return {part: PARTS[part](value[part]) for part in (PARTS if number == 1 else CHANGED)}
    except PstructsError:
        return None


def ask(store: SnapshotStore, numbers: range) -> Answers:
    values = [read(store, number) for number in numbers]
    log = heads = None
    try:
        log = store.log()
        heads = store.heads()
    except PstructsError:
        pass
    return Answers(log, heads, values)


def agree(found: Answers, truth: Answers) -> bool:
    """Whether every answer is right; raises when one is wrong. False: some were errors."""
    pairs = [
        (found.log, truth.log),
        (found.heads, truth.heads),
        *zip(found.values, truth.values, strict=True),
    ]
    for answer, right in pairs:
        assert answer is None or answer == right, f"a wrong answer: {answer!r:.2000}"
    return all(answer is not None for answer, _ in pairs)


class Rot:
    """One copy of the store, whose bits are flipped one at a time."""

    def __init__(self, sample: Path, place: Path) -> None:
        self.folder = Path(shutil.copytree(sample, place))
        self.sizes = {p: p.stat().st_size for p in sorted(self.folder.rglob("*")) if p.is_file()}
        self.total = 8 * sum(self.sizes.values())
        with SnapshotStore(self.folder) as store:
            self.truth = ask(store, range(1, 7))
            assert agree(self.truth, self.truth)
        self.open: SnapshotStore | None = None  # while flips are in packs
        self.pristine = {path: path.read_bytes() for path in self.sizes}

    def place(self, bit: int) -> tuple[Path, int]:
        for path, size in self.sizes.items():
            if bit < 8 * size:
                return path, bit
            bit -= 8 * size
        raise AssertionError(bit)

    def flip(self, bit: int) -> bool:
        """Flip a bit, ask everything, flip it back; whether anything was noticed."""
        path, at = self.place(bit)
        old = self.pristine[path][at // 8]
        in_pack = path.suffix == ".pack"
        handle = os.open(path, os.O_RDWR)
        try:
            os.pwrite(handle, bytes([old ^ 1 << at % 8]), at // 8)
            sound = self.look_at_pack() if in_pack else self.look_at_catalog()
            if in_pack:
                os.pwrite(handle, bytes([old]), at // 8)
            else:  # a catalog that could be opened may have been written to
                os.pwrite(handle, self.pristine[path], 0)
                os.ftruncate(handle, self.sizes[path])
        finally:
            os.close(handle)
        return not sound

    def look_at_pack(self) -> bool:
        """The first version is all that there is in the file: it is mapped anew each time."""
        if self.open is None:
            self.open = SnapshotStore(self.folder)
        found = read(self.open, 1)
        return agree(Answers([], {}, [found]), Answers([], {}, self.truth.values[:1]))

    def look_at_catalog(self) -> bool:
        """What is in the file of the first version is not asked again."""
        if self.open is not None:
            self.open.close()
            self.open = None
        truth = self.truth._replace(values=self.truth.values[1:])
        try:
            with SnapshotStore(self.folder) as store:
                return agree(ask(store, range(2, 7)), truth)
        except PstructsError:
            return False


def work(rot: Rot, bits: list[int], now: mmap.mmap, out: int) -> None:
    noticed = 0
    problem = None
    for bit in bits:
        now[:8] = bit.to_bytes(8, "little")
        try:
            noticed += rot.flip(bit)
        except BaseException as error:
            problem = f"bit {bit} ({rot.place(bit)}): {error!r}"
            break
    os.write(out, pickle.dumps((noticed, problem)))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_no_flipped_bit_is_read_as_an_answer() -> None:
    with faults.quick_folder() as folder:
        sample = Path(folder) / "sample"
        make(sample)
        rng = random.Random(f"{FLIPS} flips")
        children = []
        total = 0
        for worker in range(WORKERS):
            rot = Rot(sample, Path(folder) / str(worker))
            total = rot.total
            bits = sorted(rng.randrange(rot.total) for _ in range(worker, FLIPS, WORKERS))
            now = mmap.mmap(-1, 8)
            back, out = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    work(rot, bits, now, out)
                finally:
                    os._exit(0)
            os.close(out)
            children.append((child, back, now))
        noticed = 0
        for child, back, now in children:
            status = os.waitpid(child, 0)[1]
            bit = int.from_bytes(now[:8], "little")
            assert status == 0, f"the process died (status {status}) of bit {bit}"
            with open(back, "rb") as source:
                found, problem = pickle.loads(source.read())
            assert problem is None, problem
            noticed += found
        assert 0 < noticed <= FLIPS
        print(
            f"{FLIPS} flips in {total // 8} bytes: {noticed} noticed, {FLIPS - noticed} in bytes "
            "that mean nothing, 0 wrong answers, 0 crashes"
        )


def test_the_check_knows_a_wrong_answer() -> None:
    with faults.quick_folder() as folder:
        make(Path(folder) / "s")
        rot = Rot(Path(folder) / "s", Path(folder) / "copy")
        rot.truth.values[0]["plain"][0] = rot.truth.values[1]["plain"][0] = 2
        for look in (rot.look_at_pack, rot.look_at_catalog):
            with pytest.raises(AssertionError, match="a wrong answer"):
                look()
