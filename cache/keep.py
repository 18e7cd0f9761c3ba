"""`Keep`: how a result is kept: how long, under which tags; which exceptions are results."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pstructs.cache.entry import Entry
from pstructs.errors import UnsavableError

__all__ = ["Keep"]


def _name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _with_subclasses(classes: tuple[type[Any], ...]) -> Iterator[type[Any]]:
    for cls in classes:
        yield cls
        yield from _with_subclasses(tuple(cls.__subclasses__()))


@dataclass(frozen=True, slots=True)
class Keep:
    """What to do with a result.

    Parameters
    ----------
    ttl : float, optional
        Seconds that a result is good; None: until it is evicted or invalidated.
    tags : tuple of str
        What it can be invalidated by.
    errors : tuple of exception classes
        Exceptions that are answers ("there is none"): they are cached and raised again.
    negative_ttl : float, optional
        Seconds that None and the exceptions in `errors` are good; None: as other results.
    jitter : float
        Part of the time to live, 0 to 1, of which a random share is taken off, so that what was
        computed together does not expire together.
    """

    ttl: float | None = None
    tags: tuple[str, ...] = ()
    errors: tuple[type[Exception], ...] = ()
    negative_ttl: float | None = None
    jitter: float = 0.0

    def __post_init__(self) -> None:
        for name in ("ttl", "negative_ttl"):
            seconds = getattr(self, name)
            if seconds is not None and not seconds > 0:
                raise ValueError(
                    f"{name} is a number of seconds above 0, or None; got {seconds!r}"
                )
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"jitter is between 0 and 1, got {self.jitter!r}")
        if isinstance(self.tags, str) or not all(isinstance(tag, str) for tag in self.tags):
            raise TypeError(f"tags is a tuple of str, got {self.tags!r}")
        for cls in self.errors:
            if not (isinstance(cls, type) and issubclass(cls, Exception)):
                raise TypeError(f"errors is a tuple of exception classes, got {cls!r}")

    def _expires(self, now: float, negative: bool) -> float | None:
        ttl = self.negative_ttl if negative and self.negative_ttl is not None else self.ttl
        if ttl is None:
            return None
        # spread, not secret
        return now + ttl * (1 - self.jitter * random.random())

    def result(self, value: object, now: float, copies: bool) -> Entry:
        """Return the entry of a result."""
        return Entry.of(value, self._expires(now, value is None), self.tags, copies=copies)

    def failure(self, error: Exception, now: float) -> Entry | None:
        """Return the entry of an exception; None when it is none of `errors`.

        An exception that its class can't make again from its arguments is not kept.
        """
        if not isinstance(error, self.errors):
            return None
        arguments: tuple[Any, ...] = error.args
        try:
            entry = self._failed(type(error), arguments, now)
        except UnsavableError:
            arguments = (str(error),)
            entry = self._failed(type(error), arguments, now)
        try:
            type(error)(*arguments)
        except Exception:
            return None
        return entry

    def _failed(self, cls: type[Exception], arguments: tuple[Any, ...], now: float) -> Entry:
        value = [_name(cls), list(arguments)]
        return Entry.of(value, self._expires(now, True), self.tags, failure=True)

    def accepts(self, entry: Entry) -> bool:
        """Whether an entry is an answer here: a result, or an exception that is one."""
        return not entry.failure or self._class_of(entry.value()[0]) is not None

    def open(self, entry: Entry) -> Any:
        """Return the result in an entry, or raise the exception in it."""
        value = entry.value()
        if not entry.failure:
            return value
        cls = self._class_of(value[0])
        assert cls is not None  # accepts() said so
        raise cls(*value[1])

    def _class_of(self, name: object) -> type[Exception] | None:
        """Found among `errors` and what is made from them: a name never causes an import."""
        return next((cls for cls in _with_subclasses(self.errors) if _name(cls) == name), None)
