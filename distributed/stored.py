"""The packs of snapshot stores: they are shared as they are, and found again on the disk.

A pack keeps its uuid wherever it goes, so a value that was loaded from a store, or saved there,
has its nodes in packs that need not be written anew: the bytes go into the object store, and the
folder of the store goes along as a second way to them. `pstructs.cache` is imported only when
there is a store.
"""

from __future__ import annotations

import os
import sys
import weakref
from typing import Any

from pstructs.errors import StorePathError
from pstructs.packs import Pack

__all__ = ["any_store", "folder_of", "open_pack"]

_FOLDERS: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


def any_store() -> bool:
    """Whether this process has used a store."""
    return "pstructs.cache.folder" in sys.modules


def folder_of(pack: Pack) -> str | None:
    """Return the folder of the store that a pack is in, or None when it is in none."""
    module = sys.modules.get("pstructs.cache.folder")
    if module is None or not isinstance(pack.owner, module.Folder):
        return None
    path: str = pack.owner.path
    return path


def open_pack(path: str, uuid: bytes) -> Pack:
    """Return a pack of a store, mapped from its file.

    Raises
    ------
    StorePathError
        There is no store in that folder, as seen from this machine.
    MissingPackError
        The store does not have the pack (any more).
    StoreError, PackError
        The store is damaged.
    """
    from pstructs.cache.folder import open_folder
    from pstructs.cache.layout import DATABASE

    folder = _FOLDERS.get(path)
    if folder is None:
        if not os.path.exists(os.path.join(path, DATABASE)):
            raise StorePathError(2, "there is no store in this folder, seen from here", path)
        folder = _FOLDERS[path] = open_folder(path)[0]
    pack: Pack = folder.open_pack(uuid)
    return pack
