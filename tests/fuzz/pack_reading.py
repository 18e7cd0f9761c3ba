"""What the fuzzer does with a pack: everything that a program could, in both ways of opening.

`fuzz_pack.c` calls `write_seeds` once and `read_pack` for each input. Only the errors that the
documentation names may come out of a pack that was verified, and a pack never outlives what
was read from it, whatever happened on the way.
"""

from __future__ import annotations

import random
import weakref
from collections.abc import Callable
from functools import partial
from hashlib import blake2b
from pathlib import Path
from typing import Any
from zlib import crc32

from pstructs import PMap, PSet, diff, errors, m, merge, pmap, pset, s, stable_hash
from pstructs._core import _check
from pstructs.packs import Opaque, Pack, PackWriter
from support.hostile import colliding_bytes, colliding_strings
from support.pack_tools import CONTAINERS, SCALARS, devour, sample

UUIDS = [bytes([i]) * 16 for i in range(32)]
BASE_IMAGE = bytes(PackWriter(sample(12), uuid=UUIDS[0]).image)
BASE = Pack.from_buffer(BASE_IMAGE)
# What may come out of a pack that nobody verified: it may hold one key twice, say, or miss one.
TRUSTING = (
    errors.PstructsError,
    KeyError,
    AssertionError,
    TypeError,
    ValueError,
    RecursionError,
    MemoryError,
)


def seeds() -> list[Any]:
    """Small values of every type and shape."""
    short = [x for x in SCALARS if not hasattr(x, "__len__") or len(x) < 300]
    values = [*short, *(x for x in CONTAINERS if len(repr(x)) < 3000)]
    whole: list[Any] = [
        *(short[i : i + 12] for i in range(0, len(short), 12)),
        *([x] for x in CONTAINERS if len(repr(x)) < 3000),
        pmap(enumerate(values)),
        pset(range(70)),
        pset(range(150)),  # on 4-way nodes some of these collide
        pmap({f"key {i}": i for i in range(40)}),
        pmap({(i, "t"): pset([i]) for i in range(9)}),
        m(a=m(b=s(1, (2,))), c=[s(), m()]),
        m(long="v" * 1100, list=[[1] * 1100], also=(m(x=1), "w" * 1100)),
        pset(colliding_bytes(3)),
        pmap((x, [x]) for x in colliding_strings(2)),
        [Opaque(99, b"later"), Opaque(19, ["somebody's", [1, m(a=1)]])],
        BASE.root().set("more", 1),
        [BASE.root(), BASE.root()["inner"], {"x": BASE.root()["inner"].set(77, s())}],
    ]
    try:
        import numpy as np
    except ImportError:
        return whole
    return [*whole, [np.arange(9), np.float32(1)], m(a=np.eye(3, order="F"), b=np.array("x"))]


def write_seeds(folder: str) -> None:
    """Put the seeds into a corpus; a file (an input to try again) is left as it is."""
    if not Path(folder).is_dir():
        return
    for i, value in enumerate(seeds()):
        writer = PackWriter(value, importable=lambda pack: True, uuid=UUIDS[1 + i % 31])
        name = f"seed-{blake2b(writer.image, digest_size=8).hexdigest()}"
        Path(folder, name).write_bytes(writer.image)


def read_pack(image: bytes) -> None:
    """Do everything with one input."""
    rng = random.Random(crc32(image))
    opened(image, partial(use_verified, rng=rng), trusted=False)
    opened(image, partial(use_trusted, rng=rng), trusted=True)


def opened(image: bytes, use: Callable[[Pack], None], *, trusted: bool) -> None:
    """Open an input, use it, and see that nothing keeps it when that is done."""
    try:
        pack = Pack.from_buffer(image, trusted=trusted, resolve=lambda short_id: BASE)
    except errors.PstructsError:
        return
    gone = weakref.ref(pack)
    use(pack)
    del pack
    assert gone() is None, "something keeps a pack alive"


