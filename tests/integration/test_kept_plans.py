"""What is done all day long is planned once for each connection, also beside very many registrations."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.domain.codes import Status
from app.persistence.visible_registrations import RegistrationFilter
from tests.factories.grown import grow
from tests.factories.world import BRIN, OTHER_BRIN, a_message, a_personal_number

pytestmark = pytest.mark.slow

SIZE = 40_000
ROUNDS = 12  # PostgreSQL plans the first five anew, to compare
_STATEMENTS = """
select regexp_replace(statement, '\\s+', ' ', 'g') as text, custom_plans as made
from pg_prepared_statements where generic_plans + custom_plans >= $1 and statement !~ $2
"""
_OF_A_JOB = "^\\s*with received as"  # counts what was delivered, a thousand messages at a time


@pytest.fixture
async def large(open_world):
    """Open a hub with one connection, new, on a database with many registrations."""
    before = await open_world()
    await before.furnish()
    student = a_personal_number()
    await before.follow(student, "S-1")
    await before.report(a_message(personal_number=student))
    await before.hear(1)
    async with before.hub.database.connection() as connection:
        await grow(connection, SIZE, (BRIN, OTHER_BRIN), before.os.organisation_id)
    world = await open_world(database_pool=1)
    await world.furnish()
    return world


async def always_planned(world) -> list[str]:
    """Return the statements that were often executed, and planned each time."""
    async with world.hub.database.connection() as connection:
        rows = await connection.fetch(_STATEMENTS, ROUNDS, _OF_A_JOB)
        assert rows, "as many have been executed"
        return [row["text"] for row in rows if row["made"] > ROUNDS / 2]


class TestPlansAreKept:
    async def test_of_messages_and_their_delivery(self, large) -> None:
        student = a_personal_number()
        await large.follow(student, "S-2")
        first = a_message(personal_number=student)
        await large.report(first)
        after = (await large.services.feed.position(large.os)).last_number
        for number in range(1, ROUNDS + 1):
            status = (Status.RECEIVED, Status.OFFERED)[number % 2]
            at = first.occurred_at + timedelta(seconds=number)
            moved = a_message(
                personal_number=student, application_id=first.application_id, status=status, occurred_at=at
            )
            (result,) = await large.report(moved)
            assert result.outcome == "ACCEPTED"
            await large.hear(number, after=after)
        assert await always_planned(large) == []

    async def test_of_looking_up(self, large) -> None:
        read = large.services.registrations
        for who in (large.sis, large.cambo, large.os):
            for number in range(2, ROUNDS + 2):
                found = await read.by_application_id(who, (BRIN, OTHER_BRIN)[number % 2], f"G-{number}")
                assert found
                assert await read.by_public_id(who, found.public_id)
        assert await always_planned(large) == []

    @pytest.mark.parametrize(
        "wanted",
        [
            RegistrationFilter(),
            RegistrationFilter(BRIN),
            RegistrationFilter(BRIN, 2026, (Status.RECEIVED, Status.OFFERED)),
        ],
    )
    async def test_of_pages_with_histories(self, large, wanted) -> None:
        read = large.services.registrations
        for who in (large.sis, large.cambo, large.os):
            after = None
            for _ in range(ROUNDS):
                page = await read.page(who, wanted, after, 51)
                assert len(page) == 51
                after = (page[-1].reference or BRIN, page[-1].key)
                assert await read.histories([one.key for one in page], 0, 101)
        assert await always_planned(large) == []

    async def test_of_following(self, large) -> None:
        for number in range(ROUNDS):
            await large.follow(a_personal_number(), f"F-{number}")
            assert await large.services.following.followed_student(large.os, f"F-{number}")
        assert await always_planned(large) == []

    async def test_of_resuming(self, large) -> None:
        for back in range(1, ROUNDS + 1):
            await large.hear(back, after=SIZE - back)
            assert len((await large.services.feed.page(large.os, SIZE - back, 100)).changes) == back
        assert await always_planned(large) == []
