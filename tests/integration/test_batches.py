"""Batches: as many statements for any size, and the same judgement as message by message."""

import asyncio
import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.bootstrap import Hub, clock
from app.domain.access import Role
from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.errors import ForbiddenError
from app.domain.status_message import Outcome, StatusMessage
from app.persistence.unit_of_work import UnitOfWork
from app.services.candidates import examine
from app.services.keys import load_pseudonym_keys
from app.services.message_batch import MessageBatch
from app.settings import load_settings
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, World, a_message, a_personal_number

HOUR = timedelta(hours=1)


class Counted:
    """One connection, and the statements that batches took on it."""

    def __init__(self, connection, keys, organisation_id):
        self.connection, self.keys, self.organisation_id = connection, keys, organisation_id

    async def batch(self, messages):
        """Judge and write a batch; return its outcomes and its statements."""
        statements = []

        def note(record):
            statements.append(record.query)

        unit = UnitOfWork(self.connection)
        candidates = examine(
            messages, self.keys, clock(), organisation_id=self.organisation_id, source=StatusSource.SIS
        )
        self.connection.add_query_logger(note)
        try:
            async with self.connection.transaction():
                batch = MessageBatch(unit, self.keys, candidates, clock)
                results = await batch.judge()
                await batch.write([])
        finally:
            self.connection.remove_query_logger(note)
        return {one.outcome for one in results}, statements


@pytest.fixture
async def counted(world, database_url, key_files):
    keys = load_pseudonym_keys(key_files["pseudonym_key_file"], create=False)
    connection = await asyncpg.connect(database_url)
    made = Counted(connection, keys, world.sis.organisation_id)
    await made.batch([a_message()])  # asyncpg asks once for each connection what types there are
    yield made
    await connection.close()


class TestStatements:
    @pytest.mark.parametrize("count", [1, 10, 100, 1000])
    async def test_of_a_batch_are_as_few_for_any_number_of_messages(self, counted, count):
        at = datetime.now(UTC) - 2 * HOUR
        first = [a_message(occurred_at=at) for _ in range(count)]
        outcomes, made = await counted.batch(first)
        assert outcomes == {Outcome.ACCEPTED}
        # begin, facts; find, lock of writers, version of keys, insert, find; create, lock, write
        assert len(made) <= 10, made
        later = [
            replace(one, message_id=uuid4(), status=Status.OFFERED, occurred_at=at + HOUR) for one in first
        ]
        outcomes, stepped = await counted.batch(later)
        assert outcomes == {Outcome.ACCEPTED}
        assert len(stepped) == 4, "begin, facts, lock, write"
        # Of each kind in one batch: steps, confirmations, late ones, duplicates, refusals.
        mixed = [
            *(
                replace(one, message_id=uuid4(), status=Status.ENROLLED, occurred_at=at + HOUR)
                for one in later
            ),
            *(replace(one, message_id=uuid4(), status=Status.OFFERED, occurred_at=at) for one in later),
            *later,
            *(replace(one, message_id=uuid4(), brin="bad") for one in later),
        ]
        outcomes, statements = await counted.batch(mixed)
        assert outcomes == set(Outcome)
        assert len(statements) == 4, statements


# What a generated message is made of: which registration, and how it differs from a plain one.
_SPECIFIED = st.fixed_dictionaries(
    {
        "application": st.integers(0, 3),
        "minutes": st.integers(0, 6),
        "status": st.sampled_from(Status),
        "programme_code": st.sampled_from(["25604", "25604", "25604", "99999", "not a code"]),
        "learning_path": st.sampled_from([LearningPath.BOL, LearningPath.BOL, LearningPath.BBL]),
        "brin": st.sampled_from([None, None, None, None, OTHER_BRIN, FOREIGN_BRIN, "99ZZ"]),
        "student": st.sampled_from([None, None, None, None, 0]),
        "leaving_school": st.sampled_from([None, None, "00AH00", "bad"]),
        "again": st.sampled_from([None, None, None, None, 0, 1]),
        "by_cambo": st.sampled_from([False, False, True]),
    }
)
_EVENTS = """
select r.application_id, e.kind, e.status, e.previous_status, e.learning_path, e.source, e.occurred_at,
       e.student_id, p.event_id is not null as pending
from status_event e join registration r on r.id = e.registration_id
left join pending_event p on p.event_id = e.id where r.application_id like $1 order by e.id
"""
_PRESENT = """
select application_id, student_id, brin, programme_code, learning_path, school_year, programme_year, status,
       status_since, status_source, effective_at, region, reported_by
from registration where application_id like $1 order by application_id
"""
_LOGGED = """
select m.organisation_id, r.application_id, m.brin, m.outcome, m.findings, m.occurred_at
from status_message m join registration r on r.id = m.registration_id
where r.application_id like $1
order by m.organisation_id, r.application_id, m.outcome, m.findings, m.occurred_at
"""


