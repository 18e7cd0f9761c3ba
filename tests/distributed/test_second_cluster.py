"""A process that leaves its cluster gets clear errors, starts nothing, and can join another."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.ray


@pytest.mark.script("second_cluster.py")
def test_nothing_of_a_cluster_that_was_left_stands_in_the_way_of_the_next(script: Any) -> None:
    assert "a cluster that the process has left" in script["head"]
    assert script["tier"] is None
    assert script["open"] == script["read"] == [1, 20_000]
    assert script["started"] is False  # Ray starts a cluster for whoever calls it without one
    assert not {"pstructs-tier-results"} & set(script["threads"])
    assert script["new head"] == script["old object"] == {"n": 10}
