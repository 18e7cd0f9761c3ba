"""Tools of the pack tests: resealing mutated packs, walking over everything, samples."""

from __future__ import annotations

import random
import struct
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from pstructs import (
    PMap,
    PSet,
    PSortedMap,
    PSortedSet,
    PVector,
    dq,
    l,
    m,
    pbag,
    pdeque,
    pmap,
    pset,
    psortedmap,
    psortedset,
    pvector,
    s,
    v,
)
from support.pack_reader import (
    ARRAY,
    CHILDREN,
    COLLISION,
    MAP,
    NUMBERS,
    RAW,
    SIZES,
    SORTED,
    VALUE,
    VECTOR,
    WIDE_COUNT,
    BadPack,
    Message,
    Ref,
    crc32c,
    digest_of,
)

SCALARS = [
    *[None, True, False, 0, 1, -1, 127, 128, -32, -33, 255, 256, 65535, 65536, -128, -129],
    *[-32768, -32769, 2**31, -(2**31), 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63)],
    *[-(2**63) - 1, 10**100, -(10**100), 0.0, -0.0, 1.5, float("inf"), -float("inf")],
    *["", "a", "x" * 31, "x" * 32, "x" * 255, "x" * 256, "y" * 70000, "é", "日本語", "🎉" * 20],
    *["\udc80 lone", b"", b"ab", b"z" * 300, b"\0" * 70000, bytearray(b"xyz"), 1j, 2.5 - 3j],
    *[Decimal("1.50"), Decimal("-Infinity"), Decimal("1E+999999"), Fraction(1, 3)],
    *[date(2024, 2, 29), time(1, 2, 3, 4), time(5, 6, fold=1), timedelta(-1, 5, 7)],
    *[datetime(2020, 1, 1), datetime(2020, 1, 1, tzinfo=UTC), UUID(int=5)],
    datetime(2021, 10, 31, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
    datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=-5, minutes=-30))),
    datetime(2020, 1, 1, tzinfo=timezone(timedelta(hours=2), "EET")),
    time(1, 2, tzinfo=timezone(timedelta(seconds=1))),
]
CONTAINERS = [
    *[[], (), {}, set(), frozenset(), [1, [2, [3]]], (1,), (1, (2, ())), {"a": [1], 2: {3: 4}}],
    *[{1, "a", (2, 3)}, frozenset({frozenset(), 1.5}), list(range(20)), tuple(range(70))],
    *[{i: str(i) for i in range(40)}, [list(range(70000))], [None] * 17],
    *[m(), s(), m(a=1), s(1, "b"), [m(x=s(m(y=1)))], (pmap({(1, 2): {3}}),)],
    *[v(), v(1, "a"), v(v(), m(a=v(1.5))), pvector(range(100)), [pvector([0.5] * 40)]],
    *[
        l(),
        l(1, v(2)),
        dq(),
        dq(1, m(a=2)),
        pdeque(range(90), 99).popleft(3).reverse(),
        pbag("aab"),
    ],
    *[psortedset(), psortedmap({2: s(1), 1: v(2)}), [psortedset(range(90)), psortedset("ba")]],
    pvector([True, False] * 30) + pvector("abc") + pvector([2**70, -(2**63)] * 9),
]


def sample(n: int = 300) -> PMap[Any, Any]:
    """Return a map with keys and values of many types."""
    entries: dict[Any, Any] = {f"key {i}": i * i for i in range(n)}
    entries |= {i: [i, str(i)] for i in range(20)}
    entries |= {(1, "t"): "tuple", b"bytes": 2.5, None: None, 2.5: "float", "long": "z" * 3000}
    entries |= {"inner": pmap({i: pset([i, -i]) for i in range(20)}), "set": {1, 2}}
    return pmap(entries)


