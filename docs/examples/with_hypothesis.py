"""Strategies for property tests."""

from hypothesis import given
from hypothesis import strategies as st

from pstructs import PMap, diff, patch
from pstructs.testing import pmaps


@given(pmaps(st.text(), st.integers()), pmaps(st.text(), st.integers()))
def test_a_patch_leads_to_the_other_map(a: PMap[str, int], b: PMap[str, int]) -> None:
    assert patch(a, diff(a, b)) == b


# hypothesis knows the types as well.
@given(st.from_type(PMap[str, int]))
def test_the_old_map_is_unchanged(m: PMap[str, int]) -> None:
    before = dict(m)
    m.set("k", 1)
    assert m == before


test_a_patch_leads_to_the_other_map()
test_the_old_map_is_unchanged()
