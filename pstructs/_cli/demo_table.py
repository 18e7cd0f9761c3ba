"""The one table that the demo prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from pstructs._cli.text import seconds, size, times

__all__ = ["Row", "Side", "table"]


class Side(NamedTuple):
    """What one way of doing a step took; None is left blank.

    `estimated`: worked out from a sample, and shown with a wave.
    """

    seconds: float | None = None
    nbytes: float | None = None
    estimated: bool = False


class Row(NamedTuple):
    """One step, done both ways."""

    step: str
    ours: Side
    theirs: Side = Side()


def table(rows: Sequence[Row]) -> Table:
    """Time and bytes of both ways, and how many times less ours took."""
    out = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", padding=(0, 1))
    out.add_column("\nstep", no_wrap=True)
    for name, style in (("pstructs", "green"), ("dict + pickle", ""), ("ratio", "bold")):
        for head in (f"{name}\ntime", "\nbytes"):
            out.add_column(head, justify="right", style=style, no_wrap=True)
    for row in rows:
        ours, theirs = row.ours, row.theirs
        out.add_row(
            Text(row.step),
            *_cells(ours),
            *_cells(theirs),
            _blank(times(theirs.seconds, ours.seconds)),
            _blank(times(theirs.nbytes, ours.nbytes)),
        )
    return out


def _cells(side: Side) -> list[str]:
    wave = "≈ " if side.estimated else ""
    cells = [_blank(seconds(side.seconds)), _blank(size(side.nbytes))]
    return [cell and wave + cell for cell in cells]


def _blank(cell: str) -> str:
    """Leave out dashes: many rows have no bytes to tell."""
    return "" if cell == "–" else cell
