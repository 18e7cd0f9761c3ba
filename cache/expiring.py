"""`SnapshotStore.expire`: which versions go and which stay, and why.

A dry run and a real one are the same computation on the same state of the catalog; the real one
then writes down what it computed, in the same transaction.
"""

from __future__ import annotations

import sqlite3
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pstructs.cache import pins
from pstructs.cache.collecting import kept_versions

if TYPE_CHECKING:
    from pstructs.cache.folder import Folder
    from pstructs.cache.retention import Policy
    from pstructs.cache.version import Version

__all__ = ["ExpireReport", "always", "expire", "plan"]


@dataclass(frozen=True, slots=True)
class ExpireReport:
    """What `expire` gave up, and why the rest stays; of a dry run, what it would.

    Attributes
    ----------
    expired : tuple of Version
        The oldest first.
    kept : mapping of int to str
        The reason for each version that stays, by number.
    """

    expired: tuple[Version, ...]
    kept: Mapping[int, str]

    def __str__(self) -> str:
        return f"{len(self.expired)} versions expire and {len(self.kept)} stay"


def always(folder: Folder, con: sqlite3.Connection) -> dict[int, list[str]]:
    """Return the versions that no policy may take, with the reasons."""
    reasons: dict[int, list[str]] = defaultdict(list)
    for head in folder.catalog.heads(con):
        reasons[head.number].append(f"head {head.name!r}")
    for tag in folder.catalog.tags(con):
        reasons[tag.number].append(f"tag {tag.name!r}")
    for mark in pins.marks(folder.catalog, con):
        reasons[mark.number].append(str(mark))
    return reasons


def plan(
    folder: Folder, con: sqlite3.Connection, policy: Policy, head: str | None, now: int | None
) -> ExpireReport:
    """Compute what expires, in the caller's transaction."""
    moment = time.time_ns() if now is None else now
    by_head: dict[str, list[Version]] = defaultdict(list)
    for version in kept_versions(folder, con):
        by_head[version.head].append(version)
    stay = always(folder, con)
    gone: list[Version] = []
    kept: dict[int, str] = {}
    for name, versions in by_head.items():
        wanted = policy.keeps(versions, moment) if head in (None, name) else None
        for version in versions:
            reasons = list(stay.get(version.number, ()))
            if wanted is None:
                reasons.append(f"saved to head {name!r}")
            elif version.number in wanted:
                reasons.append(wanted[version.number])
            if reasons:
                kept[version.number] = ", ".join(reasons)
            else:
                gone.append(version)
    gone.sort(key=lambda version: version.number)
    return ExpireReport(tuple(gone), dict(sorted(kept.items())))


def expire(
    folder: Folder, con: sqlite3.Connection, policy: Policy, head: str | None, now: int | None
) -> ExpireReport:
    """Compute what expires and give it up, in the caller's transaction."""
    report = plan(folder, con, policy, head, now)
    for version in report.expired:
        pins.expire(folder.catalog, con, version.number, f"not among: {policy}"[:500])
    return report
