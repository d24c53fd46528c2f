"""A selection of plain attributes, compiled to one Python function.

graphql-core asks anew for each field of each object what to do; a page of 50 registrations with ten fields
costs it 3 ms. The answers depend on nothing but the document, so here they are asked for once and written
down as code, which takes a hundredth of that.

Compiled are: attributes, and resolvers that need nothing but their object; objects and lists of them, null or
not; enums and scalars; `__typename`, aliases, fragments. Resolvers with arguments or that must be awaited go
into a list of what to do later. Anything else stays with graphql-core. The code expects that values are what
the schema says. It stops at the first that is not, and graphql-core completes the same value again: so nulls,
errors and their paths are graphql-core's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLScalarType,
    InlineFragmentNode,
    SelectionSetNode,
)

from graphql_schema.execution.calls import Call, compile_call
from graphql_schema.execution.source import Source, UncompilableError

if TYPE_CHECKING:
    from strawberry.types.field import StrawberryField

_INT = 2_147_483_647
# What of the built-in scalars goes out as it is, by its type; another type is left to graphql-core.
_EXACT = {"String": str, "ID": str, "Boolean": bool, "Float": float}


@dataclass(frozen=True, slots=True)
class Later:
    """A resolver that needs arguments or must be awaited: called when the rest of the answer stands."""

    answer: dict[str, object]
    key: str
    source: object
    field: LaterField


@dataclass(frozen=True, slots=True, eq=False)
class LaterField:
    """The field of a `Later`: how to call it, and what to do with its result."""

    call: Call
    complete: Callable[[object, list[Later]], object]


@dataclass(slots=True)
class SelectionCompiler:
    """Compiles selections of one document. Raises UncompilableError for what it leaves to graphql-core."""

    fragments: Mapping[str, FragmentDefinitionNode]

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
            return f"[{completed} for {item} in {expression}]"
        if isinstance(type_, GraphQLObjectType):
            return f"{self._object(source, type_, nodes)}({expression}, later)"
        raise UncompilableError

    def _leaf(self, source: Source, type_: GraphQLScalarType | GraphQLEnumType) -> str:
        value = "v"
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
            body = ["if v is None: raise Anomaly", f"return {source.constant(type_.serialize)}({value})"]
        return source.function("v", body)

    def _object(self, source: Source, type_: GraphQLObjectType, nodes: Sequence[FieldNode]) -> str:
        if type_.is_type_of is not None and not type_.interfaces:
            raise UncompilableError
        grouped: dict[str, list[FieldNode]] = {}
        for node in nodes:
            self.collect(type_, node.selection_set, grouped)
        body = ["if v is None: raise Anomaly"]
        items = []
        after = []
        for key, fields in grouped.items():
            name = fields[0].name.value
            if name == "__typename":
                items.append(f"{key!r}: {type_.name!r}")
                continue
            definition = type_.fields.get(name)
            field = None if definition is None else definition.extensions.get("strawberry-definition")
            if definition is None or field is None:
                raise UncompilableError  # introspection
            if field.is_basic_field:
                value = self._value(source, definition.type, fields, f"v.{field.python_name}")
            elif _needs_nothing(field):
                resolved = f"{source.constant(field.base_resolver.wrapped_func)}(v)"
                value = self._value(source, definition.type, fields, resolved)
            else:
                inner = LaterField(compile_call(definition, fields[0]), self.compile(definition.type, fields))
                value = "None"
                after.append(
                    f"later.append({source.constant(Later)}(d, {key!r}, v, {source.constant(inner)}))"
                )
            items.append(f"{key!r}: {value}")
        answer = "{" + ", ".join(items) + "}"
        body += [f"d = {answer}", *after, "return d"] if after else [f"return {answer}"]
        return source.function("v, later", body)

    def collect(
        self,
        type_: GraphQLObjectType,
        selections: SelectionSetNode | None,
        grouped: dict[str, list[FieldNode]],
    ) -> None:
        """Gather fields by the key of the answer, in the order of the specification's CollectFields."""
        for selection in selections.selections if selections is not None else ():
            if selection.directives:
                raise UncompilableError
            if isinstance(selection, FieldNode):
                key = selection.alias.value if selection.alias else selection.name.value
                grouped.setdefault(key, []).append(selection)
            elif isinstance(selection, InlineFragmentNode):
                condition = selection.type_condition
                if condition is None or _applies(type_, condition.name.value):
                    self.collect(type_, selection.selection_set, grouped)
            elif isinstance(selection, FragmentSpreadNode):
                fragment = self.fragments[selection.name.value]
                if fragment.directives or fragment.variable_definitions:
                    raise UncompilableError
                if _applies(type_, fragment.type_condition.name.value):
                    self.collect(type_, fragment.selection_set, grouped)


def _applies(type_: GraphQLObjectType, condition: str) -> bool:
    return condition == type_.name or any(interface.name == condition for interface in type_.interfaces)


def _needs_nothing(field: StrawberryField) -> bool:
    resolver = field.base_resolver
    return (
        resolver is not None
        and not resolver.is_async
        and not field.arguments
        and resolver.info_parameter is None
        and not field.extensions
        and not field.permission_classes
    )


def _members(type_: GraphQLEnumType) -> dict[object, str]:
    """Return the names of an enum by its members."""
    definition = type_.extensions["strawberry-definition"]
    return {member: member.name for member in definition.wrapped_cls}
