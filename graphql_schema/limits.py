"""How large a document may be: one pass before anything else looks at it, each fragment measured once.

Strawberry's own depth and alias limiters walk a fragment again at each spread, which takes minutes for 1 KB
of nested fragments; so they are not used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationRule,
    ValueNode,
    VariableNode,
    get_named_type,
)

from app.domain.errors import BadUserInputError, LimitExceededError

if TYPE_CHECKING:
    from graphql import ValidationContext

MAX_CHARACTERS = 20_000  # the lexer needs 0.3 µs a character, comments and commas included
MAX_TOKENS = 400
_CAP = 1_000_000  # fragments that double each other would make numbers of any length
_INTROSPECTION = frozenset({"__schema", "__type", "__typename"})
_PERSONAL_NUMBER = "PersonalNumber"
_VALUE_KINDS = ("string", "int", "float", "boolean", "enum", "list", "object")


class DocumentTooLargeError(LimitExceededError):
    """The document is larger than the hub takes."""


@dataclass(frozen=True, slots=True)
class Measure:
    """Size of a selection, fragments included: levels of fields, and how often each of the others occurs."""

    depth: int = 0
    fields: int = 0
    aliases: int = 0
    directives: int = 0


DOCUMENT_LIMIT = Measure(depth=8, fields=200, aliases=15, directives=10)
# The query that graphql-core and GraphiQL make has 15 levels and 220 fields.
INTROSPECTION_LIMIT = Measure(depth=16, fields=260, aliases=15, directives=10)


def check_document(document: DocumentNode, *, introspection: bool) -> OperationDefinitionNode:
    """Return the one operation of the document.

    Raise BadUserInputError unless it has exactly one, and DocumentTooLargeError when it is too large. Unknown
    fragments and cycles are left to validation.
    """
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if len(operations) != 1:
        message = "A document holds exactly one operation."
        raise BadUserInputError("query", message)
    operation = operations[0]
    limit = INTROSPECTION_LIMIT if introspection and _only_introspects(operation) else DOCUMENT_LIMIT
    size = measure(document, operation)
    for name in ("depth", "fields", "aliases", "directives"):
        allowed = getattr(limit, name)
        if getattr(size, name) > allowed:
            message = f"The document exceeds the limit of {allowed} for {name}."
            raise DocumentTooLargeError(message)
    return operation


def measure(document: DocumentNode, operation: OperationDefinitionNode) -> Measure:
    """Return the size of the operation as if every fragment stood where it is spread.

    A spread that closes a cycle counts nothing. Linear in the document.
    """
    return _Measurer(document).operation(operation)


class _Measurer:
    def __init__(self, document: DocumentNode) -> None:
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._measured: dict[str, Measure | None] = {}  # None: being measured

    def operation(self, operation: OperationDefinitionNode) -> Measure:
        size = self._selection(operation.selection_set)
        own = len(operation.directives or ()) + sum(
            len(variable.directives or ()) for variable in operation.variable_definitions or ()
        )
        return Measure(size.depth, size.fields, size.aliases, size.directives + own)

    def _selection(self, selection_set: SelectionSetNode | None) -> Measure:
        depth = fields = aliases = directives = 0
        for node in selection_set.selections if selection_set else ():
            directives += len(node.directives or ())
            if isinstance(node, FieldNode):
                inner = self._selection(node.selection_set)
                depth = max(depth, inner.depth + 1)
                fields += 1
                aliases += node.alias is not None
            elif isinstance(node, InlineFragmentNode):
                inner = self._selection(node.selection_set)
                depth = max(depth, inner.depth)
            elif isinstance(node, FragmentSpreadNode):
                inner = self._fragment(node.name.value)
                depth = max(depth, inner.depth)
            else:
                continue
            fields += inner.fields
            aliases += inner.aliases
            directives += inner.directives
        return Measure(depth, min(fields, _CAP), min(aliases, _CAP), min(directives, _CAP))

    def _fragment(self, name: str) -> Measure:
        if name in self._measured:
            return self._measured[name] or Measure()
        fragment = self._fragments.get(name)
        if fragment is None:
            return Measure()
        self._measured[name] = None
        size = self._selection(fragment.selection_set)
        own = len(fragment.directives or ())
        self._measured[name] = size = Measure(size.depth, size.fields, size.aliases, size.directives + own)
        return size


def _only_introspects(operation: OperationDefinitionNode) -> bool:
    return all(
        isinstance(node, FieldNode) and node.name.value in _INTROSPECTION
        for node in operation.selection_set.selections
    )


class PersonalNumberLiteralError(BadUserInputError):
    """A personal number is given in a variable, never in the document."""

    def __init__(self) -> None:
        super().__init__("query")


class NoPersonalNumberLiteralRule(ValidationRule):
    """Refuses a value that stands in the document where the schema wants a PersonalNumber.

    Documents are cached and may be logged by clients; variables are neither.
    """

    def __init__(self, context: ValidationContext) -> None:
        super().__init__(context)
        for kind in _VALUE_KINDS:
            setattr(self, f"enter_{kind}_value", self._judge)

    def _judge(self, node: ValueNode, *_: object) -> None:
        expected = get_named_type(self.context.get_input_type())
        if expected is not None and expected.name == _PERSONAL_NUMBER and not isinstance(node, VariableNode):
            error = PersonalNumberLiteralError()
            self.report_error(GraphQLError(str(error), node, original_error=error))
