"""The command line: what users type, read, and get back as exit codes."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("typer", reason="needs the extra cli")
pytest.importorskip("diskcache", reason="needs the extra cache")

from typer.testing import CliRunner, Result

import pstructs
from pstructs._cli.app import app
from pstructs.cache import SnapshotStore
from pstructs.cli import main

PEOPLE = "id,name,town\n1,Ada,London\n2,Bob,Berne\n3,Cleo,Lyon\n"
LATER = "id,name,town\n1,Ada,London\n2,Bob,Basel\n4,Dora,Graz\n"

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder that holds people.csv and later.csv."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    Path("people.csv").write_text(PEOPLE)
    Path("later.csv").write_text(LATER)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture
def store(run: Run) -> str:
    """A store with two versions."""
    for file in ("people.csv", "later.csv"):
        assert run("import", file, "store").exit_code == 0
    return "store"


def the_error(result: Result) -> str:
    """The one line on stderr of a command that failed."""
    assert result.exit_code == 1, result.output
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("error: "), result.stderr
    return lines[0]


# ---------------------------------------------------------------- import


def test_import_saves_the_records_as_a_version(run: Run) -> None:
    result = run("import", "people.csv", "store", "--message", "the start")
    assert result.exit_code == 0
    assert "Read 3 records from people.csv, key column 'id'." in result.stdout
    assert "Saved version 1 of store" in result.stdout
    with SnapshotStore("store") as opened:
        assert opened.load() == {
            "1": {"id": "1", "name": "Ada", "town": "London"},
            "2": {"id": "2", "name": "Bob", "town": "Berne"},
            "3": {"id": "3", "name": "Cleo", "town": "Lyon"},
        }
        assert [version.message for version in opened.log()] == ["the start"]


def test_import_of_a_changed_file_writes_the_changes_only(run: Run) -> None:
    lines = [f"{n},{n * n},some text that takes a few bytes" for n in range(2000)]
    Path("a.csv").write_text("id,square,text\n" + "\n".join(lines))
    Path("b.csv").write_text("id,square,text\n" + "\n".join(lines[1:]) + "\nx,1,new")
    assert run("import", "a.csv", "big").exit_code == 0
    result = run("import", "b.csv", "big")
    assert "1 added, 1 removed, 0 changed" in result.stdout
    with SnapshotStore("big") as opened:
        second, first = opened.log()
        assert second.nbytes * 10 < first.nbytes
        assert second.parents == (first.id,)
        assert sorted(opened.load()) == sorted([str(n) for n in range(1, 2000)] + ["x"])


def test_import_tells_of_keys_that_came_twice(run: Run) -> None:
    Path("twice.csv").write_text("id,n\na,1\nb,2\na,3\n")
    result = run("import", "twice.csv", "store")
    assert "1 record had a key that came again later" in result.stdout
    with SnapshotStore("store") as opened:
        assert opened.load()["a"] == {"id": "a", "n": "3"}


def test_import_of_a_large_file_builds_the_same_version(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("n.csv").write_text("id,n\n" + "".join(f"{n % 9000},{n}\n" for n in range(10_000)))
    run("import", "n.csv", "store")
    monkeypatch.setattr("pstructs._cli.importing.LARGE", 1)
    result = run("import", "n.csv", "store", "--key", "id")
    assert result.exit_code == 0, result.output
    assert "Read 9,000 records from n.csv, key column 'id'." in result.stdout
    assert "1,000 records had a key that came again later" in result.stdout
    with SnapshotStore("store") as opened:
        built, saved = opened.log()
        assert built.root == saved.root
        assert built.message == "import n.csv"


def test_a_large_file_that_breaks_near_its_end_changes_nothing(
    run: Run, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pstructs._cli.importing.LARGE", 1)
    Path("bad.csv").write_text("id,n\n" + "".join(f"{n},{n}\n" for n in range(5000)) + "1,2,3\n")
    assert "bad.csv:5002: 3 fields" in the_error(run("import", "bad.csv", store))
    assert "can't name a head" in the_error(run("import", "people.csv", store, "--head", "a b"))
    with SnapshotStore(store) as opened:
        assert len(opened.versions) == 2
        assert opened.verify().unlisted == ()


@pytest.mark.parametrize("large", [1, 1 << 30])
def test_import_keeps_records_sorted_once_it_was_told_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr("pstructs._cli.importing.LARGE", large)
    lines = [f'{{"id": {n * 7 % 1000}, "n": {n}}}\n' for n in range(1000)]
    Path("n.ndjson").write_text("".join(lines))
    Path("m.ndjson").write_text("".join(lines[1:]))
    run("import", "n.ndjson", "store", "--key", "id")
    for options in (["--sorted"], [], ["--unsorted"], []):
        result = run("import", "m.ndjson", "store", "--key", "id", *options)
        assert result.exit_code == 0, result.output
        assert ("0 added, 0 removed" in result.stdout) == (large > 1 and options == [])
    with SnapshotStore("store") as opened:
        kinds = [type(opened.load(version)) for version in opened.versions]
        sorted_map = opened.load(2)
    unsorted = pstructs.PMap
    assert kinds == [unsorted, pstructs.PSortedMap, pstructs.PSortedMap, unsorted, unsorted]
    assert list(sorted_map) == list(range(1, 1000))
    assert run("show", "store", "3", "--limit", "1").stdout.splitlines()[2].startswith("1 ")
    assert '"n": 143' not in run("show", "store", "3", "--key", "1").stdout
    assert "143" in run("show", "store", "3", "--key", "1").stdout
    assert "no record with the key 'x'" in the_error(run("show", "store", "3", "--key", "x"))
    assert run("diff", "store", "2", "3").stdout == "0 added, 0 removed, 0 changed\n"


@pytest.mark.parametrize("large", [1, 1 << 30])
def test_records_whose_keys_have_no_order_are_not_imported_sorted(
    run: Run, monkeypatch: pytest.MonkeyPatch, large: int
) -> None:
    monkeypatch.setattr("pstructs._cli.importing.LARGE", large)
    Path("mixed.ndjson").write_text('{"id": 1}\n{"id": "one"}\n')
    error = the_error(run("import", "mixed.ndjson", "store", "--sorted"))
    assert "1" in error and "'one'" in error and "can't be sorted" in error
    with SnapshotStore("store") as opened:
        assert len(opened.versions) == 0
    assert run("import", "mixed.ndjson", "store").exit_code == 0


def test_history_of_a_sorted_record(run: Run) -> None:
    Path("n.ndjson").write_text('{"id": 1, "n": 1}\n{"id": 2, "n": 1}\n')
    Path("m.ndjson").write_text('{"id": 1, "n": 2}\n{"id": 2, "n": 1}\n')
    for name in ("n.ndjson", "m.ndjson"):
        run("import", name, "store", "--key", "id", "--sorted")
    assert "n: 1 → 2" in run("history", "store", "1").stdout
    assert "no version of main holds 'x'" in the_error(run("history", "store", "x"))


def test_import_takes_the_key_column_the_format_and_the_head(run: Run) -> None:
    Path("data.txt").write_text('{"id": 1, "name": "Ada"}\n{"id": 2, "name": "Bob"}\n')
    result = run(
        "import", "data.txt", "store", "--format", "ndjson", "--key", "name", "--head", "draft"
    )
    assert result.exit_code == 0
    with SnapshotStore("store") as opened:
        assert list(opened.heads()) == ["draft"]
        assert opened.load("draft") == {
            "Ada": {"id": 1, "name": "Ada"},
            "Bob": {"id": 2, "name": "Bob"},
        }


def test_a_bad_line_leaves_the_store_as_it_was(run: Run, store: str) -> None:
    Path("bad.csv").write_text(PEOPLE + "9,short\n")
    error = the_error(run("import", "bad.csv", store))
    assert error.startswith("error: bad.csv:5: 2 fields where the header names 3")
    with SnapshotStore(store) as opened:
        assert [version.number for version in opened.log()] == [2, 1]


def test_a_bad_line_makes_no_new_store(run: Run) -> None:
    Path("bad.ndjson").write_text('{"id": 1}\n{"id": }\n')
    assert "bad.ndjson:2: not valid JSON" in the_error(run("import", "bad.ndjson", "new"))
    assert not Path("new").exists()


def test_import_refuses_what_can_not_be_read_or_written(run: Run) -> None:
    assert "none.csv: no such file" in the_error(run("import", "none.csv", "store"))
    assert "can't tell the format" in the_error(run("import", "store.txt", "store"))
    assert "no column 'nme'" in the_error(run("import", "people.csv", "store", "--key", "nme"))
    assert not Path("store").exists()
    error = the_error(run("import", "people.csv", "later.csv"))
    assert "later.csv" in error and "Errno" not in error
    assert Path("later.csv").read_text() == LATER
    assert "can't name a head" in the_error(run("import", "people.csv", "s", "--head", "a b"))


# ---------------------------------------------------------------- log, show, diff, verify


def test_log_lists_the_newest_version_first(run: Run, store: str) -> None:
    lines = run("log", store).stdout.splitlines()
    assert lines[0].split() == ["version", "time", "entries", "written", "message"]
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"]
    assert "import later.csv" in lines[1] and "import people.csv" in lines[2]


def test_log_says_that_there_are_older_versions(run: Run, store: str) -> None:
    lines = run("log", store, "--limit", "1").stdout.splitlines()
    assert len(lines) == 3 and "older" in lines[2]
    assert "older" not in run("log", store, "--limit", "2").stdout


def test_show_prints_the_newest_version_or_the_one_named(run: Run, store: str) -> None:
    newest = run("show", store).stdout
    assert "PMap of 3 entries" in newest and "Dora" in newest and "Cleo" not in newest
    for name in ("1", "main~1"):
        older = run("show", store, name).stdout
        assert "Cleo" in older and "Dora" not in older


def test_show_prints_the_first_records_up_to_the_limit(run: Run, store: str) -> None:
    assert "1 more" in run("show", store, "--limit", "2").stdout


def test_show_prints_one_record_by_its_key(run: Run, store: str) -> None:
    lines = run("show", store, "1", "--key", "3").stdout.splitlines()
    assert [line.split() for line in lines] == [
        ["field", "value"],
        ["id", "3"],
        ["name", "Cleo"],
        ["town", "Lyon"],
    ]
    assert "no record with the key 'x'" in the_error(run("show", store, "--key", "x"))


def test_show_finds_keys_that_are_no_text(run: Run) -> None:
    Path("n.json").write_text('[{"id": 7, "x": "seven"}]')
    run("import", "n.json", "numbers")
    assert "seven" in run("show", "numbers", "--key", "7").stdout


def test_show_prints_any_value_that_a_store_can_hold(run: Run) -> None:
    with SnapshotStore("mixed") as opened:
        opened.save(pstructs.pset(["red", "green"]))
        opened.save(pstructs.pmap({"pi": 3.14, "[bold]": "[red]x"}))
        opened.save("just text")
        opened.save(pstructs.pmap())
    assert "PSet of 2 entries" in run("show", "mixed", "1").stdout
    assert "red" in run("show", "mixed", "1", "--key", "red").stdout
    maps = run("show", "mixed", "2").stdout
    assert "3.14" in maps and "[bold]" in maps and "[red]x" in maps
    assert "3.14" in run("show", "mixed", "2", "--key", "pi").stdout
    assert "just text" in run("show", "mixed", "3").stdout
    assert "PMap of 0 entries" in run("show", "mixed", "4").stdout
    assert "has no keys" in the_error(run("show", "mixed", "3", "--key", "a"))
    assert "Only two maps or two sets" in the_error(run("diff", "mixed", "1", "2"))


def test_diff_shows_what_came_went_and_changed(run: Run, store: str) -> None:
    lines = run("diff", store, "1", "2").stdout.splitlines()
    assert lines == [
        "1 added, 1 removed, 1 changed",
        '- 3  {"id": "3", "name": "Cleo", "town": "Lyon"}',
        '+ 4  {"id": "4", "name": "Dora", "town": "Graz"}',
        "~ 2  town: Berne → Basel",
    ]
    assert "2 more" in run("diff", store, "1", "2", "--limit", "1").stdout
    assert run("diff", store, "2", "2").stdout == "0 added, 0 removed, 0 changed\n"


def test_diff_of_sets(run: Run) -> None:
    with SnapshotStore("sets") as opened:
        opened.save(pstructs.pset(["a", "b"]))
        opened.save(pstructs.pset(["b", "c"]))
    assert run("diff", "sets", "1", "2").stdout.splitlines()[1:] == ["- a", "+ c"]


def test_verify_reads_the_whole_store(run: Run, store: str) -> None:
    result = run("verify", store)
    assert result.exit_code == 0
    assert result.stdout.startswith("store is whole: 2 versions, 2 packs, ")


def test_verify_checks_one_version(run: Run, store: str) -> None:
    result = run("verify", store, "1")
    assert result.exit_code == 0
    assert f"1 of {store} is whole: 1 version, " in result.output
    assert "nine" in the_error(run("verify", store, "nine"))


def test_versions_expire_and_space_is_given_back(run: Run, store: str) -> None:
    with SnapshotStore(store) as opened:
        for n in range(5):
            opened.save(pstructs.m(n=n))
    assert "say what stays" in the_error(run("expire", store))
    dry = run("expire", store, "--last", "2", "--dry-run").stdout.splitlines()
    assert dry[-1] == "5 versions would expire, 2 stay." and len(dry) == 6
    assert run("expire", store, "--last", "2", "--daily", "1").stdout.endswith(
        "5 versions expired, 2 stay.\n"
    )
    assert "expired at" in the_error(run("show", store, "1"))
    assert "2 packs that versions need" in run("report", store).stdout
    assert run("compact", store).stdout.startswith("2 versions moved: 2 packs of ")
    assert run("gc", store, "--grace", "1").stdout.endswith("7 waiting.\n")
    assert run("gc", store).stdout.startswith("7 packs removed, ")
    assert run("verify", store).exit_code == 0


def test_old_versions_are_compressed_and_expanded(run: Run) -> None:
    pytest.importorskip("zstandard")
    for n in range(4):
        with SnapshotStore("big") as opened:
            opened.save(pstructs.pmap({f"key {k}": n * k for k in range(3000)}))
    assert "say --days or --before" in the_error(
        run("compress", "big", "--days", "1", "--before", "2")
    )
    assert run("compress", "big", "--days", "1").stdout == "0 packs compressed.\n"
    assert run("compress", "big", "--before", "2").stdout.startswith("1 pack compressed: ")
    told = run("compress", "big", "--level", "9").stdout
    assert re.fullmatch(
        r"2 packs compressed: .* became .*; 1 stay as they are, small ones or in that form "
        r"already\.\n",
        told,
    )
    assert run("show", "big", "1").exit_code == run("verify", "big").exit_code == 0
    assert run("decompress", "big").stdout.startswith("3 packs expanded: ")
    assert run("decompress", "big").stdout == "0 packs expanded.\n"
    the_error(run("compress", "nowhere"))


def test_compressing_without_its_extra_says_what_to_install(
    run: Run, store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "zstandard", None)
    error = the_error(run("compress", store))
    assert error == "error: zstandard is not installed. Run: pip install 'pstructs[compress]'"


def test_verify_reports_a_flipped_bit(run: Run) -> None:
    rows = "".join(f"{n},{'text' * 10}{n}\n" for n in range(3000))
    Path("big.csv").write_text("id,text\n" + rows)
    assert run("import", "big.csv", "big").exit_code == 0
    (pack,) = [path for path in Path("big").rglob("*.pack") if path.is_file()]
    damaged = bytearray(pack.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    pack.write_bytes(damaged)
    assert "big" in the_error(run("verify", "big"))


@pytest.mark.parametrize(
    "command", [("log",), ("show",), ("show", "1"), ("diff", "1", "2"), ("verify",)]
)
def test_looking_at_no_store_says_how_to_make_one(run: Run, command: tuple[str, ...]) -> None:
    name, *rest = command
    error = the_error(run(name, "nowhere", *rest))
    assert "nowhere does not exist. Make one with: pstructs import" in error
    assert not Path("nowhere").exists()


def test_a_folder_of_something_else_is_left_alone(run: Run) -> None:
    Path("photos").mkdir()
    Path("photos/one.jpg").write_bytes(b"x")
    the_error(run("log", "photos"))
    the_error(run("import", "people.csv", "photos"))
    assert [path.name for path in Path("photos").iterdir()] == ["one.jpg"]


def test_a_version_that_is_not_there_is_an_error(run: Run, store: str) -> None:
    for command in (
        ("show", store, "99"),
        ("diff", store, "1", "none"),
        ("log", store, "--head", "x"),
    ):
        the_error(run(*command))


# ---------------------------------------------------------------- the frame


def test_help_explains_every_command(run: Run) -> None:
    text = run("--help").stdout
    for name in (
        *("demo", "import", "log", "show", "diff", "verify"),
        *("report", "expire", "compact", "gc", "compress", "decompress"),
    ):
        assert name in text
        assert run(name, "--help").exit_code == 0


def test_version_is_that_of_the_package(run: Run) -> None:
    assert run("--version").stdout == f"pstructs {pstructs.__version__}\n"


@pytest.mark.parametrize(
    "args", [["nonsense"], ["show"], ["import", "one.csv"], ["log", "x", "-z"]]
)
def test_a_wrong_call_is_exit_code_2(run: Run, args: list[str]) -> None:
    assert run(*args).exit_code == 2


def test_traceback_shows_where_an_error_came_from(run: Run) -> None:
    result = run("--traceback", "log", "nowhere")
    assert isinstance(result.exception, OSError)
    assert "nowhere" in str(result.exception)


def test_main_returns_the_exit_code(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "people.csv", "store"]) == 0
    assert main(["log", "nowhere"]) == 1
    assert main(["nonsense"]) == 2
    out, err = capsys.readouterr()
    assert "Saved version 1" in out and "error: nowhere" in err


def python(*args: str, **more: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own that finds pstructs where this one does."""
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return subprocess.run(
        [sys.executable, *args],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
        env={**os.environ, "PYTHONPATH": path, "PYTHONIOENCODING": "utf-8", **more},
    )


