"""`set` of a class made by immutable(), for a member that has the name of its own argument."""

from __future__ import annotations

from pstructs import immutable


def test_a_member_may_be_called_self() -> None:
    """set(self=5) was two values for one argument."""
    pair = immutable("self other")(1, 2)
    assert pair.set(self=5) == (5, 2)
