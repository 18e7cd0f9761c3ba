"""Fuzz the pack reader: mutated packs with right checksums, read in every way.

    python tests/fuzz/fuzz_pack.py --seconds 60 [--seed N]    a plain loop of mutations
    python tests/fuzz/fuzz_pack.py FILE ...                   replay what failed
    python tests/fuzz/fuzz_pack.py --atheris [--seconds 60]   libFuzzer draws the inputs
    python tests/fuzz/fuzz_pack.py -max_total_time=60 ...     the same, by libFuzzer's options

Without atheris installed, the last form runs the plain loop and says so. A failing input is
written to `fuzz-pack-<digest>.bin`, its traceback is shown. Run it on the build with sanitizers
(`make fuzz`) to see reads out of bounds.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from pstructs import diff, errors, m, merge, pmap, pset, s
from pstructs.packs import Pack, PackWriter, dumps
from support.pack_tools import CONTAINERS, SCALARS, devour, mutate, sample

TRUSTING = (KeyError, AssertionError, TypeError, RecursionError, OverflowError, MemoryError)


def seeds() -> list[bytes]:
    """Packs to start from: every type, nested collections, deep and wide nodes, imports."""
    images = [dumps(sample(60)), dumps(pmap(enumerate(SCALARS))), dumps(list(CONTAINERS))]
    images += [
        dumps(pset(range(200))),
        dumps(m(a=m(b=s(1, (2,))))),
        dumps(pmap({"k": "v" * 2000})),
    ]
    try:
        import numpy as np
    except ImportError:
        return images
    return [*images, dumps([np.arange(9), np.float32(1)])]


def read(image: bytes, rng: random.Random, base: Pack) -> None:
    """Open one image both ways and use everything; only our own errors may come out."""
    value: Any
    for trusted in (False, True):
        allowed = (errors.PstructsError, *TRUSTING) if trusted else errors.PstructsError
        try:
            pack = Pack.from_buffer(image, trusted=trusted, resolve=lambda short_id: base)
            if trusted and rng.random() < 0.5:
                pack.verify()
            value = pack.root()
            devour(value)
        except allowed:
            pass
        else:
            write_again(value)
        if not trusted:
            continue
        for use in (lambda: change(pack.root(), rng), lambda: PackWriter(pack.root()).image):
            try:
                use()
            except (UnboundLocalError, NameError):
                break
            except allowed:
                pass


def write_again(value: Any) -> None:
    """Save what could be read whole; the new pack is sound."""
    try:
        Pack.from_buffer(PackWriter(value).image)
    except (errors.PstructsError, *TRUSTING):
        pass


def change(value: Any, rng: random.Random) -> None:
    """Update, compare and merge a collection that lies in a bad pack."""
    if not hasattr(value, "evolver"):
        return
    changed = value
    for i in range(10):
        if hasattr(value, "items"):
            changed = changed.set(f"k{i}", i).discard(rng.randrange(40))
        else:
            changed = changed.add(i).discard(rng.randrange(40))
    diff(value, changed)
    merge(value, changed, value)
    hash(changed) if rng.random() < 0.1 else None
    PackWriter(changed, importable=lambda p: rng.random() < 0.5).image.release()


def one(image: bytes, rng: random.Random, base: Pack) -> None:
    try:
        read(image, rng, base)
    except BaseException:
        name = f"fuzz-pack-{blake2b(image, digest_size=6).hexdigest()}.bin"
        Path(name).write_bytes(image)
        print(f"written: {name}", file=sys.stderr)
        raise


def plain_loop(seconds: float, rng: random.Random, images: list[bytes], base: Pack) -> int:
    """Mutate until the time is over; keep some mutants to mutate further."""
    runs, pool, end = 0, list(images), time.monotonic() + seconds
    while time.monotonic() < end:
        image = mutate(rng.choice(pool), rng)
        one(image, rng, base)
        if rng.random() < 0.05:
            pool = [*images, *pool[len(images) :][-200:], image]
        runs += 1
    return runs


def guided(seconds: float, images: list[bytes], base: Pack, rest: list[str]) -> None:
    """Let libFuzzer, through atheris, draw the inputs, by our mutations.

    The C core is not instrumented for coverage; the outcomes that Python sees guide it.
    """
    import atheris

    def test_one(data: bytes) -> None:
        one(data, random.Random(len(data)), base)

    def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        start = data if len(data) > 100 else rng.choice(images)
        return mutate(start, rng)[:max_size]

    for function in ("read", "write_again", "change"):
        globals()[function] = atheris.instrument_func(globals()[function])
    arguments = [sys.argv[0], f"-max_total_time={int(seconds)}", "-max_len=16384", *rest]
    atheris.Setup(arguments, test_one, custom_mutator=custom_mutator)
    atheris.Fuzz()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--atheris", action="store_true", help="guide by coverage (atheris)")
    parser.add_argument("rest", nargs="*", help="files to replay, or folders for atheris")
    options, libfuzzer = parser.parse_known_args()
    for option in libfuzzer:
        if option.startswith("-max_total_time="):
            options.seconds, options.atheris = float(option.partition("=")[2]), True
        elif option.startswith("-artifact_prefix="):
            os.chdir(Path(option.partition("=")[2]))
        elif not option.startswith("-runs="):
            parser.error(f"unknown option {option}")
    images = seeds()
    base = Pack.from_buffer(images[0])
    importer = PackWriter(base.root().set("more", 1), importable=lambda p: True)
    images.append(bytes(importer.image))
    rng = random.Random(options.seed)
    files = [Path(p) for p in options.rest if Path(p).is_file()]
    for path in files:
        one(path.read_bytes(), rng, base)
        print(f"{path}: no failure")
    if files:
        return
    if options.atheris:
        try:
            import atheris  # noqa: F401
        except ImportError:
            if not libfuzzer:
                sys.exit("atheris is not installed: run without --atheris for the plain loop")
            print("atheris is not installed: mutations are drawn by a plain loop")
        else:
            guided(options.seconds, images, base, options.rest)
            return
    runs = plain_loop(options.seconds, rng, images, base)
    print(f"seed {options.seed}: {runs} mutated packs in {options.seconds:.0f} s, no failure")


if __name__ == "__main__":
    main()
