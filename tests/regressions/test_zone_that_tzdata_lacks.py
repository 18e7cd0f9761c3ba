"""A zone that this machine does not know was called damage where the package tzdata was imported.

Without tzdata such a datetime was `Opaque` and could be saved again, as it should be.
"""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from pstructs.packs import Opaque, dumps, loads

VALUES = [
    Opaque(26, [2020, 1, 1, 0, 0, 0, 0, 0, "Nowhere/Land"]),
    Opaque(24, [1, 2, 3, 4, 0, "Nowhere/Land"]),
]


@pytest.mark.parametrize("imported", [False, True])
def test_value_in_an_unknown_zone_is_opaque(
    imported: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if imported:
        monkeypatch.setitem(sys.modules, "tzdata", ModuleType("tzdata"))
    else:
        monkeypatch.delitem(sys.modules, "tzdata", raising=False)
    assert loads(dumps(loads(dumps(VALUES)))) == VALUES
