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
    name = source.function("v", [*_coerce(source, type_, known, "v"), "return v"])
    return cast("Coerce", source.build(name))


def _coerce(source: Source, type_: GraphQLInputType, known: dict[str, str], name: str) -> list[str]:
    """Return the lines that put the coerced value of a variable in its place, null or not."""
    if isinstance(type_, GraphQLNonNull):
        return _not_null(source, type_.of_type, known, name)
    return [f"if {name} is not None:", *(f"    {line}" for line in _not_null(source, type_, known, name))]


def _not_null(source: Source, type_: GraphQLInputType, known: dict[str, str], name: str) -> list[str]:
    if isinstance(type_, GraphQLList):
        return [f"{name} = {_list(source, type_, known)}({name})"]
    if isinstance(type_, GraphQLEnumType):
        enum = type_.extensions["strawberry-definition"].wrapped_cls
        members = {name: enum(value.value) for name, value in type_.values.items()}
        return [f"{name} = {source.constant(members)}[{name}]"]
    if isinstance(type_, GraphQLScalarType):
        return _scalar(source, type_, name)
    if isinstance(type_, GraphQLInputObjectType):
        if type_.name not in known:
            known[type_.name] = ""  # being made
            known[type_.name] = _object(source, type_, known)
        if not known[type_.name]:
            raise UncompilableError  # it holds itself
        return [f"{name} = {known[type_.name]}({name})"]
    raise UncompilableError


def _list(source: Source, type_: GraphQLList[GraphQLInputType], known: dict[str, str]) -> str:
    item = source.function("v", [*_coerce(source, type_.of_type, known, "v"), "return v"])
    return source.function("v", ["if type(v) is not list: raise Anomaly", f"return [{item}(x) for x in v]"])


def _scalar(source: Source, type_: GraphQLScalarType, name: str) -> list[str]:
    if type_.name == "Int":
        return [f"if type({name}) is not int or not -2147483648 <= {name} <= 2147483647: raise Anomaly"]
    if type_.name in {"String", "ID"}:
        return [f"if type({name}) is not str: raise Anomaly"]
    if type_.name == "Boolean":
        return [f"if type({name}) is not bool: raise Anomaly"]
    if type_.name == "Float":
        raise UncompilableError
    parse = source.constant(type_.parse_value)
    return [f"if {name} is None: raise Anomaly", f"{name} = {parse}({name})"]


def _object(source: Source, type_: GraphQLInputObjectType, known: dict[str, str]) -> str:
    """Return the name of a function from a JSON object to what the resolver takes.

    That is an object of the input's class or, where the class says `made_as`, what this makes of its fields
    by position.
    """
    definition: StrawberryObjectDefinition = type_.extensions["strawberry-definition"]
    if type_.is_one_of:
        raise UncompilableError
    lines = ["if type(v) is not dict: raise Anomaly", "count = 0"]
    fields: dict[str, str] = {}
    required = 0
    for name, input_field in type_.fields.items():
        field: StrawberryField = input_field.extensions["strawberry-definition"]
        if isinstance(field.type, StrawberryMaybe):
            raise UncompilableError
        place = fields[field.python_name] = source.name("x")
        coerced = [f"{place} = v[{name!r}]", *_coerce(source, input_field.type, known, place)]
        if isinstance(input_field.type, GraphQLNonNull) and input_field.default_value is Undefined:
            required += 1
            lines += coerced
        else:
            lines += [f"if {name!r} in v:", *(f"    {line}" for line in coerced), "    count += 1"]
            lines += ["else:", f"    {place} = {source.constant(_default(field))}"]
    lines.append(f"if len(v) != count + {required}: raise Anomaly")
    made_as = getattr(definition.origin, "made_as", None)
    if made_as is None:
        values = ", ".join(f"{python_name}={place}" for python_name, place in fields.items())
        lines.append(f"return {source.constant(definition.origin)}({values})")
    else:
        lines.append(f"return {source.constant(made_as)}({', '.join(fields.values())})")
    return source.function("v", lines)


def _default(field: StrawberryField) -> object:
    if field.default is UNSET or isinstance(field.default, str | int | bool | None):
        return field.default
    raise UncompilableError
