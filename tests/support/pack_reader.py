"""A reader of packs in plain Python: the executable form of docs/spec/pack-v1.md.

It uses the standard library only and nothing of pstructs, so it agrees with the C core because
both follow the specification, and tests compare the two. It reads a pack whole, checks every
checksum and digest, and gives values in a neutral form:

- maps and sets are `Map` (a list of entries in the order of the trie) and `Set`,
- vectors are `Vector`, sorted collections `Sorted`, with the columns of their entries,
- extension types are the Python types that they stand for; user types are `User`,
- arrays are `Array`, with the bytes of their data,
- everything unknown is `Ext`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from hashlib import blake2b
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

MAGIC = b"\x93PSK\r\n\x1a\n"
HEADER = struct.Struct("<8sHHIIIII16sQQQ16sII")
assert HEADER.size == 96
SET, MAP, VALUE, RAW, VECTOR, SORTED = range(6)  # SORTED: and the shape, 0 to 3
COLLISION, SIZES, CHILDREN, WIDE_COUNT, ARRAY = 4, 4, 8, 64, 128
TOP, HEAD, BODY, TAIL = 0x80, 1, 2, 4
NUMBERS = {1: "q", 2: "d", 3: "?"}  # forms of a vector's leaf
MAX_LEVEL = {1: 26, 0x80000001: 5}  # by hash domain; the second is that of test builds
WIDTH = {1: 32, 0x80000001: 4}
SORTED_LEAF, SORTED_INNER = {1: 16, 0x80000001: 4}, {1: 12, 0x80000001: 4}


class BadPack(Exception):
    """The bytes are not a sound pack."""


def check(condition: object, what: str, offset: int = 0) -> None:
    if not condition:
        raise BadPack(f"byte {offset}: {what}")


# ---- checksum: CRC-32C, reflected polynomial 0x82F63B78

_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = _n >> 1 ^ (0x82F63B78 if _n & 1 else 0)
    _TABLE.append(_n)


def crc32c(data: bytes | memoryview, crc: int = 0) -> int:
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


# ---- neutral values


@dataclass
class Map:
    entries: list[tuple[Any, Any]]


@dataclass
class Set:
    elements: list[Any]


@dataclass
class Vector:
    elements: list[Any]


@dataclass
class Sorted:
    shape: int  # 1: map; 2: keyed
    entries: list[tuple[Any, ...]]


@dataclass
class Deque:
    vector: Vector
    maxlen: int | None


@dataclass
class Bag:
    counts: Map


@dataclass
class Array:
    dtype: str
    order: str
    shape: tuple[int, ...]
    data: bytes


@dataclass
class User:
    name: str
    value: Any


@dataclass
class Ext:
    code: int
    payload: Any


@dataclass
class Ref:
    kind: int
    pack: int
    offset: int
    at: int  # where its 8 bytes stand, relative to the message


# ---- records


@dataclass
class Record:
    offset: int
    size: int
    kind: int
    digest: bytes
    content: bytes = b""  # payload, message or data
    level: int = 0
    datamap: int = 0
    nodemap: int = 0
    collision: bool = False
    count: int = 0
    ends: list[int] = field(default_factory=list)
    children: list[tuple[int, int]] = field(default_factory=list)  # (import index, offset)
    # array nodes
    n: int = 0
    form: int = 0
    sizes: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)

    @property
    def columns(self) -> int:
        """Messages of an entry."""
        if self.kind < VALUE:
            return self.kind + 1
        shape = self.kind - SORTED
        return 1 if self.kind == VECTOR or self.children else 1 + (shape & 1) + (shape >> 1)

    @property
    def keys(self) -> int:
        """How many of them are keys, and so never out of line."""
        if self.kind in (SET, MAP, VECTOR):
            return 0 if self.kind == VECTOR else 1
        return self.columns - (
            self.kind >= SORTED and self.kind - SORTED & 1 and not self.children
        )

    def child_level(self, i: int) -> int:
        if self.kind != VECTOR or not self.level & TOP:
            return self.level - 1
        body = self.form & BODY and i == (1 if self.form & HEAD else 0)
        return self.level & ~TOP if body else 0


def tz_of(x: Any) -> Any:
    if x is None:
        return None
    if isinstance(x, int):
        return timezone(timedelta(microseconds=x)) if x else UTC
    if isinstance(x, list):
        return timezone(timedelta(microseconds=x[0]), x[1])
    return ZoneInfo(x)


class Reader:
    """One pack. `resolve` gives the Reader of an imported pack by its short id."""

    def __init__(self, data: bytes, resolve: Any = None) -> None:
        self.data, self.resolve = bytes(data), resolve
        check(data[:8] == MAGIC, "not a pack")
        check(len(data) >= HEADER.size, "truncated")
        fields = HEADER.unpack_from(data)
        _, self.version, size, self.domain, incompatible, _, _, n_imports, self.uuid = fields[:9]
        total, self.root_offset, root_length, self.root_digest, reserved, crc = fields[9:]
        check(total == len(data), "truncated or too long")
        self.end = total - 8 * n_imports
        check(self.end >= 96, "import table longer than the pack")
        check(crc == crc32c(data[self.end :], crc32c(data[:92])), "header checksum")
        check(self.version == 1 and size == 96 and not incompatible, "from the future")
        check(self.domain in MAX_LEVEL, "unknown hash domain")
        check(not reserved and self.root_offset + root_length == self.end, "header")
        self.imports = [data[i : i + 8] for i in range(self.end, total, 8)]
        self.records: dict[int, Record] = {}
        offset = 96
        while offset < self.end:
            record = self.parse(offset)
            self.verify(record)
            self.records[offset] = record
            offset += record.size
        check(offset == self.end and self.root_offset in self.records, "records end elsewhere")
        root = self.records[self.root_offset]
        check(root.kind == VALUE and root.size == root_length, "root")
        check(root.digest == self.root_digest, "root digest")

    # -- one record

    def take(self, form: str, offset: int) -> Any:
        check(offset + struct.calcsize(form) <= self.end, "cut off", offset)
        return struct.unpack_from(form, self.data, offset)

    def parse(self, offset: int) -> Record:
        crc, digest, flags = self.take("<I16sB", offset)
        kind = flags & 3
        r = Record(offset, 0, kind, digest)
        if flags & ARRAY:
            start, length = self.parse_array(r, flags)
        elif kind >= VALUE:
            check(flags == kind, "reserved flags", offset)
            (length,) = self.take("<Q", offset + 21)
            start = offset + 29
            if kind == RAW:
                start += -start % 64
                check(not any(self.data[offset + 29 : start]), "padding", offset)
        else:
            r.level, r.datamap = self.take("<BI", offset + 21)
            at = offset + 26
            r.collision = bool(flags & COLLISION)
            deepest = MAX_LEVEL[self.domain]
            check(r.collision == (r.level == deepest) and r.level <= deepest, "level", offset)
            n = r.datamap if r.collision else r.datamap.bit_count()
            r.count = n
            if flags & CHILDREN:
                check(not r.collision, "collision node with children", offset)
                wide = bool(flags & WIDE_COUNT)
                r.nodemap, r.count, widths = self.take("<IQB" if wide else "<IIB", at)
                check(r.nodemap, "no children", offset)
                at += 13 if wide else 9
                at = self.parse_references(r, r.nodemap.bit_count(), widths, at)
            else:
                check(not flags & WIDE_COUNT, "reserved flags", offset)
            start, length = self.parse_ends(r, n, flags, at)
        check(start + length <= self.end, "record longer than the pack", offset)
        r.content = self.data[start : start + length]
        r.size = start + length - offset
        check(crc == crc32c(self.data[offset + 4 : offset + r.size]), "checksum", offset)
        return r

    def parse_references(self, r: Record, n: int, widths: int, at: int) -> int:
        offsets, imports = widths & 15, widths >> 4
        check(1 <= offsets <= 5 and imports <= 2, "widths", r.offset)
        for _ in range(n):
            ref = self.take(f"<{imports}s{offsets}s", at)
            a, b = (int.from_bytes(x, "little") for x in ref)
            r.children.append((a, b))
            at += imports + offsets
        return at

    def parse_ends(self, r: Record, n: int, flags: int, at: int) -> tuple[int, int]:
        code = flags >> 4 & 3
        check(code < 3, "width of ends", r.offset)
        check(at + (n << code) <= self.end, "cut off", r.offset)
        r.ends = list(self.take(f"<{n}{'BHI'[code]}", at))
        check(all(a < b for a, b in zip([0, *r.ends], r.ends, strict=False)), "ends", r.offset)
        return at + (n << code), r.ends[-1] if n else 0

    def parse_array(self, r: Record, flags: int) -> tuple[int, int]:
        """A node of a vector or a sorted collection: start and length of its payload."""
        offset, tree, children = r.offset, flags & 3, bool(flags & CHILDREN)
        r.level, r.n, r.form, reserved = self.take("<BBBH", offset + 21)
        check(tree <= 1 and not reserved, "reserved flags", offset)
        most = (SORTED_INNER if children else SORTED_LEAF) if tree else WIDTH
        check(1 <= r.n <= most[self.domain], "number of parts", offset)
        r.kind = SORTED + (r.form & 3) if tree else VECTOR
        r.count, at = r.n, offset + 26
        sizes = bool(flags & SIZES)
        if tree:
            check((r.level > 0) == children == sizes and r.level <= 16, "level", offset)
            check(not r.form & (0xCC if children else 0xFC), "form", offset)
        elif r.level & TOP:
            check(children and sizes and r.form < 8 and r.form.bit_count() == r.n > 1, "top")
            check(r.form & BODY or r.level == TOP, "top", offset)
        else:
            check((r.level > 0) == children and r.form <= (0 if children else 3), "form", offset)
            check(children or not sizes, "sizes of a leaf", offset)
        if children:
            number = "Q" if flags & WIDE_COUNT else "I"
            r.count, widths = self.take(f"<{number}B", at)
            at = self.parse_references(r, r.n, widths, at + struct.calcsize(f"<{number}B"))
            if sizes:
                r.sizes = list(self.take(f"<{r.n}{number}", at))
                at += struct.calcsize(f"<{r.n}{number}")
            if tree:
                r.words = list(self.take(f"<{r.n}q", at))
                at += 8 * r.n
        else:
            check(not flags & WIDE_COUNT, "reserved flags", offset)
        if r.kind == VECTOR and not children and r.form:
            check(not flags & 0x30, "reserved flags", offset)
            width = struct.calcsize(NUMBERS[r.form])
            start = at + -at % width
            check(not any(self.data[at:start]), "padding", offset)
            return start, r.n * width
        return self.parse_ends(r, (1 if tree else 0) if children else r.n, flags, at)

    def target(self, pack: int, offset: int, before: int) -> tuple[Reader, Record]:
        if pack == 0:
            check(offset < before and offset in self.records, "reference not backwards", before)
            return self, self.records[offset]
        check(pack <= len(self.imports), "import index", before)
        check(self.resolve is not None, "imports and no resolver")
        other = self.resolve(self.imports[pack - 1])
        check(offset in other.records, "reference to no record", before)
        return other, other.records[offset]

    def verify(self, r: Record) -> None:
        """Compute the digest and counts again."""
        if r.kind == RAW:
            check(digest_of(bytes([RAW]) + r.content) == r.digest, "digest", r.offset)
            return
        if r.kind == VALUE:
            head, below = bytes([VALUE]), b""
            messages, is_value = [(0, len(r.content))], [False]
        elif r.kind >= VECTOR:
            head, below = bytes([r.kind, r.level, r.n, r.form]), self.verify_children(r)
            if r.kind == VECTOR and r.form and not r.children:
                check(digest_of(head + r.content) == r.digest, "digest", r.offset)
                return
            messages, is_value = self.messages(r)
        else:
            head = struct.pack("<BII", r.kind | COLLISION * r.collision, r.datamap, r.nodemap)
            below, count = b"", len(r.ends)
            check(r.collision or not r.datamap & r.nodemap, "bitmaps", r.offset)
            for pack, offset in r.children:
                _, child = self.target(pack, offset, r.offset)
                check(child.kind == r.kind and child.level == r.level + 1, "child", r.offset)
                check(child.count >= 2, "child should stand inline", r.offset)
                below, count = below + child.digest, count + child.count
            check(count == r.count and count >= 1, "count", r.offset)
            messages, is_value = self.messages(r)
        content, refs = bytearray(r.content), []
        for (start, end), value in zip(messages, is_value, strict=True):
            found: list[Ref] = []
            message = Message(r.content[:end], start, refs=found)
            message.decode()
            check(message.at == end, "message", r.offset)
            for ref in found:
                if ref.offset == 0 and ref.kind not in (VALUE, RAW):
                    refs.append(bytes(16))
                else:
                    _, to = self.target(ref.pack, ref.offset, r.offset)
                    check(to.kind == ref.kind, "kind")
                    check(to.kind >= VALUE or to.level == 0, "level")
                    whole = value and end - start == 10
                    check(ref.kind != VALUE or whole, "out-of-line value inside a value")
                    refs.append(to.digest)
                content[ref.at + 1 : ref.at + 8] = bytes(7)
        whole_message = head + bytes(content) + below + b"".join(refs)
        check(digest_of(whole_message) == r.digest, "digest", r.offset)

    def messages(self, r: Record) -> tuple[list[tuple[int, int]], list[bool]]:
        """Where the messages of the payload are, and which may be out of line."""
        found, is_value, at = [], [], 0
        for end in r.ends:
            for column in range(r.columns):
                start, at = at, Message(r.content, at).skip()
                found.append((start, at))
                is_value.append(column >= r.keys)
            check(at == end, "entry", r.offset)
        return found, is_value

    def counts(self, r: Record) -> list[int]:
        """Elements below each child of an array node."""
        if r.kind != VECTOR:
            return r.sizes
        if r.sizes:
            return [b - a for a, b in zip([0, *r.sizes], r.sizes, strict=False)]
        full = WIDTH[self.domain] ** r.level
        return [full] * (r.n - 1) + [r.count - full * (r.n - 1)]

    def verify_children(self, r: Record) -> bytes:
        digests, counts = b"", self.counts(r)
        for i, (pack, offset) in enumerate(r.children):
            _, child = self.target(pack, offset, r.offset)
            level = r.child_level(i)
            check(child.kind == r.kind and child.level == level, "child", r.offset)
            full = WIDTH[self.domain] ** (level + 1)
            check(child.count == counts[i] > 0, "count of a child", r.offset)
            check(r.kind != VECTOR or counts[i] <= full, "more than a full child", r.offset)
            digests += child.digest
        check(not r.children or sum(counts) == r.count, "count", r.offset)
        return digests

    # -- values

    def root(self) -> Any:
        return self.value_of(self.records[self.root_offset])

    def value_of(self, r: Record) -> Any:
        return Message(r.content, 0, self, r.offset).decode()

    def walk(self, r: Record) -> list[tuple[Any, ...]]:
        """Entries below a node: its own, then those of its children, in order."""
        entries, at = [], 0
        if r.kind == VECTOR and r.form and not r.children:
            return [(x,) for x in struct.unpack(f"<{r.n}{NUMBERS[r.form]}", r.content)]
        for _ in r.ends if r.kind < VALUE or not r.children else ():
            entry = []
            for _ in range(r.columns):
                message = Message(r.content, at, self, r.offset)
                entry.append(message.decode())
                at = message.at
            entries.append(tuple(entry))
        for pack, offset in r.children:
            reader, child = self.target(pack, offset, r.offset)
            entries += reader.walk(child)
        return entries

    def dereference(self, ref: Ref, before: int) -> Any:
        if ref.kind not in (VALUE, RAW) and ref.offset == 0:
            return self.collection(ref.kind, [])
        reader, r = self.target(ref.pack, ref.offset, before)
        check(r.kind == ref.kind, "kind of a reference", before)
        if r.kind == RAW:
            return r.content
        if r.kind == VALUE:
            return reader.value_of(r)
        entries = reader.walk(r)
        check(len(entries) == r.count, "count", r.offset)
        return self.collection(r.kind, entries)

    @staticmethod
    def collection(kind: int, entries: list[tuple[Any, ...]]) -> Any:
        if kind == MAP:
            return Map(entries)
        if kind >= SORTED:
            return Sorted(kind - SORTED, entries)
        elements = [e[0] for e in entries]
        return Vector(elements) if kind == VECTOR else Set(elements)


def digest_of(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


class Message:
    """One MessagePack message in `data` from `at`; with `reader`, references are followed."""

    def __init__(
        self,
        data: bytes,
        at: int,
        reader: Reader | None = None,
        before: int = 0,
        refs: list[Ref] | None = None,
    ) -> None:
        self.data, self.at, self.reader, self.before, self.refs = data, at, reader, before, refs

    def bytes(self, n: int) -> bytes:
        check(n <= len(self.data) - self.at, "message cut off", self.at)
        self.at += n
        return self.data[self.at - n : self.at]

    def number(self, n: int, signed: bool = False) -> int:
        return int.from_bytes(self.bytes(n), "big", signed=signed)

    def skip(self) -> int:
        self.refs = []
        self.decode()
        return self.at

    def decode(self) -> Any:
        c = self.number(1)
        if c <= 0x7F:
            return c
        if c >= 0xE0:
            return c - 0x100
        if c <= 0x8F:
            return self.dict(c & 15)
        if c <= 0x9F:
            return [self.decode() for _ in range(c & 15)]
        if c <= 0xBF:
            return self.bytes(c & 31).decode()
        check(c != 0xC1, "byte C1", self.at)
        if c in (0xC0, 0xC2, 0xC3):
            return {0xC0: None, 0xC2: False, 0xC3: True}[c]
        if c in (0xC4, 0xC5, 0xC6):
            return self.bytes(self.number(1 << c - 0xC4))
        if c in (0xC7, 0xC8, 0xC9):
            n = self.number(1 << c - 0xC7)
            return self.ext(n)
        if c == 0xCA:
            return struct.unpack(">f", self.bytes(4))[0]
        if c == 0xCB:
            return struct.unpack(">d", self.bytes(8))[0]
        if c <= 0xCF:
            return self.number(1 << c - 0xCC)
        if c <= 0xD3:
            return self.number(1 << c - 0xD0, signed=True)
        if c <= 0xD8:
            return self.ext(1 << c - 0xD4)
        if c <= 0xDB:
            return self.bytes(self.number(1 << c - 0xD9)).decode()
        n = self.number(2 if c in (0xDC, 0xDE) else 4)
        check(n <= len(self.data) - self.at, "more items than bytes", self.at)
        return [self.decode() for _ in range(n)] if c <= 0xDD else self.dict(n)

    def dict(self, n: int) -> Any:
        pairs = [(self.decode(), self.decode()) for _ in range(n)]
        return dict(pairs) if self.refs is None else pairs

    def ref(self) -> Any:
        at, x = self.at, int.from_bytes(self.bytes(8), "little")
        ref = Ref(x & 255, x >> 8 & 0xFFFF, x >> 24, at)
        if self.refs is not None:
            self.refs.append(ref)
            return None
        return ref if self.reader is None else self.reader.dereference(ref, self.before)

    def ext(self, n: int) -> Any:
        code = self.number(1)
        check(n <= len(self.data) - self.at, "extension cut off", self.at)
        stop = self.at + n
        value = self.payload(code, stop)
        check(self.at == stop, "extension longer than its content", self.at)
        return value

    def payload(self, code: int, stop: int) -> Any:
        if code == 1:
            return self.ref()
        if code == 6:
            return self.ref(), self.decode()
        if code == 2:
            data, meta = self.ref(), self.decode()
            return Array(meta[0], meta[1], tuple(meta[2:]), data)
        raw = self.data[self.at : stop]
        if not 16 <= code <= 31:
            self.at = stop
            if code == 3:
                return int.from_bytes(raw, "big", signed=True)
            if code == 4:
                return bytearray(raw)
            return raw.decode("utf-8", "surrogatepass") if code == 5 else Ext(code, raw)
        x = self.decode()
        if self.refs is not None:
            return None
        return BUILDERS[code](x)


BUILDERS: dict[int, Any] = {
    16: tuple,
    17: frozenset,
    18: set,
    19: lambda x: User(*x),
    20: lambda x: complex(*x),
    21: Decimal,
    22: lambda x: Fraction(*x),
    23: lambda x: date(*x),
    24: lambda x: time(*x[:4], fold=x[4], tzinfo=tz_of(x[5])),
    25: lambda x: timedelta(*x),
    26: lambda x: datetime(*x[:7], fold=x[7], tzinfo=tz_of(x[8])),
    27: lambda x: UUID(bytes=x),
    28: lambda x: Ext(28, x),
    29: list,
    30: lambda x: Deque(*x),
    31: Bag,
}