def devour(value: Any) -> int:
    """Read everything below a value, in all ways; count what was there."""
    if isinstance(value, PMap):
        n = 0
        for key, item in value.items():
            n += devour(key) + devour(item)
            value[key]
        assert len(list(value)) == len(value)
        return n
    if isinstance(value, PSet):
        return sum(devour(x) for x in value if x in value)
    if isinstance(value, PSortedMap | PSortedSet):
        assert len(list(value)) == len(value) == len(list(reversed(value)))
        entries = list(value.items()) if isinstance(value, PSortedMap) else list(value)
        for i in (0, len(value) // 2, len(value) - 1) if value else ():
            devour(value.nth(i))
        if value:
            first = value.first()
            assert value.bisect_left(first[0] if isinstance(value, PSortedMap) else first) == 0
        return sum(devour(x) for x in entries)
    if isinstance(value, PVector):
        n = len(value)
        assert n == len(list(value)) == len(list(reversed(value)))
        for i in (0, n // 2, n - 1) if n else ():
            devour(value[i])
        return sum(devour(x) for x in value)
    if isinstance(value, dict):
        return sum(devour(k) + devour(v) for k, v in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return sum(map(devour, value))
    return 1


def reseal(data: bytes | bytearray) -> bytes:
    """Give a mutated pack right checksums and digests as far as its records can be found."""
    data = bytearray(data)
    if len(data) < 96:
        return bytes(data)
    n_imports = struct.unpack_from("<I", data, 28)[0]
    end = max(96, len(data) - 8 * n_imports)
    struct.pack_into("<Q", data, 48, len(data))
    offset, digests = 96, {0: bytes(16)}
    while offset + 29 <= end:
        try:
            size, message = _content(data, offset, end, digests)
        except (
            BadPack,
            struct.error,
            ValueError,
            KeyError,
            RecursionError,
            TypeError,
            IndexError,
        ):
            break
        except (OverflowError, UnicodeDecodeError):
            break
        if message is not None:
            data[offset + 4 : offset + 20] = digest_of(message)
        digests[offset] = bytes(data[offset + 4 : offset + 20])
        struct.pack_into("<I", data, offset, crc32c(data[offset + 4 : offset + size]))
        if offset == struct.unpack_from("<Q", data, 56)[0]:
            data[72:88] = digests[offset]
        offset += size
    struct.pack_into("<I", data, 92, crc32c(data[end:], crc32c(data[:92])))
    return bytes(data)


def _content(
    data: bytearray, offset: int, end: int, digests: dict[int, bytes]
) -> tuple[int, bytes | None]:
    """Size of the record and the message of its digest (None: can't be made)."""
    flags = data[offset + 20]
    kind = flags & 3
    below: list[bytes] = []
    ends = [0]
    if flags & ARRAY:
        return _array_content(data, offset, end, digests)
    if kind >= VALUE:
        ends = [struct.unpack_from("<Q", data, offset + 21)[0]]
        start = offset + 29
        if kind == RAW:
            start += -start % 64
        head = bytes([kind])
    else:
        datamap = struct.unpack_from("<I", data, offset + 22)[0]
        n = datamap if flags & COLLISION else datamap.bit_count()
        at, nodemap = offset + 26, 0
        if flags & CHILDREN:
            nodemap = struct.unpack_from("<I", data, at)[0]
            at += 12 if flags & WIDE_COUNT else 8
            offsets, imports = data[at] & 15, data[at] >> 4
            at += 1
            for _ in range(nodemap.bit_count()):
                at += imports
                below.append(digests.get(int.from_bytes(data[at : at + offsets], "little"), b""))
                at += offsets
        code = flags >> 4 & 3
        if at + (n << code) > end:
            raise BadPack("cut off")
        ends = list(struct.unpack_from(f"<{n}{'BHIH'[code]}", data, at)) if n else [0]
        start = at + (n << code)
        head = struct.pack("<BII", kind | flags & COLLISION, datamap, nodemap)
    stop = start + ends[-1]
    if stop > end:
        raise BadPack("too long")
    if kind == RAW:
        return stop - offset, head + data[start:stop]
    return stop - offset, _message(data[start:stop], head, below, digests)


def _array_content(
    data: bytearray, offset: int, end: int, digests: dict[int, bytes]
) -> tuple[int, bytes | None]:
    flags, level, n, form = data[offset + 20 : offset + 24]
    sorted_tree, children = flags & 3, flags & CHILDREN
    kind = SORTED + (form & 3) if sorted_tree else VECTOR
    at, below = offset + 26, []
    if children:
        wide = 8 if flags & WIDE_COUNT else 4
        offsets, imports = data[at + wide] & 15, data[at + wide] >> 4
        at += wide + 1
        for _ in range(n):
            at += imports
            below.append(digests.get(int.from_bytes(data[at : at + offsets], "little"), b""))
            at += offsets
        at += (n * wide if flags & SIZES else 0) + (8 * n if sorted_tree else 0)
    head = bytes([kind, level, n, form])
    if kind == VECTOR and not children and form in NUMBERS:
        width = struct.calcsize(NUMBERS[form])
        start = at + -at % width
        stop = start + n * width
        if stop > end:
            raise BadPack("too long")
        return stop - offset, head + data[start:stop]
    entries = (1 if sorted_tree else 0) if children else n
    code = flags >> 4 & 3
    if at + (entries << code) > end:
        raise BadPack("cut off")
    ends = list(struct.unpack_from(f"<{entries}{'BHIH'[code]}", data, at)) if entries else [0]
    start = at + (entries << code)
    stop = start + ends[-1]
    if stop > end:
        raise BadPack("too long")
    return stop - offset, _message(data[start:stop], head, below, digests)


def _message(
    payload: bytearray, head: bytes, below: list[bytes], digests: dict[int, bytes]
) -> bytes | None:
    """The message of the digest of a node or value; None: the payload is no messages."""
    content, refs, at = bytearray(payload), [], 0
    try:
        while at < len(content):
            found: list[Ref] = []
            message = Message(bytes(payload), at, refs=found)
            message.decode()
            at = message.at
            for ref in found:
                refs.append(digests.get(ref.offset, b"") if not ref.pack else b"")
                content[ref.at + 1 : ref.at + 8] = bytes(7)
    except (BadPack, struct.error, ValueError, KeyError, RecursionError, TypeError, IndexError):
        return None
    return head + bytes(content) + b"".join(below) + b"".join(refs)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Change a few bytes, mostly where structure is, and reseal."""
    out = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(out))
        match rng.randrange(6):
            case 0:
                out[at] ^= 1 << rng.randrange(8)
            case 1:
                out[at] = rng.choice([0, 1, 0x7F, 0x80, 0xC1, 0xC7, 0xD7, 0xDD, 0xDF, 0xFF])
            case 2:
                n = rng.choice([2, 4, 8])
                out[at : at + n] = rng.randbytes(n)[: len(out) - at]
            case 3:
                source = rng.randrange(len(out))
                n = rng.randrange(1, 40)
                piece = out[source : source + n]
                out[at : at + len(piece)] = piece[: len(out) - at]
            case 4:
                del out[at : at + rng.randrange(1, 20)]
            case _:
                out[at:at] = rng.randbytes(rng.randrange(1, 20))
        if len(out) < 97:
            return bytes(out)
    return reseal(out)


assert MAP == 1
