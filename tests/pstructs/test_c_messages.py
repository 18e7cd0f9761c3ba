"""Messages made in C: CPython refuses a format string that is not ASCII, when it is used."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CSRC = Path(__file__).resolve().parents[2] / "pstructs" / "csrc"


@pytest.mark.parametrize("path", sorted(CSRC.glob("*.[ch]")), ids=lambda path: path.name)
def test_strings_in_c_are_ascii(path: Path) -> None:
    strings = re.findall(r'"(?:[^"\\\n]|\\.)*"', path.read_text(encoding="utf-8"))
    assert [string for string in strings if not string.isascii()] == []
