"""msgspec: hooks that write persistent collections, and read them with validation.

A field of type `PMap[str, int]` is read as msgspec reads `dict[str, int]`: keys and values are
checked, nested collections too, and then made persistent at once.
"""

from __future__ import annotations

import re
from types import GenericAlias
from typing import Any

from pstructs.interop.json import default as enc_hook
from pstructs.interop.kinds import Shape, kind_of, plain, rebuild, split
from pstructs.interop.records import create, is_checked

__all__ = ["dec_hook", "enc_hook"]


def dec_hook(type: Any, obj: Any) -> Any:
    """Return what was read as the collection that a type asks for.

    For `msgspec.json.decode(data, type=T, dec_hook=dec_hook)`, `msgspec.msgpack.decode` and
    `msgspec.convert`. A value that is such a collection already and holds what it should is
    returned as it is. As JSON has keys of type str only, they are read as numbers where the type
    asks for numbers.

    Records and checked collections check themselves what they are made of.

    Parameters
    ----------
    type : type
        The annotation: `PMap[str, int]`, `PSet`...
    obj : object
        A dict, a list, or a collection.

    Raises
    ------
    NotImplementedError
        When `type` is no collection or record of this library.
    msgspec.ValidationError
        From msgspec itself, with the place, when something has another type than it should.

    Notes
    -----
    Cost: O(n) for n entries.

    Examples
    --------
    >>> import msgspec
    >>> from pstructs import PMap
    >>> msgspec.json.decode(b'{"fig": 2.5}', type=PMap[str, float], dec_hook=dec_hook)
    pmap({'fig': 2.5})
    """
    import msgspec

    if is_checked(type):
        return create(type, obj)
    try:
        cls, arguments = split(type)
    except TypeError:
        raise NotImplementedError(f"no collection of pstructs: {type!r}") from None
    kind = kind_of(cls)
    assert kind is not None
    source: Any = plain(obj, kind) if isinstance(obj, kind.cls) else obj
    if kind.shape is Shape.MAPPING:
        target: Any = GenericAlias(dict, arguments)
    else:
        target = GenericAlias(list, arguments)
    try:
        entries = msgspec.convert(source, target, str_keys=True, dec_hook=dec_hook)
        return rebuild(cls, kind, obj, entries)
    except msgspec.ValidationError as error:
        # msgspec adds the way from its root to a ValueError, and to no error of its own.
        raise ValueError(_with_place(str(error), cls.__name__)) from None


def _with_place(message: str, name: str) -> str:
    """Return msgspec's message with the place in it told from the collection on."""
    parts = re.fullmatch(r"(.*?)(?:, at `([^`]*)` in a \w+)?(?: - at `\$([^`]*)`)?", message, re.S)
    assert parts is not None
    text, inner, outer = parts[1], parts[2] or "", parts[3] or ""
    place = outer + inner
    return f"{text}, at `{place}` in a {name}" if place else text
