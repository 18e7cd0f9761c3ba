"""immutable: named tuples with `set`, made on the fly."""

from __future__ import annotations

import keyword
from collections import namedtuple
from collections.abc import Iterable
from typing import Any

__all__ = ["immutable"]


def immutable(
    members: str | Iterable[str] = "", name: str = "Immutable", verbose: bool = False
) -> Any:
    """Return a class of named tuples that have `set`: alone, or as a base class.

    Parameters
    ----------
    members : str or iterable of str
        The names, in one text with blanks or commas between them, or one by one. One that ends in
        an underscore is frozen: `set` refuses to change it.
    name : str
        The name of the class.
    verbose : bool
        Whether to print the members and what is frozen.

    Raises
    ------
    SyntaxError
        A member or the name is no identifier.

    Notes
    -----
    Cost: `set` O(members).

    Examples
    --------
    >>> Point = immutable("x, y, id_", name="Point")
    >>> p = Point(1, 2, id_=17)
    >>> p.set(x=3)
    Point(x=3, y=2, id_=17)
    >>> p.set(id_=18)
    Traceback (most recent call last):
    ...
    AttributeError: Cannot set frozen members 'id_'
    """
    names = members.replace(",", " ").split() if isinstance(members, str) else list(members)
    for part in (name, *names):
        if not part.isidentifier() or keyword.iskeyword(part):
            raise SyntaxError(f"{part!r} can't be the name of a class or member")
    make: Any = namedtuple  # what mypy wants as a literal is known here only
    base = make(name, names)
    order = tuple(names)
    known = frozenset(names)
    frozen = [n for n in names if n.endswith("_")]

    def set(self: Any, /, **kwargs: Any) -> Any:
        """Return a tuple with other values for the members that are given."""
        if not kwargs:
            return self
        if unknown := [n for n in kwargs if n not in known]:
            raise AttributeError("'{}' is not a member".format(", ".join(unknown)))
        if refused := [f"'{n}'" for n in frozen if n in kwargs]:
            raise AttributeError("Cannot set frozen members {}".format(", ".join(refused)))
        values = map(kwargs.get, order, self)
        return type(self).__new__(type(self), *values)

    def __repr__(self: Any) -> str:
        fields = ", ".join(f"{n}={value!r}" for n, value in zip(order, self, strict=True))
        return f"{type(self).__name__}({fields})"

    if verbose:
        print(f"{name}({', '.join(names)}), frozen: {', '.join(frozen) or 'none'}")  # noqa: T201
    body = {
        "__slots__": (),
        "__module__": "pyrsistent_immutable",
        "set": set,
        "__repr__": __repr__,
    }
    return type(name, (base,), body)
