"""Nothing of another library is imported before it is asked for."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import pytest

import pstructs.interop

LIBRARIES = (
    "hypothesis IPython msgspec numpy orjson pandas pyarrow pydantic pydantic_core rich"
).split()
MODULES = ["pstructs.testing"] + [
    f"pstructs.interop.{module.name}" for module in pkgutil.iter_modules(pstructs.interop.__path__)
]


def imported(code: str) -> set[str]:
    """The libraries, and parts of pstructs.interop, that are loaded after some code."""
    code += "\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    return {
        n
        for n in names
        if n in LIBRARIES or n.startswith(("pstructs.interop", "pstructs.testing"))
    }


@pytest.mark.parametrize("module", MODULES)
def test_importing_an_adapter_imports_no_other_library(module: str) -> None:
    assert module in imported(f"import {module}")
    assert imported(f"import {module}") & set(LIBRARIES) == set()


def test_importing_the_library_imports_no_adapter() -> None:
    assert imported("import pstructs") == set()


def test_the_collections_answer_rich_and_ipython_without_them() -> None:
    code = "from pstructs import m; assert list(m(a=1).__rich_repr__()) == [{'a': 1}]"
    assert imported(code) & set(LIBRARIES) == set()
    assert "pstructs.interop.pretty" in imported(code)
