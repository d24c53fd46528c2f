"""The two programs that compare: the command, and the client of the page for vendors."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from app.domain.access import Role
from tests.end_to_end.test_cli import refused, typed
from tests.end_to_end.test_vendor_clients import CLIENTS, environment
from tests.factories.live_hub import LiveClient, LiveHub, a_message
from tests.factories.world import BRIN

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
async def vendor(hub: LiveHub, join) -> LiveClient:
    client: LiveClient = await join(hub, Role.SIS, BRIN)
    return client


def reconcile(client: LiveClient, file: Path, *options: str):
    options = ("--brin", BRIN, "--school-year", "2026", "--client", client.client_id, *options)
    return typed(client.hub, "reconcile", file, "--url", client.hub.url, "--key", client.key_file, *options)


class TestReconcile:
    def test_prints_what_differs_and_ends_with_1(self, vendor: LiveClient, tmp_path: Path) -> None:
        same, changed, lacking = (
            a_message(schoolYear=2026),
            a_message(schoolYear=2026),
            a_message(schoolYear=2026),
        )
        vendor.report(same, changed, lacking)
        file = tmp_path / "list.csv"
        lines = [
            "aanmeldID;Status;Leerjaar",
            f"{same['applicationId']};AO;1",
            f"{changed['applicationId']};LI;1",
        ]
        file.write_text("\n".join([*lines, "new;OFFERED;x", "new;OFFERED;1"]), encoding="utf-8-sig")
        ended = reconcile(vendor, file)
        assert ended.exit_code == 1, ended.output
        found = [json.loads(line) for line in ended.stdout.splitlines()]
        assert {(one["line"], one["difference"], one["field"]) for one in found} == {
            (3, "OTHER_STATUS", None),
            (4, "INVALID", "programmeYear"),
            (5, "REPEATED", None),
            (None, "MISSING_AT_SENDER", None),
        }
        assert ended.stderr == "4 compared in 2 exchanges, 4 differ\n"

    def test_ends_with_0_when_nothing_differs(self, vendor: LiveClient, tmp_path: Path) -> None:
        message = a_message(schoolYear=2026)
        vendor.report(message)
        file = tmp_path / "list.csv"
        file.write_text(f"application_id,status\n{message['applicationId']},RECEIVED\n", encoding="utf-8")
        for options in ((), ("--full",)):
            ended = reconcile(vendor, file, *options)
            assert (ended.exit_code, ended.stdout) == (0, ""), ended.output

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"status\nRECEIVED\n", "list.csv has no columns application_id and status."),
            (b"", "list.csv has no columns application_id and status."),
            (b"\xff\xfe\x00", "list.csv is not a CSV file in UTF-8."),
        ],
    )
    def test_refuses_what_is_no_list(
        self, vendor: LiveClient, tmp_path: Path, content: bytes, reason: str
    ) -> None:
        file = tmp_path / "list.csv"
        file.write_bytes(content)
        assert refused(reconcile(vendor, file)) == reason

    def test_refuses_a_file_that_holds_no_key(self, vendor: LiveClient, tmp_path: Path) -> None:
        file = tmp_path / "list.csv"
        file.write_text("application_id,status\n", encoding="utf-8")
        line = refused(reconcile(vendor, file, "--key", str(file)))
        assert line.endswith("holds no private EC key with a kid, as a JWK")

    def test_says_what_the_hub_refuses(self, vendor: LiveClient, tmp_path: Path) -> None:
        file = tmp_path / "list.csv"
        file.write_text("application_id,status\n", encoding="utf-8")
        assert "FORBIDDEN" in refused(reconcile(vendor, file, "--brin", "01AA"))


class TestVendorClient:
    def test_finds_the_same(self, vendor: LiveClient, tmp_path: Path) -> None:
        messages = [a_message(schoolYear=2026) for _ in range(20)]
        vendor.report(*messages)
        statuses = {str(one["applicationId"]): "RECEIVED" for one in messages}
        changed, lacking, *_ = statuses
        statuses = {**statuses, changed: "WITHDRAWN", "new": "OFFERED"}
        del statuses[lacking]
        (tmp_path / "registrations.json").write_text(json.dumps(statuses), encoding="utf-8")
        command = [sys.executable, str(CLIENTS / "sis.py"), "compare", "registrations.json", BRIN, "2026"]
        ended = subprocess.run(
            command, env=environment(vendor), cwd=tmp_path, capture_output=True, text=True, check=True
        )
        found = [json.loads(line) for line in ended.stdout.splitlines()]
        assert {(one["applicationId"], one["difference"]) for one in found} == {
            (changed, "OTHER_STATUS"),
            (lacking, "MISSING_AT_SENDER"),
            ("new", "MISSING_AT_HUB"),
        }
