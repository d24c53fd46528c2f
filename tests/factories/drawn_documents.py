"""Requests drawn with hypothesis-graphql, dressed in what it leaves out.

The library draws which fields are selected, how deep, with which arguments, all of them literals. Added here
are aliases, `__typename`, named fragments, `@skip` and `@include`, selections said twice, arguments left out,
and variables in the place of literals. All of it is drawn by Hypothesis, which so finds the least that fails.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    get_named_type,
    is_required_argument,
    print_ast,
    value_from_ast_untyped,
)
from graphql.type import assert_composite_type
from hypothesis import strategies as st
from hypothesis_graphql import nodes
from hypothesis_graphql import strategies as drawn

from tests.factories.documents import Request

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphql import GraphQLArgument, GraphQLField, GraphQLNamedType, GraphQLSchema, ValueNode
    from hypothesis.strategies import DrawFn, SearchStrategy

_DRAW = {OperationType.QUERY: drawn.queries, OperationType.MUTATION: drawn.mutations}
FEATURES = {
    "alias": re.compile(r"a\d+: "),
    "typename": re.compile(r"__typename"),
    "fragment": re.compile(r"\.\.\.F\d+"),
    "inline fragment": re.compile(r"\.\.\. "),
    "@skip": re.compile(r"@skip"),
    "@include": re.compile(r"@include"),
    "variable": re.compile(r": \$v\d"),
}
_MOST = 20  # of each kind of clothing, in one document


def drawn_requests(
    schema: GraphQLSchema,
    kind: OperationType,
    scalars: Mapping[str, SearchStrategy[object]],
    roots: Sequence[str] | None = None,
) -> SearchStrategy[Request]:
    """Return what draws requests, half of them and more with one root field.

    `scalars` draw the values of scalars, by name, as JSON has them; `roots` are the fields to draw from.
    """
    custom = {name: values.map(_node) for name, values in scalars.items()}
    root_type = schema.get_root_type(kind)
    assert root_type is not None
    names = list(roots or root_type.fields)
    documents = [
        _DRAW[kind](schema, fields=some, custom_scalars=custom, print_ast=_as_it_is)
        for some in (names, *([name] for name in names))
    ]
    return _dressed(schema, st.one_of(documents))


def features(request: Request) -> Iterator[str]:
    """Yield the names of what is in the document, of those in `FEATURES`."""
    return (name for name, pattern in FEATURES.items() if pattern.search(request.text))


def _as_it_is(document: DocumentNode) -> DocumentNode:
    return document


def _node(value: object) -> ValueNode:
    return nodes.Int(value) if isinstance(value, int) else nodes.String(value)


@st.composite
def _dressed(draw: DrawFn, schema: GraphQLSchema, documents: SearchStrategy[DocumentNode]) -> Request:
    (operation,) = draw(documents).definitions
    assert isinstance(operation, OperationDefinitionNode)
    return _Dresser(draw, schema).request(operation)


class _Dresser:
    def __init__(self, draw: DrawFn, schema: GraphQLSchema) -> None:
        self._draw = draw
        self._schema = schema
        self._declared: list[str] = []
        self._variables: dict[str, object] = {}
        self._fragments: list[str] = []
        self._count = 0

    def request(self, operation: OperationDefinitionNode) -> Request:
        root = self._schema.get_root_type(operation.operation)
        assert root is not None
        body = self._selections(root, operation.selection_set)
        declared = f"({', '.join(self._declared)})" if self._declared else ""
        text = " ".join((f"{operation.operation.value} Drawn{declared} {{ {body} }}", *self._fragments))
        return Request(text, self._variables)

    def _sometimes(self) -> bool:
        """Say yes to one in six, until there is enough."""
        chosen = self._count < _MOST and self._draw(st.integers(0, 5)) == 5
        self._count += chosen
        return chosen

    def _selections(self, type_: GraphQLNamedType, selection_set: SelectionSetNode) -> str:
        made = [self._selection(type_, one) for one in selection_set.selections]
        is_root = type_ in {self._schema.mutation_type, self._schema.query_type}
        if not is_root and self._sometimes():
            made.append(f"{self._alias()}__typename")
        if self._sometimes():
            made.append(self._draw(st.sampled_from(made)))
        text = " ".join(made)
        if self._sometimes():
            name = f"F{len(self._fragments)}"
            self._fragments.append(f"fragment {name} on {type_.name} {{ {text} }}")
            text = f"...{name}{self._directive()}"
        elif self._sometimes():
            text = f"...{self._directive() or ' '}{{ {text} }}"
        return text

    def _selection(self, type_: GraphQLNamedType, node: object) -> str:
        if isinstance(node, InlineFragmentNode):
            assert node.type_condition is not None
            name = node.type_condition.name.value
            inner = self._selections(self._schema.type_map[name], node.selection_set)
            return f"... on {name}{self._directive()} {{ {inner} }}"
        assert isinstance(node, FieldNode)
        field: GraphQLField = assert_composite_type(type_).fields[node.name.value]  # type: ignore[union-attr] # no union is drawn from
        given = [self._argument(one, field.args[one.name.value]) for one in node.arguments or ()]
        arguments = ", ".join(filter(None, given))
        arguments = f"({arguments})" if arguments else ""
        text = f"{self._alias()}{node.name.value}{arguments}{self._directive()}"
        if node.selection_set is None:
            return text
        return f"{text} {{ {self._selections(get_named_type(field.type), node.selection_set)} }}"

    def _alias(self) -> str:
        return f"a{self._count}: " if self._sometimes() else ""

    def _directive(self) -> str:
        if not self._sometimes():
            return ""
        name = self._draw(st.sampled_from(("skip", "include")))
        how = self._draw(st.sampled_from(("true", "false", "given", "default")))
        if how in {"true", "false"}:
            return f" @{name}(if: {how})"
        default = f" = {self._draw(st.sampled_from(('true', 'false')))}" if how == "default" else ""
        variable = self._declare(f"Boolean!{default}")
        if not default or self._draw(st.booleans()):
            self._variables[variable] = self._draw(st.booleans())
        return f" @{name}(if: ${variable})"

    def _declare(self, type_and_default: str) -> str:
        variable = f"v{len(self._declared)}"
        self._declared.append(f"${variable}: {type_and_default}")
        return variable

    def _argument(self, node: ArgumentNode, argument: GraphQLArgument) -> str:
        optional = not is_required_argument(argument)
        how = self._draw(st.sampled_from(("literal", "variable", "default", "absent", "left out")))
        if how == "left out" and optional:
            return ""
        name, type_, literal = node.name.value, str(argument.type), print_ast(node.value)
        if how == "default":
            return f"{name}: ${self._declare(f'{type_} = {literal}')}"
        if how == "absent" and not type_.endswith("!"):
            return f"{name}: ${self._declare(type_)}"
        if how == "literal":
            return f"{name}: {literal}"
        variable = self._declare(type_)
        self._variables[variable] = value_from_ast_untyped(node.value)
        return f"{name}: ${variable}"
