"""Calling a resolver without asking anew, for each call, where its arguments come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FieldNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputType,
    GraphQLNonNull,
    GraphQLScalarType,
    IntValueNode,
    NullValueNode,
    StringValueNode,
    Undefined,
    ValueNode,
    VariableNode,
)
from graphql.utilities import value_from_ast
from strawberry.types.base import StrawberryMaybe

from graphql_schema.execution.source import AnomalyError, UncompilableError

if TYPE_CHECKING:
    from strawberry.types.arguments import StrawberryArgument
    from strawberry.types.field import StrawberryField

# Literals of lists and input objects are rare, and stay with graphql-core.
_LITERALS = (IntValueNode, StringValueNode, BooleanValueNode, EnumValueNode, NullValueNode)


_TOGETHER = "answered_together"


def answered_together(function: Callable[..., Awaitable[list[Any]]]) -> dict[str, object]:
    """Return the metadata of a field that is answered for many objects in one call.

    `function` takes the list of objects and then what the resolver takes (by name), and returns what the
    resolver returns for each, in their order; an exception takes the place of a value.
    """
    return {_TOGETHER: function}


@dataclass(slots=True)
class _Info:
    """What resolvers ask of Strawberry's Info: nothing but the context."""

    context: object


@dataclass(frozen=True, slots=True)
class _FromVariable:
    """An argument that is a variable."""

    python_name: str
    variable: str
    not_null: bool


@dataclass(frozen=True, slots=True, eq=False)
class Call:
    """A resolver and its arguments in one place of a document."""

    field: StrawberryField
    function: Callable[..., object]
    literals: Mapping[str, object]
    from_variables: tuple[_FromVariable, ...]
    takes_info: bool
    together: Callable[..., Awaitable[list[object]]] | None = None

    def arguments(self, variables: Mapping[str, object], context: object) -> dict[str, object]:
        """Return the arguments; raise AnomalyError when one is null that may not be."""
        arguments = dict(self.literals)
        for one in self.from_variables:
            if one.variable in variables:
                value = variables[one.variable]
                if value is None and one.not_null:
                    raise AnomalyError
                arguments[one.python_name] = value
        if self.takes_info:
            arguments["info"] = _Info(context)
        return arguments


def compile_call(definition: GraphQLField, node: FieldNode) -> Call:
    """Return the call of a field; raise UncompilableError for what graphql-core must do."""
    field: StrawberryField | None = definition.extensions.get("strawberry-definition")
    resolver = None if field is None else field.base_resolver
    if field is None or resolver is None or field.extensions or field.permission_classes:
        raise UncompilableError
    info = resolver.info_parameter
    if resolver.self_parameter is None or resolver.parent_parameter is not None:
        raise UncompilableError  # it takes its object by name, or not at all
    if info is not None and info.name != "info":
        raise UncompilableError
    literals: dict[str, object] = {}
    from_variables = []
    for given in node.arguments or ():
        type_ = definition.args[given.name.value].type
        argument: StrawberryArgument = definition.args[given.name.value].extensions["strawberry-definition"]
        if isinstance(argument.type, StrawberryMaybe):
            raise UncompilableError
        if isinstance(given.value, VariableNode):
            not_null = isinstance(type_, GraphQLNonNull)
            from_variables.append(_FromVariable(argument.python_name, given.value.name.value, not_null))
        else:
            literals[argument.python_name] = _literal(given.value, type_)
    function = cast("Callable[..., object]", resolver.wrapped_func)
    together = field.metadata.get(_TOGETHER)
    return Call(field, function, literals, tuple(from_variables), info is not None, together)


def _literal(node: ValueNode, type_: GraphQLInputType) -> object:
    nullable = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if not isinstance(node, _LITERALS) or not isinstance(nullable, GraphQLScalarType | GraphQLEnumType):
        raise UncompilableError
    literal = value_from_ast(node, type_)
    if literal is Undefined:
        raise UncompilableError
    return literal
