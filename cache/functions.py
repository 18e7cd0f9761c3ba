"""What a memoized call is known by: the function, and its arguments by name.

A function is its module and qualified name, and either a version that its author gives or a
digest of its code: of the instructions, constants and names, and of the functions defined inside.
Comments, blank lines and the place in the file don't count; another version of Python does, since
it compiles to other instructions.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Iterable
from types import CodeType, EllipsisType
from typing import Any

from pstructs.cache.digests import Digest, digest, digest_of_parts
from pstructs.errors import UnsavableError

__all__ = ["Call", "name_of"]

_VARIOUS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _module_of(function: Callable[..., Any]) -> str:
    """The module's name; for a script, which is `__main__` everywhere, its path."""
    name = function.__module__
    if name not in ("__main__", "__mp_main__"):
        return name
    main = sys.modules.get(name)
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name)
    path = getattr(main, "__file__", None)
    return name if path is None else os.path.realpath(path)


def _parts_of(code: CodeType) -> tuple[Any, ...]:
    constants = tuple(map(_constant, code.co_consts))
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    shape = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
    return (code.co_code, constants, names, shape, code.co_exceptiontable)


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return ("code", _parts_of(value))
    if isinstance(value, EllipsisType):
        return ("...",)
    if type(value) is tuple:
        return ("tuple", tuple(map(_constant, value)))
    return value


def name_of(function: Callable[..., Any], name: str | None, version: str | None) -> str:
    """Return the text that stands for a function in keys.

    Raises
    ------
    ValueError
        When the function reads variables of a function around it, and has no version; when it
        is a lambda with a version and without a name.
    TypeError
        When there is no code to look at, and no version.
    """
    if name is None and version is not None and function.__name__ == "<lambda>":
        raise ValueError(
            "all lambdas are called '<lambda>', so that a version does not tell them apart; give "
            "a name as well, as in memoize(cache, name='square', version='1')"
        )
    own = name if name is not None else f"{_module_of(function)}:{function.__qualname__}"
    if version is not None:
        return f"{own} version {version}"
    code = getattr(function, "__code__", None)
    if code is None:
        raise TypeError(
            f"{function!r} is not written in Python, so that its code can't be told apart from "
            "that of other versions; give a version, as in memoize(cache, version='1')"
        )
    if code.co_freevars:
        raise ValueError(
            f"{function.__qualname__} reads {', '.join(code.co_freevars)} of the function around "
            "it, which is not part of the key: pass it as an argument, or give a version that "
            "says which values it has, as in memoize(cache, version=f'{n}')"
        )
    return f"{own} code {digest(_parts_of(code)).hex()}"


class Call:
    """Turns the arguments of a call into its key.

    Parameters
    ----------
    function : callable
    name : str
        What stands for the function; see `name_of`.
    ignore : iterable of str
        Parameters that make no difference to the result.
    """

    def __init__(self, function: Callable[..., Any], name: str, ignore: Iterable[str]) -> None:
        if isinstance(ignore, str):
            raise TypeError(f"ignore is a collection of names, got the str {ignore!r}")
        self._function, self._name = function, name
        self._signature = inspect.signature(function)
        parameters = self._signature.parameters
        left = set(ignore)
        if unknown := left - parameters.keys():
            raise ValueError(
                f"{function.__qualname__} has no parameter {min(unknown)!r} to ignore; it has "
                f"{', '.join(parameters) or 'none'}"
            )
        self._names = [name for name in parameters if name not in left]
        # calls with all arguments in their places need no binding
        positional = [p for p in parameters.values() if p.kind < inspect.Parameter.VAR_POSITIONAL]
        self._plain = len(positional) if len(positional) == len(parameters) else -1
        self._kept = None if not left else [i for i, n in enumerate(parameters) if n not in left]
        self._extra = [p.name for p in parameters.values() if p.kind in _VARIOUS]

    def key(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Digest:
        """Return the key of a call.

        Raises
        ------
        TypeError
            When the function can't be called like that.
        UnsavableKeyError, UnsavableValueError
            When an argument can't be part of a key; the message names it.
        """
        if not kwargs and len(args) == self._plain:
            parts = args if self._kept is None else tuple([args[i] for i in self._kept])
        else:
            parts = self._bind(args, kwargs)
        try:
            return digest_of_parts(self._name, parts)
        except UnsavableError:
            self._name_culprit(parts)
            raise

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, ...]:
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        values = bound.arguments
        for name in self._extra:
            if type(values[name]) is dict:  # of **kwargs, whose order makes no difference
                values[name] = tuple(sorted(values[name].items()))
        return tuple([values[name] for name in self._names])

    def _name_culprit(self, parts: tuple[Any, ...]) -> None:
        for name, part in zip(self._names, parts, strict=True):
            try:
                digest(part)
            except UnsavableError as error:
                raise type(error)(
                    f"{self._function.__qualname__}() can't be memoized with this argument "
                    f"{name!r}: {error}. Where it makes no difference to the result, leave it "
                    f"out of the key: memoize(cache, ignore=[{name!r}])"
                ) from None
