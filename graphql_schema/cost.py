"""What an operation costs: each field 1, times the items of the pages and batches that it stands in.

The formula is made once for a document, in one pass; a request only puts the sizes in its variables in. What
`@skip` and `@include` leave out counts, and of a list without a size one item, since only pages and batches
can be long.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    ObjectValueNode,
    VariableNode,
    get_named_type,
    get_nullable_type,
    is_input_object_type,
    is_interface_type,
    is_list_type,
    is_object_type,
    value_from_ast_untyped,
)

from app.domain.errors import LimitExceededError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import (
        DocumentNode,
        GraphQLField,
        GraphQLInputType,
        GraphQLNamedType,
        GraphQLSchema,
        OperationDefinitionNode,
        SelectionSetNode,
        ValueNode,
    )

MAX_COST = 60_000
_LARGEST = 1000  # of all pages and batches; what is above is refused for its own sake
_FIRST = "first"
# Lists without an argument that can be long all the same, and how long they can be.
_LENGTHS = {"RegistrationDigest.children": 256}
_CAP = 10**9


class TooExpensiveError(LimitExceededError):
    """The operation costs more than the hub takes: ask for smaller pages or fewer fields."""


@dataclass(frozen=True, slots=True)
class Size:
    """How many items a variable asks for: its number, or the length of its (longest) list."""

    variable: str
    default: int = 1

    def of(self, variables: Mapping[str, object]) -> int:
        """Return the size in a request, 1,000 at most; what is no size counts as 1, and is refused later."""
        value = variables.get(self.variable)
        return self.default if value is None else _extent(value)


@dataclass(frozen=True, slots=True)
class Cost:
    """A sum of products: what is fixed, and for each combination of variable sizes a factor."""

    fixed: int = 0
    terms: tuple[tuple[int, tuple[Size, ...]], ...] = ()

    def of(self, variables: Mapping[str, object]) -> int:
        """Return the cost of a request."""
        if not self.terms:
            return self.fixed
        return self.fixed + sum(
            factor * prod(size.of(variables) for size in sizes) for factor, sizes in self.terms
        )

    def __add__(self, other: Cost) -> Cost:
        """Return what both cost."""
        terms = {sizes: factor for factor, sizes in self.terms}
        for factor, sizes in other.terms:
            terms[sizes] = min(terms.get(sizes, 0) + factor, _CAP)
        return Cost(
            min(self.fixed + other.fixed, _CAP), tuple((factor, sizes) for sizes, factor in terms.items())
        )

    def times(self, size: int | Size) -> Cost:
        """Return what so many of these cost."""
        if isinstance(size, int):
            return Cost(
                min(self.fixed * size, _CAP),
                tuple((min(factor * size, _CAP), sizes) for factor, sizes in self.terms),
            )
        terms = [(factor, (*sizes, size)) for factor, sizes in self.terms]
        return Cost(0, tuple([*terms, (self.fixed, (size,))] if self.fixed else terms))


FREE = Cost()


def cost_of(schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode) -> Cost:
    """Return what an operation of a valid document costs."""
    root = schema.get_root_type(operation.operation)
    return Cost() if root is None else _Estimator(schema, document, operation).operation(root)


class _Estimator:
    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, operation: OperationDefinitionNode
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._defaults = {
            declared.variable.name.value: _extent(value_from_ast_untyped(declared.default_value))
            for declared in operation.variable_definitions or ()
            if declared.default_value is not None
        }
        # By fragment and the size of the page that it is spread in: each measured once.
        self._measured: dict[tuple[str, int | Size], Cost] = {}

    def operation(self, root: GraphQLNamedType) -> Cost:
        return self._selections(root, self._operation.selection_set, 1)

    def _selections(
        self, parent: GraphQLNamedType, selection_set: SelectionSetNode | None, size: int | Size
    ) -> Cost:
        """Return the cost of a selection; `size` is that of the page of which `parent` holds the items."""
        cost = Cost()
        for node in selection_set.selections if selection_set else ():
            if isinstance(node, FieldNode):
                cost += self._field(parent, node, size)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                seen_as = parent if condition is None else self._schema.type_map[condition.name.value]
                cost += self._selections(seen_as, node.selection_set, size)
            elif isinstance(node, FragmentSpreadNode):
                cost += self._fragment(node.name.value, size)
        return cost

    def _fragment(self, name: str, size: int | Size) -> Cost:
        if (name, size) not in self._measured:
            fragment = self._fragments[name]
            seen_as = self._schema.type_map[fragment.type_condition.name.value]
            self._measured[name, size] = self._selections(seen_as, fragment.selection_set, size)
        return self._measured[name, size]

    def _field(self, parent: GraphQLNamedType, node: FieldNode, size: int | Size) -> Cost:
        field = self._definition(parent, node.name.value)
        if field is None:
            # Of introspection, whose lists are as long as the schema, whoever asks.
            return Cost(1) + self._selections(parent, node.selection_set, 1)
        own, written = self._own_size(field, node)
        named = get_named_type(field.type)
        if is_list_type(get_nullable_type(field.type)):
            # Its own arguments tell how long it is, else the page that it is the items of.
            inner = self._selections(named, node.selection_set, 1)
            if own is None:
                size = _LENGTHS.get(f"{parent.name}.{node.name.value}", size)
            return Cost(1) + inner.times(size if own is None else own)
        items = Cost(1).times(own) if own is not None and written else Cost()
        return Cost(1) + items + self._selections(named, node.selection_set, 1 if own is None else own)

    def _definition(self, parent: GraphQLNamedType, name: str) -> GraphQLField | None:
        if is_object_type(parent) or is_interface_type(parent):
            found: GraphQLField | None = parent.fields.get(name)
            return found
        return None

    def _own_size(self, field: GraphQLField, node: FieldNode) -> tuple[int | Size | None, bool]:
        """Return how many items the arguments of a field ask for, and whether these are handed in."""
        given = {argument.name.value: argument.value for argument in node.arguments or ()}
        first = field.args.get(_FIRST)
        if first is not None:
            default = _extent(first.default_value) if isinstance(first.default_value, int) else _LARGEST
            return (self._size(given[_FIRST], first.type, default) if _FIRST in given else default), False
        for name, argument in field.args.items():
            if name in given and _lists(argument.type) is not None:
                return self._size(given[name], argument.type, 1), True
        return None, False

    def _size(self, value: ValueNode, type_: GraphQLInputType, default: int) -> int | Size:
        if isinstance(value, VariableNode):
            name = value.name.value
            return Size(name, self._defaults.get(name, default))
        if isinstance(value, ObjectValueNode):
            lists = _lists(type_) or {}
            sizes = [
                self._size(one.value, lists[one.name.value], 1)
                for one in value.fields
                if one.name.value in lists
            ]
            variable = [size for size in sizes if isinstance(size, Size)]
            return variable[0] if variable else max((s for s in sizes if isinstance(s, int)), default=1)
        written = value_from_ast_untyped(value)
        return default if written is None else _extent(written)


def _lists(type_: GraphQLInputType) -> dict[str, GraphQLInputType] | None:
    """Return the fields of an input that are lists; of a list itself none; None when no list is in it."""
    inner = get_nullable_type(type_)
    if is_list_type(inner):
        return {}
    if is_input_object_type(inner):
        return {
            name: field.type
            for name, field in inner.fields.items()
            if is_list_type(get_nullable_type(field.type))
        } or None
    return None


def _extent(value: object) -> int:
    if isinstance(value, list):
        return min(len(value), _LARGEST)
    if isinstance(value, dict):
        return max((_extent(one) for one in value.values() if isinstance(one, list)), default=1)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(max(0, min(value, _LARGEST)))
    return 1
