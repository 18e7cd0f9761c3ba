"""Packs that become part of a store in one transaction, together with whatever needs them.

Large ones are files, under pending rows as for a save (commit.py): until the transaction has
happened nobody sees any of them, and a crash leaves nothing that a sweep does not find.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from pstructs.cache import pending
from pstructs.cache.disk import ROW_LIMIT, SyncError
from pstructs.errors import StoreClosedError, StoreError

if TYPE_CHECKING:
    from pstructs.cache.commit import Committer

__all__ = ["Image", "add"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Image:
    """A pack that is not part of the store yet: its uuid, its bytes, and what it points into."""

    uuid: bytes
    data: memoryview
    imports: tuple[bytes, ...]


def add(
    committer: Committer, images: Sequence[Image], commit: Callable[[sqlite3.Connection], _T]
) -> _T:
    """Store packs and call `commit`, in one transaction; return what it returned.

    Raises
    ------
    RetiredPackError
        When one of the packs points into one that was retired meanwhile.
    """
    folder = committer.folder
    disk = folder.disk
    own = {image.uuid[:8] for image in images}
    files = [image.uuid for image in images if len(image.data) >= ROW_LIMIT]
    with committer.guard():
        if files:
            with folder.transaction(sync=False) as con:
                for uuid in files:
                    pending.add(con, uuid)
        try:
            rows = {
                image.uuid: disk.write(image.uuid, image.data, sync=committer.sync)
                for image in images
            }
            with committer.transaction() as con:
                for image in images:
                    folder.retired.check_imports(con, set(image.imports) - own)
                for uuid in files:
                    if not pending.drop(con, uuid):
                        raise StoreError(
                            f"{folder.path}: this took so long that another process took its "
                            "owner for dead; nothing was committed. Try again"
                        )
                for uuid, columns in rows.items():
                    folder.insert(con, uuid, columns)
                return commit(con)
        except (StoreClosedError, SyncError):
            raise  # it can't be known what is on the disk: a sweep will see
        except BaseException:
            for uuid in files:
                committer.take_back(uuid)
            raise
