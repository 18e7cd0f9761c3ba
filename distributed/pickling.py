"""Collections that are passed straight to a task, returned from one, or put with `ray.put`.

`PMap.__reduce__` pickles all entries, which is right for files and for small collections. Ray's
own pickler is given another way for large ones: share the collection, once, and send its handle.
The pickler's table of reducers is a property of a process, so `enable()` has to run in each one
that is to *send* collections like this. Receiving needs nothing: the pickle names a function of
this module, and importing it enables the process too, so a task that got a large collection also
returns large ones by handle.

    driver            f.remote(big)   share(big) -> handle     pickle: a reference
    worker            def f(m): ...   m is read in place       return m2: the new nodes only

Only values that Ray itself puts into a task or the object store go by handle. Whoever pickles with
`ray.cloudpickle` on his own, say into a checkpoint file, gets all entries: a handle in a file
would outlive its pack.
"""

from __future__ import annotations

import importlib
import itertools
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pstructs import PBag, PDeque, PList, PMap, PSet, PSortedMap, PSortedSet, PVector
from pstructs.distributed.backend import sending
from pstructs.errors import ShareError, UnsavableError

if TYPE_CHECKING:
    from pstructs.distributed.handle import Handle

__all__ = ["AUTO_SHARE_ENTRIES", "enable"]

log = logging.getLogger("pstructs.distributed")

AUTO_SHARE_ENTRIES = 10_000
"""Entries from which on a collection goes by handle, those of collections inside counted.

Milliseconds of one call of an actor, by handle for the first time, by handle again, and pickled
each time (str keys and elements, int values; two cores):

    entries       map             vector          sorted map      deque
      3,000   1.5  0.9  1.7    1.5  0.9  1.1    1.4  0.9  1.6    1.3  0.8  1.0
     10,000   7.6  0.9  6.7    5.6  0.9  1.9    7.1  0.9  5.7    7.0  0.9  2.0
     30,000    17  1.0   23    9.6  0.9  9.8    9.5  1.0   13    8.1  0.9  8.3

So 10,000 entries are cheaper by handle when they, or a version derived from them, are sent a few
times, and what a worker pays and keeps in memory does not grow with them.
"""

COLLECTIONS = (PMap, PSet, PVector, PSortedMap, PSortedSet, PDeque, PBag, PList)

DEPTH, SAMPLE = 3, 4


@dataclass
class Settings:
    """What `enable` was asked for in this process."""

    entries: int = AUTO_SHARE_ENTRIES
    owner: str | None = None
    detached: bool | None = None
    enabled: bool = False


SETTINGS = Settings()


def enable(
    *,
    entries: int | None = None,
    owner: str | None = None,
    detached: bool | None = None,
) -> bool:
    """Let Ray send large collections of this process as handles.

    Importing `pstructs.distributed` does this where Ray is installed. Call it to change a setting,
    or name it as Ray's `worker_process_setup_hook` so that workers share the collections that they
    make themselves, before they have received one.

    Parameters
    ----------
    entries : int, optional
        Entries from which on a collection is shared; smaller ones are pickled.
    owner : str, optional
        Name of the actor that owns packs shared from here; by default one for each Ray job.
    detached : bool, optional
        Whether the owner, if it is created from here, outlives the driver.

    Returns
    -------
    bool
        False when Ray is not installed, so that there is nothing to enable.

    Examples
    --------
    >>> import ray                                                       # doctest: +SKIP
    >>> ray.init(runtime_env={
    ...     "worker_process_setup_hook": "pstructs.distributed.enable"
    ... })                                                               # doctest: +SKIP
    """
    if entries is not None:
        SETTINGS.entries = entries
    if owner is not None:
        SETTINGS.owner = owner
    if detached is not None:
        SETTINGS.detached = detached
    if not SETTINGS.enabled:
        try:
            serialization = importlib.import_module("ray.util.serialization")
        except ImportError:
            return False
        context = serialization.StandaloneSerializationContext()
        for cls in COLLECTIONS:
            context._register_cloudpickle_reducer(cls, _reduce)
        SETTINGS.enabled = True
    return True


def _reduce(value: Any) -> tuple[Any, ...] | str:
    """What Ray's pickler writes for a collection (exact types only, never a subclass)."""
    from pstructs.distributed.handle import share

    if sending() and entries_in(value) >= SETTINGS.entries:
        try:
            handle = share(value)
        except (UnsavableError, ShareError) as error:
            log.warning(
                "a collection of %d entries can't be shared and is pickled whole: %s",
                len(value),
                error,
            )
        else:
            if handle.where == "ray":
                return _reopen, (handle,)
    plain: tuple[Any, ...] | str = value.__reduce_ex__(5)
    return plain


def entries_in(value: Any, depth: int = DEPTH) -> int:
    """About how many entries a collection has, with those of the collections in it.

    *Cost*: O(1): a few elements stand for the others.
    """
    count = len(value)
    if depth == 0 or not count:
        return count
    elements = value.values() if isinstance(value, Mapping) else value
    sample = list(itertools.islice(elements, SAMPLE))
    inside = sum(
        entries_in(x, depth - 1)
        for x in sample
        if isinstance(x, Collection) and not isinstance(x, str | bytes | bytearray)
    )
    return count + count * inside // len(sample)


def _reopen(handle: Handle[Any]) -> Any:
    """The other end of `_reduce`."""
    return handle.open()
