"""Packs that don't fit into the object store are spilled to the disk and come back."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.ray
COUNT = 12  # 96 MB in a store of 80


@pytest.mark.script("small_store.py", "spill", str(COUNT))
def test_more_packs_than_the_object_store_holds_are_all_readable(script: Any) -> None:
    expected = [sum(range(i, i + 1000)) for i in range(COUNT)]
    assert script["sums"] == expected
    assert script.get("held") == expected or "object store" in script["full"]
    assert script["after"] == expected[0]


@pytest.mark.script("small_store.py", "fill")
def test_a_full_object_store_refuses_a_pack_soon_and_loses_none_of_the_others(script: Any) -> None:
    for error in (script["full"], script["still"]):
        assert "object store is full" in error and "release()" in error
    assert "object store is full" in script["head"]
    assert script["counter"] == 1
    assert script["seconds"] < 40
    assert script["passed"] == sum(range(10))
    assert len(script["sums"]) >= 4
    assert script["sums"] == [sum(range(i, i + 1000)) for i in range(1, len(script["sums"]) + 1)]
    assert script["after"] == sum(range(1000))  # there is room after a release
