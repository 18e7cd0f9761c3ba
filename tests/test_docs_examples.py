"""The code that the documentation shows runs as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))
NEEDS = {
    "pstructs.cache": ["diskcache", "cachetools"],
    "pstructs.distributed": ["diskcache"],
    "ray": ["ray"],
    **{
        name: [name]
        for name in ("hypothesis", "msgspec", "numpy", "orjson", "pandas", "pyarrow", "pydantic")
    },
}


def run(path: Path, tmp_path: Path) -> None:
    for module, packages in NEEDS.items():
        if re.search(rf"^\s*(from|import) {re.escape(module)}\b", path.read_text(), re.MULTILINE):
            for package in packages:
                pytest.importorskip(package)
    done = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:pstructs", str(path)],
        cwd=tmp_path,
        env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_of_the_docs_runs(path: Path, tmp_path: Path) -> None:
    run(path, tmp_path)


def test_the_first_example_of_the_readme_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S)
    assert len(blocks) == 2
    for number, block in enumerate(blocks):
        script = tmp_path / f"readme_{number}.py"
        script.write_text(block)
        run(script, tmp_path)


def test_every_example_is_shown_on_a_page() -> None:
    pages = "".join(page.read_text() for page in (ROOT / "docs").rglob("*.md"))
    assert EXAMPLES
    assert [path.name for path in EXAMPLES if f"examples/{path.name}" not in pages] == []


def test_every_command_and_option_is_in_the_reference() -> None:
    typer = pytest.importorskip("typer")
    from pstructs._cli.app import app

    page = (ROOT / "docs" / "reference" / "cli.md").read_text()
    group = typer.main.get_command(app)
    missing = [name for name in group.commands if f"## pstructs {name}" not in page]
    for command in group.commands.values():
        for parameter in command.params:
            missing += [o for o in parameter.opts if o.startswith("--") and f"`{o}" not in page]
    assert missing == []
