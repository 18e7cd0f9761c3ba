"""The examples in docstrings give what they say."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil

import pytest


def modules_of(package: str) -> list[str]:
    """The package and all below it, wherever its folder is."""
    spec = importlib.util.find_spec(package)
    if spec is None or spec.submodule_search_locations is None:
        return []
    found = pkgutil.iter_modules(spec.submodule_search_locations, package + ".")
    return [package, *(module.name for module in found if not module.name.endswith("__main__"))]


# Those of pstructs.distributed ask for a process without Ray: tests/distributed runs them.
PACKAGES = ("pstructs", "pstructs._cli", "pstructs.cache", "pstructs.interop")
MODULES = sorted(
    {name for package in PACKAGES for name in modules_of(package)} - {"pstructs.distributed"}
)
NEEDS_EXTRAS = {"cachetools", "diskcache", "ray", "rich", "typer"}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_run(name: str, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in NEEDS_EXTRAS:
            pytest.skip(f"{error.name} is not installed")
        raise
    assert doctest.testmod(module, optionflags=doctest.ELLIPSIS).failed == 0


def test_modules_with_examples_were_found() -> None:
    assert {"pstructs._cli.text", "pstructs.inputs", "pstructs._core"} <= set(MODULES)
