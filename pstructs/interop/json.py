"""JSON: hooks for the standard library's `json` and for orjson.

Writing: mappings and records become objects; sets and sequences become arrays. `default` is the
hook that both libraries call for a value that they don't know; `JSONEncoder` brings it along.
Reading: `loads` gives persistent collections throughout; `object_hook` does so for objects and
what is in them, in any reader that takes such a hook.
"""

from __future__ import annotations

import json
from typing import Any

from pstructs._core import PMap, pmap
from pstructs.interop.kinds import vectors
from pstructs.interop.records import has_plain_form, plain_form

__all__ = ["JSONEncoder", "default", "loads", "object_hook"]


def default(value: Any) -> Any:
    """Return the dict or list that JSON is to show for a persistent collection or record.

    For `orjson.dumps(value, default=default)` and `json.dumps(value, default=default)`. What is
    in the collection is left as it is: the writer comes back with each part that it doesn't know.
    Records and checked collections are written by their `serialize`.

    Parameters
    ----------
    value : object
        What the writer has no form for.

    Raises
    ------
    TypeError
        When `value` is neither.

    Notes
    -----
    Cost: O(n) for n entries.

    Examples
    --------
    >>> import json
    >>> from pstructs import m, s
    >>> json.dumps(m(user=m(name="Ada", tags=s("maths"))), default=default, sort_keys=True)
    '{"user": {"name": "Ada", "tags": ["maths"]}}'
    """
    if not has_plain_form(value):
        raise TypeError(f"a value of type {type(value).__name__!r} has no form in JSON")
    return plain_form(value)


class JSONEncoder(json.JSONEncoder):
    """A `json.JSONEncoder` that writes persistent collections.

    Examples
    --------
    >>> from pstructs import m
    >>> json.dumps(m(x=m(y=1)), cls=JSONEncoder)
    '{"x": {"y": 1}}'
    """

    def default(self, o: Any) -> Any:
        """Return a dict or list for a persistent collection; see `json.JSONEncoder.default`."""
        return plain_form(o) if has_plain_form(o) else super().default(o)


def object_hook(obj: dict[str, Any]) -> PMap[str, Any]:
    """Return an object of JSON as a map, with the arrays in it as vectors.

    For `json.loads(text, object_hook=object_hook)`. An array that is in no object stays a list;
    `loads` takes care of it.

    Parameters
    ----------
    obj : dict
        What the reader has read; objects in it have been through the hook.

    Notes
    -----
    Cost: O(n) for an object of n entries and elements.

    Examples
    --------
    >>> json.loads('{"a": {"b": 1}}', object_hook=object_hook)
    pmap({'a': pmap({'b': 1})})
    """
    return pmap({key: vectors(value) for key, value in obj.items()})


def loads(text: str | bytes | bytearray, **options: Any) -> Any:
    """Read JSON into persistent collections: objects into maps, arrays into vectors.

    Parameters
    ----------
    text : str or bytes
        One JSON value.
    **options
        Passed on to `json.loads`: `parse_float`, `parse_int`, `parse_constant`.

    Raises
    ------
    json.JSONDecodeError
        When the text is not JSON.

    Notes
    -----
    Cost: O(length of the text).

    Examples
    --------
    >>> loads('{"a": {"b": 1}}')
    pmap({'a': pmap({'b': 1})})
    """
    return vectors(json.loads(text, object_hook=object_hook, **options))
