"""Answers to be held against each other."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import encode_errors

if TYPE_CHECKING:
    from graphql_schema.execution.documents import Prepared
    from graphql_schema.execution.operations import Operations

_ERROR_ID = re.compile(rb'"errorId":"[0-9a-f]{32}"')


async def answered(
    operations: Operations, prepared: Prepared, variables: dict[str, object], context: object
) -> bytes:
    """Return the answer, also of a request that is refused."""
    try:
        return await operations.execute(prepared, variables, context)
    except RequestFailedError as refused:
        return encode_errors(refused.errors)


def comparable(answer: bytes) -> str:
    """Return an answer without what is drawn anew each time; keys stay in order, errors are a set.

    Errors of fields that run side by side come in the order in which these end.
    """
    body = json.loads(_ERROR_ID.sub(b'"errorId":""', answer))
    if "errors" in body:
        body["errors"].sort(key=json.dumps)
    return json.dumps(body)
