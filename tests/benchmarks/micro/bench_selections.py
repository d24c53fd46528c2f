"""What an answer costs once its data are there: by compiled plan, and by graphql-core alone.

From the resolver to the bytes of the answer, a hundred times, in processor time.
"""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from contextlib import aclosing
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self, cast
from uuid import UUID

import pytest

from app.domain import feed
from app.domain.access import Principal, Role, Scope
from app.domain.catalogue import Institution, Programme
from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.registration import ChangeKind
from app.domain.seen import SeenRegistration
from app.services.catalogue import CatalogueService
from graphql_schema.context import Context
from graphql_schema.execution.operations import Operations
from graphql_schema.execution.plans import EventPlan, Plan
from graphql_schema.pagination import Cursors
from graphql_schema.schema import schema
from tests.factories.registrations import a_registration

if TYPE_CHECKING:
    from collections.abc import Callable

    from app.services.registrations import RegistrationFilter
    from graphql_schema.execution.documents import Prepared

_OPERATIONS = Operations(schema)
_TIMES = 100
_MOMENT = datetime(2026, 1, 31, 12, tzinfo=UTC)
_FIELDS = """id applicationId institution { brin name } programme { code name } learningPath schoolYear
programmeYear status statusSince statusSource"""
_PAGE = f"""query ($brin: BRIN!) {{ registrations(brin: $brin, first: 50)
{{ nodes {{ {_FIELDS} }} pageInfo {{ hasNextPage endCursor }} }} }}"""
_ONE = f"""query ($brin: BRIN!, $id: ID!)
{{ registrationByApplicationId(brin: $brin, applicationId: $id) {{ {_FIELDS} }} }}"""
_EVENT = (
    "subscription { statusChanged { number kind status recordedAt registration { applicationId status } } }"
)


class _Kept:
    """Registrations that are at hand, in the place of those of the database."""

    def __init__(self) -> None:
        institution, programme = Institution("25LX", "An institution"), Programme("25604", "A programme", 4)
        self._rows = [
            SeenRegistration(
                institution, programme, str(UUID(int=key)), UUID(int=key), key, f"A-{key}", key,
                LearningPath.BOL.name, 2026, 1, Status.RECEIVED.name, _MOMENT, StatusSource.SIS.name,
                _MOMENT, False, None, "25LX", "25604",
            )
            for key in range(51)
        ]  # fmt: skip

    async def page(
        self, principal: Principal, wanted: RegistrationFilter, last: object, size: int, unread: object
    ) -> object:
        return self._rows[:size]

    async def by_application_id(self, principal: Principal, brin: str, application_id: str) -> object:
        return self._rows[0]


class _Changes:
    """A feed of equal changes that comes to an end."""

    def __init__(self) -> None:
        registration = a_registration(1, _MOMENT)
        change = feed.StatusChange(
            7, ChangeKind.STATUS, _MOMENT, "S-1", "A-1", registration, Status.OFFERED, Status.RECEIVED,
            StatusSource.SIS, _MOMENT,
        )  # fmt: skip
        self._left = deque([change] * _TIMES)

    def leave_by(self, outlet: object) -> None:
        raise NotImplementedError

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> feed.StatusChange:
        if not self._left:
            raise StopAsyncIteration
        return self._left.popleft()

    async def aclose(self) -> None:
        self._left.clear()


def _context() -> Context:
    services = SimpleNamespace(
        registrations=_Kept(),
        subscription=SimpleNamespace(changes=lambda principal, after: _Changes()),
        catalogue=CatalogueService(cast("Any", None)),
    )
    principal = Principal("client", 1, "oin", "a school", Role.SIS, frozenset(Scope))
    return Context(principal, cast("Any", services), Cursors(b"c" * 64))


def _prepared(text: str, way: str, variables: dict[str, object]) -> Prepared:
    prepared = _OPERATIONS.prepare(text, None)
    assert prepared.plan is not None
    assert isinstance(prepared.plan.choose(variables), Plan | EventPlan)
    return prepared if way == "compiled" else dataclasses.replace(prepared, plan=None)


def _repeated(text: str, way: str, **variables: object) -> Callable[[], list[bytes]]:
    prepared, context = _prepared(text, way, variables), _context()

    async def run() -> list[bytes]:
        return [await _OPERATIONS.execute(prepared, variables, context) for _ in range(_TIMES)]

    return lambda: asyncio.run(run())


@pytest.mark.parametrize("way", ["compiled", "graphql-core"])
class TestSelections:
    @pytest.mark.benchmark(group=f"{_TIMES} pages of 50 registrations, ten fields", timer=time.process_time)
    def test_page(self, benchmark, way):
        answers = benchmark(_repeated(_PAGE, way, brin="25LX"))
        assert answers[0].count(b"applicationId") == 50

    @pytest.mark.benchmark(group=f"{_TIMES} look-ups of one registration", timer=time.process_time)
    def test_one(self, benchmark, way):
        answers = benchmark(_repeated(_ONE, way, brin="25LX", id="A-1"))
        assert b'"applicationId":"A-0"' in answers[0]

    @pytest.mark.benchmark(group=f"{_TIMES} events of a subscription", timer=time.process_time)
    def test_event(self, benchmark, way):
        prepared = _prepared(_EVENT, way, {})

        async def run() -> list[bytes]:
            async with aclosing(_OPERATIONS.subscribe(prepared, {}, _context())) as events:
                return [event.payload async for event in events]

        payloads = benchmark(lambda: asyncio.run(run()))
        assert len(payloads) == _TIMES
        assert b'"number":7' in payloads[0]
