"""`log`, `show`, `diff` and `verify`: looking into a store without changing it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pstructs import ABSENT
from pstructs._cli import screen
from pstructs._cli.errors import CommandError
from pstructs._cli.stores import find_key, opened
from pstructs._cli.text import count, short, size

__all__ = [
    "change",
    "diff_versions",
    "log_versions",
    "new_table",
    "show_version",
    "verify_store",
]


def new_table(*columns: str, right: Iterable[str] = ()) -> Table:
    """An empty table in the style of all commands; `right`: columns of numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        table.add_column(name, justify="right" if name in right else "left", overflow="fold")
    return table


def log_versions(path: Path, *, head: str, limit: int) -> None:
    """Newest first; one more than asked for is read to tell whether there are older ones."""
    with opened(path) as store:
        found = list(store.log(head, limit=limit + 1))
    if not found:
        screen.out().print(f"{path} holds no versions yet.", markup=False)
        return
    table = new_table(
        "version", "time", "entries", "written", "message", right=("version", "entries", "written")
    )
    for version in found[:limit]:
        table.add_row(
            str(version.number),
            f"{version.when.astimezone():%Y-%m-%d %H:%M:%S}",
            "–" if version.entries is None else f"{version.entries:,}",
            size(version.nbytes),
            Text(version.message or ""),
        )
    console = screen.out()
    console.print(table)
    if len(found) > limit:
        console.print(f"… and older ones: --limit {limit * 10}", style="dim")


def show_version(path: Path, wanted: str, *, key: str | None, limit: int) -> None:
    """A version's first records, or the one with `key`."""
    console = screen.out()
    with opened(path) as store:
        value = store.load(wanted)
        if key is not None:
            if not isinstance(value, Mapping | Set):
                raise CommandError(f"version {wanted} holds {short(value)}, which has no keys")
            _show_record(console, value, find_key(value, key))
        else:
            _show_first(console, wanted, value, limit)


def _show_record(console: Console, value: Any, key: Any) -> None:
    record = value[key] if isinstance(value, Mapping) else key
    if not isinstance(record, Mapping):
        console.print(Text(short(record, 10_000)))
        return
    table = new_table("field", "value")
    for name, item in record.items():
        table.add_row(Text(short(name)), Text(short(item, 10_000)))
    console.print(table)


def _show_first(console: Console, wanted: str, value: Any, limit: int) -> None:
    kind = type(value).__name__
    if not hasattr(value, "__len__") or isinstance(value, str | bytes):
        console.print(Text(f"Version {wanted}: {kind} {short(value, 10_000)}"))
        return
    console.print(Text(f"Version {wanted}: {kind} of {count(len(value), 'entry')}"))
    if isinstance(value, Mapping):
        table = new_table("key", "record")
        for key, record in islice(value.items(), limit):
            table.add_row(Text(short(key)), Text(short(record, 120)))
    else:
        table = new_table("item")
        for item in islice(value, limit):
            table.add_row(Text(short(item, 120)))
    if len(value):
        console.print(table)
    if len(value) > limit:
        console.print(
            f"… {len(value) - limit:,} more: --limit N shows more, --key KEY one record",
            style="dim",
        )


def diff_versions(path: Path, a: str, b: str, *, limit: int) -> None:
    """What came, went and changed, field by field where both sides are records."""
    import pstructs

    console = screen.out()
    with opened(path) as store:
        old, new = store.load(a), store.load(b)
        both = (pstructs.PMap, pstructs.PSet, pstructs.PSortedMap, pstructs.PSortedSet)
        if not any(isinstance(old, kind) and isinstance(new, kind) for kind in both):
            raise CommandError(
                f"version {a} is a {type(old).__name__} and version {b} a {type(new).__name__}. "
                "Only two maps or two sets of one kind can be compared"
            )
        found = pstructs.diff(old, new)
        console.print(
            f"{len(found.added):,} added, {len(found.removed):,} removed, "
            f"{len(found.changed):,} changed"
        )
        lines = _diff_lines(found)
        for mark, style, text in islice(lines, limit):
            console.print(Text(f"{mark} {text}", style=style), soft_wrap=True)
        total = len(found.added) + len(found.removed) + len(found.changed)
        if total > limit:
            console.print(f"… {total - limit:,} more: --limit {total}", style="dim")


def _diff_lines(found: Any) -> Iterable[tuple[str, str, str]]:
    for mark, style, side in (("-", "red", found.removed), ("+", "green", found.added)):
        for key in side:
            text = short(key)
            if isinstance(side, Mapping):
                text += "  " + short(side[key], 120)
            yield mark, style, text
    for key, (before, after) in found.changed.items():
        yield "~", "yellow", f"{short(key)}  {change(before, after)}"


def change(before: Any, after: Any) -> str:
    """The fields that differ, else both values."""
    if not (isinstance(before, Mapping) and isinstance(after, Mapping)):
        sides = ("(none)" if side is ABSENT else short(side, 120) for side in (before, after))
        return " → ".join(sides)
    parts = []
    for name in {**before, **after}:
        if name not in after:
            parts.append(f"{short(name)}: {short(before[name])} → (none)")
        elif name not in before:
            parts.append(f"{short(name)}: (none) → {short(after[name])}")
        elif before[name] != after[name] or type(before[name]) is not type(after[name]):
            parts.append(f"{short(name)}: {short(before[name])} → {short(after[name])}")
    return ", ".join(parts)


def verify_store(path: Path, version: str | None = None) -> None:
    """Raises what `SnapshotStore.verify` raises when anything is wrong."""
    with opened(path) as store, screen.bar(f"Checking {path}") as move:
        found = store.verify(version, progress=move)
    console = screen.out()
    what = path if version is None else f"{version} of {path}"
    console.print(
        f"{what} is whole: {count(found.versions, 'version')}, {count(found.packs, 'pack')}, "
        f"{count(found.records, 'node')}, {size(found.nbytes)}, every byte checked.",
        markup=False,
    )
    if found.swept:
        console.print(f"Removed {count(found.swept, 'pack')} that a crash had left behind.")
    for name in found.unlisted:
        console.print(f"Not part of the store, and left alone: {name}", markup=False)
