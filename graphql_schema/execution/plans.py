"""A plan: everything about running a prepared document that does not depend on its variables.

A query or mutation of which every part can be compiled runs without graphql-core: its variables are coerced
by compiled functions, its resolvers are called, its answer is built by compiled selections. Only what has
passed validation gets a plan, and whenever a value is not as expected graphql-core takes over: before
anything has run (variables), or with the very values that the root resolvers gave (answers). So no root
resolver runs twice, and every error has graphql-core's path and place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    is_input_type,
    type_from_ast,
)
from graphql.utilities import value_from_ast

from graphql_schema.execution.calls import Call, compile_call
from graphql_schema.execution.inputs import Coerce, compile_input
from graphql_schema.execution.selections import Later, SelectionCompiler
from graphql_schema.execution.source import AnomalyError, UncompilableError

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class _Variable:
    """A declared variable: how to coerce it, and its default (`_ABSENT` if it has none)."""

    name: str
    coerce: Coerce
    default: object
    required: bool


@dataclass(frozen=True, slots=True)
class RootField:
    """A field of the operation itself."""

    key: str
    nodes: Sequence[FieldNode]
    type: GraphQLOutputType
    call: Call
    complete: Callable[[object, list[Later]], object]

    async def resolve(self, arguments: Mapping[str, object]) -> object:
        """Call the resolver; return what it gave, or the exception that it raised."""
        try:
            return await _settled(self.call.function(None, **arguments))
        except Exception as error:  # noqa: BLE001 - graphql-core places and formats it
            return error

    async def answer(self, value: object, variables: Mapping[str, object], context: object) -> object:
        """Return what goes into the answer; any exception means that graphql-core shall do it."""
        if value is None:
            if isinstance(self.type, GraphQLNonNull):
                raise AnomalyError
            return None
        later: list[Later] = []
        answer = self.complete(value, later)
        while later:
            waiting, later = later, []
            calls = (
                _settled(one.field.call.function(one.source, **one.field.call.arguments(variables, context)))
                for one in waiting
            )
            for one, result in zip(waiting, await asyncio.gather(*calls), strict=True):
                one.answer[one.key] = one.field.complete(result, later)
        return answer


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A compiled query or mutation."""

    parent_type: GraphQLObjectType
    roots: tuple[RootField, ...]
    serially: bool
    _variables: tuple[_Variable, ...]

    def coerce(self, raw: Mapping[str, object]) -> dict[str, object]:
        """Return the variables as resolvers take them; any exception means that graphql-core shall do it."""
        coerced = {}
        for variable in self._variables:
            value = raw.get(variable.name, _ABSENT)
            if value is not _ABSENT:
                coerced[variable.name] = variable.coerce(value)
            elif variable.default is not _ABSENT:
                coerced[variable.name] = variable.default
            elif variable.required:
                raise AnomalyError
        return coerced

    async def resolve(self, variables: Mapping[str, object], context: object) -> dict[str, object]:
        """Call the resolvers and return what they gave by the key of the answer: a value or an exception.

        Raise AnomalyError, before any is called, when an argument is null that may not be.
        """
        calls = [(root, root.call.arguments(variables, context)) for root in self.roots]
        if not self.serially:
            values = await asyncio.gather(*(root.resolve(arguments) for root, arguments in calls))
            return dict(zip((root.key for root in self.roots), values, strict=True))
        resolved = {}
        for root, arguments in calls:
            resolved[root.key] = await root.resolve(arguments)
            if isinstance(resolved[root.key], Exception) and isinstance(root.type, GraphQLNonNull):
                break  # the whole answer is null, and what comes after does not run
        return resolved

    async def answer(
        self, resolved: Mapping[str, object], variables: Mapping[str, object], context: object
    ) -> dict[str, object]:
        """Return the data of the answer; any exception means that graphql-core shall complete it."""
        data = {}
        for root in self.roots:
            value = resolved[root.key]
            if isinstance(value, Exception):
                raise AnomalyError
            data[root.key] = await root.answer(value, variables, context)
        return data


@dataclass(frozen=True, slots=True, eq=False)
class EventPlan:
    """A compiled subscription: what goes to the client of each event that its resolver yields."""

    key: str
    _complete: Callable[[object, list[Later]], object]

    def answer(self, event: object) -> dict[str, object]:
        """Return the data; any exception means that graphql-core shall complete it.

        It depends on nothing but the event: a selection with arguments is left to graphql-core.
        """
        later: list[Later] = []
        answer = self._complete(event, later)
        if later:
            raise AnomalyError
        return {self.key: answer}


async def _settled(value: object) -> object:
    return await value if isinstance(value, Awaitable) else value


def compile_plan(
    schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
) -> Plan | EventPlan | None:
    """Return the plan of an operation, or None where a part of it must stay with graphql-core."""
    parent_type = schema.get_root_type(operation.operation)
    if operation.directives or parent_type is None:
        return None
    selections = SelectionCompiler(
        {
            definition.name.value: definition
            for definition in document.definitions
            if isinstance(definition, FragmentDefinitionNode)
        }
    )
    try:
        grouped: dict[str, list[FieldNode]] = {}
        selections.collect(parent_type, operation.selection_set, grouped)
        if operation.operation is OperationType.SUBSCRIPTION:
            ((key, nodes),) = grouped.items()
            definition = _definition(parent_type, nodes)
            return EventPlan(key, selections.compile(definition.type, nodes))
        return Plan(
            parent_type,
            tuple(_root(selections, parent_type, key, nodes) for key, nodes in grouped.items()),
            operation.operation is OperationType.MUTATION,
            tuple(_variables(schema, operation)),
        )
    except UncompilableError:
        return None


def _root(
    selections: SelectionCompiler, parent_type: GraphQLObjectType, key: str, nodes: Sequence[FieldNode]
) -> RootField:
    definition = _definition(parent_type, nodes)
    complete = selections.compile(definition.type, nodes)
    return RootField(key, nodes, definition.type, compile_call(definition, nodes[0]), complete)


def _definition(parent_type: GraphQLObjectType, nodes: Sequence[FieldNode]) -> GraphQLField:
    definition: GraphQLField | None = parent_type.fields.get(nodes[0].name.value)
    if definition is None:
        raise UncompilableError  # __typename, __schema
    return definition


def _variables(schema: GraphQLSchema, operation: OperationDefinitionNode) -> list[_Variable]:
    variables = []
    for declared in operation.variable_definitions or ():
        type_ = type_from_ast(schema, declared.type)
        if type_ is None or not is_input_type(type_) or declared.directives:
            raise UncompilableError
        default: object = _ABSENT
        if declared.default_value is not None:
            default = value_from_ast(declared.default_value, type_)
            if default is Undefined or not isinstance(default, str | int | bool | None):
                raise UncompilableError
        required = isinstance(type_, GraphQLNonNull)
        name = declared.variable.name.value
        variables.append(_Variable(name, compile_input(type_), default, required))
    return variables
