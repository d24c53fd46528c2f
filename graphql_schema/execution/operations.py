"""Runs prepared documents: the one way from HTTP, server-sent events and websockets into the schema."""

from __future__ import annotations

from collections.abc import AsyncIterable
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, cast, runtime_checkable

import orjson
from graphql import ExecutionResult, OperationType
from graphql.execution import create_source_event_stream
from strawberry.execution import optimized_is_awaitable

from app.domain.errors import BadUserInputError
from graphql_schema.cost import MAX_COST, TooExpensiveError
from graphql_schema.errors import (
    RequestFailedError,
    format_exception,
    format_execution_errors,
    format_hub_error,
)
from graphql_schema.execution.context import HubExecutionContext, Resolved
from graphql_schema.execution.documents import Documents, Prepared
from graphql_schema.execution.plans import EventPlan, Plan
from graphql_schema.execution.variables import variable_errors

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from typing import Any, TypeGuard

    import strawberry
    from graphql import GraphQLFormattedError
    from graphql.execution import MiddlewareManager

    from app.feed.outlet import Outlet


# Strawberry's is quicker than graphql-core's for plain values.
_is_awaitable = cast("Callable[[Any], TypeGuard[Awaitable[Any]]]", optimized_is_awaitable)


@dataclass(frozen=True, slots=True)
class Event:
    """One answer of a subscription: its payload as JSON, and the number of its change, if it has one."""

    payload: bytes
    number: int | None


@runtime_checkable
class _Live(Protocol):
    """A resolver's stream of which events may leave without being asked for."""

    def leave_by(self, outlet: Outlet[object]) -> None:
        """Let events leave by an outlet; to be said before the first."""
        ...


class Operations:
    """Executes queries and mutations and subscribes, for one schema."""

    def __init__(
        self, schema: strawberry.Schema, *, introspection: bool = False, max_cost: int = MAX_COST
    ) -> None:
        self._schema = schema._schema  # noqa: SLF001 - Strawberry has no public name for what it built
        self._introspection = introspection
        self._max_cost = max_cost
        self._documents = Documents(self._schema, introspection=introspection)

    def prepare(self, text: str, operation_name: str | None) -> Prepared:
        """Return the document, ready to run; raise RequestFailedError when it may not."""
        return self._documents.prepare(text, operation_name)

    def price(self, prepared: Prepared, variables: dict[str, object] | None) -> int:
        """Return what a request costs; raise RequestFailedError when that is more than one may."""
        cost = prepared.cost.of(variables or {})
        if cost > self._max_cost:
            message = f"The operation costs {cost}, and may cost {self._max_cost}: ask for smaller pages."
            raise RequestFailedError([format_hub_error(TooExpensiveError(message))])
        return cost

    def with_cost(self, answer: bytes, cost: int) -> bytes:
        """Return the answer of `execute` with its cost in `extensions`."""
        # On the bytes: the answer may be large, and is encoded in several places.
        told = b',"extensions":{"cost":{"requested":%d,"maximum":%d}}}'
        return answer[:-1] + told % (cost, self._max_cost)

    async def execute(
        self, prepared: Prepared, variables: dict[str, object] | None, context: object
    ) -> bytes:
        """Run a query or mutation and return its answer as JSON, errors of its fields included.

        Raise RequestFailedError when nothing ran.
        """
        plan = None if prepared.plan is None else prepared.plan.choose(variables or {})
        run = plan.begin(variables or {}, context) if isinstance(plan, Plan) else None
        if run is None:
            return await _answer(self._build(prepared, variables, context))
        resolved = await run.resolve()
        try:
            return _encoded(await run.answer(resolved))
        except Exception:  # noqa: BLE001 - graphql-core meets it again, and gives it its place
            executor = self._build(prepared, variables, context)
            executor.middleware_manager = cast("MiddlewareManager", Resolved(resolved))
        return await _answer(executor)

    async def subscribe(
        self,
        prepared: Prepared,
        variables: dict[str, object] | None,
        context: object,
        outlet: Outlet[Event] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Yield an event for each change. Raise RequestFailedError when it is refused, or fails midway.

        With an outlet, events leave by it as long as it takes them, where the document can be compiled.
        Closing this generator closes the resolver's.
        """
        executor = self._build(prepared, variables, context)
        try:
            source = create_source_event_stream(executor)
            if not isinstance(source, AsyncIterable | ExecutionResult):
                source = await source
            if isinstance(source, ExecutionResult):
                raise RequestFailedError(format_execution_errors(source.errors or ()))  # noqa: TRY301
            stream = cast("AsyncGenerator[object, None]", source)
            plan = None if prepared.plan is None else prepared.plan.choose(variables or {})
            if isinstance(plan, EventPlan) and outlet is not None and isinstance(stream, _Live):
                stream.leave_by(outlet.through(plan, partial(_event, plan)))
            async with aclosing(stream):
                async for change in stream:
                    yield self._planned(plan, change) or _numbered(
                        change,
                        await _answer(cast("HubExecutionContext", executor.build_per_event_executor(change))),
                    )
        except RequestFailedError:
            raise
        except Exception as error:  # noqa: BLE001 - masked and logged
            raise RequestFailedError([format_exception(error)]) from None

    @staticmethod
    def _planned(plan: object, change: object) -> Event | None:
        if not isinstance(plan, EventPlan):
            return None
        try:
            return _event(plan, change)
        except Exception:  # noqa: BLE001 - graphql-core meets it again, and gives it its place
            return None

    def _build(
        self, prepared: Prepared, variables: dict[str, object] | None, context: object
    ) -> HubExecutionContext:
        executor = HubExecutionContext.build(
            self._schema,
            prepared.document,
            None,
            context,
            variables or {},
            max_coercion_errors=0,  # the first is enough to know; the errors to show are made anew
            is_awaitable=_is_awaitable,
            hide_suggestions=not self._introspection,
        )
        if isinstance(executor, list):
            errors = variable_errors(self._schema, prepared.operation, variables or {})
            # What only coercion as a whole finds, such as an invalid default of the document.
            raise RequestFailedError(errors or [format_hub_error(BadUserInputError("variables"))])
        return cast("HubExecutionContext", executor)


def _encoded(data: object) -> bytes:
    # What a plan makes may hold times in UTC, which are written as the scalar writes them.
    return orjson.dumps({"data": data}, option=orjson.OPT_UTC_Z)


def _event(plan: EventPlan, change: object) -> Event:
    return _numbered(change, _encoded(plan.answer(change)))


def _numbered(change: object, payload: bytes) -> Event:
    number = getattr(change, "number", None)
    return Event(payload, number if isinstance(number, int) else None)


async def _answer(executor: HubExecutionContext) -> bytes:
    serially = None if executor.operation.operation is not OperationType.SUBSCRIPTION else False
    result = executor.execute_operation(serially)
    if _is_awaitable(result):
        result = await cast("Awaitable[ExecutionResult]", result)
    answered = cast("ExecutionResult", result)
    if not answered.errors:
        body: dict[str, object] = {"data": answered.data}
    else:
        body = {"errors": format_execution_errors(answered.errors), "data": answered.data}
    try:
        return orjson.dumps(body)
    except TypeError as error:  # a number beyond 64 bits, a lone surrogate
        raise RequestFailedError([format_exception(error)]) from None


def encode_errors(errors: list[GraphQLFormattedError]) -> bytes:
    """Return the answer to a request of which nothing ran, as JSON: errors and no data."""
    return orjson.dumps({"errors": errors})
