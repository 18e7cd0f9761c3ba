"""Every error that pstructs raises, in one small tree.

`PstructsError` is the root. Each class also derives from the built-in exception that a caller
would expect (`TypeError`, `ValueError`, `KeyError`, `OSError`), so code written against the
built-ins goes on working. A message says what was wrong, with which value, and what to do.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ArchivedVersionError",
    "CodecError",
    "DamagedExportError",
    "DamagedPackError",
    "EvolverBusyError",
    "ExpiredVersionError",
    "ForeignPackError",
    "FuturePackError",
    "FutureStoreError",
    "HeadBusyError",
    "HeadError",
    "HeadGoneError",
    "HeadMovedError",
    "HeadTimeoutError",
    "HeldVersionError",
    "HistoryBusyError",
    "HistoryEndError",
    "HistoryError",
    "InputFormatError",
    "InvalidValueError",
    "MergeConflictError",
    "MissedVersionsError",
    "MissingBaseError",
    "MissingPackError",
    "MissingPathError",
    "MissingStepError",
    "MissingVersionError",
    "NameTakenError",
    "PackError",
    "PstructsError",
    "ReentryError",
    "ShareError",
    "StoreBusyError",
    "StoreClosedError",
    "StoreDamagedError",
    "StoreError",
    "StoreFullError",
    "StorePathError",
    "StreamFullError",
    "TagMovedError",
    "UnsavableError",
    "UnsavableKeyError",
    "UnsavableValueError",
    "WatchError",
    "WorkCancelledError",
    "WriteIdError",
]


class PstructsError(Exception):
    """Root of all errors of this library."""


class EvolverBusyError(PstructsError, RuntimeError):
    """An evolver was written to while one of its own operations was still running."""


class MergeConflictError(PstructsError, ValueError):
    """A three-way merge met keys that both sides changed, and no resolver decided.

    Attributes
    ----------
    conflicts : tuple
        One `(key, base, ours, theirs)` for each key; a missing side is `pstructs.ABSENT`.
    """

    def __init__(self, message: str, conflicts: tuple[Any, ...] = ()) -> None:
        super().__init__(message)
        self.conflicts = conflicts

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.conflicts))


class CodecError(PstructsError, ValueError):
    """A codec can't be registered, or it returned something that can't be written."""


class UnsavableError(PstructsError, TypeError):
    """A key or value has a type that packs can't hold."""


class UnsavableKeyError(UnsavableError):
    """A key has a type outside the hash domain: it works in memory and can't be saved."""


class UnsavableValueError(UnsavableError):
    """A value has a type that packs can't hold and no codec is registered for it."""


class PackError(PstructsError, ValueError):
    """A pack can't be read."""


class DamagedPackError(PackError):
    """Bytes of a pack are not what was written: truncated, flipped, or made up."""


class ForeignPackError(PackError):
    """The bytes are not a pack, or one of another hash domain."""


class FuturePackError(PackError):
    """The pack was written by a later version with features that this one lacks."""


class MissingPackError(PackError, LookupError):
    """A pack refers to another pack that can't be found."""


class StoreError(PstructsError):
    """A snapshot store can't do what was asked."""


class StorePathError(StoreError, OSError):
    """The path given for a store can't be one."""


class StoreBusyError(StoreError):
    """Others use the store, and what was asked has to be done alone; the message names them."""


class StoreClosedError(StoreError, ValueError):
    """The store was closed, or refuses writes after a failed sync."""


class StoreFullError(StoreError, OSError):
    """The disk is full; nothing was committed."""


class StoreDamagedError(StoreError):
    """The catalog of a store, or a pack it lists, is damaged.

    Attributes
    ----------
    problems : tuple of str
        All that `SnapshotStore.verify` found, one text each; empty when the damage was met
        while doing something else.
    """

    def __init__(self, message: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.problems))


class FutureStoreError(StoreError):
    """The store was written by a later version of this library."""


class MissingVersionError(StoreError, LookupError):
    """No version, head or tag has this name."""


class NameTakenError(StoreError, ValueError):
    """There is a head or tag of this name already."""


class ExpiredVersionError(MissingVersionError):
    """The value of a version was given up; the message says when and why."""


class ArchivedVersionError(ExpiredVersionError):
    """The value of a version is in an archive that is not attached; the message names the file."""


class HeldVersionError(StoreError):
    """A version is under a legal hold, and what was asked would take its value away."""


class DamagedExportError(StoreError, ValueError):
    """An export file, or what another store sent, is damaged or made up; nothing was taken in."""


