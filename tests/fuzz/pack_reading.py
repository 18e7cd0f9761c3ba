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

from pstructs import (
    PBag,
    PDeque,
    PList,
    PMap,
    PSet,
    PSortedMap,
    PSortedSet,
    PVector,
    diff,
    errors,
    m,
    merge,
    pbag,
    pdeque,
    plist,
    pmap,
    pset,
    psortedmap,
    psortedset,
    pvector,
    s,
    stable_hash,
)
from pstructs._core import _check
from pstructs.packs import Opaque, Pack, PackWriter
from support.hostile import colliding_bytes, colliding_strings
from support.pack_tools import CONTAINERS, SCALARS, devour, sample

UUIDS = [bytes([i]) * 16 for i in range(32)]
BASE_VALUE = sample(12).update(
    {"vector": pvector(range(70)), "sorted": psortedmap(zip(range(70), map(str, range(70))))}
)
BASE_IMAGE = bytes(PackWriter(BASE_VALUE, uuid=UUIDS[0]).image)
BASE = Pack.from_buffer(BASE_IMAGE)
MAPS = PMap | PSortedMap
SETS = PSet | PSortedSet
SEQUENCES = PVector | PDeque | PList
# A walk steps over no more than this: a vector of a few hundred bytes may have 2**60 elements,
# since its nodes may name one child many times.
STEPS = 2000
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
        pvector(range(90)),
        pvector(["x", 1.5, None] * 40),
        pvector(range(50)) + pvector("abc") + pvector([0.5] * 70),
        (pvector(map(str, range(120)))[3:101] + pvector([True] * 40)).insert(20, s(1)),
        [pvector([m(a=pvector([1, 2]))] * 5), pvector(range(40)) * 3],
        psortedmap({i: str(i) for i in range(90)}),
        psortedmap({f"key {i}": [i] for i in range(40)}),
        psortedset([i / 4 for i in range(60)]),
        [psortedset(map(str, range(70))), psortedmap({(1, i): s(i) for i in range(9)})],
        pdeque(range(60), 99),
        [plist(range(20)), pdeque("abc"), pbag("abracadabra")],
        BASE.root()["vector"].append(1) + BASE.root()["vector"],
        BASE.root()["sorted"].set(7, 7),
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
        change(value, rng)
        if not is_small(value):
            return
        devour(value)
        check(value)
        Pack.from_buffer(PackWriter(value).image)
        increment = PackWriter(value, importable=lambda p: True).image
        Pack.from_buffer(increment, resolve=lambda i: pack)
        algebra(value, rng)
        compare(value)
    except (errors.PstructsError, RecursionError):
        pass
    except TypeError as error:  # two odd keys, such as infinite numbers of two types, say
        if "can't be sorted" not in str(error) and "operand" not in str(error):
            raise


def below(value: Any) -> Any:
    """The keys and values, or elements, right below a value."""
    if isinstance(value, MAPS | dict):
        return (x for item in value.items() for x in item)
    if isinstance(value, PBag):
        return set(value)
    whole = SETS | SEQUENCES | list | tuple | set | frozenset
    return value if isinstance(value, whole) else ()


def check(value: Any) -> None:
    """Check all invariants of all collections in a value.

    Of vectors, those that reading stands on: that nodes are well filled is the promise of who
    writes a pack, and costs only height, which is bounded.
    """
    if isinstance(value, MAPS | SETS):
        _check(value)
    if isinstance(value, PVector):
        assert all(type(value[i]) is type(x) for i, x in enumerate(value))
    if isinstance(value, MAPS | SETS):
        assert len(set(value)) == len(value)
    for x in below(value):
        check(x)


def use_trusted(pack: Pack, rng: random.Random) -> None:
    """Without verification a pack may lie, but nothing reads what is not there.

    Records may name the same child many times over, so that a walk would not end in our time:
    what takes a whole walk is done with packs that have a small one.
    """
    uses: list[Callable[[], object]] = [pack.verify]
    try:
        value = pack.root()
        small = is_small(value)
    except TRUSTING:
        value, small = None, True
    uses.append(lambda: change(value, rng))
    if small:
        uses += [
            lambda: devour(value),
            lambda: PackWriter(value).image,
            lambda: PackWriter(value, importable=lambda p: True).image,
            lambda: algebra(value, rng),
            lambda: compare(value),
        ]
    rng.shuffle(uses)
    for use in uses:
        try:
            use()
        except TRUSTING:
            pass


def is_small(value: Any) -> bool:
    """Whether a walk over everything below a value takes few steps."""
    return walk(value, STEPS) > 0


