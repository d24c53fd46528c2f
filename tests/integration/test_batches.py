"""Batches: as many statements for any size, and the same judgement as message by message."""

import asyncio
import itertools
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import reduce
from operator import itemgetter, or_
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
from app.domain.message_result import MessageResult
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
_PLAIN = {
    "minutes": 0,
    "status": Status.RECEIVED,
    "programme_code": "25604",
    "learning_path": LearningPath.BOL,
    **dict.fromkeys(["brin", "student", "leaving_school", "again"]),
    "by_cambo": False,
}
_APPLICATIONS = 8
_MOVED = st.fixed_dictionaries(
    {
        "application": st.integers(0, _APPLICATIONS - 1),
        "minutes": st.integers(0, 6),
        "status": st.sampled_from(Status),
    }
)
_ODDITIES = st.sampled_from(
    [
        {"programme_code": "99999"},
        {"programme_code": "not a code"},
        {"learning_path": LearningPath.BBL},
        {"brin": OTHER_BRIN},
        {"brin": FOREIGN_BRIN},
        {"brin": "99ZZ"},
        {"student": 0},
        {"leaving_school": "00AH00"},
        {"leaving_school": "bad"},
        {"again": 0},
        {"again": 1},
        {"again": -1},
        {"by_cambo": True},
    ]
)
_SPECIFIED = st.builds(
    lambda moved, odd: reduce(or_, odd, {**_PLAIN, **moved}),
    _MOVED,
    st.one_of(st.just([]), st.lists(_ODDITIES, min_size=1, max_size=3)),
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


_SUBJECTS = "select student_ids from processing_record order by id desc limit $1"


@pytest.mark.slow
class TestJudgement:
    # `open_world` is not called: it makes the database a furnished one, with the callers that `World` knows.
    @pytest.mark.usefixtures("open_world")
    def test_of_a_batch_is_that_of_its_messages_one_by_one(self, database_url, key_files):
        """Whether the registrations are to be shown or not, which lets steps be noted in a shorter way."""
        runs = itertools.count()
        loaded = load_settings(database_url=database_url, broadcast_url="memory://", **key_files)
        with asyncio.Runner() as runner:
            opened = Hub.open(loaded, background=False)
            world = World(runner.run(opened.__aenter__()))
            runner.run(world.furnish())
            numbers = [a_personal_number() for _ in range(_APPLICATIONS)]

            @hypothesis_settings(
                max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None
            )
            @given(
                unknown=st.sets(st.integers(0, _APPLICATIONS - 1), max_size=3),
                specified=st.lists(_SPECIFIED, min_size=1, max_size=12),
            )
            def equal(unknown, specified):
                known = [one for one in range(_APPLICATIONS) if one not in unknown]
                run = next(runs)

                def done(way, **how):
                    first = [{**_PLAIN, "application": one} for one in known]
                    messages = _messages([*first, *specified], f"{way}{run}-", numbers)
                    waves = messages[: len(first)], messages[len(first) :]
                    return runner.run(_done(world, f"{way}{run}-", waves, **how))

                shown, unshown = done("T"), done("U", shows=False)
                for one, other in zip(shown.results, unshown.results, strict=True):
                    assert _told(one) == _told(other)
                    if other.registration is not None or one.outcome is not Outcome.ACCEPTED:
                        assert _seen(one) == _seen(other)
                assert shown.rows == unshown.rows
                assert shown.subjects == unshown.subjects
                apart = done("S", together=False)
                assert list(map(_told, shown.results)) == list(map(_told, apart.results))
                events, *rows = shown.rows
                others, *other_rows = apart.rows
                by_application = itemgetter("application_id")  # the order counts within a registration
                assert sorted(events, key=by_application) == sorted(others, key=by_application)
                assert rows == other_rows

            equal()
            runner.run(opened.__aexit__(None, None, None))


def _messages(specified, prefix, numbers):
    """Return (by CAMBO?, message) for each; the second time is the same but for ids and application ids."""
    begun = datetime(2026, 1, 1, tzinfo=UTC)
    made: list[tuple[bool, StatusMessage]] = []
    for one in specified:
        if one["again"] is not None and made:
            made.append(made[one["again"] % len(made)])
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


@dataclass
class _Done:
    """What became of messages: their results, what is written, and whom the processings were about."""

    results: list[MessageResult]
    rows: list[list[dict[str, object]]]
    subjects: list[list[int]]


async def _done(world, prefix, waves, *, together=True, shows=True):
    """Report messages, together in batches of one sender each or one by one."""
    results, count = [], 0
    for wave in waves:
        turns = itertools.groupby(wave, key=itemgetter(0)) if together else ((one[0], [one]) for one in wave)
        for by_cambo, group in turns:
            by, messages = world.cambo if by_cambo else world.sis, [message for _, message in group]
            results += await world.services.status_messages.report(by, messages, shows=shows)
            count += 1
    async with world.hub.database.connection() as connection:
        rows = [
            [_neutral(row, prefix) for row in await connection.fetch(query, f"{prefix}%")]
            for query in (_EVENTS, _PRESENT, _LOGGED)
        ]
        subjects = [row["student_ids"] for row in await connection.fetch(_SUBJECTS, count)]
    return _Done(results, rows, subjects)


def _told(result):
    return result.outcome, result.original_outcome, result.code, result.field, result.findings


def _seen(result):
    seen = result.registration
    return seen and (seen.student_id, seen.status, seen.status_since, seen.status_source, seen.effective_at)


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
