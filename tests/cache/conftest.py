"""Fixtures for stores."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest

if importlib.util.find_spec("diskcache") is None:
    collect_ignore_glob = ["test_*.py"]  # the cache extra is not installed
else:
    from pstructs.cache import SnapshotStore


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "a.store"


@pytest.fixture(params=["commit", "group", "none"])
def store(folder: Path, request: pytest.FixtureRequest) -> Iterator[SnapshotStore]:
    with SnapshotStore(folder, durable=request.param) as opened:
        yield opened


@pytest.fixture
def a(tmp_path: Path) -> Iterator[SnapshotStore]:
    """One of two stores that exchange versions."""
    with SnapshotStore(tmp_path / "a", durable="none") as opened:
        yield opened


@pytest.fixture
def b(tmp_path: Path) -> Iterator[SnapshotStore]:
    """The other one, with another durability."""
    with SnapshotStore(tmp_path / "b") as opened:
        yield opened
