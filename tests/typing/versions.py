"""What type checkers know of diffs, patches, merges and parts."""

from __future__ import annotations

from typing import Any, assert_type

from pstructs import PMap, PSet, diff, m, merge, merge_nested, partition, patch, s, stable_hash
from pstructs.diffs import Diff

old, new = m(a=1, b=2), m(a=1, b=3)
changes = diff(old, new)
assert_type(changes, Diff[PMap[str, int], PMap[str, tuple[int, int]]])
assert_type(changes.added, PMap[str, int])
assert_type(changes.removed["a"] if changes.removed else 0, int)
assert_type(changes.changed["b"], tuple[int, int])
assert_type(changes.inverse(), Diff[PMap[str, int], PMap[str, tuple[int, int]]])
assert_type(bool(changes), bool)
assert_type(patch(old, changes), PMap[str, int])
added, removed, changed = changes
assert_type(changed, PMap[str, tuple[int, int]])

elements = diff(s(1), s(2))
assert_type(elements.added, PSet[int])
assert_type(patch(s(1), elements), PSet[int])


def larger(key: str, base: Any, ours: Any, theirs: Any) -> int:
    """Resolve a conflict."""
    return max(int(ours), int(theirs))


assert_type(merge(old, new, old.set("c", 4)), PMap[str, int])
assert_type(merge(old, new, old.set("b", 4), larger), PMap[str, int])
assert_type(merge(old, new, old, merge_nested), PMap[str, int])
assert_type(merge(s(1), s(1, 2), s(1, 3)), PSet[int])
assert_type(partition(old, 0, 2), PMap[str, int])
assert_type(partition(s(1), 0, 2), PSet[int])
assert_type(stable_hash("a"), int)
