"""Files to repair from: export files, and archives, which have rows and values but no packs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pstructs.cache.archive import open_archive
from pstructs.cache.bundle import Bundle
from pstructs.cache.portable import line_of, version_of
from pstructs.cache.sources import PackInfo, TagText
from pstructs.cache.version import Version
from pstructs.errors import DamagedExportError

__all__ = ["ArchiveSource", "file_source"]

PACK_MAGIC = b"\x93PSK\r\n\x1a\n"


class ArchiveSource:
    """An archive as a source for repairs: it has rows and values, and no packs of a store.

    Parameters
    ----------
    path : str
        The file, which is read into memory and verified whole.

    Raises
    ------
    StorePathError
        When it is no archive.
    PackError
        When it is damaged.
    """

    heads: ClassVar[Mapping[str, str]] = {}
    tags: ClassVar[Mapping[str, TagText]] = {}
    expired: ClassVar[Mapping[str, str]] = {}

    def __init__(self, path: str) -> None:
        self.name = path
        root = open_archive(path, trusted=False).root()
        self._versions, self._values = root["versions"], root["values"]

    def rows(self) -> Iterator[Version]:
        """Iterate over its versions, ancestors first."""
        try:
            said = [
                Version(**{**row, "parents": tuple(row["parents"])})
                for row in self._versions.values()
            ]
            lines = [line_of(version) for version in sorted(said, key=lambda v: v.number)]
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise DamagedExportError(
                f"{self.name}: the archive holds something else than versions ({error})"
            ) from error
        for line in lines:
            yield version_of(line, self.name)

    def value(self, root: str) -> Any:
        """Return what it holds under the digest of a value; None when it has none."""
        return self._values.get(root)

    def pack(self, key: bytes) -> PackInfo | None:
        """Return None: it has no packs of a store."""
        return None

    def chunks(self, uuid: bytes) -> Iterator[bytes]:
        """Iterate over nothing."""
        return iter(())


@contextlib.contextmanager
def file_source(path: str) -> Iterator[Bundle | ArchiveSource]:
    """Give out what a file holds that is, by how it begins, an export file or an archive.

    Raises
    ------
    DamagedExportError, StorePathError, PackError
    """
    with open(path, "rb") as file:
        start = file.read(len(PACK_MAGIC))
    if start == PACK_MAGIC:
        yield ArchiveSource(path)
    else:
        with Bundle(path) as bundle:
            yield bundle
