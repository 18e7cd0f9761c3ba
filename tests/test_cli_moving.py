"""The commands that move versions between stores."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("diskcache", reason="needs the extra cache")

from typer.testing import CliRunner, Result

from pstructs._cli.app import app
from pstructs.cache import SnapshotStore
from support.stores import BIG, SMALL

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in a folder with a store `a` of two versions."""
    monkeypatch.chdir(tmp_path)
    with SnapshotStore("a") as store:
        store.save(BIG, message="the first")
        store.save(BIG.set(1, "one"))
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


def test_export_and_import_versions(run: Run) -> None:
    result = run("export", "a", "file")
    assert result.exit_code == 0 and "2 versions in 2 packs" in result.output
    assert "there already" in run("export", "a", "file").stderr
    assert run("export", "a", "delta", "--since", "1", "--overwrite").exit_code == 0
    assert run("import-versions", "b", "file").exit_code == 0
    assert "0 versions" in run("import-versions", "b", "delta").output
    with SnapshotStore("b") as store:
        assert store.load("origin/main")[1] == "one"


def test_push_and_pull(run: Run, tmp_path: Path) -> None:
    assert "Sent 2 versions" in run("push", "a", "b").output
    assert "Took in 2 versions" in run("pull", "c", "b", "--prefix", "").output
    with SnapshotStore("c") as store:
        assert store.load("main")[1] == "one"
    pytest.importorskip("fsspec")
    assert "Sent 2 versions" in run("push", "a", f"file://{tmp_path}/r").output
    assert "Took in 2 versions" in run("pull", "d", f"file://{tmp_path}/r").output


def test_a_head_that_moved_is_an_error_of_one_line(run: Run) -> None:
    with SnapshotStore("b") as store:
        store.save(SMALL)
    result = run("push", "a", "b")
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    assert run("push", "a", "b", "--force").exit_code == 0


def test_repair(run: Run) -> None:
    assert run("push", "a", "b").exit_code == 0
    for path in Path("a", "packs").iterdir():
        path.unlink()
    Path("empty").mkdir()
    assert "left, the first one" in run("repair", "a", "empty").stderr
    assert (
        "Repaired 2 packs" in run("repair", "a", "b").output or run("verify", "a").exit_code == 0
    )
    assert run("verify", "a").exit_code == 0
