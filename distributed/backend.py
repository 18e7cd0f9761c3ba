"""Is there a Ray cluster to work with, and how to talk to it.

Everything here works without Ray as well, in the calling process and with the same results. That
is never silent: the first operation that falls back logs a warning, `backend()` answers
`"process"`, and so does `Handle.where`.

Which thread calls Ray matters. While Ray pickles an object it notes, in thread-local state, which
object references that object contains; a nested call on the same thread would clear those notes,
so it has to run on another one (`aside`). While Ray unpickles it holds a re-entrant lock that
every `ray.get` takes, so there a nested call has to stay on the same thread.
"""

from __future__ import annotations

import importlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

from pstructs.errors import ShareError

__all__ = [
    "DEFAULT_TIMEOUT",
    "STORE_FULL",
    "OwnerGoneError",
    "PackLostError",
    "aside",
    "backend",
    "cluster_of",
    "connected",
    "connection",
    "explained",
    "fetch",
    "ray_or_none",
    "sending",
]

log = logging.getLogger("pstructs.distributed")
T = TypeVar("T")

DEFAULT_TIMEOUT = 30.0
"""Seconds that any one exchange with the cluster may take."""


class PackLostError(ShareError):
    """A pack is not where it was put; it may be elsewhere."""


class OwnerGoneError(PackLostError):
    """The actor that owns the packs does not exist any more.

    Attributes
    ----------
    owner : str
        Its name, where it is known.
    actor_id : str or None
        Which actor of that name it was.
    """

    owner: str = ""
    actor_id: str | None = None


def ray_or_none() -> Any:
    """Return the `ray` module when it is installed and initialised, else None.

    In a Ray task or actor it always is.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError:
        return None
    return ray if ray.is_initialized() else None


def backend() -> Literal["ray", "process"]:
    """Tell where `share` puts a collection now: a Ray cluster, or this process only.

    Returns
    -------
    {"ray", "process"}
        `"process"` when Ray is not installed, or `ray.init()` was not called.

    Examples
    --------
    >>> backend()
    'process'
    """
    return "process" if ray_or_none() is None else "ray"


def connected() -> Any:
    """Return `ray`, or raise ShareError when this process has no cluster."""
    ray = ray_or_none()
    if ray is None:
        raise ShareError(
            "this handle refers to packs in a Ray cluster, and this process is not connected to "
            "one. Call ray.init(address=...) with the address of that cluster first."
        )
    return ray


def cluster_of(ray: Any) -> str:
    """Name what changes when the process connects to another cluster."""
    context = ray.get_runtime_context()
    return f"{context.get_node_id()} {context.get_worker_id()}"


def connection() -> Any:
    """What Ray talks through, to be compared only; None while there is no cluster.

    Unlike `cluster_of` this asks Ray nothing: a question of a background thread that comes in the
    middle of `ray.shutdown()` ends the process.
    """
    worker: Any = importlib.import_module("ray._private.worker").global_worker
    return getattr(worker, "core_worker", None)


_said = False
_said_lock = threading.Lock()


def say_in_process() -> None:
    """Warn, once a process, that there is no cluster and the work is done here."""
    global _said
    with _said_lock:
        if _said:
            return
        _said = True
    try:
        importlib.import_module("ray")
        remedy = "Ray is not initialised; call ray.init() first"
    except ImportError:
        remedy = "Ray is not installed; pip install 'pstructs[distributed]' and call ray.init()"
    log.warning(
        "no cluster: collections stay in this process and work runs here, one part after the "
        "other, with the same results. %s to share them with workers.",
        remedy,
    )


# ---- exchanges with Ray

_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def sending() -> bool:
    """Whether Ray is pickling a task argument, a result or a `ray.put` on this thread."""
    worker: Any = importlib.import_module("ray._private.worker").global_worker
    inside: Callable[[], bool] = worker.get_serialization_context().is_in_band_serialization
    return inside()


def aside(work: Callable[[], T]) -> T:
    """Run `work`, which calls Ray, on a thread where that can't disturb a pickling."""
    global _pool
    if not sending():
        return work()
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max_workers=8, thread_name_prefix="pstructs-ray")
    return _pool.submit(work).result()


STORE_FULL = (
    "the object store is full. Give ray.init() more object_store_memory, or call release() on "
    "handles that are not needed any more."
)


def fetch(ray: Any, ref: Any, timeout: float, doing: str) -> Any:
    """`ray.get` with a time limit, `explained`."""
    with explained(ray, timeout, doing):
        return ray.get(ref, timeout=timeout)


@contextmanager
def explained(ray: Any, timeout: float, doing: str) -> Iterator[None]:
    """What goes wrong in an exchange with Ray becomes a `ShareError` with a remedy.

    Raises
    ------
    OwnerGoneError
        The actor that was asked, or that owned the object, has died.
    ShareError
        Any other failure of the cluster, or the time is up.
    """
    errors = ray.exceptions
    try:
        yield
    except errors.GetTimeoutError as error:
        raise ShareError(
            f"{doing}: no answer within {timeout:g} s. The cluster may be overloaded or a node "
            "unreachable; try again with a larger timeout=."
        ) from error
    except (errors.RayActorError, errors.OwnerDiedError) as error:
        if "creation task" in str(error):
            raise ShareError(
                f"{doing}: the actor that is to own the shared packs can't start, most likely "
                "because workers can't import pstructs.distributed. Install pstructs on every "
                f"node; Ray says: {error}"
            ) from error
        raise OwnerGoneError(
            f"{doing}: the actor that owns the shared packs has died, and they died with it. "
            "Call share() again with the collection and send the new handle."
        ) from error
    except errors.ObjectLostError as error:
        raise PackLostError(
            f"{doing}: the object store has lost the pack. "
            "Call share() again with the collection and send the new handle."
        ) from error
    except (errors.ObjectStoreFullError, errors.OutOfDiskError) as error:
        raise ShareError(f"{doing}: {STORE_FULL}") from error
    except ShareError:
        raise
    except errors.RayError as error:
        raise ShareError(f"{doing}: {error}") from error
