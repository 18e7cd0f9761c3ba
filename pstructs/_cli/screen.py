"""The two consoles: results on stdout, progress on stderr."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

__all__ = ["bar", "out", "progress"]

WIDE = 160
"""Columns of a table that goes into a file or a pipe, unless COLUMNS says otherwise."""


def out(*, least: int = 0) -> Console:
    """A console on stdout, at least `least` columns wide: better wide than cut."""
    console = Console(highlight=False)
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console.width = WIDE
    console.width = max(console.width, least)
    return console


@contextlib.contextmanager
def progress() -> Iterator[Progress]:
    """Bars on stderr that vanish when done, and stay away where stderr is not a terminal."""
    console = Console(stderr=True)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
    )
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as shown:
        yield shown


@contextlib.contextmanager
def bar(title: str, shown: Progress | None = None) -> Iterator[Callable[[int, int], None]]:
    """One bar; the function that moves it takes (done, total)."""
    if shown is None:
        with progress() as own, bar(title, own) as move:
            yield move
        return
    task = shown.add_task(title, total=None)
    try:
        yield lambda done, total: shown.update(task, completed=done, total=total)
    finally:
        shown.remove_task(task)
