"""The figures that vectors, deques, lists, sorted maps, records and histories promise.

    python asv_bench/collection_targets.py                # all parts
    python asv_bench/collection_targets.py vectors --sizes 10,1000

The method is that of `targets.py`: libraries in turn, round by round; a ratio is the median over
the rounds of the best rival's time by ours. Rows that fall short are marked.
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import statistics
import sys
from collections.abc import Callable
from typing import Any

import pyrsistent
import rpds
import spork.pds as spork
from sortedcontainers import SortedDict
from targets import Run, Table, interleave, ratio, str_keys

import pstructs


def repeat(call: Callable[[Any], object], arguments: list[Any]) -> Run:
    def run() -> None:
        for a in arguments:
            call(a)

    return run


def times(call: Callable[[], object], n: int) -> Run:
    def run() -> None:
        for _ in range(n):
            call()

    return run


def drain(value: Any) -> Run:
    def run() -> None:
        for _ in value:
            pass

    return run


def pairs(call: Callable[[Any, Any], object], arguments: list[Any]) -> Run:
    def run() -> None:
        for a in arguments:
            call(a, -1)

    return run


def at_least(t: Table, label: str, runs: dict[str, Run], rival: str, target: float) -> None:
    """`rival`'s time by ours, whatever others there are."""
    got = ratio(found := interleave(runs, 7), rival, "pstructs")
    ours, other = (statistics.median(found[x]) / 1e3 for x in ("pstructs", rival))
    t.row(
        label, f"{ours:.2f} us", f"{other:.1f} us {rival}", f"{got:.1f}x", f">= {target:g}x",
        got >= target,
    )  # fmt: skip


