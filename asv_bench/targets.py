"""The figures that this project promises, measured in one run, beside the rivals.

    python asv_bench/targets.py                 # all parts
    python asv_bench/targets.py maps --sizes 10,1000
    python asv_bench/targets.py packs --entries 1000000

Every row interleaves the libraries round by round, so that a busy machine slows all of them
alike; a figure is the median over the rounds of (best rival's time / our time). 2.0x means
twice as fast. Rows that fall short of their target are marked, not hidden.
"""

from __future__ import annotations

import argparse
import gc
import pickle
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pstructs

clock = time.perf_counter_ns
Run = Callable[[], object]


class Library(NamedTuple):
    """How a library spells what is measured."""

    map: Callable[[dict[Any, Any]], Any]
    set: Callable[[Iterable[Any]], Any] | None
    put: str
    drop: str


OURS = Library(pstructs.pmap, pstructs.pset, "set", "remove")


def libraries() -> dict[str, Library]:
    """pstructs, and every rival that can be imported."""
    out = {"pstructs": OURS}
    try:
        import immutables

        out["immutables"] = Library(immutables.Map, None, "set", "delete")
    except ImportError:
        pass
    try:
        import rpds

        out["rpds"] = Library(rpds.HashTrieMap, rpds.HashTrieSet, "insert", "remove")
    except ImportError:
        pass
    try:
        import spork.pds as spork

        out["spork"] = Library(spork.Map, spork.Set, "assoc", "dissoc")
    except ImportError:
        pass
    try:
        import pyrsistent

        out["pyrsistent"] = Library(pyrsistent.pmap, pyrsistent.pset, "set", "remove")
    except ImportError:
        pass
    return out


def rate(run: Run, number: int) -> float:
    """Nanoseconds of one call of `run`, over `number` calls."""
    start = clock()
    for _ in range(number):
        run()
    return (clock() - start) / number


def interleave(
    runs: dict[str, Run], rounds: int, budget_ms: float = 4.0
) -> dict[str, list[float]]:
    """Time every run `rounds` times in turn; the collector is off meanwhile."""
    numbers = {}
    for name, run in runs.items():
        run()
        once = max(rate(run, 1), 1.0)
        numbers[name] = max(1, min(20000, int(budget_ms * 1e6 / once)))
    out: dict[str, list[float]] = {name: [] for name in runs}
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, run in runs.items():
                run()  # untimed: the allocator tidies up what the library before left behind
                out[name].append(rate(run, numbers[name]))
    finally:
        gc.enable()
    return out


def ratio(times: dict[str, list[float]], a: str, b: str) -> float:
    """Median over the rounds of a's time / b's time."""
    return statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))


class Table:
    """Rows of figures with their targets, printed as Markdown."""

    def __init__(self, title: str) -> None:
        print(f"\n### {title}\n\n| what | ours | best other | ratio | target |  |")
        print("|---|---:|---:|---:|---:|---|", flush=True)

    def row(self, label: str, ours: str, other: str, got: str, target: str, met: bool) -> None:
        verdict = "ok" if met else "SHORT"
        print(f"| {label} | {ours} | {other} | {got} | {target} | {verdict} |", flush=True)

    def versus(
        self, label: str, runs: dict[str, Run], target: float, rounds: int, per: int = 1
    ) -> None:
        """`runs["pstructs"]` against the fastest other run; target: at least that ratio."""
        times = interleave(runs, rounds)
        best = min(
            (x for x in times if x != "pstructs"), key=lambda x: statistics.median(times[x])
        )
        got = ratio(times, best, "pstructs")
        ours, other = (statistics.median(times[x]) / per for x in ("pstructs", best))
        self.row(
            label, f"{ours:.1f} ns", f"{other:.1f} ns {best}", f"{got:.2f}x", f">= {target:g}x",
            got >= target,
        )  # fmt: skip

    def at_most(self, label: str, value: float, limit: float, unit: str, other: str = "") -> None:
        self.row(label, f"{value:.4g} {unit}", other, "", f"<= {limit:g} {unit}", value <= limit)


def str_keys(n: int, seed: int = 1) -> list[str]:
    rng = random.Random(seed)
    return [f"k{x:x}" for x in rng.sample(range(1 << 40), n)]


def lookups(m: Any, keys: list[str]) -> Run:
    def run() -> None:
        for k in keys:
            m[k]

    return run


def members(m: Any, keys: list[str]) -> Run:
    def run() -> None:
        for k in keys:
            k in m  # noqa: B015

    return run


def calls(method: Callable[..., object], arguments: list[tuple[Any, ...]]) -> Run:
    def run() -> None:
        for a in arguments:
            method(*a)

    return run


