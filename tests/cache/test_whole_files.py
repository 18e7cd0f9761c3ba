"""Files beside a store: whole or not there, and no leftover that stays."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from pstructs.cache.whole import PART, whole_file
from pstructs.errors import StoreBusyError, StoreFullError, StorePathError


def write(path: Path, data: bytes, *, overwrite: bool = False) -> None:
    with whole_file(str(path), overwrite=overwrite) as out:
        out.write(data)
        assert not path.exists() or overwrite


def test_a_file_has_its_name_when_it_is_whole(tmp_path: Path) -> None:
    write(tmp_path / "x", b"one")
    write(tmp_path / "x", b"two", overwrite=True)
    assert (tmp_path / "x").read_bytes() == b"two"
    assert stat.S_IMODE((tmp_path / "x").stat().st_mode) & 0o111 == 0
    assert os.listdir(tmp_path) == ["x"]


def test_a_file_that_is_there_stays(tmp_path: Path) -> None:
    write(tmp_path / "x", b"one")
    with pytest.raises(StorePathError, match="there already"):
        write(tmp_path / "x", b"two")
    with (
        pytest.raises(StorePathError, match="there already"),
        whole_file(str(tmp_path / "y")) as out,
    ):
        (tmp_path / "y").write_bytes(b"somebody else's")
        out.write(b"mine")
    assert (tmp_path / "x").read_bytes() == b"one"
    assert (tmp_path / "y").read_bytes() == b"somebody else's"
    assert sorted(os.listdir(tmp_path)) == ["x", "y"]


def test_two_who_write_the_same_file_do_not_mix(tmp_path: Path) -> None:
    with whole_file(str(tmp_path / "x")) as out:
        with pytest.raises(StoreBusyError, match="somebody else is writing"):
            write(tmp_path / "x", b"two")
        out.write(b"one")
    assert (tmp_path / "x").read_bytes() == b"one"


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_a_killed_writer_left_is_cleared_away(tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / f"x{PART}").write_bytes(b"half of something long")
    write(tmp_path / "x", b"one", overwrite=overwrite)
    assert (tmp_path / "x").read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["x"]


def test_a_leftover_that_has_its_name_is_not_written_to(tmp_path: Path) -> None:
    write(tmp_path / "x", b"whole")
    os.link(tmp_path / "x", tmp_path / f"x{PART}")  # a kill between the two names
    with (
        pytest.raises(KeyError),
        whole_file(str(tmp_path / "x"), overwrite=True) as out,
    ):
        out.write(b"half")
        raise KeyError
    assert (tmp_path / "x").read_bytes() == b"whole"
    assert os.listdir(tmp_path) == ["x"]


def test_nothing_is_written_through_a_link_that_lies_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / f"x{PART}").symlink_to(tmp_path / "mine")
    with pytest.raises(StorePathError, match="can't be written"):
        write(tmp_path / "x", b"one")
    assert (tmp_path / "mine").read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("name", "number", "kind"),
    [
        ("fsync", errno.EIO, StorePathError),
        ("fsync", errno.ENOSPC, StoreFullError),
        ("link", errno.EIO, StorePathError),
        ("ftruncate", errno.EIO, StorePathError),
    ],
)
def test_a_failure_names_the_file_and_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, number: int, kind: type[OSError]
) -> None:
    def fail(*args: object) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fail)
        with pytest.raises(kind, match="can't be written") as caught:
            write(tmp_path / "x", b"one")
    assert caught.value.filename == str(tmp_path / "x")
    assert not (tmp_path / "x").exists()
    write(tmp_path / "x", b"one")
    assert os.listdir(tmp_path) == ["x"]
