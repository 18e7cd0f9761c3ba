"""`OpenStore`: one handle on a store's folder, and how it lives: what all the methods stand on."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from pstructs.cache.commit import DURABLE, Committer, Durable
from pstructs.cache.dedupe import KnownNodes
from pstructs.cache.folder import open_folder
from pstructs.errors import StoreClosedError

if TYPE_CHECKING:
    import sqlite3

__all__ = ["OpenStore", "Progress"]

#: What long operations call now and then, with what is done and what there is to do.
Progress: TypeAlias = Callable[[int, int], object]


class OpenStore:
    """A handle: the folder it shares with other handles, and what it does with writes."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        durable: Durable = "commit",
        dedupe: bool = False,
    ) -> None:
        if durable not in DURABLE:
            accepted = " or ".join(repr(name) for name in DURABLE)
            raise ValueError(f"durable is {accepted}, got {durable!r}")
        self._durable: Durable = durable
        self._closed = False
        self._folder, self._swept = open_folder(path)
        self._catalog = self._folder.catalog
        self._committer = Committer(self._folder, durable)
        self._known = KnownNodes(self._folder) if dedupe else None
        self._folder.handles += 1

    # ---- life
    @property
    def path(self) -> str:
        """The full path of the store's folder."""
        return self._folder.path

    @property
    def durable(self) -> Durable:
        """What a save promises: `"commit"`, `"group"` or `"none"`."""
        return self._durable

    def close(self) -> None:
        """Close this handle. Loaded collections stay valid; a second close does nothing."""
        if not self._closed:
            self._closed = True
            self._folder.handles -= 1
            if self._folder.handles <= 0:
                self._folder.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed " if self._closed else ""
        return f"<{state}SnapshotStore {self.path!r}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self._durable, self._known is not None))

    def _con(self) -> sqlite3.Connection:
        if self._closed:
            raise StoreClosedError(f"{self.path}: this handle was closed; open the store anew")
        return self._folder.con

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        """Read the catalog within; what goes wrong with it is explained."""
        with self._folder.errors:
            yield self._con()

    def _writable(self) -> None:
        self._con()
        self._committer.check()
