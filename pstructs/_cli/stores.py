"""Open a store for a command, and find keys by what the user typed."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pstructs._cli.errors import CommandError
from pstructs.errors import StorePathError

if TYPE_CHECKING:
    from pstructs.cache import SnapshotStore

__all__ = ["find_key", "opened"]


@contextlib.contextmanager
def opened(path: Path, *, create: bool = False) -> Iterator[SnapshotStore]:
    """The store at `path`, which has to be there already unless `create`."""
    from pstructs.cache import SnapshotStore

    if not create and not (path.is_dir() and any(path.iterdir())):
        what = "is not a store" if path.exists() else "does not exist"
        raise StorePathError(f"{path} {what}. Make one with: pstructs import FILE {path}")
    with SnapshotStore(path) as store:
        yield store


def find_key(table: Any, text: str) -> Any:
    """The key of `table` that the user means: the text itself, else the JSON value it spells."""
    with contextlib.suppress(TypeError):  # other keys of a sorted one can't be compared with it
        if text in table:
            return text
    with contextlib.suppress(ValueError, TypeError):
        key = json.loads(text)
        if key in table:
            return key
    some = ", ".join(repr(key) for key, _ in zip(table, range(3), strict=False))
    hint = f"Keys look like {some}" if some else "The version holds no keys"
    kind = "record with the key" if isinstance(table, Mapping) else "item"
    raise CommandError(f"no {kind} {text!r}. {hint}")
