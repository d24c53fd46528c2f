"""Values of variables, coerced by compiled functions straight into what resolvers take.

graphql-core coerces 500 messages of twelve fields into dicts, and Strawberry these into objects, asking anew
for each field what it is: together some 80 ms. The code that is made here does it in 4. It accepts exactly
what is usual; whatever it does not expect it leaves to graphql-core, which accepts it or finds the words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLScalarType,
    Undefined,
)
from strawberry.types.base import StrawberryMaybe
from strawberry.types.unset import UNSET

from graphql_schema.execution.source import Source, UncompilableError

if TYPE_CHECKING:
    from strawberry.types.base import StrawberryObjectDefinition
    from strawberry.types.field import StrawberryField

Coerce = Callable[[object], object]

_MOST_ITEMS = 100_000


def compile_input(type_: GraphQLInputType) -> Coerce:
    """Return the function that coerces a value of this type, or raises an exception."""
    source = Source()
    known: dict[str, str] = {}
    return cast("Coerce", source.build(_coercer(source, type_, known)))


def _coercer(source: Source, type_: GraphQLInputType, known: dict[str, str]) -> str:
    """Return the name of a function for a type, null or not."""
    if isinstance(type_, GraphQLNonNull):
        return _not_null(source, type_.of_type, known)
    inner = _not_null(source, type_, known)
    return source.function("v", [f"return None if v is None else {inner}(v)"])


def _not_null(source: Source, type_: GraphQLInputType, known: dict[str, str]) -> str:
    if isinstance(type_, GraphQLList):
        item = _coercer(source, type_.of_type, known)
        body = ["if type(v) is not list: raise Anomaly", f"return [{item}(x) for x in v]"]
        return source.function("v", body)
    if isinstance(type_, GraphQLEnumType):
        enum = type_.extensions["strawberry-definition"].wrapped_cls
        members = {name: enum(value.value) for name, value in type_.values.items()}
        return source.function("v", [f"return {source.constant(members)}[v]"])
    if isinstance(type_, GraphQLScalarType):
        return _scalar(source, type_)
    if isinstance(type_, GraphQLInputObjectType):
        if type_.name not in known:
            known[type_.name] = ""  # being made
            known[type_.name] = _object(source, type_, known)
        if not known[type_.name]:
            raise UncompilableError  # it holds itself
        return known[type_.name]
    raise UncompilableError


def _scalar(source: Source, type_: GraphQLScalarType) -> str:
    if type_.name == "Int":
        return source.function(
            "v",
            ["if type(v) is not int or not -2147483648 <= v <= 2147483647: raise Anomaly", "return v"],
        )
    if type_.name in {"String", "ID"}:
        return source.function("v", ["if type(v) is not str: raise Anomaly", "return v"])
    if type_.name == "Boolean":
        return source.function("v", ["if type(v) is not bool: raise Anomaly", "return v"])
    if type_.name == "Float":
        raise UncompilableError
    parse = source.constant(type_.parse_value)
    return source.function("v", ["if v is None: raise Anomaly", f"return {parse}(v)"])


def _object(source: Source, type_: GraphQLInputObjectType, known: dict[str, str]) -> str:
    definition: StrawberryObjectDefinition = type_.extensions["strawberry-definition"]
    if type_.is_one_of:
        raise UncompilableError
    values = []
    required, optional = 0, []
    for name, input_field in type_.fields.items():
        field: StrawberryField = input_field.extensions["strawberry-definition"]
        if isinstance(field.type, StrawberryMaybe):
            raise UncompilableError
        coerced = _coercer(source, input_field.type, known)
        python_name = field.python_name
        if isinstance(input_field.type, GraphQLNonNull) and input_field.default_value is Undefined:
            required += 1
            values.append(f"{python_name}={coerced}(v[{name!r}])")
        else:
            optional.append(f"({name!r} in v)")
            default = source.constant(_default(field))
            values.append(f"{python_name}={coerced}(v[{name!r}]) if {name!r} in v else {default}")
    count = " + ".join([str(required), *optional])
    body = [
        "if type(v) is not dict: raise Anomaly",
        f"d = {source.constant(definition.origin)}({', '.join(values)})",
        f"if len(v) != {count}: raise Anomaly",
        "return d",
    ]
    return source.function("v", body)


def _default(field: StrawberryField) -> object:
    if field.default is UNSET or isinstance(field.default, str | int | bool | None):
        return field.default
    raise UncompilableError