class MissingBaseError(StoreError, LookupError):
    """What was sent builds on versions or packs that the receiving store does not have.

    Attributes
    ----------
    missing : tuple of str
        Ids of the versions, and uuids of the packs.
    """

    def __init__(self, message: str, missing: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.missing = missing

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.missing))


class HeadMovedError(StoreError):
    """Someone else moved the head since it was read.

    Attributes
    ----------
    expected, actual : pstructs.cache.Version or None
        Where the head should have been, and where it is; None: there is no such head.
    """

    def __init__(self, message: str, expected: Any = None, actual: Any = None) -> None:
        super().__init__(message)
        self.expected, self.actual = expected, actual

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.expected, self.actual))


class TagMovedError(StoreError):
    """Two stores have a tag of one name for different versions; tags don't move."""


class WriteIdError(StoreError, ValueError):
    """The store has a commit with this write id that saved something else."""


class ShareError(PstructsError, RuntimeError):
    """A shared collection can't be published or reached."""


class HeadError(PstructsError, RuntimeError):
    """A head in a cluster can't do what was asked."""


class HeadGoneError(HeadError):
    """There is no such head in the cluster: it died, or the node of its store did.

    Attributes
    ----------
    write_id : str or None
        Of a write that may be in the store or not: the same write with this id is made once.
    """

    def __init__(self, message: str, write_id: str | None = None) -> None:
        super().__init__(message)
        self.write_id = write_id

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.write_id))


class HeadBusyError(HeadError):
    """Too many writes wait, or too many others changed the head; nothing was written.

    Attributes
    ----------
    retry_after : float
        Seconds after which to try again.
    conflicts : tuple
        Paths to the places that others had changed at the last try; empty when there was none.
    """

    def __init__(
        self, message: str, retry_after: float = 0.0, conflicts: tuple[Any, ...] = ()
    ) -> None:
        super().__init__(message)
        self.retry_after, self.conflicts = retry_after, conflicts

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.retry_after, self.conflicts))


class StreamFullError(HeadBusyError):
    """A stream keeps as many events as it may; nothing was appended."""


class HeadTimeoutError(HeadError, TimeoutError):
    """A head did not answer in time.

    Attributes
    ----------
    write_id : str or None
        Of a write that may have been made or not: the same write with this id is made once.
    """

    def __init__(self, message: str, write_id: str | None = None) -> None:
        super().__init__(message)
        self.write_id = write_id

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.write_id))


class MissedVersionsError(HeadError, LookupError):
    """A subscriber asks for versions that the head no longer keeps.

    Attributes
    ----------
    oldest : int
        Number of the oldest version that is kept.
    """

    def __init__(self, message: str, oldest: int = 0) -> None:
        super().__init__(message)
        self.oldest = oldest

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.oldest))


class WorkCancelledError(PstructsError, RuntimeError):
    """Work on the parts of a collection was given up because its user asked for it."""


class HistoryError(PstructsError):
    """A history can't do what was asked; it is as it was."""


class HistoryEndError(HistoryError, LookupError):
    """There is nothing to undo, or nothing to redo."""


class MissingStepError(HistoryError, LookupError):
    """A history holds no such step: it was dropped, or belongs to another history."""


class HistoryBusyError(HistoryError, RuntimeError):
    """The history is in a state in which this can't be done.

    A group is open, an atom is followed, or one of its own operations is still running.
    """


class InvalidValueError(PstructsError, ValueError):
    """The validator of an atom refused a value; the atom keeps the one that it had."""


class WatchError(PstructsError, RuntimeError):
    """The value of an atom was changed, and watches that were told of it raised.

    Attributes
    ----------
    old, new : object
        The change that was made.
    errors : tuple of Exception
        What the watches raised, in their order; the first one is the cause, too.
    """

    def __init__(
        self, message: str, old: Any = None, new: Any = None, errors: tuple[Exception, ...] = ()
    ) -> None:
        super().__init__(message)
        self.old, self.new, self.errors = old, new, errors

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.args[0], self.old, self.new, self.errors))


class MissingPathError(PstructsError, LookupError):
    """A path leads to nothing: a key is missing, or an index is out of range."""


class ReentryError(PstructsError, RuntimeError):
    """A function would have to be called for ever, since each call calls for another one."""


class InputFormatError(PstructsError, ValueError):
    """A line of an input file can't be read.

    Attributes
    ----------
    path : str
        The file.
    line : int
        Number of the line, from 1; 0 when the file as a whole is meant.
    """

    def __init__(self, path: str, line: int, problem: str) -> None:
        where = f"{path}:{line}" if line else path
        super().__init__(f"{where}: {problem}")
        self.path, self.line, self.problem = path, line, problem

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), (self.path, self.line, self.problem))
