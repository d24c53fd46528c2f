"""The cube against a count by hand, and the removal of students, which changes no figure."""

import random
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.catalogue import Institution
from app.domain.codes import LearningPath, Status
from app.persistence.statistics import refreshing
from app.persistence.unit_of_work import unit_of_work
from tests.factories.brute_force import MEASURES, ROWS, cube
from tests.factories.world import BRIN, OTHER_BRIN, a_message, a_personal_number, a_student

pytestmark = pytest.mark.slow

CELLS = f"select school_year, dimension, brin, category, {', '.join(MEASURES)} from statistics_cell"  # noqa: S608 - constants
REMOVE = (
    "delete from follow where student_id = any($1::bigint[])",
    "delete from status_event where student_id = any($1::bigint[])",
    "delete from registration where student_id = any($1::bigint[])",
    "delete from student where id = any($1::bigint[])",
)


async def furnish(world, drawn, students=60):
    """Let students apply here and there, in every state, and let some of them be followed."""
    await move(world, BRIN, "40")
    messages, wanted = [], []
    for number in range(students):
        person = a_personal_number(drawn)
        messages += [
            a_message(
                personal_number=person,
                brin=drawn.choice((BRIN, OTHER_BRIN)),
                programme_code=drawn.choice(("25604", "25605", "25606")),
                learning_path=drawn.choice((LearningPath.BOL, LearningPath.BBL, LearningPath.VAVO)),
                school_year=drawn.choice((2025, 2026, 2026)),
                programme_year=drawn.choice((1, 2, 3)),
                status=drawn.choice(list(Status)),
                leaving_school=drawn.choice((None, "00AH00")),
                occurred_at=datetime.now(UTC) - timedelta(days=drawn.randrange(1, 300)),
            )
            for _ in range(drawn.choice((1, 1, 2, 3, 5)))
        ]
        if drawn.random() < 0.5:
            wanted.append(a_student(person, f"S{number}"))
    drawn.shuffle(messages)
    await world.report(*messages)
    await world.services.following.follow(world.os, wanted)
    async with world.hub.database.connection() as connection:
        await connection.execute(
            "update registration set created_at = created_at - make_interval(days => (id % 40)::int)"
        )


async def move(world, brin, region):
    """Let the catalogue say that an institution is in a region."""
    await world.services.catalogue.put([Institution(brin, f"Institution {brin}", region)])


async def cells(world):
    """Freeze the figures and return them by key."""
    await world.services.statistics.refresh()
    async with world.hub.database.connection() as connection:
        newest = await connection.fetchval("select max(id) from statistics_snapshot")
        rows = await connection.fetch(f"{CELLS} where snapshot_id = $1", newest)
    return {tuple(row)[:4]: dict(zip(MEASURES, tuple(row)[4:], strict=True)) for row in rows}


class TestTheCube:
    @pytest.mark.parametrize("seed", [1, 2])
    async def test_equals_a_count_by_hand(self, world, seed):
        await furnish(world, random.Random(seed))
        async with world.hub.database.connection() as connection:
            counted = cube(await connection.fetch(ROWS), {BRIN: "40"})
        frozen = await cells(world)
        assert {key: cell for key, cell in frozen.items() if key[1] != "COVERAGE"} == counted
        covered = {key: cell["students"] for key, cell in frozen.items() if key[1] == "COVERAGE"}
        for year in (2025, 2026):
            of_year = {key[3]: count for key, count in covered.items() if key[0] == year}
            assert sum(of_year.values()) == counted[year, "TOTAL", "", ""]["students"]
        assert {key[3].split()[0] for key in covered} == {"FOLLOWED", "NOT_FOLLOWED"}

    @pytest.mark.parametrize("seed", range(4))
    async def test_does_not_change_by_a_removal(self, world, seed):
        drawn = random.Random(seed)
        await furnish(world, drawn)
        before = await cells(world)
        async with world.hub.database.connection() as connection:
            ids = [row["id"] for row in await connection.fetch("select id from student order by id")]
        removed = drawn.sample(ids, drawn.choice((1, 10, len(ids))))
        cut = len(removed) // 2
        for bite in (removed[:cut], removed[cut:]):
            async with unit_of_work(world.hub.database) as unit:
                await unit.statistics.carry(bite)
                for statement in REMOVE:
                    await unit._connection.execute(statement, bite)
        assert await world.count("student") == len(ids) - len(removed)
        assert await cells(world) == before
        # The catalogue may move an institution later: those who are gone move with it.
        await move(world, BRIN, "41")
        moved = await cells(world)
        assert (2026, "REGION", "", "40") not in moved
        assert moved[2026, "REGION", "", "41"] == before[2026, "REGION", "", "40"]

    async def test_is_whole_when_a_removal_comes_in_between(self, world):
        await furnish(world, random.Random(5), students=20)
        before = await cells(world)
        async with refreshing(world.hub.database) as figures:
            assert await figures.latest() is not None, "the refresh has its view of the data"
            async with unit_of_work(world.hub.database) as unit:
                bite = [row["id"] for row in await unit._connection.fetch("select id from student limit 9")]
                await unit.statistics.carry(bite)
                for statement in REMOVE:
                    await unit._connection.execute(statement, bite)
            await figures.make(datetime.now(UTC))
        async with world.hub.database.connection() as connection:
            newest = await connection.fetchval("select max(id) from statistics_snapshot")
            rows = await connection.fetch(f"{CELLS} where snapshot_id = $1", newest)
        assert {tuple(row)[:4]: dict(zip(MEASURES, tuple(row)[4:], strict=True)) for row in rows} == before
        assert await cells(world) == before
