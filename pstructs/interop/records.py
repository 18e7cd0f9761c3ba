"""Records and checked collections: what they are in formats that don't know them.

They say themselves what they accept and what their plain form is, so the adapters go by `create`
and `serialize`, and pydantic by the types of fields and elements as well.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pstructs._checked_types import CheckedType
from pstructs._core import MapRecord, Record
from pstructs._field import NO_INITIAL, PField
from pstructs._pclass import PClass
from pstructs._precord import PRecord
from pstructs.interop.kinds import Shape, kind_of, plain

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

__all__ = ["checked_schema", "create", "fields_of", "has_plain_form", "is_checked", "plain_form"]


def is_checked(cls: Any) -> bool:
    """Return whether cls is a record or a checked collection. Cost: O(1)."""
    return isinstance(cls, type) and issubclass(cls, CheckedType)


def fields_of(value: Any) -> dict[str, Any] | None:
    """Return what the fields of a record hold, None for anything else. Cost: O(fields)."""
    if isinstance(value, PRecord):
        return MapRecord._to_dict(value)
    return Record._to_dict(value) if isinstance(value, PClass) else None


def has_plain_form(value: Any) -> bool:
    """Return whether value is a collection or record of ours. Cost: O(1)."""
    return isinstance(value, CheckedType) or kind_of(type(value)) is not None


def plain_form(value: Any) -> Any:
    """Return the dict or list of a collection; of a record, what its serializers make.

    Cost: O(n).
    """
    if isinstance(value, CheckedType):
        return _without_sets(value.serialize())
    kind = kind_of(type(value))
    assert kind is not None
    return plain(value, kind)


def _without_sets(data: Any) -> Any:
    """Return plain data with their sets, which most formats lack, as lists."""
    if isinstance(data, dict):
        return {key: _without_sets(part) for key, part in data.items()}
    if isinstance(data, list | set | frozenset):
        return [_without_sets(part) for part in data]
    return data


def create(cls: Any, data: Any) -> Any:
    """Return a record or checked collection made of plain data.

    Raises
    ------
    ValueError
        When the data don't fit, for whatever reason.

    Notes
    -----
    Cost: O(n).
    """
    try:
        return cls.create(data)
    except (AttributeError, TypeError) as error:
        raise ValueError(str(error)) from error


def checked_schema(cls: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return pydantic's schema of a record or checked collection.

    What is given is validated by the types of the fields or elements first, so that an error
    names the place, and then by the class. Where a field has a factory, only the factory knows
    what it takes.
    """
    from pydantic_core import PydanticCustomError
    from pydantic_core import core_schema as make

    inner = _fields_schema(cls, handler) or _elements_schema(cls, handler)

    def validate(value: Any, validated: Any) -> Any:
        if isinstance(value, cls):
            return value
        data = validated(value)
        try:
            return create(cls, data)
        except ValueError as error:
            reason = {"reason": str(error)}
            raise PydanticCustomError("not_fitting", "{reason}", reason) from None

    def serialize(value: Any, info: Any) -> Any:
        return _plain_throughout(value) if info.mode_is_json() else value

    return make.no_info_wrap_validator_function(
        validate,
        inner,
        serialization=make.plain_serializer_function_ser_schema(serialize, info_arg=True),
    )


def _fields_schema(cls: Any, handler: GetCoreSchemaHandler) -> CoreSchema | None:
    """Return the schema of a record's fields; None for a checked collection."""
    from pydantic_core import core_schema as make

    fields: dict[str, PField] | None = getattr(cls, "_pclass_fields", None)
    if fields is None:
        fields = getattr(cls, "_precord_fields", None)
    if fields is None:
        return None
    return make.typed_dict_schema(
        {
            name: make.typed_dict_field(
                _types_schema(field.type, handler)
                if field.stored_as_given()
                else make.any_schema(),
                required=field.mandatory and field.initial is NO_INITIAL,
            )
            for name, field in fields.items()
        },
        extra_behavior="forbid",
        cls_name=cls.__name__,
    )


def _elements_schema(cls: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a checked collection's elements, or keys and values."""
    from pydantic_core import core_schema as make

    kind = kind_of(cls)
    assert kind is not None
    if kind.shape is Shape.MAPPING:
        return make.dict_schema(
            _types_schema(cls._checked_key_types, handler),
            _types_schema(cls._checked_value_types, handler),
        )
    elements = _types_schema(cls._checked_types, handler)
    if kind.shape is Shape.SET:
        return make.list_schema(elements, metadata={"pydantic_js_updates": {"uniqueItems": True}})
    return make.list_schema(elements)


def _types_schema(types: Iterable[Any], handler: GetCoreSchemaHandler) -> CoreSchema:
    """Return the schema of a value of one of some types, of anything when there are none.

    A type that is given by its name may be the class itself: only the class looks into it.
    """
    from pydantic_core import core_schema as make

    found = list(types)
    if not found or any(isinstance(part, str) for part in found):
        return make.any_schema()
    schemas = [_type_schema(part, handler) for part in found]
    return schemas[0] if len(schemas) == 1 else make.union_schema(list(schemas))


def _type_schema(cls: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
    from pydantic.errors import PydanticSchemaGenerationError
    from pydantic_core import core_schema as make

    try:
        return handler.generate_schema(cls)
    except PydanticSchemaGenerationError:
        return make.is_instance_schema(cls)


def _plain_throughout(value: Any) -> Any:
    """Return a value with all collections and records in it plain."""
    if has_plain_form(value):
        value = plain_form(value)
    if isinstance(value, dict):
        return {key: _plain_throughout(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain_throughout(part) for part in value]
    return value
