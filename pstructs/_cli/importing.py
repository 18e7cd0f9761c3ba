"""`pstructs import`: a file becomes the next version of a store, or nothing changes.

A file of moderate size is compared with the version before, so that the new one shares all that
did not change. A large one is built from disk to disk, in bounded memory, and written whole.
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pstructs._cli import screen
from pstructs._cli.errors import CommandError
from pstructs._cli.stores import opened
from pstructs._cli.text import count, size
from pstructs.errors import PstructsError
from pstructs.inputs import RecordStream, read_records

if TYPE_CHECKING:
    from pstructs.cache import SnapshotStore, Version

__all__ = ["import_file"]


LARGE = 128 << 20
"""Bytes of a file from which on it is built: as objects it would take several times that."""


def import_file(
    file: Path,
    path: Path,
    *,
    key: str | None,
    format: str | None,
    head: str,
    message: str | None,
    ordered: bool | None,
) -> None:
    """Read all of `file` and save it in the store at `path`.

    ordered: whether to keep it sorted by keys; None: as the version before it.
    """
    message = message or f"import {file.name}"
    if file.is_file() and file.stat().st_size >= LARGE:
        version, key, duplicates = _build(file, path, key, format, head, message, ordered)
        entries, changes = version.entries or 0, ""
    else:
        with screen.progress() as shown:
            with screen.bar(f"Reading {file.name}", shown) as move:
                found = read_records(file, format=format, key=key, progress=move)
            with opened(path, create=True) as store, screen.bar("Saving", shown):
                version, changes = _save(store, found.records, head, message, ordered)
        entries, duplicates, key = len(found.records), found.duplicates, found.key
    console = screen.out()
    named = f", key column {key!r}" if key else ""
    console.print(f"Read {count(entries, 'record')} from {file}{named}.", markup=False)
    if duplicates:
        console.print(
            f"{count(duplicates, 'record')} had a key that came again later: "
            "the last one of each was kept."
        )
    console.print(
        f"Saved version {version.number} of {path}: {size(version.nbytes)} written{changes}.",
        markup=False,
    )
    name = shlex.quote(str(path))
    console.print(f"Next: pstructs show {name}   pstructs log {name}", markup=False)


def _is_sorted(value: object) -> bool:
    """Whether what is imported after `value` is sorted, unless the user says."""
    from pstructs import PSortedMap

    return isinstance(value, PSortedMap) and value.key is None


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say in one line what is wrong with the name of a head, or with keys that have no order."""
    try:
        yield
    except PstructsError:
        raise
    except (ValueError, TypeError) as error:
        raise CommandError(str(error)) from error


def _build(
    file: Path,
    path: Path,
    key: str | None,
    format: str | None,
    head: str,
    message: str,
    ordered: bool | None,
) -> tuple[Version, str | None, int]:
    """Build a version of a large file; return it, its key column, and the number of duplicates."""
    with (
        screen.progress() as shown,
        screen.bar(f"Reading {file.name}", shown) as move,
        screen.bar("Writing", shown) as write,
        opened(path, create=True) as store,
    ):
        stream = RecordStream(file, format=format, key=key, progress=move)
        if ordered is None:
            before = store.heads().get(head)
            ordered = before is not None and _is_sorted(store.load(before))
        with _explained():
            version = store.build(
                stream,
                "sortedmap" if ordered else "map",
                head=head,
                message=message,
                progress=lambda taken, written: write(written, taken),
            )
    return version, stream.key, stream.seen - (version.entries or 0)


def _save(
    store: SnapshotStore,
    records: dict[Any, Any],
    head: str,
    message: str,
    ordered: bool | None,
) -> tuple[Version, str]:
    """Save the newest version with the changes applied, so that it shares all the rest."""
    import pstructs

    before = store.heads().get(head)
    old: Any = None if before is None else store.load(before)
    if ordered is None:
        ordered = _is_sorted(old)
    told = ""
    with _explained():
        value: Any = pstructs.psortedmap(records) if ordered else pstructs.pmap(records)
        if type(old) is type(value) and ordered is _is_sorted(old):
            changes = pstructs.diff(old, value)
            value = pstructs.patch(old, changes)
            told = (
                f" ({len(changes.added):,} added, {len(changes.removed):,} removed, "
                f"{len(changes.changed):,} changed)"
            )
        return store.save(value, head=head, message=message, expected=before), told
