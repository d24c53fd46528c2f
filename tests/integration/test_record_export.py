"""Both logs on their way out: to a collector that decodes them, and to the operator."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from app.bootstrap import clock
from app.cli import cli
from app.domain.record import SecurityEvent
from app.domain.record_export import RecordLog
from app.otlp.records import OtlpRecords
from app.persistence.unit_of_work import reading, unit_of_work
from app.services import record_search
from app.services.record_export import Horizon, RecordExport
from app.services.record_search import RecordSearch
from app.services.subjects import SubjectIds
from tests.factories.collector import Collector, collecting, plain
from tests.factories.world import World, a_message, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from app.settings import Settings

pytestmark = pytest.mark.slow

KEY = bytes(range(32))
REGISTER = "https://register.example/activities/"
_COLUMNS = (
    "trace_id, span_id, activity, organisation_id, client_id, status, started_at, ended_at, student_ids"
)
LATE = f"""
insert into processing_record ({_COLUMNS})
select repeat($1, 32), repeat($1, 16), 'report-statuses', min(id), 'c', 'OK', now(), now(), '{{1}}'
from organisation
"""  # noqa: S608 - our own names
EXPIRED = f"""
insert into processing_record ({_COLUMNS}, first_number, last_number)
values (repeat('a', 32), repeat('b', 16), 'deliver-status-changes', $1, 'c', 'OK', now(), now(), '{{}}', 1, 9)
"""  # noqa: S608 - likewise
HOURLY = f"""
insert into processing_record ({_COLUMNS})
select 'a', 'b', 'report-statuses', $1, 'c', 'OK', hour, hour, '{{1}}'
from generate_series(timestamptz '2026-01-01Z', '2026-03-01Z', '1 hour') as hour
"""  # noqa: S608 - likewise
BEGINNING = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as running:
        yield running


@pytest.fixture
async def export(quiet: World, collector: Collector) -> AsyncIterator[RecordExport]:
    sink = OtlpRecords(collector.url, "http://hub.test")
    yield RecordExport(quiet.hub.database, sink, SubjectIds(KEY), clock, REGISTER)
    sink.close()


async def fetch(world: World, statement: str) -> list[Any]:
    async with world.hub.database.connection() as connection:
        return await connection.fetch(statement)


class TestProcessings:
    async def test_are_one_record_for_each_data_subject(self, quiet, export, collector) -> None:
        await quiet.report(a_message(), a_message(), a_message())
        await export.export()
        (row,) = await fetch(quiet, "select * from processing_record")
        spans = collector.spans
        assert len(spans) == 3
        assert {span.trace_id.hex() for span in spans} == {row["trace_id"]}
        assert {span.parent_span_id.hex() for span in spans} == {row["span_id"]}
        assert len({span.span_id for span in spans}) == 3
        assert {span.name for span in spans} == {"report-statuses"}
        assert {span.status.code for span in spans} == {1}
        microseconds = timedelta(microseconds=1)
        began = (row["started_at"] - datetime(1970, 1, 1, tzinfo=UTC)) // microseconds
        assert {span.start_time_unix_nano // 1000 for span in spans} == {began}
        attributes = [plain(span.attributes) for span in spans]
        subjects = {one.pop("dpl.core.data_subject_id") for one in attributes}
        assert {SubjectIds(KEY).open(one) for one in subjects} == set(row["student_ids"])
        assert (
            attributes[0]
            == attributes[1]
            == attributes[2]
            == {
                "dpl.core.processing_activity_id": f"{REGISTER}report-statuses",
                "dpl.core.data_subject_id_type": "urn:mbo-koppelpunt:student",
                "koppelpunt.organisation_oin": quiet.sis.oin,
                "koppelpunt.client_id": quiet.sis.client_id,
            }
        )

    async def test_of_deliveries_are_expanded_from_the_feed(self, open_world, collector) -> None:
        world: World = await open_world(records_otlp_endpoint=collector.url)
        await world.furnish()
        followed = [a_personal_number(), a_personal_number()]
        for place, number in enumerate(followed):
            await world.follow(number, f"r{place}")
        await world.report(*(a_message(personal_number=number) for number in followed), a_message())
        await world.hear(2)
        async with asyncio.timeout(30):
            while "deliver-status-changes" not in {span.name for span in collector.spans}:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        spans = [span for span in collector.spans if span.name == "deliver-status-changes"]
        found = [plain(span.attributes) for span in spans]
        assert {(one["koppelpunt.first_number"], one["koppelpunt.last_number"]) for one in found} == {(1, 2)}
        followers = {
            plain(span.attributes)["dpl.core.data_subject_id"]
            for span in collector.spans
            if span.name == "follow-students"
        }
        assert {one["dpl.core.data_subject_id"] for one in found} == followers
        assert len(followers) == 2
        assert not any(number.encode() in raw for raw in collector.raw for number in followed)

    async def test_of_a_feed_that_has_expired_are_one_record_without_a_subject(
        self, quiet, export, collector
    ) -> None:
        async with quiet.hub.database.connection() as connection:
            await connection.execute(EXPIRED, quiet.os.organisation_id)
        await export.export()
        (span,) = collector.spans
        assert plain(span.attributes)["dpl.core.data_subject_id"] == ""
        assert span.span_id.hex() == "b" * 16


class TestExport:
    async def test_goes_on_where_it_was(self, quiet, export, collector) -> None:
        await quiet.report(a_message())
        await export.export()
        await export.export()
        assert len(collector.spans) == 1
        await quiet.report(a_message())
        sink = OtlpRecords(collector.url, "http://hub.test")
        another = RecordExport(quiet.hub.database, sink, SubjectIds(KEY), clock, REGISTER)
        await another.export()
        sink.close()
        assert len({span.span_id for span in collector.spans}) == len(collector.spans) == 2

    async def test_repeats_under_the_same_ids_what_was_not_taken(self, quiet, export, collector) -> None:
        await quiet.report(a_message(), a_message())
        collector.answers.append(400)
        await export.export()
        assert collector.spans == []
        assert await fetch(quiet, "select * from record_export where log = 'processing'") == []
        await export.export()
        first = [span.span_id for span in collector.spans]
        await _rewind(quiet)
        await export.export()
        assert [span.span_id for span in collector.spans[2:]] == first

    async def test_misses_no_row_that_is_committed_late(self, quiet, export, collector) -> None:
        async with unit_of_work(quiet.hub.database) as late:
            await _add(late._connection, "a")
            async with quiet.hub.database.connection() as early:
                await _add(early, "b")
            await export.export()
            assert collector.spans == []  # one with a lower id may still come
        await export.export()
        assert [span.trace_id.hex()[0] for span in collector.spans] == ["a", "b"]

    async def test_waits_for_no_transaction_that_began_later(self, quiet) -> None:
        horizon = Horizon(RecordLog.PROCESSING)
        async with unit_of_work(quiet.hub.database) as first, reading(quiet.hub.database) as looking:
            await _add(first._connection, "a")
            assert await horizon.look(looking) == 0
            second = await quiet.hub.database.dedicated()
            transaction = second.transaction()
            await transaction.start()
            await _add(second, "b")
        async with reading(quiet.hub.database) as looking:
            assert await horizon.look(looking) == 1
        await transaction.rollback()
        await second.close()
        async with reading(quiet.hub.database) as looking:
            assert await horizon.look(looking) == 2

    async def test_of_the_security_log_is_a_log_record_each(self, quiet, export, collector) -> None:
        await quiet.services.clients.revoke_client(quiet.sis.client_id)
        await export.export()
        (revoked,) = [one for one in collector.logs if one.body.string_value == "CLIENT_REVOKED"]
        told = plain(revoked.attributes)
        assert (told["koppelpunt.actor"], told["koppelpunt.subject"]) == ("operator", quiet.sis.client_id)
        assert len(collector.logs) == await quiet.count("security_record")


async def _add(connection: Any, letter: str) -> None:
    await connection.execute(LATE, letter)


async def _rewind(world: World) -> None:
    async with world.hub.database.connection() as connection:
        await connection.execute("update record_export set position = 0")


class TestSubjectIds:
    def test_are_the_same_for_one_student_and_open_to_the_key_alone(self) -> None:
        ids = SubjectIds(KEY)
        assert ids.open(ids.seal(12345)) == 12345
        assert ids.seal(1) == SubjectIds(KEY).seal(1) != ids.seal(2)
        assert SubjectIds(bytes(32)).open(ids.seal(1)) is None
        assert [ids.open(one) for one in ("", "x", "é", ids.seal(1)[:-4])] == [None] * 4


class TestSearch:
    async def test_finds_what_was_done_with_one_students_data(self, world, monkeypatch) -> None:
        monkeypatch.setattr(record_search, "_STRETCH", 2)
        number = a_personal_number()
        await world.follow(number, "r")
        await world.report(a_message(personal_number=number), a_message())
        await world.report(a_message())
        await world.hear(1)
        async with asyncio.timeout(10):
            while not await fetch(world, "select 1 from processing_record where first_number > 0"):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        search = RecordSearch(world.hub.database, SubjectIds(KEY), REGISTER)
        keys = world.services.following._keys.latest()
        student = await search.student(keys, number)
        assert student is not None
        found = [one async for one in search.processings(BEGINNING, clock(), student)]
        assert [one.processing.activity for one in found] == [
            "follow-students", "report-statuses", "deliver-status-changes",
        ]  # fmt: skip
        assert {one.subject for one in found} == {SubjectIds(KEY).seal(student)}
        everything = [one async for one in search.processings(BEGINNING, clock())]
        assert len(everything) == 5
        assert [one async for one in search.processings(clock(), clock() + timedelta(days=1))] == []
        assert await search.student(keys, a_personal_number()) is None

    async def test_reaches_back_to_a_moment(self, world) -> None:
        async with world.hub.database.connection() as connection:
            await connection.execute(HOURLY, world.sis.organisation_id)
        search = RecordSearch(world.hub.database, SubjectIds(KEY), REGISTER)
        since = datetime(2026, 2, 1, tzinfo=UTC)
        found = [one async for one in search.processings(since, since + timedelta(days=1))]
        assert [one.processing.ended_at for one in found] == [since + timedelta(hours=h) for h in range(24)]


class TestCommands:
    def typed(self, settings: Settings, *arguments: str, said: str | None = None) -> Any:
        environment = {
            "KOPPELPUNT_DATABASE_URL": str(settings.database_url),
            "KOPPELPUNT_PSEUDONYM_KEY_FILE": str(settings.pseudonym_key_file),
            "KOPPELPUNT_SIGNING_KEYS_FILE": str(settings.signing_keys_file),
        }
        return CliRunner().invoke(cli, ["records", *arguments], input=said, env=environment)

    async def test_print_what_was_done_with_a_students_data(self, quiet, settings) -> None:
        number = a_personal_number()
        await quiet.report(a_message(personal_number=number), a_message())
        ended = await asyncio.to_thread(self.typed, settings, "of-student", said=f"{number}\n")
        assert (ended.exit_code, ended.stderr) == (0, "")
        (line,) = map(json.loads, ended.stdout.splitlines())
        assert (line["name"], line["status_code"]) == ("report-statuses", "OK")
        assert line["attributes"]["koppelpunt.organisation_oin"] == quiet.sis.oin
        assert number not in ended.stdout
        subject = line["attributes"]["dpl.core.data_subject_id"]
        again = await asyncio.to_thread(
            self.typed, settings, "export", "--since", "2026-01-01", "--subject", subject
        )
        assert json.loads(again.stdout) == line
        events = await asyncio.to_thread(
            self.typed, settings, "export", "--since", "2026-01-01", "--log", "security"
        )
        read = [one for one in map(json.loads, events.stdout.splitlines()) if one["event"] == "RECORDS_READ"]
        assert [one["subject"] for one in read] == [subject, subject, "security"]
        assert SecurityEvent.RECORDS_READ == "RECORDS_READ"

    async def test_say_so_when_there_is_no_such_student(self, quiet, settings) -> None:
        for said, status in ((a_personal_number(), 0), ("123", 1), ("", 1)):
            ended = await asyncio.to_thread(self.typed, settings, "of-student", said=f"{said}\n")
            assert (ended.exit_code, ended.stdout, len(ended.stderr.splitlines())) == (status, "", 1)
            assert not said or said not in ended.stderr

    async def test_refuse_the_subject_of_another_hub(self, quiet, settings) -> None:
        foreign = SubjectIds(KEY).seal(1)
        for arguments in (("--subject", foreign), ("--log", "security", "--subject", foreign)):
            ended = await asyncio.to_thread(
                self.typed, settings, "export", "--since", "2026-01-01", *arguments
            )
            assert ended.exit_code in {1, 2}
            assert ended.stdout == ""
