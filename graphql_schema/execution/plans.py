"""A plan: everything about running a prepared document that does not depend on its variables.

A query or mutation of which every part can be compiled runs without graphql-core: its variables are coerced
by compiled functions, its resolvers are called, its answer is built by compiled selections. Only what has
passed validation gets a plan, and whenever a value is not as expected graphql-core takes over: before
anything has run (variables), or with the very values that the root resolvers gave (answers). So no root
resolver runs twice, and every error has graphql-core's path and place.

A mutation of several fields stays with graphql-core: each must be answered, down to its last resolver, before
the next may begin, and none may begin after one that leaves the whole answer null. So does a query with a
field that may not be null beside others: which of these are still heard of when it fails depends on time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    GraphQLField,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    Undefined,
    VariableNode,
    Visitor,
    is_input_type,
    type_from_ast,
    visit,
)
from graphql.utilities import value_from_ast

from graphql_schema.execution.calls import Call, compile_call
from graphql_schema.execution.inputs import Coerce, compile_input
from graphql_schema.execution.selections import Complete, Later, SelectionCompiler
from graphql_schema.execution.source import AnomalyError, UncompilableError

_ABSENT = object()
_MOST_SWITCHES = 4  # sixteen plans at most


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
    call: Call
    complete: Complete

    async def answer(self, value: object, variables: Mapping[str, object], context: object) -> object:
        """Return what goes into the answer; any exception means that graphql-core shall do it."""
        later = Later()
        answer = self.complete(value, later)
        while later:
            asked, later = later, Later()
            begun = [field.begin(waiting, variables, context) for field, waiting in asked.items()]
            results = await _settled([one for some in begun for one in some])
            for (field, waiting), some in zip(asked.items(), begun, strict=True):
                field.finish(waiting, results[: len(some)], later)
                del results[: len(some)]
        return answer


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A compiled query or mutation."""

    roots: tuple[RootField, ...]
    _variables: tuple[_Variable, ...]

    def begin(self, raw: Mapping[str, object], context: object) -> Run | None:
        """Return what is ready to run with these variables, or None when graphql-core must judge them."""
        try:
            variables = self._coerced(raw)
            arguments = [root.call.arguments(variables, context) for root in self.roots]
        except Exception:  # noqa: BLE001 - it accepts them all the same, or finds the words
            return None
        return Run(self.roots, arguments, variables, context)

    def _coerced(self, raw: Mapping[str, object]) -> dict[str, object]:
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


@dataclass(slots=True, eq=False)  # not frozen: made for each request
class Run:
    """A plan with the variables of one request."""

    roots: tuple[RootField, ...]
    arguments: list[dict[str, object]]
    variables: Mapping[str, object]
    context: object

    async def resolve(self) -> dict[str, object]:
        """Call the resolvers and return what they gave by the key of the answer: a value or an exception."""
        called = [
            _called(root.call.function, arguments)
            for root, arguments in zip(self.roots, self.arguments, strict=True)
        ]
        results = await _settled(called)
        return {root.key: result for root, result in zip(self.roots, results, strict=True)}

    async def answer(self, resolved: Mapping[str, object]) -> dict[str, object]:
        """Return the data of the answer; any exception means that graphql-core shall complete it."""
        data = {}
        for root in self.roots:
            value = resolved[root.key]
            if isinstance(value, BaseException):
                raise value
            data[root.key] = await root.answer(value, self.variables, self.context)
        return data


@dataclass(frozen=True, slots=True, eq=False)
class EventPlan:
    """A compiled subscription: what goes to the client of each event that its resolver yields."""

    key: str
    _complete: Complete

    def answer(self, event: object) -> dict[str, object]:
        """Return the data; any exception means that graphql-core shall complete it.

        It depends on nothing but the event: a selection with arguments is left to graphql-core.
        """
        return {self.key: self._complete(event, Later())}


