"""A selection of plain attributes, compiled to one Python function.

graphql-core asks anew for each field of each object what to do; a page of 50 registrations with ten fields
costs it 3 ms. The answers depend on nothing but the document, so here they are asked for once and written
down as code, which takes a hundredth of that.

Compiled are: attributes, and resolvers that need nothing but their object; objects and lists of them, null or
not; enums and scalars; `__typename`, aliases, fragments. `@skip` and `@include` are compiled away: there is a
compiler for each way in which their variables may fall. Resolvers with arguments or that must be awaited go
into a list of what to do later. Anything else stays with graphql-core. The code expects that values are what
the schema says. It stops at the first that is not, and graphql-core completes the same value again: so nulls,
errors and their paths are graphql-core's own.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, cast
from uuid import UUID

from graphql import (
    BooleanValueNode,
    DirectiveNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    GraphQLSchema,
    InlineFragmentNode,
    SelectionSetNode,
    VariableNode,
    is_abstract_type,
)

from graphql_schema.execution.calls import Call, compile_call
from graphql_schema.execution.source import AnomalyError, Source, UncompilableError

if TYPE_CHECKING:
    from strawberry.types.base import StrawberryObjectDefinition
    from strawberry.types.field import StrawberryField
    from strawberry.types.fields.resolver import StrawberryResolver

_INT = 2_147_483_647
# What of the built-in scalars goes out as it is, by its type; another type is left to graphql-core.
_EXACT = {
    "Int": f"is int and -{_INT + 1} <= v <= {_INT}",
    "Float": "is float and v - v == 0",
    "String": "is str",
    "ID": "is str",
    "Boolean": "is bool",
}
# On the `serialize` of a scalar: of a datetime in UTC it makes what the encoder of answers makes of it too.
BY_ENCODER = "by_encoder"
# What other scalars are made of. `str` would make a text of anything: of an exception, of a coroutine.
_PLAIN = (str, UUID, date)


# Objects that wait for a field, with the answers that it shall stand in.
Waiting = list[tuple[dict[str, object], object]]
Complete = Callable[[object, "Later"], object]


@dataclass(frozen=True, slots=True, eq=False)
class LaterField:
    """A field that needs arguments or must be awaited: called when the rest of the answer stands."""

    key: str
    call: Call
    complete: Complete

    def begin(
        self, waiting: Waiting, variables: Mapping[str, object], context: object
    ) -> list[Awaitable[list[object]] | object]:
        """Call the resolver for all that wait; return what it gave, or the exceptions that it raised.

        That is one awaitable of all results where the field is answered together, else one result for each.
        """
        try:
            arguments = self.call.arguments(variables, context)
            if self.call.together is not None:
                return [self.call.together([source for _, source in waiting], **arguments)]
        except Exception as error:  # noqa: BLE001 - once all were called, graphql-core takes over
            return [error]
        return [self._called(source, arguments) for _, source in waiting]

    def _called(self, source: object, arguments: Mapping[str, object]) -> object:
        try:
            return self.call.function(source, **arguments)
        except Exception as error:  # noqa: BLE001 - likewise
            return error

    def finish(self, waiting: Waiting, results: list[object], later: Later) -> None:
        """Put the results, awaited, into the answers; raise one that is an exception."""
        if self.call.together is not None and not isinstance(results[0], BaseException):
            results = cast("list[object]", results[0])
        for result in results:
            if isinstance(result, BaseException):
                raise result
        key, complete = self.key, self.complete
        for (answer, _), result in zip(waiting, results, strict=True):
            answer[key] = complete(result, later)


class Later(dict[LaterField, Waiting]):
    """What of an answer must be asked for once the rest stands."""

    def __missing__(self, field: LaterField) -> Waiting:
        """Begin to wait for a field."""
        waiting: Waiting = []
        self[field] = waiting
        return waiting


@dataclass(slots=True)
class SelectionCompiler:
    """Compiles selections of one document. Raises UncompilableError for what it leaves to graphql-core.

    `switches` are the variables of `@skip` and `@include`, and how they fall. Unless it `may_call`, what
    needs a resolver with arguments stays with graphql-core.
    """

    schema: GraphQLSchema
    fragments: Mapping[str, FragmentDefinitionNode]
    switches: Mapping[str, bool]
    may_call: bool = True

    def compile(self, return_type: GraphQLOutputType, nodes: Sequence[FieldNode]) -> Complete:
        """Return the function (value, later) -> what goes into the answer."""
        source = Source()
        body = [f"return {self._value(source, return_type, nodes, 'v')}"]
        complete = source.build(source.function("v, later", body))
        return cast("Complete", complete)

    def _value(
        self, source: Source, type_: GraphQLOutputType, nodes: Sequence[FieldNode], expression: str
    ) -> str:
        """Return an expression for a value; it raises where a null may not be."""
        if isinstance(type_, GraphQLNonNull):
            return self._present(source, type_.of_type, nodes, expression)
        value = source.name("v")
        completed = self._present(source, type_, nodes, value)
        return f"(None if ({value} := {expression}) is None else {completed})"

    def _present(
        self, source: Source, type_: GraphQLOutputType, nodes: Sequence[FieldNode], expression: str
    ) -> str:
        if isinstance(type_, GraphQLScalarType | GraphQLEnumType):
            return _leaf(source, type_, expression)
        if isinstance(type_, GraphQLList):
            item = source.name("v")
            completed = source.function(
                f"{item}, later", [f"return {self._value(source, type_.of_type, nodes, item)}"]
            )
            listed = f"{source.constant(_list)}({expression})"
            return f"[{completed}({item}, later) for {item} in {listed}]"
        if isinstance(type_, GraphQLObjectType):
            return self._object(source, type_, nodes, expression)
        raise UncompilableError

    def _object(
        self, source: Source, type_: GraphQLObjectType, nodes: Sequence[FieldNode], expression: str
    ) -> str:
        definition: StrawberryObjectDefinition = type_.extensions["strawberry-definition"]
        if definition.is_type_of is not None:
            raise UncompilableError
        grouped = self.collect(type_, [node.selection_set for node in nodes])
        value = source.name("o")
        unexpected = f"({value} := {expression}) is None"
        if type_.is_type_of is not None:
            unexpected = f"type({value} := {expression}) is not {source.constant(definition.origin)}"
        items = []
        waits: list[LaterField] = []
        for key, fields in grouped.items():
            name = fields[0].name.value
            if name == "__typename":
                items.append(f"{key!r}: {type_.name!r}")
                continue
            shape = type_.fields[name]
            field: StrawberryField = shape.extensions["strawberry-definition"]
            if field.is_basic_field:
                item = self._value(source, shape.type, fields, f"{value}.{field.python_name}")
            elif field.base_resolver is not None and _needs_nothing(field, field.base_resolver):
                resolved = f"{source.constant(field.base_resolver.wrapped_func)}({value})"
                item = self._value(source, shape.type, fields, resolved)
            elif not self.may_call:
                raise UncompilableError
            else:
                call = compile_call(shape, fields, self.fragments)
                waits.append(LaterField(key, call, self.compile(shape.type, fields)))
                item = "None"
            items.append(f"{key!r}: {item}")
        answer = "{" + ", ".join(items) + "}"
        if waits:
            waiting = [f"later[{source.constant(one)}].append((d, v))" for one in waits]
            put = source.function("d, v, later", [*waiting, "return d"])
            answer = f"{put}({answer}, {value}, later)"
        return f"(refuse() if {unexpected} else {answer})"

    def collect(
        self, type_: GraphQLObjectType, selections: Sequence[SelectionSetNode | None]
    ) -> dict[str, list[FieldNode]]:
        """Return fields by the key of the answer, in the order of the specification's CollectFields."""
        grouped: dict[str, list[FieldNode]] = {}
        visited: set[str] = set()
        for selection_set in selections:
            self._collect(type_, selection_set, grouped, visited)
        return grouped

    def _collect(
        self,
        type_: GraphQLObjectType,
        selections: SelectionSetNode | None,
        grouped: dict[str, list[FieldNode]],
        visited: set[str],
    ) -> None:
        for selection in selections.selections if selections is not None else ():
            if not self._included(selection.directives or ()):
                continue
            if isinstance(selection, FieldNode):
                key = selection.alias.value if selection.alias else selection.name.value
                grouped.setdefault(key, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                if condition is None or self._applies(type_, condition.name.value):
                    self._collect(type_, selection.selection_set, grouped, visited)
            elif isinstance(selection, FragmentSpreadNode) and selection.name.value not in visited:
                visited.add(selection.name.value)
                fragment = self.fragments[selection.name.value]
                if fragment.directives or fragment.variable_definitions:
                    raise UncompilableError
                if self._applies(type_, fragment.type_condition.name.value):
                    self._collect(type_, fragment.selection_set, grouped, visited)

    def _included(self, directives: Sequence[DirectiveNode]) -> bool:
        included = True
        for directive in directives:
            name = directive.name.value
            if name not in {"skip", "include"}:
                raise UncompilableError
            (condition,) = (argument.value for argument in directive.arguments or ())
            if isinstance(condition, VariableNode):
                holds = self.switches[condition.name.value]
            elif isinstance(condition, BooleanValueNode):
                holds = condition.value
            else:
                raise UncompilableError
            included = included and holds is (name == "include")
        return included

    def _applies(self, type_: GraphQLObjectType, condition: str) -> bool:
        if condition == type_.name:
            return True
        wanted = self.schema.type_map[condition]
        return is_abstract_type(wanted) and self.schema.is_sub_type(wanted, type_)


def _leaf(source: Source, type_: GraphQLScalarType | GraphQLEnumType, expression: str) -> str:
    """Return an expression for the value of a scalar or an enum, which is not null."""
    if isinstance(type_, GraphQLEnumType):
        return f"{source.constant(_members(type_))}[{expression}]"
    value = source.name("s")
    given = f"({value} := {expression})"
    expected = None
    if type_.name in _EXACT:
        expected = _EXACT[type_.name]
    elif type_.serialize is str:
        expected = "is str"
    if expected is not None:
        return f"({value} if type{given} {expected.replace('v', value)} else refuse())"
    serialize = f"{source.constant(_serialized)}({source.constant(type_.serialize)}, "
    if getattr(type_.serialize, BY_ENCODER, False):
        utc = source.constant(UTC)
        moment = source.constant(datetime)
        return f"({value} if type{given} is {moment} and {value}.tzinfo is {utc} else {serialize}{value}))"
    return f"{serialize}{expression})"


def _serialized(serialize: Callable[[object], object], value: object) -> object:
    if not isinstance(value, _PLAIN):
        raise AnomalyError
    result = serialize(value)
    if result is None:
        raise AnomalyError
    return result


def _list(value: object) -> list[object] | tuple[object, ...]:
    # Not any iterable: a generator can be gone through once only, and a text is no list of letters.
    if type(value) is list or type(value) is tuple:
        return value
    raise AnomalyError


def _needs_nothing(field: StrawberryField, resolver: StrawberryResolver[object]) -> bool:
    return (
        not resolver.is_async
        and not field.arguments
        and resolver.self_parameter is not None
        and resolver.parent_parameter is None
        and resolver.info_parameter is None
        and not field.extensions
        and not field.permission_classes
    )


def _members(type_: GraphQLEnumType) -> dict[object, str]:
    """Return the names of an enum by its members."""
    enum = type_.extensions["strawberry-definition"].wrapped_cls
    return {enum(value.value): name for name, value in type_.values.items()}
