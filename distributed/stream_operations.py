"""What the actor of a stream's head does itself, so that appends never conflict.

The value of such a head is a map: `events`, a vector; `first`, the offset of its first element,
which grows when old events are dropped; `offsets`, where each consumer is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pstructs import PMap, m, pmap, v
from pstructs.errors import StreamFullError

__all__ = ["EMPTY", "OPERATIONS", "end"]

EMPTY: Final[PMap[str, Any]] = m(first=0, events=v(), offsets=pmap())


def end(value: PMap[str, Any]) -> int:
    """Offset behind the last event."""
    return int(value["first"] + len(value["events"]))


def _append(value: PMap[str, Any], sent: Any) -> PMap[str, Any]:
    """Append events while fewer than `most` are kept."""
    events, most = sent["events"], sent["most"]
    if len(value["events"]) + len(events) > most:
        raise StreamFullError(
            f"the stream keeps {len(value['events'])} events and may keep {most}; {len(events)} "
            "more do not fit. Let the consumers commit, and drop() what all of them have had",
            0.1,
        )
    return value.set("events", value["events"].extend(events))


def _commit(value: PMap[str, Any], sent: Any) -> PMap[str, Any]:
    """Move a consumer forward; never back, so that a late retry does no harm."""
    name, offset = sent["consumer"], sent["offset"]
    offset = max(offset, value["offsets"].get(name, 0))
    return value.set("offsets", value["offsets"].set(name, min(offset, end(value))))


def _seek(value: PMap[str, Any], sent: Any) -> PMap[str, Any]:
    """Put a consumer anywhere."""
    offset = min(max(0, sent["offset"]), end(value))
    return value.set("offsets", value["offsets"].set(sent["consumer"], offset))


def _drop(value: PMap[str, Any], sent: Any) -> PMap[str, Any]:
    """Forget events before an offset, or those that all consumers have had."""
    before = sent["before"]
    if before is None:
        before = min(value["offsets"].values(), default=0)
    before = min(max(before, value["first"]), end(value))
    events = value["events"][before - value["first"] :]
    return value.set("first", before).set("events", events)


OPERATIONS: Final[dict[str, Callable[[PMap[str, Any], Any], PMap[str, Any]]]] = {
    "append": _append,
    "commit": _commit,
    "seek": _seek,
    "drop": _drop,
}