def item_loop(m: Any) -> Run:
    def run() -> None:
        for _k, _v in m.items():
            pass

    return run


def binary(op: Callable[[Any, Any], object], a: Any, b: Any) -> Run:
    return lambda: op(a, b)


def maps(n: int, rounds: int) -> None:
    """Maps of n entries against every rival."""
    libs = libraries()
    keys = str_keys(2 * n)
    d = {k: i for i, k in enumerate(keys[:n])}
    backwards = dict(reversed(list(d.items())))
    some = random.Random(2).sample(keys[:n], min(n, 1000))
    new = keys[n : n + min(n, 1000)]
    k = len(some)
    few = max(3, rounds // 3) if n > 10000 else rounds
    built = {x: lib.map(d) for x, lib in libs.items()}
    puts = {x: getattr(m, libs[x].put) for x, m in built.items()}
    drops = {x: getattr(m, libs[x].drop) for x, m in built.items()}
    t = Table(f"maps of {n} entries, str -> int")
    t.versus("get", {x: lookups(m, some) for x, m in built.items()}, 1.0, rounds, k)
    t.versus("in, hit", {x: members(m, some) for x, m in built.items()}, 1.0, rounds, k)
    t.versus("in, miss", {x: members(m, new) for x, m in built.items()}, 1.0, rounds, k)
    there, fresh = [(x, -1) for x in some], [(x, -1) for x in new]
    t.versus("set, key there", {x: calls(f, there) for x, f in puts.items()}, 1.5, rounds, k)
    t.versus("set, new key", {x: calls(f, fresh) for x, f in puts.items()}, 1.5, rounds, k)
    gone = [(x,) for x in some]
    t.versus("delete", {x: calls(f, gone) for x, f in drops.items()}, 2.0, rounds, k)
    t.versus("build from dict", {x: calls(lib.map, [(d,)]) for x, lib in libs.items()}, 7, few, n)
    t.versus("iterate items", {x: item_loop(m) for x, m in built.items()}, 2.0, few, n)
    equal = {x: binary(lambda a, b: a == b, m, libs[x].map(backwards)) for x, m in built.items()}
    t.versus("equal, built apart", equal, 1.5, few, n)
    hashed = {x: (lambda m=m: hash(m)) for x, m in built.items() if x != "rpds"}
    t.versus("hash again", hashed, 1.0, rounds)
    if n >= 100_000:
        related(t, libs, built, d, keys[:n])


def related(
    t: Table, libs: dict[str, Library], built: dict[str, Any], d: dict[str, int], keys: list[str]
) -> None:
    """Two maps that came from one by a few edits."""
    change = random.Random(3).sample(keys, len(keys) // 100)
    merges, equals = {}, {}
    for x, m in built.items():
        variant = m
        for key in change:
            variant = getattr(variant, libs[x].put)(key, -7)
        join = (lambda a, b: a | b) if x == "spork" else (lambda a, b: a.update(b))
        merges[x] = binary(join, m, variant)
        back = getattr(getattr(m, libs[x].put)(keys[0], -1), libs[x].put)(keys[0], d[keys[0]])
        equals[x] = binary(lambda a, b: a == b, m, back)
    t.versus("merge of a 1 % variant", merges, 100, 3)
    t.versus("equal, all but one path shared", equals, 100, 3)


def sets(n: int, rounds: int) -> None:
    """Set algebra of two sets of n, half of it in both."""
    libs = {x: lib for x, lib in libraries().items() if lib.set is not None}
    if n > 10000:
        libs.pop("pyrsistent", None)  # minutes: its sets start with 8 buckets
    keys = str_keys(2 * n)
    a, b = keys[:n], keys[n // 2 : n // 2 + n]
    both = {x: (lib.set(a), lib.set(b)) for x, lib in libs.items() if lib.set}
    few = max(3, rounds // 3) if n > 10000 else rounds
    t = Table(f"sets of {n} elements")
    operations: dict[str, Callable[[Any, Any], object]] = {
        "union": lambda p, q: p | q,
        "intersection": lambda p, q: p & q,
        "difference": lambda p, q: p - q,
        "symmetric difference": lambda p, q: p ^ q,
    }
    for name, op in operations.items():
        t.versus(name, {x: binary(op, *pair) for x, pair in both.items()}, 5.0, few, n)
        floor = {"pstructs": binary(op, *both["pstructs"]), "set": binary(op, set(a), set(b))}
        times = interleave(floor, few)
        t.at_most(f"{name} / built-in set", ratio(times, "pstructs", "set"), 3.0, "x")


def collector(n: int) -> None:
    """gc.collect() with a map of n atoms alive."""
    t = Table(f"garbage collector, {n} atomic entries alive")
    keys = str_keys(n)
    gc.collect()
    gc.freeze()
    empty = min(rate(gc.collect, 1) for _ in range(5))
    m = pstructs.pmap({k: i for i, k in enumerate(keys)})
    gc.collect()
    full = min(rate(gc.collect, 1) for _ in range(5))
    gc.unfreeze()
    t.at_most("gc.collect()", full / 1e6, 1.0, "ms", f"{empty / 1e6:.3f} ms with nothing alive")
    assert len(m) == n


def hostile(n: int, rounds: int) -> None:
    """Building from keys chosen to collide, against ordinary keys of the same kind."""
    from support.hostile import colliding_strings  # type: ignore[import-not-found]

    t = Table(f"time to build from hostile keys / from ordinary keys, {n} keys")
    collide = colliding_strings(n)
    width = len(collide[0])
    rows: list[tuple[str, list[Any], list[Any]]] = [
        (
            "ints i * (2**61 - 1)",
            [i * (2**61 - 1) for i in range(n)],
            list(range(2**70, 2**70 + n)),
        ),
        ("ints i << 32", [i << 32 for i in range(n)], list(range(n))),
        (f"{n} strings with one H1", collide, [f"{x:>{width}}" for x in range(n)]),
    ]
    for label, keys, other in rows:
        a, b = dict.fromkeys(keys, 1), dict.fromkeys(other, 1)
        times = interleave(
            {"hostile": calls(pstructs.pmap, [(a,)]), "ordinary": calls(pstructs.pmap, [(b,)])},
            rounds,
        )
        t.at_most(label, ratio(times, "hostile", "ordinary"), 5.0, "x")


def packs(n: int, rounds: int) -> None:
    """Saving, opening and reading in place at n entries."""
    from pstructs.packs import Pack, PackWriter

    keys = str_keys(n)
    d = {k: i for i, k in enumerate(keys)}
    m = pstructs.pmap(d)
    t = Table(f"packs of {n} entries, str -> int")
    times = interleave(
        {"save": lambda: PackWriter(m), "pickle": lambda: pickle.dumps(d, 5)}, rounds
    )
    save = statistics.median(times["save"])
    t.at_most(
        "save / pickle.dumps(dict)", ratio(times, "save", "pickle"), 1, "x", f"{save / 1e6:.0f} ms"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "one.pack"
        writer = PackWriter(m)
        path.write_bytes(writer.image)
        t.at_most("bytes an entry", path.stat().st_size / n, 32, "B")
        probe = random.Random(5)
        opens = []
        for _ in range(20):
            key = probe.choice(keys)
            start = clock()
            opened: Any = Pack.from_file(path).root()
            value = opened[key]
            opens.append((clock() - start) / 1e6)
            assert value == d[key]
        t.at_most("open + first lookup", statistics.median(opens), 0.2, "ms")
        some = ["".join(list(x)) for x in probe.sample(keys, min(n, 200_000))]  # equal, not same
        times = interleave({"pack": lookups(opened, some), "dict": lookups(d, some)}, rounds)
        each = statistics.median(times["pack"]) / len(some)
        t.at_most(
            "lookup in place / dict's", ratio(times, "pack", "dict"), 1.1, "x", f"{each:.0f} ns"
        )
        writer.adopt(Pack.from_file(path))
        e = m.evolver()
        for key in probe.sample(keys, n // 100):
            e[key] = -1
        changed = e.persistent()
        again = [
            rate(lambda: PackWriter(changed, importable=lambda pack: True), 1)
            for _ in range(rounds)
        ]
        percent = 100 * statistics.median(again) / save
        t.at_most(f"save after {n // 100} changed keys / full save", percent, 8, "%")
        small = PackWriter(m.set(keys[0], -1), importable=lambda pack: True)
        t.at_most("one changed key", len(small.image), 1500, "B")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parts = ["maps", "sets", "collector", "hostile", "packs"]
    parser.add_argument("parts", nargs="*", default=parts, help=f"of {', '.join(parts)}; all")
    parser.add_argument("--sizes", default="10,1000,100000")
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=11)
    a = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
    print(f"pstructs {pstructs.__version__}, Python {sys.version.split()[0]}")
    for n in [int(x) for x in a.sizes.split(",")]:
        if "maps" in a.parts:
            maps(n, a.rounds)
        if "sets" in a.parts:
            sets(n, a.rounds)
    if "collector" in a.parts:
        collector(a.entries)
    if "hostile" in a.parts:
        hostile(20_000, a.rounds)
    if "packs" in a.parts:
        packs(a.entries, max(3, a.rounds // 2))


if __name__ == "__main__":
    main()
