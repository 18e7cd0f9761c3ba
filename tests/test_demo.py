"""`pstructs demo`: runs on small input, checks its answers, and leaves a store to look at."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import unicodedata
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("diskcache", reason="needs the extra cache")

import pstructs
from pstructs._cli import demo_data, demo_store, demo_table, demo_work
from pstructs._cli.demo_data import Edit
from pstructs.cache import SnapshotStore
from pstructs.cli import main
from pstructs.inputs import read_records

PLANETS = """name,kind,moons
Mercury,rock,0
Venus,rock,0
Earth,rock,1
Mars,rock,2
Jupiter,gas,97
Saturn,gas,274
Uranus,ice,28
Neptune,ice,16
"""


@pytest.fixture
def planets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "planets.csv"
    path.write_text(PLANETS)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(entry for entry in sys.path if entry))
    return path


def run(capsys: pytest.CaptureFixture[str], *args: str) -> tuple[int, str, str]:
    code = main(["demo", *args])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_demo_checks_its_answers_and_leaves_a_store(
    planets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, "--input", "planets.csv", "--versions", "20", "--no-ray")
    assert (code, err) == (0, "")
    for step in ("build", "save", "20 edits", "diff", "undo", "new process", "count by kind"):
        assert step in out
    assert "all equal" in out and "--no-ray" in out
    with SnapshotStore("demo-store") as store:
        log = store.log()
        assert len(log) == 22  # the input, twenty edits, the undo
        assert store.load() == store.load(20)
        records = read_records(planets).records
        assert store.load(1) == records
        for number, edit in enumerate(demo_data.edits(records.copy(), 20), 2):
            edit.apply(records)
            assert store.load(number) == records
        assert [version.message for version in log[1:2]] == [edit.message]
    assert {path.name for path in Path().iterdir()} == {"planets.csv", "demo-store"}


@pytest.mark.parametrize("versions", ["1", "4", "30"])
def test_the_commands_that_it_names_work(
    planets: Path, capsys: pytest.CaptureFixture[str], versions: str
) -> None:
    args = ("--input", "planets.csv", "--versions", versions, "--no-ray")
    _, out, _ = run(capsys, *args, "--store", "my store")
    commands = [shlex.split(line) for line in out.splitlines() if line.startswith("  pstructs ")]
    assert len(commands) == 5
    for command in commands:
        assert main(command[1:]) == 0


def test_a_second_run_makes_a_second_store(
    planets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--input", "planets.csv", "--versions", "1", "--no-ray")
    for _ in range(3):
        assert run(capsys, *args)[0] == 0
    assert sorted(path.name for path in Path().glob("demo*")) == [
        "demo-store",
        "demo-store-2",
        "demo-store-3",
    ]


def test_a_folder_that_is_in_use_is_refused(
    planets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("mine").mkdir()
    Path("mine/thesis.tex").write_text("x")
    for taken in ("mine", "planets.csv"):
        code, out, err = run(capsys, "--input", "planets.csv", "--store", taken, "--no-ray")
        assert (code, out) == (1, "")
        assert err == f"error: {taken} is there already. Choose a new folder with --store\n"
    assert planets.read_text() == PLANETS
    code, _, _ = run(
        capsys, "--input", "planets.csv", "--store", "deep/new", "--versions", "1", "--no-ray"
    )
    assert code == 0 and Path("deep/new").is_dir()


@pytest.mark.parametrize(
    "content",
    [
        '{"a": 1, "b": [1, 2], "c": {"x": null}}',
        '[{"id": 1, "x": NaN}, {"id": 2.5, "x": 99999999999999999999999}, {"id": true}]',
        '[{"id": "only one"}]',
    ],
)
def test_the_demo_takes_any_json(
    planets: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    Path("a.json").write_text(content)
    code, out, err = run(capsys, "--input", "a.json", "--versions", "40", "--no-ray")
    assert (code, err) == (0, "")
    assert "all equal" in out


def test_input_without_records_is_refused(
    planets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("a.csv").write_text("id,name\n")
    code, _, err = run(capsys, "--input", "a.csv", "--no-ray")
    assert code == 1 and "holds no records" in err
    assert not Path("demo-store").exists()


def test_a_wrong_answer_stops_the_demo(
    planets: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    right = pstructs.diff
    monkeypatch.setattr(
        pstructs, "diff", lambda a, b: right(a, b)._replace(added=pstructs.pmap({"x": 1}))
    )
    code, out, err = run(capsys, "--input", "planets.csv", "--versions", "5", "--no-ray")
    assert (code, out) == (1, "")
    assert err.startswith("error: diff: added: the answer differs from plain Python's.")


def test_without_ray_the_demo_says_so_and_counts_in_this_process(planets: Path) -> None:
    code = (
        "import importlib.util, sys\n"
        "find = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name, *a: None if name == 'ray' else find(name, *a)\n"
        "sys.modules['ray'] = None\n"
        "from pstructs.cli import main\n"
        "sys.exit(main(['demo', '--input', 'planets.csv', '--versions', '5']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, encoding="utf-8", timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Ray is not installed (pip install 'pstructs[distributed]')" in done.stdout
    assert "count by kind in this process" in done.stdout


@pytest.mark.ray
def test_the_demo_shares_with_ray_workers(
    planets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("ray")
    done = subprocess.run(
        [sys.executable, "-m", "pstructs", "demo", "--input", "planets.csv", "--versions", "5"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=240,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for step in (
        "share / ray.put",
        "a worker: open, ",
        "memory a worker",
        "count by kind in parallel",
    ):
        assert step in done.stdout
    assert "all equal" in done.stdout


# ---------------------------------------------------------------- the parts


def test_the_unicode_records_are_those_of_unicodedata() -> None:
    data = demo_data.load(None, lambda done, total: None)
    assert len(data.records) > 130_000
    assert data.group == "category"
    half = data.records["U+00BD"]
    assert half["name"] == "VULGAR FRACTION ONE HALF"
    assert (half["category"], half["numeric"], half["mirrored"]) == ("No", 0.5, False)
    assert half["decomposition"] == unicodedata.decomposition("½")
    assert "decimal" not in half
    assert data.records["U+0037"]["decimal"] == 7
    assert "U+0007" not in data.records  # a control character has no name


def test_edits_are_the_same_in_every_run_and_can_be_replayed() -> None:
    records = {number: {"n": number} for number in range(5)}
    first = list(demo_data.edits(records, 100))
    assert first == list(demo_data.edits(records, 100))
    model = dict(records)
    kinds = set()
    for edit in first:
        kinds.add("remove" if edit.record is None else "change" if edit.key in model else "add")
        before = dict(model)
        edit.apply(model)
        assert model != before
    assert kinds == {"add", "change", "remove"}
    assert records == {number: {"n": number} for number in range(5)}


def test_edits_never_remove_the_last_record() -> None:
    model: dict[str, object] = {"only": {}}
    for edit in demo_data.edits(model.copy(), 200):
        edit.apply(model)
        assert model
    assert Edit("only", None, "").record is None


@pytest.mark.parametrize(
    ("a", "b", "answer"),
    [
        ({"x": float("nan")}, {"x": float("nan")}, True),
        ({"x": [1, {"y": 2}]}, {"x": [1, {"y": 2}]}, True),
        ({"x": [1, {"y": 2}]}, {"x": [1, {"y": 3}]}, False),
        ({"x": 1}, {"x": 1, "y": 1}, False),
        ({"x": 1, "y": 2}, {"x": 1, "z": 2}, False),
        ([1], [1, 2], False),
        (1, "1", False),
    ],
)
def test_same_tells_different_answers_apart(a: object, b: object, answer: bool) -> None:
    assert demo_store.same(a, b) is answer


def test_the_memory_of_a_process_grows_with_what_it_alone_holds() -> None:
    before = demo_work.uss()
    if before is None:
        pytest.skip("this system does not tell")
    held = bytearray(b"x" * 50_000_000)
    after = demo_work.uss()
    assert after is not None
    assert after - before > 40_000_000
    assert len(held) == 50_000_000


def test_the_table_marks_estimates_and_leaves_unknowns_blank() -> None:
    from rich.console import Console

    console = Console(width=140, record=True, file=io.StringIO())
    side = demo_table.Side
    console.print(
        demo_table.table(
            [
                demo_table.Row("one", side(0.001, 100), side(0.1, 5000, estimated=True)),
                demo_table.Row("two", side(nbytes=1e6), side(nbytes=1e8)),
            ]
        )
    )
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "one 1.00 ms 100 B ≈ 100 ms ≈ 5.00 kB 100x 50.0x" in lines
    assert "two 1.00 MB 100 MB 100x" in lines


def test_the_table_fits_a_hundred_columns() -> None:
    from rich.console import Console

    console = Console(width=100, record=True, file=io.StringIO())
    ours = demo_table.Side(0.123, 12_300_000)
    theirs = demo_table.Side(0.123, 12_300_000, estimated=True)
    console.print(
        demo_table.table([demo_table.Row("new process: open, 1,000 lookups", ours, theirs)])
    )
    assert "…" not in console.export_text()
