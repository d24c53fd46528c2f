"""The programs of the page for vendors, where the hub knows its clients by their certificates."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.domain.access import Role
from app.domain.catalogue import Institution, Programme
from app.domain.codes import today
from app.services.catalogue import CatalogueService
from tests.factories.certificates import authority
from tests.factories.identity import ec_key
from tests.factories.live_hub import a_message, free_port
from tests.factories.node import NODE, installed, talking
from tests.factories.served_hub import Registered, ServedHub, served
from tests.factories.world import BRIN, PROGRAMME, a_personal_number

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.slow

CLIENTS = Path(__file__).parents[2] / "docs" / "clients"


@pytest.fixture(scope="module")
async def hub(
    template: str, key_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServedHub]:
    """Serve a hub that lets in nobody without a certificate and what else clients are vetted by."""
    folder, port = tmp_path_factory.mktemp("tls"), free_port()
    certfile, keyfile = authority().server().write(folder, "server")
    ca, _ = authority().issued.write(folder, "authority")
    tls = {"ssl_certfile": certfile, "ssl_keyfile": keyfile, "ssl_ca_certs": ca}
    address = {"port": port, "issuer": f"https://127.0.0.1:{port}"}
    async with served(template, **key_files, **tls, **address, clients_must_be_vetted=True) as running:
        await CatalogueService(running.database).put(
            [Institution(BRIN, "Institution")], [Programme(PROGRAMME, "Software developer", 4)]
        )
        yield running


async def environment(hub: ServedHub, client: Registered, folder: Path) -> dict[str, str]:
    """Vet a client, and return what its program is started with."""
    shown = authority().client(client.oin)
    certificate, key = shown.write(folder, "client")
    ca, _ = authority().issued.write(folder, "authority")
    await hub.vetting.add_certificate(client.client_id, shown.pem)
    day = today(datetime.now(UTC))
    await hub.vetting.state_second_factor(client.client_id, day)
    await hub.vetting.record_penetration_test(client.client_id, day)
    (folder / "key.json").write_text(json.dumps(ec_key().as_dict(private=True)), encoding="utf-8")
    return {
        **os.environ,
        "HUB_URL": f"https://127.0.0.1:{hub.port}",
        "CLIENT_ID": client.client_id,
        "KEY_FILE": str(folder / "key.json"),
        "CERTIFICATE_FILE": str(certificate),
        "CERTIFICATE_KEY_FILE": str(key),
        "CA_FILE": str(ca),
        "LONGEST_WAIT_SECONDS": "1",
    }


class TestVendors:
    @pytest.mark.parametrize("program", ["transfer_system.py", "transfer-system.ts"])
    async def test_report_and_hear_with_their_certificates(
        self, hub: ServedHub, tmp_path: Path, program: str
    ) -> None:
        number = a_personal_number()
        folders = {name: tmp_path / name for name in ("sis", "os")}
        for folder in folders.values():
            folder.mkdir()
        sis, transfer_system = await hub.client(Role.SIS), await hub.client(Role.OS)
        await hub.clients.add_mandate(sis.client_id, BRIN)
        students = [{"personalNumber": number, "reference": "r"}]
        (folders["os"] / "students.json").write_text(json.dumps(students), encoding="utf-8")
        message = a_message(personalNumber=number)
        (folders["sis"] / "outbox.jsonl").write_text(json.dumps(message), encoding="utf-8")
        if program.endswith(".ts"):
            command = [NODE, installed(CLIENTS / program, folders["os"])]
        else:
            command = [Path(sys.executable), CLIENTS / program]
        hears = [*command, "students.json", "state.json"]
        reports = [sys.executable, CLIENTS / "sis.py", "outbox.jsonl", "done.jsonl"]
        listening = await environment(hub, transfer_system, folders["os"])
        reporting = await environment(hub, sis, folders["sis"])
        async with (
            asyncio.timeout(90),
            talking(*hears, environment=listening, folder=folders["os"]) as heard,
        ):
            await heard.until(lambda line: line["event"] == "listening")
            async with talking(*reports, environment=reporting, folder=folders["sis"]) as sent:
                assert await sent.process.wait() == 0
            change = await heard.until(lambda line: line["event"] == "change")
        done = json.loads((folders["sis"] / "done.jsonl").read_text(encoding="utf-8"))
        assert (done["outcome"], change["applicationId"]) == ("ACCEPTED", message["applicationId"])

    async def test_get_nowhere_without(self, hub: ServedHub, tmp_path: Path) -> None:
        given = await environment(hub, await hub.client(Role.SIS), tmp_path)
        before = await hub.count("status_message")
        (tmp_path / "outbox.jsonl").write_text(json.dumps(a_message()), encoding="utf-8")
        bare = {name: value for name, value in given.items() if name != "CERTIFICATE_FILE"}
        command = [sys.executable, CLIENTS / "sis.py", "outbox.jsonl", "done.jsonl"]
        async with asyncio.timeout(60), talking(*command, environment=bare, folder=tmp_path) as sent:
            assert await sent.process.wait() != 0
        assert (tmp_path / "done.jsonl").read_bytes() == b""
        assert await hub.count("status_message") == before