class TestJudgement:
    # `open_world` is not called: it makes the database a furnished one, with the callers that `World` knows.
    @pytest.mark.usefixtures("open_world")
    def test_of_a_batch_is_that_of_its_messages_one_by_one(self, database_url, key_files):
        runs = itertools.count()
        loaded = load_settings(database_url=database_url, broadcast_url="memory://", **key_files)
        with asyncio.Runner() as runner:
            opened = Hub.open(loaded, background=False)
            world = World(runner.run(opened.__aenter__()))
            runner.run(world.furnish())
            numbers = [a_personal_number() for _ in range(4)]

            @hypothesis_settings(
                max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
            )
            @given(specified=st.lists(_SPECIFIED, min_size=1, max_size=12))
            def equal(specified):
                run = next(runs)
                together = _messages(specified, f"T{run}-", numbers)
                apart = _messages(specified, f"S{run}-", numbers)
                runner.run(_compare(world, together, apart, f"T{run}-", f"S{run}-"))

            equal()
            runner.run(opened.__aexit__(None, None, None))


def _messages(specified, prefix, numbers):
    """Return (by CAMBO?, message) for each; the second time is the same but for ids and application ids."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    made: list[tuple[bool, StatusMessage]] = []
    for one in specified:
        if one["again"] is not None and one["again"] < len(made):
            made.append(made[one["again"]])
            continue
        number = numbers[one["application"] if one["student"] is None else one["student"]]
        message = a_message(
            application_id=f"{prefix}{one['application']}",
            personal_number=number,
            occurred_at=begun + timedelta(minutes=one["minutes"]),
            brin=one["brin"] or BRIN,
            **{name: one[name] for name in ("status", "programme_code", "learning_path", "leaving_school")},
        )
        made.append((one["by_cambo"], message))
    return made


async def _compare(world, together, apart, first, second):
    """Report the one list in batches of one sender each, in turn, and the other message by message."""
    batched = []
    for by_cambo, group in itertools.groupby(together, key=lambda one: one[0]):
        by = world.cambo if by_cambo else world.sis
        batched += await world.report(*(message for _, message in group), by=by)
    single = []
    for by_cambo, message in apart:
        single += await world.report(message, by=world.cambo if by_cambo else world.sis)
    assert [_told(one) for one in batched] == [_told(one) for one in single]
    async with world.hub.database.connection() as connection:
        for query in (_EVENTS, _PRESENT, _LOGGED):
            one = [_neutral(row, first) for row in await connection.fetch(query, f"{first}%")]
            other = [_neutral(row, second) for row in await connection.fetch(query, f"{second}%")]
            if query is _EVENTS:  # the order counts within a registration
                one.sort(key=lambda row: row["application_id"])
                other.sort(key=lambda row: row["application_id"])
            assert one == other


def _told(result):
    return result.outcome, result.original_outcome, result.code, result.field, result.findings


def _neutral(row, prefix):
    return {**row, "application_id": row["application_id"].removeprefix(prefix)}


class TestManySenders:
    async def test_share_a_batch_and_keep_their_own_outcomes(self, world):
        """Small submissions that wait together are one transaction; a broken one is alone in its failure."""
        other = await world.principal(Role.SIS, brins=(BRIN,))
        messages = [a_message() for _ in range(30)]
        answers = await asyncio.gather(
            *(
                world.report(message, by=(world.sis, other, world.os)[index % 3])
                for index, message in enumerate(messages)
            ),
            return_exceptions=True,
        )
        for index, answer in enumerate(answers):
            if isinstance(answer, BaseException):
                assert isinstance(answer, ForbiddenError)
                assert index % 3 == 2
            else:
                assert answer[0].outcome is Outcome.ACCEPTED
        assert await world.count("status_message") == 20


class TestOrder:
    async def test_of_the_feed_is_that_of_the_list(self, world):
        at = datetime.now(UTC) - 3 * HOUR
        first = [a_message(occurred_at=at) for _ in range(4)]
        await world.report(*first)

        def then(index, status, hours=1):
            return replace(first[index], message_id=uuid4(), status=status, occurred_at=at + hours * HOUR)

        again = [
            then(0, Status.OFFERED),
            then(1, Status.OFFERED),
            a_message(),
            then(2, Status.OFFERED),
            then(1, Status.ENROLLED, 2),
            then(3, Status.OFFERED),
        ]
        await world.report(*again)
        heard = await world.hear(len(first) + len(again), world.cambo)
        assert [(one.application_id, one.status) for one in heard[len(first) :]] == [
            (one.application_id, one.status) for one in again
        ]
