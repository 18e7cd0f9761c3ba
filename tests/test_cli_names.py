"""The commands that name, trace and merge versions."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("diskcache", reason="needs the extra cache")

from click.testing import Result
from typer.testing import CliRunner

from pstructs._cli.app import app
from pstructs.cache import SnapshotStore

Run = Callable[..., Result]
FIRST = "name,age\nAda,36\nBob,27\n"
SECOND = "name,age\nAda,37\nCid,44\n"
THIRD = "name,age\nAda,99\nBob,27\n"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command beside a store with a version of main and another of side."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    for name, text in (("first", FIRST), ("second", SECOND), ("third", THIRD)):
        Path(f"{name}.csv").write_text(text)

    def call(*args: str) -> Result:
        return CliRunner().invoke(app, list(args))

    assert call("import", "first.csv", "s").exit_code == 0
    assert "starts at version 1" in call("branch", "s", "side").stdout
    assert call("import", "second.csv", "s", "--head", "side").exit_code == 0
    return call


def test_branch_lists_makes_and_deletes_heads(run: Run) -> None:
    lines = run("branch", "s").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:]] == [["main", "1"], ["side", "2"]]
    assert "version 1" in run("branch", "s", "third", "--at", "side~1").stdout
    assert "Version 1 stays" in run("branch", "s", "third", "--delete").stdout
    again = run("branch", "s", "side")
    assert again.exit_code == 1 and "already" in again.stderr
    with SnapshotStore("s") as store:
        assert {name: v.number for name, v in store.heads().items()} == {"main": 1, "side": 2}


def test_tag_lists_makes_and_deletes_tags(run: Run) -> None:
    assert "v1 names version 2" in run("tag", "s", "v1", "--at", "side", "--message", "x").stdout
    listed = run("tag", "s").stdout.splitlines()[1].split()
    assert (listed[:2], listed[-1]) == (["v1", "2"], "x")
    assert "Cid" in run("show", "s", "v1").stdout
    assert run("tag", "s", "v1").exit_code == 1
    assert "Version 2 stays" in run("tag", "s", "v1", "--delete").stdout
    assert len(run("tag", "s").stdout.splitlines()) == 1


def test_merge_brings_a_line_into_another(run: Run) -> None:
    assert "Saved version 3" in run("merge", "s", "side").stdout
    assert "has all of side already" in run("merge", "s", "side").stdout
    with SnapshotStore("s") as store:
        assert set(store.load()) == {"Ada", "Cid"}


def test_a_conflict_is_one_line_and_can_be_decided(run: Run) -> None:
    assert run("import", "third.csv", "s").exit_code == 0
    refused = run("merge", "s", "side")
    assert refused.exit_code == 1 and "['Ada', 'age']" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert run("merge", "s", "side", "--on-conflict", "ours", "--message", "mine").exit_code == 0
    with SnapshotStore("s") as store:
        assert store.load()["Ada"]["age"] == "99"
        assert store.version().message == "mine"


def test_history_shows_who_changed_a_record(run: Run) -> None:
    run("merge", "s", "side")
    lines = run("history", "s", "Ada").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["version", "2", "1"]
    assert "age: 36 → 37" in lines[1] and "(none) → " in lines[2]
    assert "→ (none)" in run("history", "s", "Bob").stdout
    assert "older" in run("history", "s", "Ada", "--limit", "1").stdout
    missing = run("history", "s", "Zoe")
    assert missing.exit_code == 1 and "'Zoe'" in missing.stderr
