"""What clients see of an error, whatever way they came. Never a value that they sent."""

from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from graphql import GraphQLError, GraphQLFormattedError, GraphQLSyntaxError, ValueNode, VariableNode

from app.domain.errors import BadUserInputError, HubError
from app.domain.redaction import scrub
from app.services.security_log import note_refusal

if TYPE_CHECKING:
    from collections.abc import Iterable

_LOGGER = structlog.stdlib.get_logger("koppelpunt.graphql")
_DOCUMENT = "query"  # the member of the request that holds the document
_LITERAL_TOKEN = re.compile(r"\b(String|BlockString|Int|Float|Comment)\b ?['\"\d-].*", re.DOTALL)
_ILL_FITTING = re.compile(
    r"Expected value of type '([^']+)' (?:(not to include unknown field|to include required field) '(\w+)'"
    r"|(to be an object))"
)
_ARGUMENT = re.compile(r"Argument '(\w+)'")
_INTERNAL_MESSAGE = "Something went wrong"


class RequestFailedError(Exception):
    """An operation that was refused, or ended by an error, with what to tell the client."""

    def __init__(self, errors: list[GraphQLFormattedError]) -> None:
        super().__init__()
        self.errors = errors

    @property
    def code(self) -> str:
        """The code of the first error."""
        return str(self.errors[0].get("extensions", {}).get("code"))


def format_hub_error(error: HubError) -> GraphQLFormattedError:
    """Return an anticipated error: its message and extensions."""
    extensions = {
        name: scrub(value) if isinstance(value, str) else value for name, value in error.extensions.items()
    }
    _LOGGER.debug("request_refused", code=error.code)
    note_refusal(error.code)
    return {"message": scrub(str(error)), "extensions": extensions}


def format_exception(error: Exception) -> GraphQLFormattedError:
    """Return what to tell of any exception; an unforeseen one is logged once and hidden behind an id."""
    cause = _cause(error)
    if isinstance(cause, HubError):
        return format_hub_error(cause)
    error_id = uuid4().hex
    text = "".join(traceback.format_exception(cause))
    _LOGGER.error("internal_error", error_id=error_id, kind=type(cause).__name__, traceback=scrub(text))
    return {"message": _INTERNAL_MESSAGE, "extensions": {"code": "INTERNAL", "errorId": error_id}}


def format_document_errors(errors: Iterable[GraphQLError]) -> list[GraphQLFormattedError]:
    """Return the errors of parsing and validation: names of the schema and places in the document."""
    return [_placed(error, _format_document_error(error)) for error in errors]


def format_execution_errors(errors: Iterable[GraphQLError]) -> list[GraphQLFormattedError]:
    """Return the errors of an operation that ran."""
    return [_placed(error, _format_execution_error(error)) for error in errors]


def _format_document_error(error: GraphQLError) -> GraphQLFormattedError:
    if isinstance(error.original_error, HubError):
        return format_hub_error(error.original_error)
    node = error.nodes[0] if error.nodes else None
    if isinstance(error, GraphQLSyntaxError):
        message = _LITERAL_TOKEN.sub(r"\1.", error.message)
    elif isinstance(node, ValueNode) and not isinstance(node, VariableNode):
        message = _ill_fitting_literal(error.message)
    else:
        message = error.message
    return format_hub_error(BadUserInputError(_DOCUMENT, message))


def _ill_fitting_literal(message: str) -> str:
    """Say what is wrong with a value in the document: the front of the message; its end has the value."""
    if known := _ILL_FITTING.match(message):
        return f"{known[0]}."
    return "A value in the document does not fit the type that is expected there."


def _format_execution_error(error: GraphQLError) -> GraphQLFormattedError:
    cause = _cause(error)
    if isinstance(cause, GraphQLError) and (argument := _ARGUMENT.match(cause.message)):
        # A variable that may be null, or left out, meets an argument that may not.
        return format_hub_error(BadUserInputError(argument[1], f"Argument '{argument[1]}' needs a value."))
    return format_exception(cause)


def _placed(error: GraphQLError, formatted: GraphQLFormattedError) -> GraphQLFormattedError:
    if error.locations:
        formatted["locations"] = [location.formatted for location in error.locations]
    if error.path is not None:
        formatted["path"] = list(error.path)
    return formatted


def _cause(error: Exception) -> Exception:
    while isinstance(error, GraphQLError) and error.original_error is not None:
        error = error.original_error
    return error
