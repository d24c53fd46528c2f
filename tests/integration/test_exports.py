"""Exports: a link for one client and one use, and a file that says what the list says."""

from __future__ import annotations

import asyncio
import csv
import io
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from hashlib import sha256

import pytest

from app.domain.access import Role, Scope
from app.domain.codes import Status
from app.domain.errors import BadUserInputError, ForbiddenError, NotFoundError
from app.domain.export import FOLLOWED_STUDENTS, ExportFormat, ExportRequest
from app.domain.following import FollowedFilter
from app.services import exports
from app.services.exports import ExportService
from tests.factories.world import a_message, a_personal_number

pytestmark = pytest.mark.slow

ALL = ExportRequest(FollowedFilter(), ExportFormat.CSV)


@pytest.fixture
def service(world) -> ExportService:
    made: ExportService = world.services.exports
    return made


async def exported(world, request: ExportRequest = ALL) -> list[dict[str, str]]:
    """Return the lines of a file."""
    chunks = [chunk async for chunk in world.services.exports.write(world.os, request)]
    return list(csv.DictReader(io.StringIO(b"".join(chunks).decode(), newline="")))


class TestLink:
    async def test_can_be_used_once(self, world, service) -> None:
        secret, _ = await service.offer(world.os, ALL)
        assert await service.take(world.os, secret) == ALL
        with pytest.raises(NotFoundError):
            await service.take(world.os, secret)

    async def test_keeps_what_was_asked_for(self, world, service) -> None:
        wanted = FollowedFilter(2025, without_live_registration=True, on=date(2025, 10, 1))
        request = ExportRequest(wanted, ExportFormat.XLSX)
        secret, expires_at = await service.offer(world.os, request)
        assert timedelta(minutes=9) < expires_at - datetime.now(UTC) <= timedelta(minutes=10)
        assert await service.take(world.os, secret) == request

    async def test_is_used_by_one_of_many_that_come_at_once(self, world, service) -> None:
        secret, _ = await service.offer(world.os, ALL)
        taken = await asyncio.gather(
            *(service.take(world.os, secret) for _ in range(8)), return_exceptions=True
        )
        assert sorted(isinstance(one, NotFoundError) for one in taken) == [False] + [True] * 7

    async def test_is_for_the_client_that_made_it_alone(self, world, service) -> None:
        secret, _ = await service.offer(world.os, ALL)
        sibling = await world.principal(Role.OS, oin=world.os.oin)
        assert sibling.organisation_id == world.os.organisation_id
        for caller in (world.other_os, sibling, world.institution):
            with pytest.raises(NotFoundError):
                await service.take(caller, secret)
        narrow = replace(world.os, scopes=world.os.scopes - {Scope.STUDENTS_FOLLOW})
        for caller in (world.sis, narrow):
            with pytest.raises(ForbiddenError):
                await service.take(caller, secret)
        assert await service.take(world.os, secret) == ALL  # nobody has used it up

    async def test_ends_after_ten_minutes_and_is_forgotten(self, world, service) -> None:
        secret, _ = await service.offer(world.os, ALL)
        later = ExportService(
            world.hub.database,
            world.services.following,
            world.services.annual_overview,
            world.services.catalogue,
            lambda: datetime.now(UTC) + timedelta(minutes=10, seconds=1),
        )
        with pytest.raises(NotFoundError):
            await later.take(world.os, secret)
        await later.offer(world.os, ALL)
        assert await world.count("export_link") == 1

    async def test_stands_in_the_database_as_a_hash_only(self, world, service) -> None:
        secret, _ = await service.offer(world.os, ALL)
        async with world.hub.database.connection() as connection:
            row = await connection.fetchrow("select *, t::text as everything from export_link t")
        assert row["secret_hash"] == sha256(secret.encode()).digest()
        assert secret not in row["everything"]

    async def test_is_not_made_for_what_cannot_be(self, world, service) -> None:
        for wanted in (FollowedFilter(school_year=99_999), FollowedFilter(on=date.max)):
            with pytest.raises(BadUserInputError) as refused:
                await service.offer(world.os, ExportRequest(wanted, ExportFormat.CSV))
            assert refused.value.field.startswith("input.")
        with pytest.raises(ForbiddenError):
            await service.offer(world.sis, ALL)
        assert await world.count("export_link") == 0


class TestFile:
    async def test_has_a_line_for_each_registration_in_stated_columns(self, world) -> None:
        number, without = a_personal_number(), a_personal_number()
        await world.follow(number, "S-1")
        await world.follow(without, "=cmd")
        # Registrations are made, and so listed, in the order of their keys.
        message = a_message(personal_number=number, application_id="A-1", status=Status.OFFERED)
        await world.report(message, a_message(personal_number=number, application_id="A-2"))
        lines = await exported(world)
        assert tuple(lines[0]) == FOLLOWED_STUDENTS
        assert [line["reference"] for line in lines] == ["'=cmd", "S-1", "S-1"]
        assert lines[0]["application_id"] == lines[0]["status"] == ""
        times = {"followed_since", "until"}
        shown = {name: text for name, text in lines[1].items() if name not in times}
        assert shown == {
            "reference": "S-1",
            "application_id": message.application_id,
            "brin": message.brin,
            "institution": f"Institution {message.brin}",
            "programme_code": message.programme_code,
            "programme": "Software developer",
            "level": "4",
            "learning_path": "BOL",
            "school_year": "2026",
            "programme_year": "1",
            "status": "OFFERED",
            "status_code": "OA",
            "status_since": message.occurred_at.isoformat(timespec="seconds").replace("+00:00", "Z"),
            "status_source": "SIS",
        }

    async def test_tells_the_status_of_the_day_that_is_asked_for(self, world) -> None:
        number = a_personal_number()
        await world.follow(number, "S-1")
        first = a_message(
            personal_number=number, school_year=2025, occurred_at=datetime(2025, 9, 1, tzinfo=UTC)
        )
        later = a_message(
            personal_number=number,
            application_id=first.application_id,
            school_year=2025,
            status=Status.WITHDRAWN,
            occurred_at=datetime(2025, 10, 3, tzinfo=UTC),
        )
        await world.report(first, later)
        wanted = FollowedFilter(on=date(2025, 10, 1))
        (line,) = await exported(world, ExportRequest(wanted, ExportFormat.CSV))
        assert (line["status"], line["status_since"]) == ("RECEIVED", "2025-09-01T00:00:00Z")

    async def test_is_whole_over_many_pages_and_on_record_page_by_page(self, world, monkeypatch) -> None:
        monkeypatch.setattr(exports, "_STUDENTS_OF_A_PAGE", 3)
        for number in range(7):
            await world.follow(a_personal_number(), f"S-{number}")
        await world.follow(a_personal_number(), "theirs", by=world.other_os)
        assert [line["reference"] for line in await exported(world)] == [f"S-{number}" for number in range(7)]
        async with world.hub.database.connection() as connection:
            rows = await connection.fetch(
                "select student_ids from processing_record where activity = 'export-followed-students'"
            )
        assert sorted(len(row["student_ids"]) for row in rows) == [1, 3, 3]

    async def test_leaves_out_who_is_no_longer_followed_when_the_page_is_read(self, world, service) -> None:
        await world.follow(a_personal_number(), "S-1")
        secret, _ = await service.offer(world.os, ALL)
        request = await service.take(world.os, secret)
        await world.services.following.unfollow(world.os, ["S-1"])
        assert await exported(world, request) == []
