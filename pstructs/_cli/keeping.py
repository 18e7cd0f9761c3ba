"""`pstructs report`, `expire`, `compact`, `gc` and `compress`: what stays, and what it takes."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from pstructs._cli import screen
from pstructs._cli.errors import CommandError
from pstructs._cli.stores import opened
from pstructs._cli.text import count, size

if TYPE_CHECKING:
    from pstructs.cache.compressing import CompressReport

__all__ = [
    "collect_garbage",
    "compact_store",
    "compress_packs",
    "decompress_packs",
    "expire_versions",
    "report_space",
]


def report_space(path: Path, *, limit: int) -> None:
    """Bytes by state and head, then the last versions."""
    with opened(path) as store:
        found = store.report()
    console = screen.out()
    console.print(
        f"{size(found.live)} in {count(found.live_packs, 'pack')} that versions need, "
        f"{size(found.dead)} dead, {size(found.retired)} retired; "
        f"the catalog takes {size(found.catalog)}.",
        markup=False,
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("needed by")
    table.add_column("alone", justify="right")
    table.add_column("with others", justify="right")
    for name, space in found.heads.items():
        table.add_row(f"head {name}", size(space.unique), size(space.shared))
    newest = sorted(found.versions, reverse=True)
    for number in newest[:limit]:
        space = found.versions[number]
        table.add_row(f"version {number}", size(space.unique), size(space.shared))
    console.print(table)
    if len(newest) > limit:
        console.print(f"… and older ones: --limit {limit * 10}", style="dim")


def expire_versions(
    path: Path, counts: dict[str, int], *, days: float, head: str | None, dry_run: bool
) -> None:
    """Expire what no rule keeps, or say what would."""
    from pstructs.cache.retention import keep

    if not days and not any(counts.values()):
        raise CommandError("say what stays, as in --last 10 --daily 7")
    policy = keep(**counts, within=timedelta(days=days) if days else None)
    with opened(path) as store:
        found = store.expire(policy, dry_run=dry_run, head=head)
    console = screen.out()
    for version in found.expired:
        console.print(str(version), markup=False)
    verb = "would expire" if dry_run else "expired"
    console.print(
        f"{count(len(found.expired), 'version')} {verb}, {len(found.kept)} stay.", markup=False
    )


def compact_store(path: Path, keep_above: int | None) -> None:
    """Rewrite the packs of all versions."""
    with opened(path) as store:
        found = store.compact(keep_above)
    screen.out().print(
        f"{count(found.versions, 'version')} moved: {count(found.packs_before, 'pack')} of "
        f"{size(found.nbytes_before)} became {count(found.packs_after, 'pack')} of "
        f"{size(found.nbytes_after)}. Run gc to give the space back.",
        markup=False,
    )


def collect_garbage(path: Path, grace: int) -> None:
    """Remove the packs that no version needs."""
    with opened(path) as store:
        found = store.gc(grace)
    console = screen.out()
    console.print(
        f"{count(found.removed, 'pack')} removed, {size(found.nbytes)}; {found.waiting} waiting.",
        markup=False,
    )
    for who in found.readers:
        console.print(f"May still be read by: {who}", markup=False)


def compress_packs(path: Path, *, days: float, before: str | None, level: int) -> None:
    """Compress the packs that only old versions need."""
    if days and before is not None:
        raise CommandError("say --days or --before, not both")
    older_than = timedelta(days=days) if days else before
    with opened(path) as store, screen.bar("Compressing") as move:
        found = store.compress(older_than, level, progress=move)
    _tell_packs("compressed", found)


def decompress_packs(path: Path) -> None:
    """Expand the packs that were compressed."""
    with opened(path) as store, screen.bar("Expanding") as move:
        found = store.decompress(progress=move)
    _tell_packs("expanded", found)


def _tell_packs(done: str, found: CompressReport) -> None:
    told = f"{count(found.packs, 'pack')} {done}"
    if found.packs:
        told += f": {size(found.nbytes_before)} became {size(found.nbytes_after)}"
    if found.left:
        told += f"; {found.left} stay as they are, small ones or in that form already"
    screen.out().print(told + ".", markup=False)
