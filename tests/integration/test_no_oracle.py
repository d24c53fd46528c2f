"""What does not exist and what one may not see cannot be told apart: not by the answer, not by the work."""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest

from app.domain.access import Role
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema
from tests.factories.world import BRIN, FOREIGN_BRIN, a_message, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from types import FrameType

    import asyncpg
    from asyncpg.connection import LoggedQuery

    from app.domain.access import Principal
    from tests.factories.world import World

pytestmark = pytest.mark.slow

BY_ID = "query($id: ID!){registration(id: $id){id applicationId status reference}}"
BY_APPLICATION_ID = (
    "query($brin: BRIN!, $id: ID!){registrationByApplicationId(brin: $brin, applicationId: $id){id status}}"
)
BY_REFERENCE = "query($id: ID!){followedStudent(reference: $id){reference registrations{id}}}"
RESULTS = (
    "query($ids: [UUID!]!){messageResults(messageIds: $ids){messageId outcome code field registration{id}}}"
)
OPERATIONS = Operations(schema)
ROUNDS, ATTEMPTS = 60, 4
OURS = tuple(str(Path(__file__).parents[2] / name) for name in ("app", "graphql_schema"))
MOST = 1.25  # of the medians: the slowest case beside the quickest

Asked = dict[str, dict[str, object]]


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
    """What there is in the hub that some callers may not see, and how each thing is known.

    `own` is what the caller may see: it shows that the measures would notice a difference.
    """

    def __init__(self) -> None:
        self.ids: dict[str, str] = {"unknown": str(uuid4())}
        self.application_ids: dict[str, tuple[str, str]] = {"unknown": (BRIN, "A-unheard-of")}
        self.message_ids: dict[str, str] = {"unknown": str(uuid4())}
        self.references = {"unknown": "S-unheard-of", "followed by another": "S-of-another"}

    async def fill(self, world: World) -> None:
        followed, own, left = (a_personal_number() for _ in range(3))
        for name, message, by in (
            ("unfollowed", a_message(), world.sis),
            ("followed by another", a_message(personal_number=followed), world.sis),
            ("no longer followed", a_message(personal_number=left), world.sis),
            ("foreign", a_message(brin=FOREIGN_BRIN), world.other_sis),
            ("own", a_message(personal_number=own), world.sis),
            ("of cambo", a_message(), world.cambo),
        ):
            (result,) = await world.report(message, by=by)
            assert result.registration is not None
            self.ids[name] = str(result.registration.public_id)
            self.application_ids[name] = (message.brin, message.application_id)
            self.message_ids[name] = str(message.message_id)
        refused = a_message(brin=BRIN)  # for which it has no mandate
        (result,) = await world.report(refused, by=world.other_sis)
        assert result.code == "NO_MANDATE"
        self.message_ids["refused to another"] = str(refused.message_id)
        await world.follow(followed, "S-of-another", by=world.other_os)
        await world.follow(own, "S-is-followed")
        await world.follow(left, "S-unfollowed")
        await world.services.following.unfollow(world.os, ["S-unfollowed"])
        self.references |= {"own": "S-is-followed", "no longer followed": "S-unfollowed"}


@pytest.fixture
async def cases(quiet: World) -> Cases:
    made = Cases()
    await made.fill(quiet)
    return made


class Comparison:
    """Asks a caller's questions in all cases, and compares what comes back and what it took."""

    def __init__(self, world: World, principal: Principal, text: str, asked: Asked) -> None:
        self._world = world
        self._principal = principal
        self._text = text
        self._asked = {name: variables for name, variables in asked.items() if name != "own"}
        self._own = asked.get("own")

    async def _ask(self, variables: dict[str, object]) -> bytes:
        return await ask(self._world, self._principal, self._text, **variables)

    async def answers(self) -> bytes:
        """Assert that all are answered with the same bytes; return these."""
        answers = {name: await self._ask(variables) for name, variables in self._asked.items()}
        assert len(set(answers.values())) == 1, answers
        return next(iter(answers.values()))

    async def work(self) -> None:
        """Assert that PostgreSQL and the hub do the same for all."""
        watch = Watch(self._world)
        statements, touched, calls = {}, {}, {}
        for name, variables in self._asked.items():
            await asyncio.sleep(0)  # asyncpg tells of a statement in the next turn of the loop
            watch.seen.clear()
            await self._ask(variables)
            await asyncio.sleep(0)
            statements[name] = [one.query for one in watch.seen]
            touched[name] = await watch.rows_touched()
            calls[name] = await self._calls(variables)
        assert statements == dict.fromkeys(statements, statements["unknown"])
        assert max(touched.values()) - min(touched.values()) <= 2, touched
        assert calls == dict.fromkeys(calls, calls["unknown"])
        if self._own is not None:
            assert await self._calls(self._own) > calls["unknown"] > 20

    async def _calls(self, variables: dict[str, object]) -> int:
        """Return how often the hub's own functions, and from them others, are called for an answer.

        No neighbour on the machine changes that; what the event loop and asyncpg do depends on them.
        """
        count = 0

        def called(frame: FrameType, event: str, _argument: object) -> None:
            nonlocal count
            count += event in {"call", "c_call"} and frame.f_code.co_filename.startswith(OURS)

        sys.setprofile(called)
        try:
            await self._ask(variables)
        finally:
            sys.setprofile(None)
        return count

    async def time(self) -> None:
        """Assert that all take the same time: asked in turn, so that what disturbs one disturbs all."""
        ratios, own = [], 0.0
        for _ in range(ATTEMPTS):
            took = await self._took()
            if self._own is not None:
                own = max(own, took.pop("own") / max(took.values()))
            ratios.append(max(took.values()) / min(took.values()))
            if min(ratios) < MOST and (self._own is None or own > MOST):
                break
        assert min(ratios) < MOST, ratios
        if self._own is not None:
            assert own > MOST, "what may be seen takes longer, and that must be noticed"

    async def _took(self) -> dict[str, float]:
        asked = self._asked if self._own is None else {**self._asked, "own": self._own}
        took: dict[str, list[float]] = {name: [] for name in asked}
        for _ in range(ROUNDS):
            for name, variables in random.sample(list(asked.items()), len(asked)):
                started = time.perf_counter()
                await self._ask(variables)
                took[name].append(time.perf_counter() - started)
        return {name: median(times) for name, times in took.items()}


