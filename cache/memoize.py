"""`memoize`: results of functions, kept under the digests of their arguments.

Equal digests mean equal contents, so a result that is found is the result of just these
arguments, whichever process or machine computed it: it can't be stale. What a function reads
beside its arguments (a file, a global, a helper that was changed) is not seen: it has to be an
argument, or part of the version.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Iterable
from typing import (
    Any,
    Concatenate,
    Generic,
    NamedTuple,
    ParamSpec,
    Protocol,
    Self,
    TypeVar,
    cast,
    overload,
)

from pstructs.cache.digests import Digest
from pstructs.cache.forks import after_fork
from pstructs.cache.functions import Call, name_of
from pstructs.cache.keep import Keep
from pstructs.cache.memory import MemoryTier
from pstructs.cache.tiered import TieredCache
from pstructs.cache.tiers import TierInfo

__all__ = ["FunctionInfo", "Memoized", "memoize"]

_P = ParamSpec("_P")
_Q = ParamSpec("_Q")
_R = TypeVar("_R")
_R_co = TypeVar("_R_co", covariant=True)


class FunctionInfo(NamedTuple):
    """What a memoized function did in this process, and the figures of its cache."""

    hits: int  # calls that found their result, or waited for another one that computed it
    misses: int  # computed here
    tiers: dict[str, TierInfo]


class Memoized(Protocol[_P, _R_co]):
    """A memoized function: called like the function, with methods for its cached results."""

    __wrapped__: Callable[..., Any]
    __name__: str

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> _R_co:
        """Return the result, cached or computed."""

    @overload
    def __get__(self, instance: None, owner: type[Any], /) -> Self: ...

    @overload
    def __get__(
        self: Memoized[Concatenate[Any, _Q], _R],
        instance: object,
        owner: type[Any] | None = None,
        /,
    ) -> Callable[_Q, _R]: ...

    def key(self, *args: _P.args, **kwargs: _P.kwargs) -> Digest:
        """Return the key under which the cache holds the result of a call."""

    def invalidate(self, *args: _P.args, **kwargs: _P.kwargs) -> bool:
        """Remove the result of one call; whether there was one."""

    def cache_clear(self) -> int:
        """Remove all results of this function; return how many there were."""

    def cache_info(self) -> FunctionInfo:
        """Return how often this function was computed and how often not, and what tiers hold."""


Tags = Iterable[str] | Callable[..., Iterable[str]]


def memoize(
    cache: TieredCache | None = None,
    *,
    version: str | None = None,
    name: str | None = None,
    ignore: Iterable[str] = (),
    tags: Tags = (),
    ttl: float | None = None,
    errors: tuple[type[Exception], ...] = (),
    negative_ttl: float | None = None,
    jitter: float = 0.0,
) -> Callable[[Callable[_P, _R]], Memoized[_P, _R]]:
    """Keep the results of a function: a decorator for plain and async functions and methods.

    A result is kept under the digest of the function and its arguments. Arguments are told apart
    by content and type; defaults count, the order of keyword arguments does not. Of all threads,
    tasks and processes that ask for the same result, one computes it.

    Parameters
    ----------
    cache : TieredCache, optional
        Where results are kept; several functions may share one. By default 256 MiB of memory.
    version : str, optional
        Say here when the function would give other results. By default a digest of its code is
        part of the key, which changes with the function, but not with what the function calls.
    name : str, optional
        What the function is called in keys, in place of its module and qualified name.
    ignore : iterable of str
        Parameters that make no difference to the result: a connection, a logger, often `self`.
    tags : iterable of str, or callable
        What results can be invalidated by; a callable gets the arguments of the call.
    ttl : float, optional
        Seconds that a result is good.
    errors : tuple of exception classes
        Exceptions that are answers: kept, and raised again. Others never are.
    negative_ttl : float, optional
        Seconds that None and those exceptions are good, in place of `ttl`.
    jitter : float
        Part of the time to live, 0 to 1, of which a random share is taken off.

    Returns
    -------
    callable
        The decorator; see `Memoized` for what it makes.

    Raises
    ------
    ValueError
        When the function reads variables of a function around it and has no version.
    UnsavableKeyError, UnsavableValueError
        From a call, when an argument or the result can't be saved.
    ReentryError
        From a call that, while it is computed, makes the same call.

    Notes
    -----
    A method's `self` is an argument like the others: it has to be savable (a `PClass`, a frozen
    dataclass with `packable`) or ignored. `Class.method.key(obj, ...)` is the key of a call.

    *Cost*: of a hit in memory, some microseconds and the digest of the arguments: O(1) for a
    collection that was saved, loaded or used as an argument before, O(n) for the first time.

    Examples
    --------
    >>> from pstructs import pmap
    >>> @memoize()
    ... def total(prices, factor=1):
    ...     print("computing")
    ...     return sum(prices.values()) * factor
    >>> total(pmap({"tea": 3, "jam": 4}))
    computing
    7
    >>> total(factor=1, prices=pmap({"jam": 4, "tea": 3}))
    7
    >>> info = total.cache_info()
    >>> info.hits, info.misses
    (1, 1)
    """
    kept_in = TieredCache(MemoryTier()) if cache is None else cache

    def decorate(function: Callable[_P, _R]) -> Memoized[_P, _R]:
        known_as = name_of(function, name, version)
        plan: _Plan[_P] = _Plan(
            kept_in,
            Call(function, known_as, ignore),
            f"function:{known_as}",
            tags,
            functools.partial(Keep, ttl, errors=errors, negative_ttl=negative_ttl, jitter=jitter),
        )
        wrapper: Any = (
            _async_wrapper(plan, function)
            if inspect.iscoroutinefunction(function)
            else _wrapper(plan, function)
        )
        functools.update_wrapper(wrapper, function)
        wrapper.key, wrapper.invalidate = plan.key, plan.invalidate
        wrapper.cache_clear, wrapper.cache_info = plan.cache_clear, plan.cache_info
        return cast("Memoized[_P, _R]", wrapper)

    return decorate


class _Plan(Generic[_P]):
    """One memoized function: where its results are, under which keys, and how they are kept."""

    def __init__(
        self, cache: TieredCache, call: Call, own_tag: str, tags: Tags, keep: Callable[..., Keep]
    ) -> None:
        self.cache, self.call, self._own_tag = cache, call, own_tag
        self._tags_of = tags if callable(tags) else None
        self._tags: tuple[str, ...] = () if callable(tags) else _checked(tags)
        self._keep = keep
        self.always = keep(tags=(own_tag, *self._tags))
        self._calls = self._misses = 0
        self._after_fork()
        after_fork(self)

    def _after_fork(self) -> None:
        self._lock = threading.Lock()

    def keep(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Keep:
        """Return how the result of this call is kept."""
        if self._tags_of is None:
            return self.always
        return self._keep(tags=(self._own_tag, *_checked(self._tags_of(*args, **kwargs))))

    def called(self) -> None:
        """Count a call."""
        with self._lock:
            self._calls += 1

    def missed(self) -> None:
        """Count a computation."""
        with self._lock:
            self._misses += 1

    def key(self, *args: _P.args, **kwargs: _P.kwargs) -> Digest:
        """Return the key under which the cache holds the result of a call."""
        return self.call.key(args, kwargs)

    def invalidate(self, *args: _P.args, **kwargs: _P.kwargs) -> bool:
        """Remove the result of one call; whether there was one."""
        return self.cache.delete(self.call.key(args, kwargs))

    def cache_clear(self) -> int:
        """Remove all results of this function; return how many there were."""
        return self.cache.invalidate(self._own_tag)

    def cache_info(self) -> FunctionInfo:
        """Return the figures of this function and of its cache."""
        with self._lock:
            calls, misses = self._calls, self._misses
        return FunctionInfo(calls - misses, misses, self.cache.cache_info())


def _checked(tags: Iterable[str]) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise TypeError(f"tags are a collection of str, got the str {tags!r}")
    return tuple(tags)


def _wrapper(plan: _Plan[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    near = plan.cache.near

    def memoized(*args: Any, **kwargs: Any) -> Any:
        key = plan.call.key(args, kwargs)
        plan.called()
        entry = near(key)
        if entry is not None and not entry.failure:  # most calls, so without the rest
            return entry.value()

        def compute() -> Any:
            plan.missed()
            return function(*args, **kwargs)

        return plan.cache.once(key, compute, plan.keep(args, kwargs), entry)

    return memoized


def _async_wrapper(plan: _Plan[Any], function: Callable[..., Any]) -> Callable[..., Any]:
    near = plan.cache.near

    async def memoized(*args: Any, **kwargs: Any) -> Any:
        key = plan.call.key(args, kwargs)
        plan.called()
        entry = near(key)
        if entry is not None and not entry.failure:  # most calls, so without the rest
            return entry.value()

        async def compute() -> Any:
            plan.missed()
            return await function(*args, **kwargs)

        return await plan.cache.once_async(key, compute, plan.keep(args, kwargs), entry)

    return memoized
