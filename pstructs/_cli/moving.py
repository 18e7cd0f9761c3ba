"""`export`, `import-versions`, `push`, `pull` and `repair`: versions from and to other places."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pstructs._cli import screen
from pstructs._cli.errors import CommandError
from pstructs._cli.stores import opened
from pstructs._cli.text import count, size

if TYPE_CHECKING:
    from pstructs.cache import Transfer

__all__ = ["export_versions", "import_versions", "pull_versions", "push_versions", "repair_store"]


def _tell(done: Transfer, what: str, where: object) -> None:
    console = screen.out()
    console.print(
        f"{what} {count(done.versions, 'version')} in {count(done.packs, 'pack')}, "
        f"{size(done.nbytes)}: {where}",
        markup=False,
    )
    for name, version in done.heads.items():
        console.print(f"{name} is at {version}", markup=False)


def export_versions(
    store: Path, file: Path, *, version: list[str], since: list[str], overwrite: bool
) -> None:
    """Versions, or all heads, into a file."""
    with opened(store) as source:
        done = source.export_to(file, version or None, since or None, overwrite)
        _tell(done, "Wrote", file)


def import_versions(store: Path, file: Path, *, prefix: str, force: bool) -> None:
    """The versions of a file into a store, which is made if it is new."""
    with opened(store, create=True) as target:
        _tell(target.import_from(file, prefix=prefix, force=force), "Took in", store)


def push_versions(store: Path, other: str, *, head: list[str], force: bool) -> None:
    """What another place lacks, from here to there."""
    with opened(store) as source:
        _tell(source.push(other, head or None, force=force), "Sent", other)


def pull_versions(store: Path, other: str, *, head: list[str], prefix: str, force: bool) -> None:
    """What is missing here, from there; the store is made if it is new."""
    with opened(store, create=True) as target:
        _tell(target.pull(other, head or None, prefix, force), "Took in", store)


def repair_store(store: Path, source: str) -> None:
    """Damaged packs and rows, from a place that has them."""
    with opened(store) as target:
        report = target.repair(source)
    console = screen.out()
    console.print(
        f"Repaired {count(len(report.packs), 'pack')} and "
        f"{count(len({*report.versions, *report.moved}), 'version')}.",
        markup=False,
    )
    if report.problems:
        raise CommandError(
            f"{count(len(report.problems), 'problem')} left, the first one: {report.problems[0]}. "
            f"Damaged originals are in {report.aside or 'the store'}"
        )
