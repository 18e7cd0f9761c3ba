"""Edits between two saved vectors whose lengths differ at several places were wrong.

Leaves that both have are anchors, told by their addresses. A leaf that is read from a pack is
freed when the next one is read, which then lies at the same address: leaves that have nothing in
common were taken for one.
"""

from __future__ import annotations

import random

import pytest

from pstructs import _core, pvector
from pstructs.packs import dumps, loads


@pytest.mark.parametrize("seed", range(20))
def test_edits_of_saved_vectors_lead_from_one_to_the_other(seed: int) -> None:
    rng = random.Random(seed)
    before = [rng.randrange(10**9) for _ in range(3000)]
    after = list(before)
    for _ in range(3):
        at = rng.randrange(len(after))
        new = [rng.randrange(10**9) for _ in range(rng.randrange(60))]
        after[at : at + rng.randrange(40)] = new
    edits = _core._vector_edits(*(loads(dumps(pvector(x)), trusted=True) for x in (before, after)))
    for a_lo, a_hi, b_lo, b_hi in reversed(edits):
        before[a_lo:a_hi] = after[b_lo:b_hi]
    assert before == after
