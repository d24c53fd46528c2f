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

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
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
_EXACT = {"String": str, "ID": str, "Boolean": bool, "Float": float}
# What other scalars are made of. `str` would make a text of anything: of an exception, of a coroutine.
_PLAIN = (str, UUID, date)


@dataclass(frozen=True, slots=True)
class Later:
    """A resolver that needs arguments or must be awaited: called when the rest of the answer stands."""

    answer: dict[str, object]
    key: str
    source: object
    field: LaterField

    def call(self, variables: Mapping[str, object], context: object) -> object:
        """Call the resolver; return what it gave, or the exception that it raised."""
        try:
            return self.field.call.function(self.source, **self.field.call.arguments(variables, context))
        except Exception as error:  # noqa: BLE001 - once all were called, graphql-core takes over
            return error


@dataclass(frozen=True, slots=True, eq=False)
class LaterField:
    """The field of a `Later`: how to call it, and what to do with its result."""

    call: Call
    complete: Callable[[object, list[Later]], object]


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

    def compile(
        self, return_type: GraphQLOutputType, nodes: Sequence[FieldNode]
    ) -> Callable[[object, list[Later]], object]:
        """Return the function (value, later) -> what goes into the answer."""
        source = Source()
        body = [f"return {self._value(source, return_type, nodes, 'v')}"]
        complete = source.build(source.function("v, later", body))
        return cast("Callable[[object, list[Later]], object]", complete)

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
            return f"{self._leaf(source, type_)}({expression})"
        if isinstance(type_, GraphQLList):
            item = source.name("v")
            completed = self._value(source, type_.of_type, nodes, item)
            return f"[{completed} for {item} in {source.constant(_list)}({expression})]"
        if isinstance(type_, GraphQLObjectType):
            return f"{self._object(source, type_, nodes)}({expression}, later)"
        raise UncompilableError

    def _leaf(self, source: Source, type_: GraphQLScalarType | GraphQLEnumType) -> str:
        if isinstance(type_, GraphQLEnumType):
            members = source.constant(_members(type_))
            body = [f"return {members}[v]"]
        elif type_.name == "Int":
            body = [f"if type(v) is not int or not -{_INT + 1} <= v <= {_INT}: raise Anomaly", "return v"]
        elif type_.name in _EXACT:
            body = [f"if type(v) is not {_EXACT[type_.name].__name__}: raise Anomaly"]
            if type_.name == "Float":
                body.append("if v - v != 0: raise Anomaly")
            body.append("return v")
        else:
            body = [
                f"if not isinstance(v, {source.constant(_PLAIN)}): raise Anomaly",
                f"r = {source.constant(type_.serialize)}(v)",
                "if r is None: raise Anomaly",
                "return r",
            ]
        return source.function("v", body)

    def _object(self, source: Source, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> str:
        definition: StrawberryObjectDefinition = type_.extensions["strawberry-definition"]
        if definition.is_type_of is not None:
            raise UncompilableError
        grouped = self.collect(type_, [node.selection_set for node in nodes])
        unexpected = "v is None"
        if type_.is_type_of is not None:
            unexpected = f"type(v) is not {source.constant(definition.origin)}"
        body = [f"if {unexpected}: raise Anomaly"]
        items = []
        after = []
        for key, fields in grouped.items():
            name = fields[0].name.value
            if name == "__typename":
                items.append(f"{key!r}: {type_.name!r}")
                continue
            shape = type_.fields[name]
            field: StrawberryField = shape.extensions["strawberry-definition"]
            if field.is_basic_field:
                value = self._value(source, shape.type, fields, f"v.{field.python_name}")
            elif field.base_resolver is not None and _needs_nothing(field, field.base_resolver):
                resolved = f"{source.constant(field.base_resolver.wrapped_func)}(v)"
                value = self._value(source, shape.type, fields, resolved)
            elif not self.may_call:
                raise UncompilableError
            else:
                inner = LaterField(compile_call(shape, fields[0]), self.compile(shape.type, fields))
                value = "None"
                after.append(
                    f"later.append({source.constant(Later)}(d, {key!r}, v, {source.constant(inner)}))"
                )
            items.append(f"{key!r}: {value}")
        answer = "{" + ", ".join(items) + "}"
        body += [f"d = {answer}", *after, "return d"] if after else [f"return {answer}"]
        return source.function("v, later", body)

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
