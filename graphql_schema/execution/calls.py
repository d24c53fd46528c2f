"""Calling a resolver without asking anew, for each call, where its arguments come from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from graphql import (
    BooleanValueNode,
    EnumValueNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLEnumType,
    GraphQLField,
    GraphQLInputType,
    GraphQLNonNull,
    GraphQLScalarType,
    InlineFragmentNode,
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
    """What resolvers ask of Strawberry's Info: nothing but the context. `below`: see `unasked`."""

    context: object
    below: frozenset[str]


def unasked(info: object, attributes: Mapping[str, str]) -> frozenset[str]:
    """Return which attributes need not be read, of these by their fields: no field below has such a name.

    None of them where graphql-core calls the resolver.
    """
    if not isinstance(info, _Info):
        return frozenset()
    return frozenset(attribute for field, attribute in attributes.items() if field not in info.below)


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
    below: frozenset[str]
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
            arguments["info"] = _Info(context, self.below)
        return arguments


def compile_call(
    definition: GraphQLField,
    nodes: Sequence[FieldNode],
    fragments: Mapping[str, FragmentDefinitionNode],
) -> Call:
    """Return the call of a field, which may stand in several places of one selection.

    Raise UncompilableError for what graphql-core must do.
    """
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
    for given in nodes[0].arguments or ():
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
    below = frozenset(_names(nodes, fragments))
    return Call(field, function, literals, tuple(from_variables), info is not None, below, together)


def _names(nodes: Sequence[FieldNode], fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[str]:
    """Yield the name of each field below these, whatever its directives say."""
    sets = [node.selection_set for node in nodes]
    spread: set[str] = set()
    while sets:
        selection_set = sets.pop()
        for selection in selection_set.selections if selection_set else ():
            if isinstance(selection, FragmentSpreadNode):
                name = selection.name.value
                if name not in spread:
                    spread.add(name)
                    sets.append(fragments[name].selection_set)
                continue
            if isinstance(selection, FieldNode):
                yield selection.name.value
            if isinstance(selection, FieldNode | InlineFragmentNode):
                sets.append(selection.selection_set)


def _literal(node: ValueNode, type_: GraphQLInputType) -> object:
    nullable = type_.of_type if isinstance(type_, GraphQLNonNull) else type_
    if not isinstance(node, _LITERALS) or not isinstance(nullable, GraphQLScalarType | GraphQLEnumType):
        raise UncompilableError
    literal = value_from_ast(node, type_)
    if literal is Undefined:
        raise UncompilableError
    return literal