def test_python_m_pstructs_runs_the_command_line(run: Run, store: str) -> None:
    done = python("-m", "pstructs", "show", store, "--key", "4")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Dora" in done.stdout
    done = python("-m", "pstructs", "show", store, "9")
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("module", "extra"), [("typer", "cli"), ("rich", "cli"), ("diskcache", "cache")]
)
def test_a_missing_extra_is_named_with_the_command_that_installs_it(
    run: Run, module: str, extra: str
) -> None:
    code = (
        "import sys\n"
        f"sys.modules[{module!r}] = None\n"
        "from pstructs.cli import main\n"
        "sys.exit(main(['import', 'people.csv', 'store']))\n"
    )
    done = python("-c", code)
    assert done.returncode == 1
    assert (
        done.stderr == f"error: {module} is not installed. Run: pip install 'pstructs[{extra}]'\n"
    )


def test_the_command_line_loads_neither_ray_nor_the_store_for_its_help() -> None:
    code = (
        "import sys\n"
        "from pstructs.cli import main\n"
        "main(['--help'])\n"
        "sys.exit(sum(name in sys.modules for name in ('ray', 'diskcache', 'pstructs.cache')))\n"
    )
    assert python("-c", code).returncode == 0


# ---------------------------------------------------------------- the tutorial

DOCS = Path(__file__).resolve().parent.parent / "docs"


def neutral(text: str) -> list[str]:
    """The words, without times, sizes, layout and the order of a map."""
    text = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME", text)
    return sorted(re.sub(r"[\d.,]+ (B|kB)\b", "SIZE", text).split())


def test_the_tutorial_shows_what_the_commands_print(run: Run) -> None:
    for file in (DOCS / "examples").glob("*.csv"):
        Path(file.name).write_text(file.read_text())
    page = (DOCS / "tutorial" / "command-line.md").read_text()
    blocks = re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.M)[1:]]
    assert len(steps) > 5
    for step in steps:
        command, _, shown = step.partition("\n")
        result = run(*shlex.split(command)[1:])
        assert neutral(result.stdout + result.stderr) == neutral(shown), command


def test_a_terminal_without_arrows_is_no_error(run: Run, store: str) -> None:
    done = python("-m", "pstructs", "diff", store, "1", "2", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "town: Berne ? Basel" in done.stdout
