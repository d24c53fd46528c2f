"""What is wrong with the variables of a request: every path, never a value."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphql import (
    GraphQLError,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLSchema,
    OperationDefinitionNode,
    Undefined,
    is_enum_type,
    is_required_input_field,
    type_from_ast,
)
from graphql.utilities import validate_input_value

from app.domain.errors import BadUserInputError, HubError
from app.domain.redaction import scrub
from graphql_schema.errors import format_hub_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphql import GraphQLFormattedError

MAX_ERRORS = 50
_NAME = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,63}")
_Path = tuple[str | int, ...]


class _EnoughError(Exception):
    """So many errors were found that further ones help nobody."""


def variable_errors(
    schema: GraphQLSchema, operation: OperationDefinitionNode, variables: Mapping[str, object]
) -> list[GraphQLFormattedError]:
    """Return at most 50 errors, one a path such as `variables.input.messages[0].brin`.

    Words say what is wrong; the value is never told, nor an unknown name that may be one.
    """
    found: dict[_Path, str] = {}
    try:
        for definition in operation.variable_definitions or ():
            name = definition.variable.name.value
            type_ = type_from_ast(schema, definition.type)
            value = variables.get(name, Undefined)
            if type_ is None or (value is Undefined and definition.default_value is not None):
                continue
            _judge(name, value, type_, found)  # type: ignore[arg-type] # validation saw that it is an input type
    except _EnoughError:
        pass
    return [
        format_hub_error(BadUserInputError(field, f"{field} {words}."))
        for field, words in ((scrub(_dotted(path)), words) for path, words in found.items())
    ]


def _judge(name: str, value: object, type_: GraphQLInputType, found: dict[_Path, str]) -> None:
    def on_error(error: GraphQLError, path: Sequence[str | int]) -> None:
        for place, words in _explain((name, *path), *_follow(value, type_, path), error):
            if len(found) >= MAX_ERRORS:
                raise _EnoughError
            found.setdefault(place, words)

    validate_input_value(value, type_, on_error, hide_suggestions=True)


def _explain(
    path: _Path, value: object, type_: GraphQLInputType, error: GraphQLError
) -> Iterator[tuple[_Path, str]]:
    """Tell in words what is wrong with the value at a path, judged anew: graphql-core's message shows it."""
    if isinstance(error.original_error, HubError):
        yield path, f"is not accepted: {str(error.original_error).rstrip('.')}"
    elif value is Undefined or value is None:
        yield path, "is required"
    elif isinstance(type_, GraphQLInputObjectType):
        if isinstance(value, dict):
            yield from _explain_members(path, value, type_)
        else:
            yield path, "has the wrong type; an object is expected"
    elif is_enum_type(type_):
        yield path, "is not one of the allowed values"
    else:
        yield path, f"has the wrong type or form; {type_} is expected"


def _explain_members(
    path: _Path, value: dict[str, object], type_: GraphQLInputObjectType
) -> Iterator[tuple[_Path, str]]:
    for name, field in type_.fields.items():
        if is_required_input_field(field) and name not in value:
            yield (*path, name), "is required"
    for name in value:
        if name not in type_.fields:
            yield (*path, name if _NAME.fullmatch(name) else "?"), "is not a field of this input"
    if type_.is_one_of and len(value) != 1:
        yield path, "must have exactly one field"


def _follow(
    value: object, type_: GraphQLInputType, path: Sequence[str | int]
) -> tuple[object, GraphQLInputType]:
    """Return the value at the path within `value`, and its type, null or not."""
    for step in path:
        type_ = _nullable(type_)
        if isinstance(step, int) and isinstance(type_, GraphQLList):
            value = value[step] if isinstance(value, list) else value
            type_ = type_.of_type
        elif isinstance(type_, GraphQLInputObjectType) and isinstance(value, dict):
            value = value.get(step, Undefined)
            type_ = type_.fields[str(step)].type
    type_ = _nullable(type_)
    while isinstance(type_, GraphQLList) and not isinstance(value, list) and value is not None:
        type_ = _nullable(type_.of_type)  # a list of one may be given without its brackets
    return value, type_


def _nullable(type_: GraphQLInputType) -> GraphQLInputType:
    return type_.of_type if isinstance(type_, GraphQLNonNull) else type_


def _dotted(path: _Path) -> str:
    return "variables" + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
