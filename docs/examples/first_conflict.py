"""First steps: a merge in which both sides changed one key."""

from pstructs import merge, pmap
from pstructs.errors import MergeConflictError

base = pmap({"likes": 10})
ours = base.set("likes", 12)
theirs = base.set("likes", 11)

try:
    merge(base, ours, theirs)
except MergeConflictError as error:
    assert error.conflicts == (("likes", 10, 12, 11),)


def add_up(key, base, ours, theirs):
    """Count what both sides added."""
    return ours + theirs - base


assert merge(base, ours, theirs, resolve=add_up) == {"likes": 13}