def walk(value: Any, budget: int) -> int:
    """Step over everything below a value, at most `budget` steps; what is left of them."""
    if isinstance(value, PBag) and sum(1 for _ in zip(value, range(budget))) >= budget:
        return 0  # counts may be anything
    for x in below(value):
        budget = walk(x, budget - 1)
        if budget <= 0:
            return 0
    return budget


def change(value: Any, rng: random.Random) -> None:
    """Update, compare, merge and save what lies in a pack: what takes a few paths of it."""
    if isinstance(value, MAPS | SETS):
        change_keys(value, rng)
    elif isinstance(value, PVector):
        change_places(value, rng)
    elif isinstance(value, PDeque):
        value.append(1).appendleft(2).pop().popleft(2)
    elif isinstance(value, PBag):
        value.add("more").remove("more")


def change_keys(value: Any, rng: random.Random) -> None:
    changed, other = value, value
    for i in range(8):
        changed = edit(changed, a_key(value, rng), i)
        other = edit(other, a_key(value, rng), i)
    if is_small(value):
        diff(value, changed)
        merge(value, changed, other, resolve=lambda key, *values: i)
    evolver = changed.evolver()
    for _ in range(8):
        evolver.discard(a_key(value, rng))
    if isinstance(value, PSortedMap | PSortedSet):
        places(value, rng)
    save_some(evolver.persistent(), rng)


def a_key(value: Any, rng: random.Random) -> Any:
    """Some key; for a sorted collection one that its keys can be sorted with."""
    if not isinstance(value, PSortedMap | PSortedSet):
        return rng.choice([rng.randrange(40), f"key {rng.randrange(40)}", None, (2,)])
    if not value:
        return rng.randrange(40)
    place = rng.randrange(len(value))
    key = value.nth(place)[0] if isinstance(value, PSortedMap) else value.nth(place)
    if rng.random() < 0.3:
        return key
    return key + rng.randrange(9) if isinstance(key, int | float) else key + key


def edit(value: Any, key: Any, item: Any) -> Any:
    value = value.discard(key)
    return value.set(key, item) if isinstance(value, MAPS) else value.add(key)


def places(value: Any, rng: random.Random) -> None:
    """What sorted collections find by place and by range."""
    place = rng.randrange(len(value) + 1)
    value.slice(place, place + 9)
    bound = a_key(value, rng)
    value.ceiling(bound, None), value.lower(bound, None), value.rank(bound), value.split(bound)
    for _ in zip(value.irange(bound, reverse=rng.random() < 0.5), range(50)):
        pass


def change_places(value: Any, rng: random.Random) -> None:
    changed = value
    for i in range(8):
        place = rng.randrange(len(changed) + 1)
        match rng.randrange(6):
            case 0:
                changed = changed.append(i)
            case 1:
                changed = changed.insert(place, i)
            case 2 if place < len(changed):
                changed = changed.set(place, i)
            case 3 if place < len(changed):
                changed = changed.delete(place)
            case 4:
                changed = changed[place:] + changed[:place]
            case _:
                changed = changed[rng.randrange(3) : place + 1 or None]
    for x in zip(changed, range(70)):
        assert x[1] < 70
    if is_small(value):
        diff(value, changed)
        merge(value, changed, value.append(1), resolve=lambda *values: values[-1])
    evolver = changed.evolver()
    evolver.append(1)
    evolver[rng.randrange(len(evolver))] = "other"
    save_some(evolver.persistent(), rng)


def save_some(value: Any, rng: random.Random) -> None:
    if is_small(value):
        PackWriter(value, importable=lambda p: rng.random() < 0.5).image.release()


def algebra(value: Any, rng: random.Random) -> None:
    """Set algebra of what lies in a pack with what lies in another, and in the heap."""
    if not isinstance(value, PMap | PSet):
        return
    a: Any = value.keys() if isinstance(value, PMap) else value
    b: Any = BASE.root().keys() if rng.random() < 0.5 else pset(rng.sample(range(70), 20))
    for x, y in (a, b), (b, a):
        len(x | y), len(x & y), len(x - y), len(x ^ y)
        (x <= y, x.isdisjoint(y), x == y)


def compare(value: Any) -> None:
    """What reads all of a collection."""
    for hashed in (hash, stable_hash):
        try:
            hashed(value.keys() & value.keys() if isinstance(value, PMap) else value)
        except TypeError:  # a value is a list, say
            pass
    try:
        repr(value)
    except SystemError as error:  # numpy, about text that is beyond Unicode
        if "maximum character" not in str(error):
            raise
    if isinstance(value, SEQUENCES):
        (value == type(value)(value), value < type(value)(value), value.count(1))
    elif isinstance(value, MAPS | SETS):
        value == type(value)(value)