def use_verified(pack: Pack, rng: random.Random) -> None:
    """What verification lets pass is sound: every use works, or says which value is bad."""
    try:
        value = pack.root()
        devour(value)
        check(value)
        Pack.from_buffer(PackWriter(value).image)
        increment = PackWriter(value, importable=lambda p: True).image
        Pack.from_buffer(increment, resolve=lambda i: pack)
        if isinstance(value, PMap | PSet):
            change(value, rng)
            algebra(value, rng)
            compare(value)
    except (errors.PstructsError, RecursionError):
        pass


def check(value: Any) -> None:
    """Check all invariants of all collections in a value."""
    if isinstance(value, PMap | PSet):
        _check(value)
        assert len(set(value)) == len(value)
    below: Any = ()
    if isinstance(value, PMap | dict):
        below = (x for item in value.items() for x in item)
    elif isinstance(value, PSet | list | tuple | set | frozenset):
        below = value
    for x in below:
        check(x)


def use_trusted(pack: Pack, rng: random.Random) -> None:
    """Without verification a pack may lie, but nothing reads what is not there.

    Records may name the same child many times over, so that a walk would not end in our time:
    what takes a whole walk is done with packs that have a small one.
    """
    uses: list[Callable[[], object]] = [pack.verify]
    try:
        value = pack.root()
        small = walk(value, 2000) > 0
    except TRUSTING:
        value, small = None, True
    if isinstance(value, PMap | PSet):
        uses += [partial(edit, value, key, 1) for key in (1, "key 1", None, (2,))]
    if small:
        uses += [
            lambda: devour(value),
            lambda: PackWriter(value).image,
            lambda: PackWriter(value, importable=lambda p: True).image,
        ]
    if small and isinstance(value, PMap | PSet):
        uses += [
            lambda: change(value, rng),
            lambda: algebra(value, rng),
            lambda: compare(value),
        ]
    rng.shuffle(uses)
    for use in uses:
        try:
            use()
        except TRUSTING:
            pass


def walk(value: Any, budget: int) -> int:
    """Step over everything below a value, at most `budget` steps; what is left of them."""
    below: Any = ()
    if isinstance(value, PMap | dict):
        below = (x for item in value.items() for x in item)
    elif isinstance(value, PSet | list | tuple | set | frozenset):
        below = value
    for x in below:
        budget = walk(x, budget - 1)
        if budget <= 0:
            return 0
    return budget


def change(value: Any, rng: random.Random) -> None:
    """Update, compare, merge and save what lies in a pack."""
    changed, other = value, value
    for i in range(8):
        changed = edit(changed, rng.randrange(40), i)
        other = edit(other, f"key {rng.randrange(40)}", i)
    diff(value, changed)
    merge(value, changed, other, resolve=lambda key, *values: i)
    evolver = changed.evolver()
    for key in rng.sample(range(40), 8):
        evolver.discard(key)
    PackWriter(evolver.persistent(), importable=lambda p: rng.random() < 0.5).image.release()


def edit(value: Any, key: Any, item: Any) -> Any:
    value = value.discard(key)
    return value.set(key, item) if isinstance(value, PMap) else value.add(item)


def algebra(value: Any, rng: random.Random) -> None:
    """Set algebra of what lies in a pack with what lies in another, and in the heap."""
    a: Any = value.keys() if isinstance(value, PMap) else value
    b: Any = BASE.root().keys() if rng.random() < 0.5 else pset(rng.sample(range(70), 20))
    for x, y in (a, b), (b, a):
        len(x | y), len(x & y), len(x - y), len(x ^ y)
        (x <= y, x.isdisjoint(y), x == y)


def compare(value: Any) -> None:
    """What reads all of a collection."""
    hash(value.keys() & value.keys()) if isinstance(value, PMap) else hash(value)
    try:
        stable_hash(value)
    except TypeError:  # a value is a list, say
        pass
    try:
        repr(value)
    except SystemError as error:  # numpy, about text that is beyond Unicode
        if "maximum character" not in str(error):
            raise
    value == type(value)(value)
