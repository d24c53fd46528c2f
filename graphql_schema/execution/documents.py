"""Documents, parsed and validated once: that is most of the cost of a small request."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphql import (
    DocumentNode,
    GraphQLError,
    GraphQLSchema,
    GraphQLSyntaxError,
    NoSchemaIntrospectionCustomRule,
    OperationDefinitionNode,
    OperationType,
    parse,
    specified_rules,
    validate,
)
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

from app.domain.errors import BadUserInputError, HubError
from graphql_schema.cost import FREE, Cost, cost_of
from graphql_schema.errors import RequestFailedError, format_document_errors, format_hub_error
from graphql_schema.execution.plans import Plans
from graphql_schema.limits import (
    MAX_CHARACTERS,
    MAX_TOKENS,
    DocumentTooLargeError,
    NoPersonalNumberLiteralRule,
    check_document,
)

if TYPE_CHECKING:
    from graphql import ASTValidationRule

_RULES = (
    *specified_rules,
    MaybeNullValidationRule,
    OneOfInputValidationRule,
    NoPersonalNumberLiteralRule,
)
# What is kept for a document, measured: its tree and what is derived from it, with one plan. Each further
# plan takes about two fifths of that.
_BYTES_A_DOCUMENT = 12_000
_BYTES_A_CHARACTER = 65
_MAX_BYTES = 64_000_000
_TOO_MANY_TOKENS = f"more than {MAX_TOKENS} tokens"


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """A document that may run. While kept, equal texts give the same object: a key for what is derived."""

    text: str
    document: DocumentNode
    operation: OperationDefinitionNode
    plan: Plans | None = None
    cost: Cost = FREE

    @property
    def kind(self) -> OperationType:
        """Query, mutation or subscription."""
        return self.operation.operation

    @property
    def size(self) -> int:
        """About how many bytes this keeps from being freed, once all its plans are made."""
        one = _BYTES_A_DOCUMENT + _BYTES_A_CHARACTER * len(self.text)
        return one * (3 + 2 * (self.plan.most if self.plan else 0)) // 5


class Documents:
    """Prepares documents for one schema, and keeps the latest, up to so many bytes."""

    def __init__(
        self,
        schema: GraphQLSchema,
        *,
        introspection: bool,
        max_bytes: int = _MAX_BYTES,
    ) -> None:
        self._schema = schema
        self._introspection = introspection
        self._rules: tuple[type[ASTValidationRule], ...] = (
            _RULES if introspection else (*_RULES, NoSchemaIntrospectionCustomRule)
        )
        self._max_bytes = max_bytes
        self._kept: OrderedDict[str, Prepared] = OrderedDict()
        self._bytes = 0

    def prepare(self, text: str, operation_name: str | None) -> Prepared:
        """Return the document, ready to run.

        Raise RequestFailedError when it is too large, no GraphQL, not valid for the schema, or when it has no
        operation of that name. What is refused is not kept.
        """
        prepared = self._kept.get(text)
        if prepared is None:
            prepared = self._prepare(text)
            self._keep(prepared)
        else:
            self._kept.move_to_end(text)
        name = prepared.operation.name
        if operation_name is not None and (name is None or name.value != operation_name):
            message = "The document has no operation of that name."
            raise RequestFailedError([format_hub_error(BadUserInputError("operationName", message))])
        return prepared

    def _prepare(self, text: str) -> Prepared:
        try:
            if len(text) > MAX_CHARACTERS:
                raise DocumentTooLargeError
            document = parse(text, max_tokens=MAX_TOKENS)
            operation = check_document(document, introspection=self._introspection)
        except GraphQLSyntaxError as error:
            if _TOO_MANY_TOKENS in error.message:
                raise RequestFailedError([format_hub_error(DocumentTooLargeError())]) from None
            raise RequestFailedError(format_document_errors([error])) from None
        except HubError as error:
            raise RequestFailedError([format_hub_error(error)]) from None
        errors: list[GraphQLError] = validate(
            self._schema, document, self._rules, hide_suggestions=not self._introspection
        )
        if errors:
            raise RequestFailedError(format_document_errors(errors))
        return Prepared(
            text,
            document,
            operation,
            Plans(self._schema, document, operation),
            cost_of(self._schema, document, operation),
        )

    def _keep(self, prepared: Prepared) -> None:
        self._kept[prepared.text] = prepared
        self._bytes += prepared.size
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.size
