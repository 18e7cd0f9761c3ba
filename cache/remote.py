"""A folder of versions anywhere that fsspec reaches: object stores, servers, other disks.

    index.json              format, heads, and the names of the row objects, oldest first
    rows/<digest>.jsonl     what pushes brought: lines of packs and of versions
    packs/<uuid>.pack       a pack

(docs/spec/export-v1.md.) Objects never change but the index, which is written last: a push that
is interrupted leaves objects that nobody names, and the next one finds them. Nothing is locked. A
push checks that the index is the one that it has read, writes it, and reads it back; between the
check and the write another one can come in and get lost, and then it has to be pushed again. No
version is damaged by that, since objects are only ever added.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from pstructs.cache.disk import write_fully
from pstructs.cache.folder import SHORT_BYTES, Folder
from pstructs.cache.portable import (
    check_names,
    check_tags,
    expired_of,
    pack_line,
    pack_of,
    read_json,
    rows_of,
    version_of,
)
from pstructs.cache.receiving import Transfer
from pstructs.cache.sources import (
    CHUNK,
    PackInfo,
    StoreSource,
    TagText,
    comes_before,
    missing,
    packs_of,
    plan,
)
from pstructs.cache.version import Version
from pstructs.cache.whole import whole_file
from pstructs.errors import (
    DamagedExportError,
    FutureStoreError,
    HeadMovedError,
    MissingVersionError,
    StoreError,
    TagMovedError,
)

__all__ = ["RemoteFolder"]

FORMAT = 1
INDEX = "index.json"
TRIES = 5
_INDEX_LIMIT = ROWS_LIMIT = 64 << 20
_MERGED = 16 << 20  # row objects grow no further


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=16, person=b"pstructs-remote").hexdigest()


class _Index:
    """What the index says; `text` is None where there is none yet."""

    def __init__(self, text: bytes | None, where: str) -> None:
        self.text = text
        self.heads: dict[str, str] = {}
        self.tags: dict[str, TagText] = {}
        self.rows: list[str] = []
        if text is None:
            return
        said = read_json(text, where)
        number = said.get("format") if isinstance(said, dict) else None
        if type(number) is int and number > FORMAT:
            raise FutureStoreError(
                f"{where}: the remote folder has format {number} and this version of pstructs "
                f"knows up to {FORMAT}; update pstructs"
            )
        sound = isinstance(said, dict) and said.keys() == {
            "format",
            "heads",
            "rows",
            "sum",
            "tags",
        }
        if not sound or self.written(said["heads"], said["tags"], said["rows"]) != text:
            raise DamagedExportError(f"{where}: the index of the remote folder is damaged")
        self.heads, self.rows = dict(check_names(said["heads"], where)), said["rows"]
        self.tags = dict(check_tags(said["tags"], where))
        if not isinstance(self.rows, list) or not all(isinstance(name, str) for name in self.rows):
            raise DamagedExportError(f"{where}: the index of the remote folder is damaged")

    @staticmethod
    def written(heads: Mapping[str, str], tags: Mapping[str, TagText], rows: list[str]) -> bytes:
        """Return the text of an index."""
        said = {"format": FORMAT, "heads": heads, "tags": tags, "rows": rows}
        try:
            said["sum"] = _digest(json.dumps(said, sort_keys=True).encode())
            return json.dumps(said, sort_keys=True).encode()
        except (ValueError, RecursionError):
            return b""


class RemoteFolder:
    """Versions in a folder of another filesystem, for `push` and `pull`.

    Parameters
    ----------
    url : str
        Where it is, as fsspec names it: `s3://bucket/prices`, `memory://prices`, `file:///...`
    **options : object
        What fsspec's filesystem is to be told, such as credentials.

    Raises
    ------
    ModuleNotFoundError
        When fsspec, or what it needs for this kind of URL, is not installed: `pip install
        "pstructs[remote]"`.

    Notes
    -----
    A remote folder only grows. Pushes to it are not locked: of two at the same moment one can get
    lost, and has to be made again; see the how-to page.
    """

    def __init__(self, url: str, **options: Any) -> None:
        from fsspec.core import url_to_fs

        self.url = url
        self._texts: dict[str, bytes] = {}
        with self._explained():
            self.fs, self.path = url_to_fs(url, **options)

    def __repr__(self) -> str:
        return f"<RemoteFolder {self.url!r}>"

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise StoreError(f"{self.url}: the remote folder can't be used ({error})") from error

    # ---- objects
    def _place(self, name: str) -> str:
        return f"{self.path.rstrip('/')}/{name}"

    def _read(self, name: str, limit: int) -> bytes | None:
        with self._explained():
            try:
                size = self.fs.size(self._place(name))
                if size is not None and size > limit:
                    raise DamagedExportError(f"{self.url}: {name} has {size} bytes, too many")
                data: bytes = self.fs.cat_file(self._place(name))
            except FileNotFoundError:
                return None
            return data

    def _write(self, name: str, chunks: Iterable[bytes]) -> None:
        """Write an object; where a file could be seen half written it gets its name at the end."""
        place = self._place(name)
        with self._explained():
            if "file" in self._protocols():
                self.fs.makedirs(place.rpartition("/")[0], exist_ok=True)
                with whole_file(place, overwrite=True, wait=True) as file:
                    for chunk in chunks:
                        write_fully(file, chunk)
                return
            with self.fs.open(place, "wb") as out:
                for chunk in chunks:
                    out.write(chunk)

    def _protocols(self) -> tuple[str, ...]:
        found = self.fs.protocol
        return (found,) if isinstance(found, str) else tuple(found)

    def _index(self) -> _Index:
        return _Index(self._read(INDEX, _INDEX_LIMIT), self.url)

    def heads(self) -> dict[str, str]:
        """Return the heads of the remote folder and the ids of the versions that they are at."""
        return self._index().heads

    # ---- pulling
    def source(self, names: list[str] | None, has: Callable[[str], bool]) -> RemoteSource:
        """Return what these heads, or all, lead to and `has` lacks."""
        index = self._index()
        heads = index.heads
        if names is not None:
            for name in names:
                if name not in heads:
                    raise MissingVersionError(
                        f"{self.url}: there is no head {name!r}, only "
                        f"{', '.join(map(repr, heads)) or 'an empty folder'}"
                    )
            heads = {name: heads[name] for name in names}
        return RemoteSource(self, heads, index, has)

    def rows(self, name: str) -> bytes:
        """Return the text of a row object."""
        text = self._texts.get(name)
        if text is None:
            text = self._read(f"rows/{name}.jsonl", ROWS_LIMIT)
            if text is None or _digest(text) != name:
                what = "is missing" if text is None else "is damaged"
                raise DamagedExportError(f"{self.url}: rows/{name}.jsonl {what}")
            self._texts[name] = text
        return text

    def chunks(self, info: PackInfo) -> Iterator[bytes]:
        """Iterate over the bytes of a pack."""
        with self._explained(), self.fs.open(self._place(_pack_name(info)), "rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk

    # ---- pushing
    def send(self, folder: Folder, tips: Mapping[str, Version], *, force: bool) -> Transfer:
        """Send what `tips` lead to, and move the heads of these names.

        Raises
        ------
        HeadMovedError
            When a head is at a version that ours does not follow from.
        """
        for _ in range(TRIES):
            done = self._try(folder, tips, force)
            if done is not None:
                return done
        raise HeadMovedError(
            f"{self.url}: others moved heads {TRIES} times while this push was under way; no head "
            "was moved. Try again"
        )

    def _try(self, folder: Folder, tips: Mapping[str, Version], force: bool) -> Transfer | None:
        """Push once; None when somebody else did meanwhile."""
        index = self._index()
        moved = {
            name: tip for name, tip in tips.items() if self._moves(folder, index, name, tip, force)
        }
        there = RemoteSource(self, index.heads, index, lambda _: False)
        there.load_all()
        numbers = missing(
            folder.catalog, folder.con, tips.values(), has=there.versions.__contains__
        )
        source = StoreSource(folder, numbers, {})
        sent = {version.id for version in source.rows()}.union(there.versions)
        tags = self._tagged(index, {n: tag for n, tag in source.tags.items() if tag.id in sent})
        if not numbers and not moved and tags == index.tags:
            return Transfer(0, 0, 0, {})
        packs = list(plan(source, packs_of(source), lambda key: there.pack(key) is not None))
        nbytes = sum(self._upload(source, info) for info in packs)
        text = b"".join([*map(pack_line, packs), *rows_of(source)])
        nbytes += len(text)
        rows = list(index.rows)
        while rows and len(self.rows(rows[-1])) < 2 * len(text) < _MERGED:
            text = self.rows(rows.pop()) + text  # so that there are few, however many pushes
        if text:
            rows.append(_digest(text))
            self._write(f"rows/{rows[-1]}.jsonl", [text])
            self._texts[rows[-1]] = text
        heads = {**index.heads, **{name: tip.id for name, tip in moved.items()}}
        new = _Index.written(heads, tags, rows)
        if self._read(INDEX, _INDEX_LIMIT) != index.text:
            return None
        self._write(INDEX, [new])
        if self._read(INDEX, _INDEX_LIMIT) != new:
            return None
        return Transfer(len(numbers), len(packs), nbytes + len(new), moved)

    def _moves(self, folder: Folder, index: _Index, name: str, tip: Version, force: bool) -> bool:
        """Whether a push moves the head `name` to `tip`."""
        vid = index.heads.get(name)
        if vid is None or force:
            return vid != tip.id
        now = folder.catalog.by_id(folder.con, bytes.fromhex(vid))
        if now is not None and comes_before(folder.catalog, folder.con, tip, now):
            return False
        if now is None or not comes_before(folder.catalog, folder.con, now, tip):
            raise HeadMovedError(
                f"{self.url}: the head {name!r} is at version {vid}, which {tip} does not follow "
                "from; no head was moved. Pull, merge, and push again, or say force=True",
                tip,
                now,
            )
        return True

    def _tagged(self, index: _Index, tags: Mapping[str, TagText]) -> dict[str, TagText]:
        """Return the tags of the remote folder with ours."""
        for name, tag in tags.items():
            there = index.tags.get(name)
            if there is not None and there.id != tag.id:
                raise TagMovedError(
                    f"{self.url}: the tag {name!r} names version {there.id} there and {tag.id} "
                    f"here; no head was moved. Delete one of the two"
                )
        return {**tags, **index.tags}

    def _upload(self, source: StoreSource, info: PackInfo) -> int:
        """Send a pack, unless an interrupted push has; return its bytes if so."""
        name = _pack_name(info)
        with self._explained():
            try:
                if self.fs.size(self._place(name)) == info.nbytes:
                    return 0
            except FileNotFoundError:
                pass
        source.verify(info.uuid)
        self._write(name, source.chunks(info.uuid))
        return info.nbytes


def _pack_name(info: PackInfo) -> str:
    return f"packs/{info.uuid.hex()}.pack"


class RemoteSource:
    """Versions of a remote folder, as the objects of rows tell them: newest ones are read first.

    Parameters
    ----------
    remote : RemoteFolder
    heads : mapping
        Where to start.
    index : _Index
    has : callable
        Which versions the receiver has.
    """

    def __init__(
        self,
        remote: RemoteFolder,
        heads: Mapping[str, str],
        index: _Index,
        has: Callable[[str], bool],
    ) -> None:
        self.remote, self.heads, self.has = remote, heads, has
        self.name = remote.url
        self.versions: dict[str, Version] = {}
        self.expired: dict[str, str] = {}
        self._packs: dict[bytes, PackInfo] = {}
        self.tags = index.tags
        self._left = list(index.rows)
        self._order: dict[str, tuple[int, int]] = {}

    def _load(self) -> bool:
        """Read one more object; False when there is none."""
        if not self._left:
            return False
        place = len(self._left)
        for n, line in enumerate(self.remote.rows(self._left.pop()).splitlines()):
            info, gone = pack_of(line, self.name), expired_of(line, self.name)
            if info is not None:
                self._packs[info.uuid[:SHORT_BYTES]] = info
            elif gone is not None:
                self.expired[gone[0]] = gone[1]
            else:
                version = version_of(line, self.name)
                self.versions[version.id] = version
                self._order[version.id] = (place, n)
        return True

    def load_all(self) -> None:
        """Read all that there is."""
        while self._load():
            pass

    def rows(self) -> Iterator[Version]:
        """Iterate over the versions that the receiver lacks, ancestors first."""
        todo, found = list(self.heads.values()), dict[str, Version]()
        while todo:
            vid = todo.pop()
            if vid in found or self.has(vid):
                continue
            while vid not in self.versions:
                if not self._load():
                    raise DamagedExportError(
                        f"{self.name}: version {vid} is missing in the remote folder"
                    )
            version = found[vid] = self.versions[vid]
            todo.extend((*version.parents, *([version.restores] if version.restores else ())))
        yield from sorted(found.values(), key=lambda version: self._order[version.id])

    def pack(self, key: bytes) -> PackInfo | None:
        """Return the pack whose uuid is, or begins with, `key`."""
        while (info := self._packs.get(key[:SHORT_BYTES])) is None and self._load():
            pass
        return info if info is not None and info.uuid.startswith(key) else None

    def chunks(self, uuid: bytes) -> Iterator[bytes]:
        """Iterate over the bytes of a pack."""
        return self.remote.chunks(self._packs[uuid[:SHORT_BYTES]])
