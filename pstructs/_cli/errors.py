"""From an exception to the one line that a user reads: what went wrong, and what to do."""

from __future__ import annotations

__all__ = ["FAILED", "CommandError", "expected", "message"]

from pstructs.errors import PstructsError

FAILED = 1
"""Exit code of a command that failed; 2 is a command called in a wrong way."""

EXTRAS = {
    "typer": "cli",
    "click": "cli",
    "rich": "cli",
    "diskcache": "cache",
    "cachetools": "cache",
    "fsspec": "remote",
    "zstandard": "compress",
    "ray": "distributed",
}


class CommandError(PstructsError):
    """A command can't do what was asked, and no class of the library says why."""


def _missing(error: BaseException) -> tuple[str, str] | None:
    """The module that is not installed and the extra that brings it."""
    if not isinstance(error, ModuleNotFoundError) or not error.name:
        return None
    name = error.name.partition(".")[0]
    extra = EXTRAS.get(name)
    return (name, extra) if extra else None


def expected(error: BaseException) -> bool:
    """Is this an error that its message explains, without a traceback?"""
    return isinstance(error, PstructsError | OSError) or _missing(error) is not None


def message(error: BaseException) -> str:
    """One line for `error`.

    Examples
    --------
    >>> message(ModuleNotFoundError("No module named 'diskcache'", name="diskcache"))
    "error: diskcache is not installed. Run: pip install 'pstructs[cache]'"
    >>> message(FileNotFoundError(2, "No such file or directory", "people.csv"))
    'error: people.csv: no such file or directory'
    """
    missing = _missing(error)
    if missing:
        text = f"{missing[0]} is not installed. Run: pip install 'pstructs[{missing[1]}]'"
    elif isinstance(error, OSError) and error.strerror:
        what = error.strerror[:1].lower() + error.strerror[1:]
        text = f"{error.filename}: {what}" if error.filename else what
    else:
        text = str(error) or type(error).__name__
    return "error: " + " ".join(text.split())
