"""Every error that pstructs raises, in one small tree.

`PstructsError` is the root. Each class also derives from the built-in exception that a caller
would expect (`TypeError`, `ValueError`, `KeyError`, `OSError`), so code written against the
built-ins goes on working. A message says what was wrong, with which value, and what to do.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "CodecError",
    "DamagedPackError",
    "EvolverBusyError",
    "ForeignPackError",
    "FuturePackError",
    "FutureStoreError",
    "HeadMovedError",
    "HistoryBusyError",
    "HistoryEndError",
    "HistoryError",
    "InputFormatError",
    "InvalidValueError",
    "MergeConflictError",
    "MissingPackError",
    "MissingPathError",
    "MissingStepError",
    "MissingVersionError",
    "PackError",
    "PstructsError",
    "ReentryError",
    "ShareError",
    "StoreClosedError",
    "StoreDamagedError",
    "StoreError",
    "StoreFullError",
    "StorePathError",
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


class WriteIdError(StoreError, ValueError):
    """The store has a commit with this write id that saved something else."""


class ShareError(PstructsError, RuntimeError):
    """A shared collection can't be published or reached."""


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
