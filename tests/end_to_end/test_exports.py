"""Exports over HTTP, and by the command."""

from __future__ import annotations

import asyncio
import csv
import zipfile
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import httpx
import pytest

from app.domain.access import Role
from app.domain.annual_overview import COLUMNS as OVERVIEW_COLUMNS
from app.domain.export import FOLLOWED_STUDENTS
from app.services.statistics import StatisticsService
from tests.end_to_end.conftest import with_database
from tests.end_to_end.test_cli import refused, typed
from tests.factories.live_hub import LiveClient, LiveHub, a_message
from tests.factories.sheets import cells
from tests.factories.world import BRIN, a_personal_number

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

EXPORT = """mutation ($format: ExportFormat!) {
  exportFollowedStudents(input: {format: $format}) { path expiresAt } }"""


def offered(client: LiveClient, kind: str = "CSV") -> str:
    return str(client.ask(EXPORT, {"format": kind})["exportFollowedStudents"]["path"])


def get(hub: LiveHub, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{hub.url}{path}", headers=headers)


class TestDownload:
    def test_gives_the_file_once_and_to_its_client_only(
        self, hub: LiveHub, sis: LiveClient, transfer_system: LiveClient
    ) -> None:
        message = a_message()
        transfer_system.follow(message["personalNumber"], "r-1")
        sis.report(message)
        path = offered(transfer_system)
        own = {"Authorization": f"Bearer {transfer_system.token}"}
        for headers, status, code in (
            ({}, 401, "UNAUTHENTICATED"),
            ({"Authorization": "Bearer x"}, 401, "UNAUTHENTICATED"),
            ({"Authorization": f"Bearer {sis.token}"}, 403, "FORBIDDEN"),
        ):
            answer = get(hub, path, **headers)
            assert answer.status_code == status
            assert answer.json()["errors"][0]["extensions"]["code"] == code
        found = get(hub, path, **own)
        assert found.status_code == 200
        assert found.headers["content-type"].startswith("text/csv")
        assert found.headers["cache-control"] == "no-store"
        assert found.headers["content-disposition"] == 'attachment; filename="followed-students.csv"'
        (line,) = csv.DictReader(found.text.splitlines())
        assert (line["reference"], line["application_id"]) == ("r-1", message["applicationId"])
        again, never = get(hub, path, **own), get(hub, "/exports/" + "x" * 43, **own)
        assert again.status_code == never.status_code == 404
        assert again.content == never.content
        assert path.removeprefix("/exports/") not in hub.log
        assert '"/exports/…"' in hub.log or "/exports/\\u2026" in hub.log


def exported(what: str, client: LiveClient, file: Path, *options: str) -> Result:
    """Run the command."""
    given = ("--client", client.client_id, "--key", client.key_file, "--url", client.hub.url)
    return typed(client.hub, "export", what, file, *given, *options)


class TestExportAnnualOverview:
    @pytest.fixture
    async def institution(self, hub: LiveHub, sis: LiveClient, join) -> LiveClient:
        """Register an institution, on a hub that has the overview of 2025."""
        client: LiveClient = await join(hub, Role.INSTITUTION, BRIN)
        await asyncio.to_thread(sis.report, *(a_message(schoolYear=2025) for _ in range(6)))
        moment = datetime(2025, 10, 1, tzinfo=UTC)
        await with_database(
            hub, lambda database: StatisticsService(database, lambda: moment, threshold=5).refresh()
        )
        return client

    def test_writes_a_file_in_either_format(self, institution: LiveClient, tmp_path: Path) -> None:
        for name in ("2025.csv", "2025.xlsx"):
            ended = exported("annual-overview", institution, tmp_path / name, "--school-year", "2025")
            assert (ended.exit_code, ended.output) == (0, ""), ended.output
        head, total, *_ = csv.reader((tmp_path / "2025.csv").read_text(encoding="utf-8").splitlines())
        assert tuple(head) == OVERVIEW_COLUMNS
        assert total == ["2025", "2025-10-01T00:00:00Z", "TOTAL", "", "", "6", "6"]
        assert cells((tmp_path / "2025.xlsx").read_bytes())[0] == list(OVERVIEW_COLUMNS)

    def test_says_that_there_is_none_and_leaves_no_file(
        self, institution: LiveClient, tmp_path: Path
    ) -> None:
        ended = exported("annual-overview", institution, tmp_path / "2019.csv", "--school-year", "2019")
        assert "NOT_FOUND" in refused(ended)
        assert list(tmp_path.iterdir()) == []


class TestExportFollowedStudents:
    def test_writes_a_file_in_either_format(self, transfer_system: LiveClient, tmp_path: Path) -> None:
        transfer_system.follow(a_personal_number(), "r-1")
        for name in ("list.csv", "list.xlsx"):
            ended = exported("followed-students", transfer_system, tmp_path / name, "--without-live")
            assert (ended.exit_code, ended.output) == (0, ""), ended.output
        text = (tmp_path / "list.csv").read_text(encoding="utf-8")
        assert text.splitlines()[0].split(",") == list(FOLLOWED_STUDENTS)
        assert text.splitlines()[1].startswith("r-1,")
        with zipfile.ZipFile(tmp_path / "list.xlsx") as book:
            assert book.testzip() is None
            assert b"r-1" in book.read("xl/worksheets/sheet1.xml")
        assert {file.name for file in tmp_path.iterdir()} == {"list.csv", "list.xlsx"}

    def test_says_what_is_wrong_and_leaves_no_file(self, transfer_system: LiveClient, tmp_path: Path) -> None:
        line = refused(
            exported("followed-students", transfer_system, tmp_path / "list.csv", "--on", "2999-10-01")
        )
        assert "BAD_USER_INPUT" in line
        assert exported("followed-students", transfer_system, tmp_path / "list.pdf").exit_code == 2
        assert list(tmp_path.iterdir()) == []
