"""The command `pstructs`: the roof of the house.

It may import everything below it and nothing imports it. This module itself imports only the
standard library, so that a missing extra ends in a sentence and not in a traceback; the commands
are in `pstructs._cli`.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    args : sequence of str, optional
        The words after `pstructs`; by default those of this process.

    Returns
    -------
    int
        0 when all went well, 1 when the command failed, 2 when it was called in a wrong way.
    """
    from pstructs._cli.errors import FAILED, message

    for stream in (sys.stdout, sys.stderr):
        # a terminal that has no → is no reason to fail
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    try:
        from pstructs._cli.app import app
    except ModuleNotFoundError as error:
        sys.stderr.write(message(error) + "\n")
        return FAILED
    try:
        app(args=None if args is None else list(args), prog_name="pstructs")
    except SystemExit as exit:
        return exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    return 0


if __name__ == "__main__":
    sys.exit(main())
