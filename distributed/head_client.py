"""What a process does to talk to a head's actor: ask for what is new, send writes, and open both.

Everything that comes is opened into the link of the process (head_link.py), which remembers the
newest version; so an answer brings only what was made since.
"""

from __future__ import annotations

import time
import uuid as uuids
from collections.abc import Callable
from typing import Any

from pstructs.distributed.buffers import PackBuffer
from pstructs.distributed.head_actor import Answer, News, Opening, Write
from pstructs.distributed.head_link import Link, connect, forget
from pstructs.distributed.head_log import Row
from pstructs.errors import HeadBusyError, HeadError, HeadGoneError, HeadTimeoutError
from pstructs.packs import PackWriter

__all__ = ["HeadClient"]


class HeadClient:
    """The exchanges that the methods of a `Head` are made of."""

    __slots__ = ("_link_", "_opening", "_timeout", "_write_id")

    def __init__(self, opening: Opening, timeout: float, write_id: str | None) -> None:
        self._opening, self._timeout, self._write_id = opening, timeout, write_id
        self._link_: Link | None = None

    @property
    def name(self) -> str:
        """The name."""
        return self._opening.name

    def _until(self, timeout: float | None) -> float:
        return time.monotonic() + (self._timeout if timeout is None else timeout)

    def _id(self) -> str:
        return uuids.uuid4().hex if self._write_id is None else self._write_id

    def _link(self) -> Link:
        if self._link_ is None or not self._link_.current:
            self._link_ = connect(self._opening)
        return self._link_

    def _call(self, method: str, args: tuple[Any, ...], until: float) -> Any:
        return self._link().call(method, args, until)

    def _seen_number(self) -> int | None:
        seen = self._link().seen
        return None if seen is None else seen[0].number

    def _newest(self, until: float) -> tuple[Row, Any]:
        seen = self._seen_number()
        news = self._call("read", (seen,), until)
        newest: Row = news.rows[-1]
        if seen is not None and newest.number < seen:
            forget(self._link())
            self._link_ = None
            raise HeadGoneError(
                f"head {self.name!r} is at version {newest.number} and was at {seen}: it was "
                "begun anew, or another folder was opened as its store"
            )
        return self._take(news, until)

    def _take(self, news: News, until: float) -> tuple[Row, Any]:
        """Open what came; the link remembers the newest version that was seen."""
        link, row = self._link(), news.rows[-1]
        seen = link.seen
        if seen is not None and seen[0] == row:
            return seen
        taken = row, link.open(row, news.packs, until)
        link.saw(taken)
        return taken

    def _opened(self, answer: Answer, until: float) -> tuple[Row, Any]:
        if answer.news.rows:
            return self._take(answer.news, until)
        return self._newest(until)  # made so long ago that its version is not kept

    def _send(
        self, kind: str, base: tuple[int, bytes], value: Any, write_id: str, until: float
    ) -> Answer:
        """Send a write until there is an answer other than that the actor is busy."""
        link = self._link()
        importable: Callable[[Any], bool] | None = link.mine
        while True:
            writer = PackWriter(value, importable=importable)
            write = Write(write_id, kind, *base, PackBuffer(writer.image))
            try:
                answer: Answer = link.call("write", (write, self._seen_number()), until)
            except (HeadTimeoutError, HeadGoneError) as error:
                if isinstance(error, HeadGoneError) and self._opening.store is None:
                    raise  # what was written is gone as well
                raise type(error)(
                    f"{error}. Whether the write {write_id!r} was made is not known: repeat it "
                    f"with using(write_id={write_id!r}) to have it made once",
                    write_id,
                ) from None
            if answer.outcome in ("done", "again", "moved", "conflict"):
                return answer
            if answer.outcome == "missing" and importable is not None:
                importable = None  # all of it, since what it pointed into is gone
            elif answer.outcome == "busy":
                pause = float(answer.detail)
                if time.monotonic() + pause > until:
                    raise HeadBusyError(
                        f"head {self.name!r}: too many writes wait; nothing was changed. Try "
                        f"again in {pause:.2g} s",
                        pause,
                    )
                time.sleep(pause)
            elif isinstance(answer.detail, Exception):
                raise answer.detail
            else:
                raise HeadError(f"head {self.name!r}: {answer.detail}")
