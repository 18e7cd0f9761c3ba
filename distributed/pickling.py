"""Collections that are passed straight to a task, returned from one, or put with `ray.put`.

`PMap.__reduce__` pickles all entries, which is right for files and for small collections. Ray's
own pickler is given another way for large ones: share the collection, once, and send its handle.
The pickler's table of reducers is a property of a process, so `enable()` has to run in each one
that is to *send* collections like this. Receiving needs nothing: the pickle names a function of
this module, and importing it enables the process too, so a task that got a large collection also
returns large ones by handle.

    driver            f.remote(big)   share(big) -> handle     pickle: 100 bytes
    worker            def f(m): ...   m is read in place       return m2: the new nodes only

Only values that Ray itself puts into a task or the object store go by handle. Whoever pickles with
`ray.cloudpickle` on his own, say into a checkpoint file, gets all entries: a handle in a file
would outlive its pack.
"""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pstructs import PMap, PSet
from pstructs.distributed.backend import sending
from pstructs.errors import ShareError, UnsavableError

if TYPE_CHECKING:
    from pstructs.distributed.handle import Handle

__all__ = ["AUTO_SHARE_ENTRIES", "enable"]

log = logging.getLogger("pstructs.distributed")

AUTO_SHARE_ENTRIES = 10_000
"""Entries from which on a collection goes by handle.

Milliseconds of one call of an actor with a map of str to int, sent for the first time and again:
1,000 entries 5.2 and 1.0 by handle, 1.1 pickled; 10,000 9.9 and 1.0, 6.9 to 7.6 pickled; 30,000
12 and 1.1, 20 pickled. So a map of 10,000 that is sent twice is cheaper by handle.
"""


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
        for cls in (PMap, PSet):
            context._register_cloudpickle_reducer(cls, _reduce)
        SETTINGS.enabled = True
    return True


def _reduce(value: PMap[Any, Any] | PSet[Any]) -> tuple[Any, ...] | str:
    """What Ray's pickler writes for a collection (exact types only, never a subclass)."""
    from pstructs.distributed.handle import share

    if len(value) >= SETTINGS.entries and sending():
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


def _reopen(handle: Handle[Any]) -> Any:
    """The other end of `_reduce`."""
    return handle.open()