async def look_alike(world: World, principal: Principal, text: str, asked: Asked) -> None:
    """Assert that what may not be seen is answered as what is not there, by the same work, as quickly."""
    comparison = Comparison(world, principal, text, asked)
    (found,) = json.loads(await comparison.answers())["data"].values()
    assert found in (None, [None])
    await comparison.work()
    await comparison.time()


async def refused_alike(world: World, principal: Principal, text: str, asked: Asked) -> None:
    """Assert that a caller who may not ask is told so, whatever it asks for, without a look at anything."""
    comparison = Comparison(world, principal, text, {**asked, "another": asked.pop("own")})
    answer = json.loads(await comparison.answers())
    assert [one["extensions"]["code"] for one in answer["errors"]] == ["FORBIDDEN"]
    watch = Watch(world)
    for variables in asked.values():
        await ask(world, principal, text, **variables)
    await asyncio.sleep(0)
    assert watch.seen == []


def by_id(cases: Cases, *names: str) -> Asked:
    return {name: {"id": cases.ids[name]} for name in names}


def by_application_id(cases: Cases, *names: str) -> Asked:
    wanted = {name: cases.application_ids[name] for name in names}
    return {name: {"brin": brin, "id": one} for name, (brin, one) in wanted.items()}


def by_reference(cases: Cases) -> Asked:
    return {name: {"id": one} for name, one in cases.references.items()}


def by_message_id(cases: Cases, own: str, *names: str) -> Asked:
    return {
        "own": {"ids": [cases.message_ids[own]]},
        **{name: {"ids": [cases.message_ids[name]]} for name in names},
    }


HIDDEN_FROM_OS = ("unknown", "unfollowed", "followed by another", "no longer followed", "foreign", "own")


class TestATransferSystem:
    async def test_learns_nothing_by_id(self, quiet: World, cases: Cases) -> None:
        await look_alike(quiet, quiet.os, BY_ID, by_id(cases, *HIDDEN_FROM_OS))

    async def test_learns_nothing_by_application_id(self, quiet: World, cases: Cases) -> None:
        await look_alike(quiet, quiet.os, BY_APPLICATION_ID, by_application_id(cases, *HIDDEN_FROM_OS))

    async def test_learns_nothing_by_reference(self, quiet: World, cases: Cases) -> None:
        await look_alike(quiet, quiet.os, BY_REFERENCE, by_reference(cases))


class TestASisVendor:
    async def test_learns_nothing_of_registrations_of_others(self, quiet: World, cases: Cases) -> None:
        await look_alike(quiet, quiet.sis, BY_ID, by_id(cases, "unknown", "foreign", "of cambo", "own"))

    async def test_learns_nothing_by_application_id(self, quiet: World, cases: Cases) -> None:
        asked = by_application_id(cases, "unknown", "foreign", "of cambo", "own")
        await look_alike(quiet, quiet.sis, BY_APPLICATION_ID, asked)

    async def test_learns_nothing_of_messages_of_others(self, quiet: World, cases: Cases) -> None:
        asked = by_message_id(cases, "own", "unknown", "foreign", "of cambo", "refused to another")
        await look_alike(quiet, quiet.sis, RESULTS, asked)


class TestCambo:
    async def test_learns_nothing_of_messages_of_others(self, quiet: World, cases: Cases) -> None:
        asked = by_message_id(cases, "of cambo", "unknown", "foreign", "unfollowed", "refused to another")
        await look_alike(quiet, quiet.cambo, RESULTS, asked)


class TestWhoMayNotAsk:
    @pytest.mark.parametrize("role", sorted(set(Role) - {Role.SIS, Role.CAMBO}))
    async def test_is_told_the_same_of_every_message(self, quiet: World, cases: Cases, role: Role) -> None:
        asked = by_message_id(cases, "own", "unknown", "foreign", "of cambo", "refused to another")
        await refused_alike(quiet, await caller(quiet, role), RESULTS, asked)

    @pytest.mark.parametrize("role", sorted(set(Role) - {Role.OS}))
    async def test_is_told_the_same_of_every_reference(self, quiet: World, cases: Cases, role: Role) -> None:
        await refused_alike(quiet, await caller(quiet, role), BY_REFERENCE, by_reference(cases))

    @pytest.mark.parametrize("role", [Role.INSTITUTION, Role.REGION, Role.OPERATOR])
    async def test_is_told_the_same_of_every_registration(
        self, quiet: World, cases: Cases, role: Role
    ) -> None:
        principal = await caller(quiet, role)
        await refused_alike(quiet, principal, BY_ID, by_id(cases, *HIDDEN_FROM_OS))
        asked = by_application_id(cases, *HIDDEN_FROM_OS)
        await refused_alike(quiet, principal, BY_APPLICATION_ID, asked)


async def caller(world: World, role: Role) -> Principal:
    """Return a caller of a role that reported, follows and is nothing."""
    brins = (BRIN,) if role in {Role.SIS, Role.INSTITUTION} else ()
    return await world.principal(role, brins=brins)
