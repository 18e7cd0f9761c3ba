"""`pstructs demo`: every step on real data, timed, and checked against plain Python."""

from __future__ import annotations

import json
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import perf_counter

from pstructs._cli import demo_ray, demo_store, screen
from pstructs._cli.demo_data import load
from pstructs._cli.demo_store import Demo
from pstructs._cli.demo_table import table
from pstructs._cli.errors import CommandError
from pstructs._cli.text import count, seconds

__all__ = ["run"]

TABLE_COLUMNS = 100


def run(*, input: Path | None, store: Path | None, versions: int, use_ray: bool) -> None:
    """The whole demo."""
    folder = _new_folder(store)
    start = perf_counter()
    why_not = demo_ray.missing() if use_ray else "left out with --no-ray"
    with screen.progress() as shown:
        with screen.bar("Reading the input", shown) as move:
            data = load(input, move)
        with _scratch(folder) as scratch:
            demo = Demo(data, folder, scratch, versions, shown)
            demo_store.run(demo)
            if why_not:
                demo_ray.run_here(demo)
            else:
                demo_ray.run_with_workers(demo)
    _report(demo, why_not, perf_counter() - start)


def _new_folder(wanted: Path | None) -> Path:
    """A folder that does not exist or is empty; nothing of the user's is ever written over."""
    if wanted is not None:
        if wanted.exists() and (not wanted.is_dir() or any(wanted.iterdir())):
            raise CommandError(f"{wanted} is there already. Choose a new folder with --store")
        return wanted
    folder, number = Path("demo-store"), 1
    while folder.exists():
        number += 1
        folder = Path(f"demo-store-{number}")
    return folder


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for the pickles, on the same disk as the store."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pstructs-demo-", dir=folder.parent) as scratch:
        yield Path(scratch)


def _report(demo: Demo, why_not: str, took: float) -> None:
    console = screen.out(least=TABLE_COLUMNS)
    path = shlex.quote(str(demo.folder))
    console.print(f"\n{demo.data.title}", markup=False)
    console.print(table(demo.rows))
    console.print(
        f"Checked: {count(demo.checks, 'answer')} compared with plain Python, all equal. "
        f"The demo took {seconds(took)}."
    )
    console.print("Ratio: dict + pickle by pstructs, so above 1 pstructs is better.")
    for note in demo.notes:
        console.print(note, markup=False)
    if why_not:
        console.print(f"Without Ray workers: {why_not}.", markup=False)
    changed = demo.a_changed_key
    key = shlex.quote(changed if isinstance(changed, str) else json.dumps(changed))
    console.print(f"\nThe store is in {path}. Look around:", markup=False)
    for command in (
        f"log {path}",
        f"show {path}",
        f"show {path} --key {key}",
        f"diff {path} {demo.first} {demo.last}",
        f"verify {path}",
    ):
        console.print(f"  pstructs {command}", markup=False, soft_wrap=True)