def vectors(n: int, rounds: int) -> None:
    """Vectors of n str."""
    items = str_keys(n)
    ours, pyr, spo = pstructs.pvector(items), pyrsistent.pvector(items), spork.Vector(items)
    both: dict[str, Any] = {"pstructs": ours, "pyrsistent": pyr, "spork": spo}
    where = [random.Random(1).randrange(n) for _ in range(min(n, 1000))]
    k = len(where)
    t = Table(f"vectors of {n} elements")

    def index(v: Any) -> Run:
        def run() -> None:
            for i in where:
                v[i]

        return run

    t.versus("index", {x: index(v) for x, v in both.items()}, 1.2, rounds, k)
    t.versus("iterate", {x: drain(v) for x, v in both.items()}, 1.0, rounds, n)
    append = {"pstructs": ours.append, "pyrsistent": pyr.append, "spork": spo.conj}
    t.versus("append", {x: repeat(f, where) for x, f in append.items()}, 1.3, rounds, k)
    put = {"pstructs": ours.set, "pyrsistent": pyr.set, "spork": spo.assoc}
    t.versus("set", {x: pairs(f, where) for x, f in put.items()}, 1.5, rounds, k)
    pop = {"pstructs": ours.pop, "pyrsistent": lambda: pyr.delete(n - 1), "spork": spo.pop}
    t.versus("pop", {x: times(f, 20) for x, f in pop.items()}, 1.3, rounds, 20)
    few = max(3, rounds // 3) if n > 10000 else rounds
    build = {
        "pstructs": lambda: pstructs.pvector(items),
        "pyrsistent": lambda: pyrsistent.pvector(items),
    }
    t.versus("build", build, 3.0, few, n)
    hash(ours)
    got = interleave({"pstructs": lambda: hash(ours)}, rounds)["pstructs"]
    t.at_most("hash again", statistics.median(got), 50, "ns")
    if n < 100_000:
        return
    middle, copy = n // 2, tuple(items)
    cuts: dict[str, tuple[Run, Run, Run]] = {
        "concat": (lambda: ours + ours, lambda: pyr + pyr, lambda: copy + copy),
        "slice": (
            lambda: ours[5 : n - 5],
            lambda: pyr[5 : n - 5],
            lambda: copy[5 : n - 5],
        ),
        "insert": (
            lambda: ours.insert(middle, 0),
            lambda: pyr[:middle].append(0) + pyr[middle:],
            lambda: (*copy[:middle], 0, *copy[middle:]),
        ),
        "delete": (
            lambda: ours.delete(middle),
            lambda: pyr.delete(middle),
            lambda: copy[:middle] + copy[middle + 1 :],
        ),
    }
    for label, (a, b, c) in cuts.items():
        runs = {"pstructs": a, "pyrsistent": b, "tuple copy": c}
        at_least(t, label, runs, "pyrsistent", 100)
        at_least(t, label, runs, "tuple copy", 50)


def linear(n: int, rounds: int) -> None:
    """Deques and lists of n ints."""
    values = list(range(n))
    t = Table(f"deques and lists of {n} elements")
    deques = {
        "pstructs": pstructs.pdeque(values),
        "pyrsistent": pyrsistent.pdeque(values),
        "rpds": rpds.Queue(values),
    }
    left = {x: d.dequeue if x == "rpds" else d.popleft for x, d in deques.items()}
    t.versus("popleft of one version", {x: times(f, 20) for x, f in left.items()}, 5.0, rounds, 20)

    def emptied(d: Any, name: str) -> Run:
        def run() -> None:
            e = d
            for _ in range(min(n, 1000)):
                e = getattr(e, name)()

        return run

    t.versus(
        "popleft till empty (1000 at most)",
        {x: emptied(d, "dequeue" if x == "rpds" else "popleft") for x, d in deques.items()},
        5.0, max(3, rounds // 3), min(n, 1000),
    )  # fmt: skip
    lists = {
        "pstructs": pstructs.plist(values),
        "pyrsistent": pyrsistent.plist(values),
        "rpds": rpds.List(values),
    }
    cons = {x: x_.push_front if x == "rpds" else x_.cons for x, x_ in lists.items()}
    t.versus("cons", {x: repeat(f, values[:100]) for x, f in cons.items()}, 1.0, rounds, 100)
    t.versus(
        "iterate a list", {x: drain(v) for x, v in lists.items()}, 1.0, max(3, rounds // 3), n
    )


def scan_of(m: Any, lo: Any, hi: Any) -> Run:
    def run() -> None:
        for _ in m.irange(lo, hi):
            pass

    return run


def sorted_maps(n: int, rounds: int) -> None:
    """Sorted maps of n entries beside SortedDict, which is changed in place: the floor."""
    for kind, keys in (("str", str_keys(n)), ("int", random.Random(2).sample(range(1 << 40), n))):
        d = dict.fromkeys(keys, 1)
        ours, floor = pstructs.psortedmap(d), SortedDict(d)
        some = random.Random(3).sample(keys, min(n, 1000))
        t = Table(f"sorted maps of {n} entries, {kind} -> int")

        def look(m: Any, some: list[Any] = some) -> Run:
            def run() -> None:
                for k in some:
                    m[k]

            return run

        found = interleave({"pstructs": look(ours), "SortedDict": look(floor)}, rounds)
        t.at_most("lookup / SortedDict's", ratio(found, "pstructs", "SortedDict"), 1.2, "x")
        lo, hi = sorted(keys)[n // 10], sorted(keys)[n - 1 - n // 10]
        scan = {
            "pstructs": scan_of(ours, lo, hi),
            "SortedDict": scan_of(floor, lo, hi),
        }
        t.versus("range scan", scan, 1.0, max(3, rounds // 3), n)


@dataclasses.dataclass(slots=True)
class Slotted:
    a: int
    b: int
    c: int


def records(rounds: int) -> None:
    """Reading a field."""

    class Ours(pstructs.PClass):
        a = pstructs.field(int)
        b = pstructs.field(int)
        c = pstructs.field(int)

    def read(r: Any) -> Run:
        def run() -> None:
            for _ in range(1000):
                r.a  # noqa: B018
                r.b  # noqa: B018
                r.c  # noqa: B018

        return run

    t = Table("records of three fields")
    found = interleave(
        {"pstructs": read(Ours(a=1, b=2, c=3)), "dataclass": read(Slotted(1, 2, 3))}, rounds
    )
    t.at_most("read a field / slotted dataclass", ratio(found, "pstructs", "dataclass"), 1.2, "x")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    sized: dict[str, Callable[[int, int], None]] = {
        "vectors": vectors,
        "linear": linear,
        "sorted": sorted_maps,
    }
    parts = [*sized, "records"]
    parser.add_argument("parts", nargs="*", default=parts, help=f"of {', '.join(parts)}; all")
    parser.add_argument("--sizes", default="10,1000,100000")
    parser.add_argument("--rounds", type=int, default=11)
    a = parser.parse_args()
    print(f"pstructs {pstructs.__version__}, Python {sys.version.split()[0]}")
    for part, run in sized.items():
        for n in [int(x) for x in a.sizes.split(",")]:
            if part in a.parts:
                run(n, a.rounds)
    if "records" in a.parts:
        records(a.rounds)


if __name__ == "__main__":
    main()
