"""What does not exist and what one may not see cannot be told apart: not by the answer, not by the work."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import asynccontextmanager
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema
from tests.factories.world import BRIN, FOREIGN_BRIN, a_message, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    import asyncpg
    from asyncpg.connection import LoggedQuery

    from app.domain.access import Principal
    from tests.factories.world import World

BY_ID = "query($id: ID!){registration(id: $id){id applicationId status reference}}"
BY_APPLICATION_ID = (
    "query($brin: BRIN!, $id: ID!){registrationByApplicationId(brin: $brin, applicationId: $id){id status}}"
)
BY_REFERENCE = "query($id: ID!){followedStudent(reference: $id){reference registrations{id}}}"
OPERATIONS = Operations(schema)


class Watch:
    """Every statement on the connections that a hub lends, with its arguments."""

    def __init__(self, world: World) -> None:
        self.seen: list[LoggedQuery] = []
        self._lend = world.hub.database.connection
        world.hub.database.connection = self._watched  # type: ignore[method-assign]

    @asynccontextmanager
    async def _watched(self) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
        async with self._lend() as connection:
            with connection.query_logger(self.seen.append):
                yield connection

    async def rows_touched(self) -> int:
        """Return how many rows the scans of the statements that were seen find when they run again."""
        touched = 0
        async with self._lend() as connection:
            for statement in self.seen:
                plan = await connection.fetchval(
                    f"explain (analyze, format json) {statement.query}", *statement.args
                )
                touched += _scanned(json.loads(plan)[0]["Plan"])
        return touched


def _scanned(node: dict[str, Any]) -> int:
    own = int(node["Actual Rows"] * node["Actual Loops"]) if "Relation Name" in node else 0
    return own + sum(_scanned(inner) for inner in node.get("Plans", ()))


async def ask(world: World, principal: Principal, text: str, **variables: object) -> bytes:
    prepared = OPERATIONS.prepare(text, None)
    return await OPERATIONS.execute(prepared, variables, world.hub.context(principal))


@pytest.fixture
async def quiet(open_world: Callable[..., object]) -> World:
    """Open a hub that numbers and delivers nothing by itself, with registrations of several callers."""
    opened: World = await open_world(background=False)  # type: ignore[misc]
    await opened.furnish()
    for _ in range(50):
        await opened.report(a_message())
    return opened


class Cases:
    """Registrations that a transfer system and a SIS vendor may not see, and how each is known."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {"unknown": str(uuid4())}
        self.application_ids: dict[str, tuple[str, str]] = {"unknown": (BRIN, "A-unheard-of")}

    async def fill(self, world: World) -> None:
        followed = a_personal_number()
        for name, message, by in (
            ("unfollowed", a_message(), world.sis),
            ("followed by another", a_message(personal_number=followed), world.sis),
            ("foreign", a_message(brin=FOREIGN_BRIN), world.other_sis),
        ):
            (result,) = await world.report(message, by=by)
            assert result.registration is not None
            self.ids[name] = str(result.registration.public_id)
            self.application_ids[name] = (message.brin, message.application_id)
        await world.follow(followed, "S-of-another", by=world.other_os)


@pytest.fixture
async def cases(quiet: World) -> Cases:
    made = Cases()
    await made.fill(quiet)
    return made


async def compare(world: World, principal: Principal, text: str, asked: dict[str, dict[str, object]]) -> None:
    """Assert that all cases are answered alike and with the same work; print how long each took."""
    await ask(world, principal, text, **next(iter(asked.values())))  # asyncpg learns the types once
    watch = Watch(world)
    answers, statements, touched = {}, {}, {}
    for name, variables in asked.items():
        watch.seen.clear()
        answers[name] = await ask(world, principal, text, **variables)
        await asyncio.sleep(0)  # asyncpg tells of a statement in the next turn of the loop
        statements[name] = [one.query for one in watch.seen]
        touched[name] = await watch.rows_touched()
    assert len(set(answers.values())) == 1, answers
    assert json.loads(next(iter(answers.values())))["data"].popitem()[1] is None
    first = next(iter(statements.values()))
    assert first
    assert statements == dict.fromkeys(statements, first)
    assert max(touched.values()) - min(touched.values()) <= 2, touched
    for name, variables in asked.items():
        took = []
        for _ in range(30):
            started = time.perf_counter()
            await ask(world, principal, text, **variables)
            took.append(time.perf_counter() - started)
        print(f"{name}: {median(took) * 1e6:.0f} µs")  # noqa: T201 - measured, not asserted


class TestATransferSystem:
    async def test_learns_nothing_by_id(self, quiet: World, cases: Cases) -> None:
        await compare(quiet, quiet.os, BY_ID, {name: {"id": one} for name, one in cases.ids.items()})

    async def test_learns_nothing_by_application_id(self, quiet: World, cases: Cases) -> None:
        asked: dict[str, dict[str, object]] = {
            name: {"brin": brin, "id": one} for name, (brin, one) in cases.application_ids.items()
        }
        await compare(quiet, quiet.os, BY_APPLICATION_ID, asked)

    async def test_learns_nothing_by_the_reference_of_another(self, quiet: World, cases: Cases) -> None:
        del cases
        asked: dict[str, dict[str, object]] = {"unknown": {"id": "S-0"}, "of another": {"id": "S-of-another"}}
        await compare(quiet, quiet.os, BY_REFERENCE, asked)


class TestASisVendor:
    async def test_learns_nothing_of_registrations_of_others(self, quiet: World, cases: Cases) -> None:
        hidden = {name: one for name, one in cases.ids.items() if name in {"unknown", "foreign"}}
        await compare(quiet, quiet.sis, BY_ID, {name: {"id": one} for name, one in hidden.items()})

    async def test_learns_nothing_by_application_id(self, quiet: World, cases: Cases) -> None:
        brin, foreign = cases.application_ids["foreign"]
        asked: dict[str, dict[str, object]] = {
            "unknown": {"brin": brin, "id": "A-unheard-of"},
            "foreign": {"brin": brin, "id": foreign},
        }
        await compare(quiet, quiet.sis, BY_APPLICATION_ID, asked)
