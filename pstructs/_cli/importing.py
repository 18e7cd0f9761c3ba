"""`pstructs import`: a file becomes the next version of a store, or nothing changes."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pstructs._cli import screen
from pstructs._cli.errors import CommandError
from pstructs._cli.stores import opened
from pstructs._cli.text import count, size
from pstructs.errors import PstructsError
from pstructs.inputs import read_records

if TYPE_CHECKING:
    from pstructs.cache import SnapshotStore, Version

__all__ = ["import_file"]


def import_file(
    file: Path, path: Path, *, key: str | None, format: str | None, head: str, message: str | None
) -> None:
    """Read all of `file`, then save it in the store at `path`."""
    with screen.progress() as shown:
        with screen.bar(f"Reading {file.name}", shown) as move:
            found = read_records(file, format=format, key=key, progress=move)
        with opened(path, create=True) as store, screen.bar("Saving", shown):
            version, changes = _save(store, found.records, head, message or f"import {file.name}")
    console = screen.out()
    named = f", key column {found.key!r}" if found.key else ""
    console.print(f"Read {count(len(found.records), 'record')} from {file}{named}.", markup=False)
    if found.duplicates:
        console.print(
            f"{count(found.duplicates, 'record')} had a key that came again later: "
            "the last one of each was kept."
        )
    console.print(
        f"Saved version {version.number} of {path}: {size(version.nbytes)} written{changes}.",
        markup=False,
    )
    name = shlex.quote(str(path))
    console.print(f"Next: pstructs show {name}   pstructs log {name}", markup=False)


def _save(
    store: SnapshotStore, records: dict[Any, Any], head: str, message: str
) -> tuple[Version, str]:
    """Save the newest version with the changes applied, so that it shares all the rest."""
    import pstructs

    value, told = pstructs.pmap(records), ""
    before = store.heads().get(head)
    old = None if before is None else store.load(before)
    if isinstance(old, pstructs.PMap):
        changes = pstructs.diff(old, value)
        value = pstructs.patch(old, changes)
        told = (
            f" ({len(changes.added):,} added, {len(changes.removed):,} removed, "
            f"{len(changes.changed):,} changed)"
        )
    try:
        return store.save(value, head=head, message=message, expected=before), told
    except PstructsError:
        raise
    except ValueError as error:  # the name of the head
        raise CommandError(str(error)) from None
