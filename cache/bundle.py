"""Export files: versions and the packs that they stand on, as one file (docs/spec/export-v1.md).

    magic 8 | part part part ... end part

A part is a kind, a length, that many bytes, and a digest of these. The first one says what the
file holds and what it builds on, the last one is the digest of all before it. Both ways are
streams: no more than a piece of a pack is in memory.

Nothing in a file is believed: `Bundle` reads it whole when it is opened, against every digest,
and who takes versions out of it checks them and their packs again (receiving.py).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator
from io import FileIO
from types import TracebackType
from typing import Any, Final, Self

from pstructs.cache.disk import write_fully
from pstructs.cache.folder import SHORT_BYTES
from pstructs.cache.portable import (
    check_ids,
    check_names,
    check_tags,
    expired_of,
    read_json,
    rows_of,
    version_of,
)
from pstructs.cache.sources import CHUNK, PackInfo, Source
from pstructs.cache.version import Version
from pstructs.cache.whole import whole_file
from pstructs.errors import DamagedExportError, FutureStoreError, StorePathError

__all__ = ["Bundle", "write_bundle"]

MAGIC: Final = b"\x93PSX\r\n\x1a\n"
FORMAT = 1
HEAD, PACK, ROWS, END = b"HEAD", b"PACK", b"ROWS", b"END."
_PART = struct.Struct("<4sQ")
DIGEST_BYTES = 16
TEXT_LIMIT = 64 << 20  # of a part of JSON: it is read whole
_ROWS_BYTES = 1 << 20
_PACK_HEADER = 96
_MOST_IMPORTS = 0xFFFF


def _hasher() -> Any:
    return hashlib.blake2b(digest_size=DIGEST_BYTES, person=b"pstructs-export")


class _Writer:
    """Writes parts, and the digest of all."""

    def __init__(self, out: FileIO) -> None:
        self.out, self.whole, self.nbytes = out, _hasher(), 0

    def write(self, data: bytes) -> None:
        write_fully(self.out, data)
        self.whole.update(data)
        self.nbytes += len(data)

    def part(self, kind: bytes, length: int, chunks: Iterable[bytes]) -> None:
        head, digest, left = _PART.pack(kind, length), _hasher(), length
        self.write(head)
        digest.update(head)
        for chunk in chunks:
            self.write(chunk)
            digest.update(chunk)
            left -= len(chunk)
        if left:
            raise DamagedExportError(f"a part of {length} bytes ended {left} bytes off")
        self.write(digest.digest())

    def text(self, kind: bytes, text: bytes) -> None:
        self.part(kind, len(text), [text])


def write_bundle(
    path: str,
    source: Source,
    packs: Iterable[PackInfo],
    needs: dict[str, list[str]],
    *,
    overwrite: bool,
) -> int:
    """Write an export file and return its bytes; it has its name when it is whole.

    Parameters
    ----------
    path : str
    source : Source
    packs : iterable of PackInfo
        The packs to put in, imported ones first.
    needs : dict
        Under `versions` and `packs`, the ids of what the file builds on.
    overwrite : bool
        Whether a file of that name may be replaced.

    Raises
    ------
    StorePathError, StoreFullError, StoreBusyError
        When there is a file of that name, or it can't be written.
    """
    with whole_file(path, overwrite=overwrite) as out:
        writer = _Writer(out)
        writer.write(MAGIC)
        said = {
            "format": FORMAT,
            "heads": dict(source.heads),
            "tags": dict(source.tags),
            "needs": needs,
        }
        writer.text(HEAD, json.dumps(said, separators=(",", ":")).encode())
        for info in packs:
            writer.part(PACK, info.nbytes, source.chunks(info.uuid))
        rows: list[bytes] = []
        size = 0
        for line in rows_of(source):
            rows.append(line)
            size += len(rows[-1])
            if size >= _ROWS_BYTES:
                writer.text(ROWS, b"".join(rows))
                rows, size = [], 0
        if rows:
            writer.text(ROWS, b"".join(rows))
        writer.text(END, writer.whole.digest())
    return writer.nbytes


class Bundle:
    """An export file that was read whole and has no wrong digest: a source of versions.

    Parameters
    ----------
    path : str

    Raises
    ------
    DamagedExportError
        When anything about it is wrong.
    FutureStoreError
        When a later version of this library wrote it.
    """

    def __init__(self, path: str) -> None:
        self.path = self.name = path
        self._packs: dict[bytes, tuple[PackInfo, int]] = {}  # short id: pack, where it starts
        self._rows: list[tuple[int, int]] = []
        self.expired: dict[str, str] = {}
        try:
            self._file = open(path, "rb")  # noqa: SIM115 (closed when the bundle is left)
        except OSError as error:
            raise StorePathError(error.errno, f"can't be read: {error.strerror}", path) from error
        try:
            self.nbytes = os.fstat(self._file.fileno()).st_size
            self._scan()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    # ---- the source
    def rows(self) -> Iterator[Version]:
        """Iterate over its versions, ancestors first."""
        for start, length in self._rows:
            for line in self._at(start, length).splitlines():
                gone = expired_of(line, self.path)
                if gone is not None:
                    self.expired[gone[0]] = gone[1]
                else:
                    yield version_of(line, self.path)

    def pack(self, key: bytes) -> PackInfo | None:
        """Return the pack whose uuid is, or begins with, `key`."""
        found = self._packs.get(key[:SHORT_BYTES])
        return found[0] if found is not None and found[0].uuid.startswith(key) else None

    def chunks(self, uuid: bytes) -> Iterator[bytes]:
        """Iterate over the bytes of a pack that it has."""
        info, start = self._packs[uuid[:SHORT_BYTES]]
        for done in range(0, info.nbytes, CHUNK):
            yield self._at(start + done, min(CHUNK, info.nbytes - done))

    # ---- reading
    def _damaged(self, problem: str) -> DamagedExportError:
        return DamagedExportError(
            f"{self.path}: {problem}. Nothing was imported; get the file anew"
        )

    def _at(self, start: int, length: int) -> bytes:
        self._file.seek(start)
        data = self._file.read(length)
        if len(data) != length:
            raise self._damaged("the file was cut while it was read")
        return data

    def _scan(self) -> None:
        """Read the whole file, check all digests, and note where things are."""
        if self._at(0, min(len(MAGIC), self.nbytes)) != MAGIC:
            raise self._damaged("not an export file of a pstructs store, or a damaged one")
        whole, at, kinds = _hasher(), len(MAGIC), [b""]
        whole.update(MAGIC)
        while kinds[-1] != END:
            at, kind = self._part(at, whole, kinds[-1])
            kinds.append(kind)
        if at != self.nbytes:
            raise self._damaged(f"there are {self.nbytes - at} bytes behind its end")

    def _part(self, at: int, whole: Any, before: bytes) -> tuple[int, bytes]:
        """Check the part at `at`; return where the next one starts, and its kind."""
        left = self.nbytes - at - _PART.size - DIGEST_BYTES
        if left < 0:
            raise self._damaged("the file is cut off")
        head = self._at(at, _PART.size)
        kind, length = _PART.unpack(head)
        follows = {b"": (HEAD,), HEAD: (PACK, ROWS, END), PACK: (PACK, ROWS), ROWS: (ROWS, END)}
        if kind not in follows[before] or length > left:
            raise self._damaged(f"the part at byte {at} is damaged, or the file is cut off")
        if kind != PACK and length > TEXT_LIMIT:
            raise self._damaged(f"the part at byte {at} is longer than such parts are")
        digest, start, before_it = _hasher(), at + _PART.size, whole.digest()
        digest.update(head)
        whole.update(head)
        for done in range(0, length, CHUNK):
            chunk = self._at(start + done, min(CHUNK, length - done))
            digest.update(chunk)
            whole.update(chunk)
        told = self._at(start + length, DIGEST_BYTES)
        whole.update(told)
        if told != digest.digest():
            raise self._damaged(f"the part at byte {at} is damaged: its digest is another one")
        if kind == HEAD:
            self._head(self._at(start, length))
        elif kind == PACK:
            self._note_pack(start, length)
        elif kind == ROWS:
            self._rows.append((start, length))
        elif self._at(start, length) != before_it:
            raise self._damaged("the digest of the whole file is another one")
        return start + length + DIGEST_BYTES, kind

    def _head(self, text: bytes) -> None:
        said = read_json(text, self.path)
        number = said.get("format") if isinstance(said, dict) else None
        if type(number) is int and number > FORMAT:
            raise FutureStoreError(
                f"{self.path}: the file has format {number} and this version of pstructs reads "
                f"up to {FORMAT}; update pstructs"
            )
        if number != FORMAT or said.keys() != {"format", "heads", "tags", "needs"}:
            raise self._damaged("its first part is not that of an export file")
        self.heads = check_names(said["heads"], self.path)
        self.tags = check_tags(said["tags"], self.path)
        needs = said["needs"]
        if not isinstance(needs, dict) or needs.keys() != {"versions", "packs"}:
            raise self._damaged("it does not say what it builds on")
        self.needs = {name: check_ids(ids, self.path) for name, ids in needs.items()}

    def _note_pack(self, start: int, length: int) -> None:
        header = self._at(start, min(length, _PACK_HEADER))
        n = int.from_bytes(header[28:32], "little")
        if length < _PACK_HEADER or n > _MOST_IMPORTS or _PACK_HEADER + 8 * n > length:
            raise self._damaged(f"what stands at byte {start} is not a pack")
        table = self._at(start + length - 8 * n, 8 * n)
        imports = tuple(table[i : i + 8] for i in range(0, len(table), 8))
        uuid = header[32:48]
        if uuid[:SHORT_BYTES] in self._packs:
            raise self._damaged(f"it holds two packs that begin with {uuid[:8].hex()}")
        self._packs[uuid[:SHORT_BYTES]] = PackInfo(uuid, length, imports), start
