"""The committed schema is that of the code, and holds everything that the contract promises."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from graphql import (
    GraphQLArgument,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLScalarType,
    GraphQLSchema,
    build_schema,
    is_required_argument,
    is_required_input_field,
    print_ast,
)

from graphql_schema.schema import schema

if TYPE_CHECKING:
    from collections.abc import Iterator

SDL = Path(__file__).parents[2] / "graphql_schema" / "schema.graphql"
SPINE = Path(__file__).parent / "spine.graphql"
# The contract leaves open what a scope is to clients: a text or a closed list.
OPEN_KIND = {"Scope"}


def built(sdl: str) -> GraphQLSchema:
    return build_schema(sdl, assume_valid_sdl=True)


def missing(promised: GraphQLSchema, kept: GraphQLSchema) -> list[str]:
    """Return what the second schema lacks of the first, or has otherwise; additions are fine."""
    found: list[str] = []
    for name, wanted in promised.type_map.items():
        if name.startswith("__"):
            continue
        actual = kept.type_map.get(name)
        if actual is None:
            found.append(f"{name} is missing")
        elif name not in OPEN_KIND:
            if type(wanted) is not type(actual):
                found.append(f"{name} is another kind of type")
            else:
                found.extend(_lacks(name, wanted, actual))
    return found


def _lacks(name: str, wanted: GraphQLNamedType, actual: GraphQLNamedType) -> Iterator[str]:
    match wanted, actual:
        case GraphQLEnumType(), GraphQLEnumType():
            yield from (f"{name}.{value} is missing" for value in wanted.values if value not in actual.values)
        case GraphQLObjectType(), GraphQLObjectType():
            for field_name, field in wanted.fields.items():
                place = f"{name}.{field_name}"
                if field_name not in actual.fields:
                    yield f"{place} is missing"
                    continue
                kept = actual.fields[field_name]
                if str(kept.type) != str(field.type):
                    yield f"{place}: {kept.type} is not {field.type}"
                yield from _differing_inputs(place, field.args, kept.args)
        case GraphQLInputObjectType(), GraphQLInputObjectType():
            yield from _differing_inputs(name, wanted.fields, actual.fields)
        case _:
            assert isinstance(wanted, GraphQLScalarType)


def _differing_inputs(
    place: str,
    wanted: dict[str, GraphQLArgument] | dict[str, GraphQLInputField],
    actual: dict[str, GraphQLArgument] | dict[str, GraphQLInputField],
) -> Iterator[str]:
    for name, one in wanted.items():
        kept = actual.get(name)
        if kept is None:
            yield f"{place}.{name} is missing"
            continue
        if str(kept.type) != str(one.type):
            yield f"{place}.{name}: {kept.type} is not {one.type}"
        if _default(kept) != _default(one):
            yield f"{place}.{name}: the default is another one"
    for name, kept in actual.items():
        required = is_required_argument if isinstance(kept, GraphQLArgument) else is_required_input_field
        if name not in wanted and required(kept):  # type: ignore[arg-type]
            yield f"{place}.{name} is required, and the contract does not know it"


def _default(one: GraphQLArgument | GraphQLInputField) -> str | None:
    """Return the default as text; null and none at all are the same to a caller."""
    if one.default is None:
        return None
    literal = one.default.literal
    text = str(one.default.value) if literal is None else print_ast(literal)
    return None if text == "null" else text


class TestCommittedSchema:
    def test_is_the_one_that_the_code_has(self) -> None:
        assert SDL.read_text(encoding="utf-8") == f"{schema.as_str()}\n", "run `make schema`"


class TestSpine:
    def test_is_in_the_schema_with_the_same_types(self) -> None:
        promised = built(SPINE.read_text(encoding="utf-8"))
        assert missing(promised, built(schema.as_str())) == []

    def test_is_more_than_a_few_names(self) -> None:
        assert len(built(SPINE.read_text(encoding="utf-8")).type_map) > 50

    @pytest.mark.parametrize(
        ("kept", "broken"),
        [
            ("  number: Int!", "  number: Int"),
            ("  recordedAt: DateTime!", "  recorded: DateTime!"),
            ("first: Int! = 100", "first: Int! = 99"),
            ("  ANNULLED\n", ""),
            ("scalar PersonalNumber", "type PersonalNumber { digits: String }"),
            ("input UnfollowStudentsInput {", "input UnfollowStudentsInput {\n  oin: String!"),
        ],
    )
    def test_would_notice_a_change(self, kept: str, broken: str) -> None:
        sdl = schema.as_str()
        assert kept in sdl
        promised = built(SPINE.read_text(encoding="utf-8"))
        assert missing(promised, built(sdl.replace(kept, broken))) != []
