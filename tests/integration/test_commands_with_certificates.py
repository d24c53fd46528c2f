"""The commands that are clients, where the hub knows its clients by their certificates."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.cli.casting import SIMULATION_CAST, cast, import_builtin_catalogue
from app.domain.codes import today
from app.simulation.credentials import CredentialsError
from app.simulation.tls import tls_context, with_certificates
from app.transport.client_certificate import confirmation
from tests.factories.certificates import Issued, authority
from tests.factories.live_hub import free_port
from tests.factories.served_hub import ServedHub, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from app.simulation.credentials import Credentials

pytestmark = pytest.mark.slow


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
        yield running


class Cast:
    """Clients of a hub with their keys in a file, and with their certificates in a folder."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clients.json"
        self.folder = folder / "certificates"
        self.ca, _ = authority().issued.write(folder, "authority")
        self.players: tuple[Credentials, ...] = ()
        self.certificates: dict[str, Issued] = {}

    async def join(self, hub: ServedHub) -> None:
        self.folder.mkdir()
        brins, _ = await import_builtin_catalogue(hub.database)
        self.players = await cast(hub.database, self.file, SIMULATION_CAST, brins)
        day = today(datetime.now(UTC))
        oins = {one.client_id: one.oin for one in await hub.clients.list_clients()}
        for one in self.players:
            shown = authority().client(oins[one.client_id])
            shown.write(self.folder, one.client_id)
            self.certificates[one.client_id] = shown
            await hub.vetting.add_certificate(one.client_id, shown.pem)
            await hub.vetting.state_second_factor(one.client_id, day)
            await hub.vetting.record_penetration_test(one.client_id, day)


@pytest.fixture
async def players(hub: ServedHub, tmp_path: Path) -> Cast:
    made = Cast(tmp_path)
    await made.join(hub)
    return made


async def typed(folder: Path, *arguments: object) -> tuple[int | None, str, str]:
    """Run a command in a process of its own; return its status and what it printed."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("KOPPELPUNT_")}
    process = await asyncio.create_subprocess_exec(
        Path(sys.executable).with_name("koppelpunt"),
        *map(str, arguments),
        cwd=folder,
        env=ours,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        printed, errors = await process.communicate()
    return process.returncode, printed.decode(), errors.decode()


class TestToken:
    async def test_is_bound_to_the_certificate_that_was_shown(
        self, hub: ServedHub, players: Cast, tmp_path: Path
    ) -> None:
        one = players.players[0]
        asked = ("token", "--name", one.name, "--clients", players.file, "--url", hub.settings.base_url)
        trusting = ("--ca", players.ca)
        shown = ("--certificate", players.folder / f"{one.client_id}.pem")
        key = ("--certificate-key", players.folder / f"{one.client_id}.key")
        status, printed, errors = await typed(tmp_path, *asked, *trusting, *shown, *key)
        assert status == 0, errors
        claims = json.loads(base64.urlsafe_b64decode(printed.split(".")[1] + "=="))
        assert claims["cnf"] == confirmation(players.certificates[one.client_id].thumbprint)
        for lacking in ((*asked, *trusting), asked, (*asked, *trusting, *shown), (*asked, *trusting, *key)):
            status, printed, errors = await typed(tmp_path, *lacking)
            assert (status, printed) == (1, "")
            assert len(errors.splitlines()) == 1


class TestSimulate:
    async def test_plays_with_a_certificate_for_each_client(
        self, hub: ServedHub, players: Cast, tmp_path: Path
    ) -> None:
        there = ("--url", hub.settings.base_url, "--ca", players.ca)
        plays = ("simulate", "--registrations", 60, "--clients", players.file, *there)
        status, printed, errors = await typed(tmp_path, *plays, "--certificates", players.folder)
        assert status == 0, printed + errors
        before = await hub.count("status_message")
        assert before > 60
        status, _, errors = await typed(tmp_path, *plays)
        assert (status, await hub.count("status_message")) == (1, before)
        assert "refuses the client" in errors
        assert len(errors.splitlines()) == 1


class TestFiles:
    def test_that_cannot_be_used_are_one_line(self, tmp_path: Path) -> None:
        junk = tmp_path / "junk.pem"
        junk.write_text("no certificate", encoding="utf-8")
        certificate, key = authority().client("1").write(tmp_path, "client")
        other_key = authority().client("1").write(tmp_path, "other")[1]
        wrong: list[dict[str, Path]] = [
            {"ca": junk},
            {"ca": tmp_path / "nowhere.pem"},
            {"certificate": junk, "key": key},
            {"certificate": certificate, "key": other_key},
            {"certificate": certificate},
            {"certificate": certificate, "key": tmp_path / "nowhere.key"},
            {"key": key},
        ]
        for given in wrong:
            with pytest.raises(CredentialsError) as refused:
                tls_context(**given)
            assert len(str(refused.value).splitlines()) == 1
        both = tmp_path / "both.pem"
        both.write_bytes(certificate.read_bytes() + key.read_bytes())
        assert tls_context(both) is not None
        assert tls_context() is None

    async def test_that_a_client_has_none_of_show_none(self, players: Cast) -> None:
        first, *others = players.players
        (players.folder / f"{first.client_id}.pem").unlink()
        found = with_certificates(players.players, players.folder, None)
        assert found[0].tls is None
        assert all(one.tls is not None for one in found[1:])
        assert len(found) == len(others) + 1
