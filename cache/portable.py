"""Rows of versions on their way between stores: one line of JSON for each.

Numbers are a store's own and stay behind. Everything else travels, and what comes in is checked
as the text of a stranger: types, lengths, and that the id is the digest of what the row says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pstructs.cache.catalog import Catalog
from pstructs.cache.meta import pack_meta, unpack_meta
from pstructs.cache.sources import PackInfo, Source, TagText
from pstructs.cache.version import Version, check_head_name
from pstructs.errors import DamagedExportError, StoreDamagedError

__all__ = [
    "check_id",
    "check_ids",
    "check_names",
    "line_of",
    "pack_line",
    "pack_of",
    "read_json",
    "version_of",
]

_ID = re.compile(r"[0-9a-f]{32}")
_HEX = re.compile(r"(?:[0-9a-f]{2})+")
_SHORT = re.compile(r"[0-9a-f]{16}")
_FIELDS = {
    *("id", "parents", "time", "message", "head", "pack", "root", "nbytes", "entries"),
    *("restores", "meta", "write_id"),
}
_MOST_PARENTS = 1000


def line_of(version: Version) -> bytes:
    """Return the row of a version as it travels, with the newline."""
    row = {name: getattr(version, name) for name in sorted(_FIELDS)}
    meta = pack_meta(version.meta)
    row["meta"] = None if meta is None else meta.hex()
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def expired_line(vid: str, reason: str) -> bytes:
    """Return that a version has no value any more, as a line of JSON."""
    return json.dumps({"expired": vid, "reason": reason}, separators=(",", ":")).encode() + b"\n"


def rows_of(source: Source) -> Iterator[bytes]:
    """Iterate over all that is told of a source's versions, as lines of JSON."""
    for version in source.rows():
        if version.id in source.expired:
            yield expired_line(version.id, source.expired[version.id])
        yield line_of(version)


def expired_of(line: bytes, where: str) -> tuple[str, str] | None:
    """Return the version that a line says has expired, and why; None: it says something else.

    Raises
    ------
    DamagedExportError
    """
    row = read_json(line, where)
    if not isinstance(row, dict) or "expired" not in row:
        return None
    if (
        row.keys() != {"expired", "reason"}
        or not _is_id(row["expired"])
        or not _is_text(row["reason"])
    ):
        raise DamagedExportError(f"{where}: an expired version can't be {line!r:.120}")
    return row["expired"], row["reason"]


def pack_line(info: PackInfo) -> bytes:
    """Return what is told of a pack, as a line of JSON."""
    row = {
        "uuid": info.uuid.hex(),
        "nbytes": info.nbytes,
        "imports": [short.hex() for short in info.imports],
    }
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def pack_of(line: bytes, where: str) -> PackInfo | None:
    """Return the pack that a line tells of; None when it tells of something else.

    Raises
    ------
    DamagedExportError
    """
    row = read_json(line, where)
    if not isinstance(row, dict) or "uuid" not in row:
        return None
    imports = row.get("imports")
    if (
        row.keys() == {"uuid", "nbytes", "imports"}
        and _is_id(row["uuid"])
        and _is_count(row["nbytes"])
        and isinstance(imports, list)
        and all(isinstance(short, str) and _SHORT.fullmatch(short) for short in imports)
    ):
        shorts = tuple(bytes.fromhex(short) for short in imports)
        return PackInfo(bytes.fromhex(row["uuid"]), row["nbytes"], shorts)
    raise DamagedExportError(f"{where}: the line of a pack can't be {line!r:.120}")


def read_json(text: bytes, where: str) -> Any:
    """Parse JSON that comes from elsewhere.

    Raises
    ------
    DamagedExportError
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedExportError(f"{where}: not the JSON that it should be ({error})") from None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and _ID.fullmatch(value) is not None


def _is_hex(value: object) -> bool:
    return isinstance(value, str) and _HEX.fullmatch(value) is not None


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_head(value: object) -> bool:
    try:
        check_head_name(value)
    except (TypeError, ValueError):
        return False
    return _is_text(value)


def version_of(line: bytes, where: str) -> Version:
    """Return the version that a line tells, with the number 0.

    Raises
    ------
    DamagedExportError
        When the line is anything but a row.
    """
    row = read_json(line, where)
    if not isinstance(row, dict) or row.keys() != _FIELDS:
        raise DamagedExportError(f"{where}: a version's row has other fields than it should have")
    parents = row["parents"]
    sound = {
        "id": _is_id(row["id"]),
        "parents": isinstance(parents, list)
        and len(parents) <= _MOST_PARENTS
        and all(map(_is_id, parents)),
        "time": _is_count(row["time"]),
        "message": row["message"] is None or _is_text(row["message"]),
        "head": _is_head(row["head"]),
        "pack": _is_id(row["pack"]),
        "root": _is_id(row["root"]),
        "nbytes": _is_count(row["nbytes"]),
        "entries": row["entries"] is None or _is_count(row["entries"]),
        "restores": row["restores"] is None or _is_id(row["restores"]),
        "meta": row["meta"] is None or _is_hex(row["meta"]),
        "write_id": row["write_id"] is None or _is_text(row["write_id"]),
    }
    wrong = [name for name, ok in sound.items() if not ok]
    if wrong:
        raise DamagedExportError(
            f"{where}: {wrong[0]} of a version can't be {row[wrong[0]]!r:.80}"
        )
    try:
        meta = unpack_meta(None if row["meta"] is None else bytes.fromhex(row["meta"]))
        pack_meta(meta)
    except (TypeError, ValueError) as error:
        raise DamagedExportError(f"{where}: the metadata of a version: {error}") from None
    return Version(number=0, **{**row, "parents": tuple(parents), "meta": meta})


def check_id(catalog: Catalog, version: Version, where: str) -> None:
    """Raise DamagedExportError unless the id of `version` is the digest of what it says."""
    try:
        catalog.check_id(version)
    except StoreDamagedError:
        raise DamagedExportError(
            f"{where}: the id of version {version.id} is not the digest of what it says"
        ) from None


def check_names(names: object, where: str) -> Mapping[str, str]:
    """Return `names` if it is a mapping of names of heads to ids of versions.

    Raises
    ------
    DamagedExportError
    """
    if isinstance(names, dict) and all(_is_head(n) and _is_id(i) for n, i in names.items()):
        return names
    raise DamagedExportError(f"{where}: heads are names with ids of versions, got {names!r:.80}")


def check_tags(tags: object, where: str) -> Mapping[str, TagText]:
    """Return what is told of tags, by their names.

    Raises
    ------
    DamagedExportError
    """
    if isinstance(tags, dict) and all(
        _is_head(name)
        and isinstance(said, list)
        and len(said) == 2
        and _is_id(said[0])
        and (said[1] is None or _is_text(said[1]))
        for name, said in tags.items()
    ):
        return {name: TagText(*said) for name, said in tags.items()}
    raise DamagedExportError(f"{where}: tags are names with ids and messages, got {tags!r:.80}")


def check_ids(ids: object, where: str) -> list[str]:
    """Return `ids` if it is a list of ids.

    Raises
    ------
    DamagedExportError
    """
    if isinstance(ids, list) and all(map(_is_id, ids)):
        return ids
    raise DamagedExportError(f"{where}: ids have 32 hex digits, got {ids!r:.80}")
