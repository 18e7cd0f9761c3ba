"""pydantic v2: how a field such as `PMap[str, int]` is validated, serialized and described.

pydantic asks the annotation's class for `__get_pydantic_core_schema__`, which calls
`core_schema`; nobody else needs this module. A mapping is validated as a dict, all others as a
list, so errors name the key or index and nested types work; the result is then made persistent
at once. The JSON schema is that of the dict or array. Serialized to Python, a collection stays
one, with its contents serialized; to JSON, it becomes an object or array.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pstructs.interop.kinds import Kind, Shape, kind_of, plain, rebuild, split
from pstructs.interop.records import checked_schema, is_checked

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["core_schema"]


def core_schema(cls: type[Any], source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a collection type for pydantic.

    Parameters
    ----------
    cls : type
        The class that pydantic found the method on.
    source : type
        The annotation: `cls` or `cls[...]`.
    handler : pydantic.GetCoreSchemaHandler
        Makes the schemas of the type arguments.
    """
    from pydantic_core import core_schema as make

    if is_checked(source):
        return checked_schema(source, handler)
    cls, arguments = split(source)
    kind = kind_of(cls)
    assert kind is not None
    parts = [handler.generate_schema(argument) for argument in arguments]
    inner: CoreSchema
    if kind.shape is Shape.MAPPING:
        inner = make.dict_schema(*parts)
    elif kind.shape is Shape.SET:
        unique = {"pydantic_js_updates": {"uniqueItems": True}}
        inner = make.list_schema(*parts, metadata=unique)
    else:
        inner = make.list_schema(*parts)

    def validate(value: Any, validated: Any) -> Any:
        entries = validated(_source(value, kind))
        try:
            return rebuild(cls, kind, value, entries)
        except TypeError as error:
            raise _misfit(cls, kind, entries, error) from None

    def serialize(value: Any, written: Any, info: Any) -> Any:
        if not isinstance(value, kind.cls):
            return written(value)  # which warns that the field holds something else
        parts = written(plain(value, kind))
        return parts if info.mode_is_json() else rebuild(cls, kind, value, parts)

    return make.no_info_wrap_validator_function(
        validate,
        inner,
        serialization=make.wrap_serializer_function_ser_schema(
            serialize, info_arg=True, schema=inner
        ),
    )


def _source(value: Any, kind: Kind) -> Any:
    """Return a collection as the dict or list that pydantic's own validators take."""
    own = kind_of(type(value))
    if own is None or (own.shape is Shape.MAPPING) is not (kind.shape is Shape.MAPPING):
        return value
    return plain(value, own)


def _misfit(cls: type[Any], kind: Kind, entries: Any, error: TypeError) -> Exception:
    """Return pydantic's error for elements that can't be in the collection, with their places."""
    from pydantic_core import InitErrorDetails, PydanticCustomError, ValidationError

    details: list[InitErrorDetails] = []
    for at, element in enumerate(entries if kind.hashed else ()):
        try:
            hash(element)
        except TypeError:
            problem = PydanticCustomError("not_hashable", "Elements and keys have to be hashable")
            details.append(InitErrorDetails(type=problem, loc=(at,), input=element))
    if not details:
        problem = PydanticCustomError("not_fitting", "{reason}", {"reason": str(error)})
        details.append(InitErrorDetails(type=problem, input=entries))
    return ValidationError.from_exception_data(cls.__name__, details)
