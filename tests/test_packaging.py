"""What setup.cfg promises is what the folders hold."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

import pstructs

ROOT = Path(__file__).resolve().parent.parent


def config() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg")
    return parser


def lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def test_the_version_is_the_same_everywhere() -> None:
    version = config()["metadata"]["version"]
    assert pstructs.__version__ == version
    assert f"## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_every_folder_with_python_files_is_a_listed_package() -> None:
    """A sub-package that is not listed works in the source tree and is missing in the wheel."""
    options = config()["options"]
    folders = dict(re.split(r"\s*=\s*", line) for line in lines(options["package_dir"]))
    listed = set()
    for package in lines(options["packages"]):
        parent = package
        while parent not in folders:
            parent = parent.rpartition(".")[0]
        listed.add(folders[parent] + package[len(parent) :].replace(".", "/"))
    found = {
        str(path.parent.relative_to(ROOT))
        for top in ("pstructs", "cache", "distributed")
        for path in (ROOT / top).rglob("*.py")
    }
    assert found == listed


def test_no_folder_of_tests_is_a_package() -> None:
    """`tests/pstructs/__init__.py` would hide the library from its own tests."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_test_files_have_names_of_their_own() -> None:
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted({name for name in names if names.count(name) > 1}) == []


def test_type_information_is_shipped() -> None:
    patterns = config()["options.package_data"]["pstructs"]
    assert "py.typed" in patterns and "*.pyi" in patterns
    assert (ROOT / "pstructs" / "py.typed").is_file()
