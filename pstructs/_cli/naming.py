"""`branch`, `tag`, `merge` and `history`: names of versions, and how one record came to be."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.text import Text

from pstructs._cli import screen
from pstructs._cli.errors import CommandError
from pstructs._cli.looking import change, new_table
from pstructs._cli.stores import opened

if TYPE_CHECKING:
    from pstructs.cache import SnapshotStore, ValueChange, Version

__all__ = ["branches", "history_of", "merge_into", "tags"]


def _when(version: Version) -> str:
    return f"{version.when.astimezone():%Y-%m-%d %H:%M:%S}"


def branches(path: Path, name: str | None, *, at: str, delete: bool) -> None:
    """List the heads, or make or delete one."""
    console = screen.out()
    with opened(path) as store:
        if name is None:
            shown = new_table("head", "version", "time", "message", right=("version",))
            for head, version in store.heads().items():
                row = (str(version.number), _when(version), Text(version.message or ""))
                shown.add_row(Text(head), *row)
            console.print(shown)
        elif delete:
            version = store.delete_head(name)
            console.print(Text(f"Deleted the head {name}. Version {version.number} stays."))
        else:
            console.print(
                Text(f"The head {name} starts at version {store.branch(name, at).number}.")
            )


def tags(path: Path, name: str | None, *, at: str, message: str | None, delete: bool) -> None:
    """List the tags, or make or delete one."""
    console = screen.out()
    with opened(path) as store:
        if name is None:
            shown = new_table("tag", "version", "time", "message", right=("version",))
            for tag in store.tags().values():
                row = (str(tag.version.number), _when(tag.version), Text(tag.message or ""))
                shown.add_row(Text(tag.name), *row)
            console.print(shown)
        elif delete:
            version = store.delete_tag(name)
            console.print(Text(f"Deleted the tag {name}. Version {version.number} stays."))
        else:
            console.print(
                Text(f"The tag {name} names version {store.tag(name, at, message).number}.")
            )


def merge_into(
    path: Path, theirs: str, *, into: str, on_conflict: Any, message: str | None
) -> None:
    """Bring a version into a head, and say what that changed."""
    with opened(path) as store:
        before = store.version(into)
        merged = store.merge(theirs, into, on_conflict=on_conflict, message=message)
        if merged == before:
            screen.out().print(Text(f"{into} has all of {theirs} already."))
            return
        screen.out().print(
            Text(f"Saved version {merged.number} of {path}: {theirs} merged into {into}.")
        )


def history_of(path: Path, key: str, *, head: str, limit: int) -> None:
    """Which versions changed a record, the latest first."""
    console = screen.out()
    with opened(path) as store:
        found = _changes(store, key, head, limit + 1)
        if not found:
            raise CommandError(f"no version of {head} holds {key!r}. Keys: pstructs show {path}")
        shown = new_table("version", "time", "change", right=("version",))
        for item in found[:limit]:
            version = item.version
            shown.add_row(str(version.number), _when(version), Text(change(item.old, item.new)))
        console.print(shown)
        if len(found) > limit:
            console.print(f"… and older ones: --limit {limit * 10}", style="dim")


def _changes(store: SnapshotStore, text: str, head: str, limit: int) -> list[ValueChange]:
    """Changes of the key that the user means: the text itself, else the JSON value it spells."""
    found: list[ValueChange] = []
    with contextlib.suppress(TypeError):  # other keys of a sorted one can't be compared with it
        found = store.history([text], head, limit)
    if not found:
        with contextlib.suppress(ValueError, TypeError):
            found = store.history([json.loads(text)], head, limit)
    return found