class Plans:
    """The plans of an operation: one for each way in which the variables of `@skip` and `@include` fall.

    Each is made when it is first asked for.
    """

    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._document = document
        self._operation = operation
        self._switches = _switches(document)
        self._defaults = {
            declared.variable.name.value: declared.default_value.value
            for declared in operation.variable_definitions or ()
            if isinstance(declared.default_value, BooleanValueNode)
        }
        self._made: dict[tuple[bool, ...], Plan | EventPlan | None] = {}

    def choose(self, variables: Mapping[str, object]) -> Plan | EventPlan | None:
        """Return the plan for these variables, or None where a part of it must stay with graphql-core."""
        key = []
        for name in self._switches:
            value = variables.get(name, self._defaults.get(name))
            if not isinstance(value, bool):
                return None  # graphql-core says what is wrong with it
            key.append(value)
        return self._plan(tuple(key))

    @property
    def most(self) -> int:
        """How many there may come to be."""
        return 2 ** len(self._switches) if len(self._switches) <= _MOST_SWITCHES else 0

    def _plan(self, key: tuple[bool, ...]) -> Plan | EventPlan | None:
        if key not in self._made:
            if not self.most:
                return None
            self._made[key] = None
            with suppress(UncompilableError):
                switches = dict(zip(self._switches, key, strict=True))
                self._made[key] = _compile(self._schema, self._document, self._operation, switches)
        return self._made[key]


def _called(function: Callable[..., object], arguments: Mapping[str, object]) -> object:
    try:
        return function(None, **arguments)
    except Exception as error:  # noqa: BLE001 - graphql-core places and formats it
        return error


async def _settled(results: list[object]) -> list[object]:
    """Await what must be awaited, all together; an exception takes the place of a result."""
    if len(results) == 1:  # as nearly always
        (result,) = results
        try:
            return [await result if isinstance(result, Awaitable) else result]
        except Exception as error:  # noqa: BLE001 - likewise
            return [error]
    places = [place for place, result in enumerate(results) if isinstance(result, Awaitable)]
    waiting = [cast("Awaitable[object]", results[place]) for place in places]
    if waiting:
        for place, result in zip(places, await asyncio.gather(*waiting, return_exceptions=True), strict=True):
            results[place] = result
    return results


def _switches(document: DocumentNode) -> tuple[str, ...]:
    """Return the variables that directives depend on."""
    found: dict[str, None] = {}

    class Directives(Visitor):
        def enter_directive(self, node: DirectiveNode, *_: object) -> None:
            for argument in node.arguments or ():
                if isinstance(argument.value, VariableNode):
                    found[argument.value.name.value] = None

    visit(document, Directives())
    return tuple(found)


def _compile(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    switches: Mapping[str, bool],
) -> Plan | EventPlan:
    parent_type = schema.get_root_type(operation.operation)
    if operation.directives or parent_type is None:
        raise UncompilableError
    subscribes = operation.operation is OperationType.SUBSCRIPTION
    fragments = {
        definition.name.value: definition
        for definition in document.definitions
        if isinstance(definition, FragmentDefinitionNode)
    }
    selections = SelectionCompiler(schema, fragments, switches, may_call=not subscribes)
    grouped = selections.collect(parent_type, [operation.selection_set])
    alone = operation.operation is not OperationType.QUERY or any(
        isinstance(_definition(parent_type, nodes).type, GraphQLNonNull) for nodes in grouped.values()
    )
    if alone and len(grouped) != 1:
        raise UncompilableError
    if subscribes:
        ((key, nodes),) = grouped.items()
        return EventPlan(key, selections.compile(_definition(parent_type, nodes).type, nodes))
    return Plan(
        tuple(_root(selections, parent_type, key, nodes) for key, nodes in grouped.items()),
        tuple(_variables(schema, operation)),
    )


def _root(
    selections: SelectionCompiler, parent_type: GraphQLObjectType, key: str, nodes: Sequence[FieldNode]
) -> RootField:
    definition = _definition(parent_type, nodes)
    call = compile_call(definition, nodes, selections.fragments)
    return RootField(key, call, selections.compile(definition.type, nodes))


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
