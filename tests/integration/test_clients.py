"""Clients, organisations and mandates, on a real PostgreSQL and at the command line."""

from __future__ import annotations

import asyncio
import json
import time
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import typer
from joserfc.jwk import ECKey, OctKey, RSAKey
from typer.testing import CliRunner, Result

from app.cli import clients as commands
from app.domain.access import Role
from app.domain.codes import today
from app.domain.errors import BadUserInputError, ConflictError, NotFoundError
from app.services.clients import ClientService
from tests.factories.identity import OIN, ec_key, jwks, rsa_key

if TYPE_CHECKING:
    from pathlib import Path

    from app.persistence.database import Database

pytestmark = pytest.mark.slow

_TODAY = today(datetime.now(UTC))
_DAY = timedelta(days=1)
_OTHER_OIN = "00000003271247460000"


@pytest.fixture
def clients(database: Database) -> ClientService:
    return ClientService(database)


async def _mandates(database: Database) -> list[tuple[str, date, date | None]]:
    async with database.connection() as connection:
        rows = await connection.fetch(
            "select brin, valid_from, valid_to from mandate order by brin, valid_from"
        )
    return [(row["brin"], row["valid_from"], row["valid_to"]) for row in rows]


async def _counts(database: Database) -> list[int]:
    async with database.connection() as connection:
        return [
            int(await connection.fetchval(f"select count(*) from {table}"))  # noqa: S608 - names from here
            for table in ("organisation", "client", "feed", "mandate", "own_institution")
        ]


def _public(key: ECKey | RSAKey, **changes: object) -> dict[str, object]:
    members = {**key.as_dict(private=False), **changes}
    return {name: value for name, value in members.items() if value is not None}


class TestAddClient:
    async def test_registers_an_organisation_with_its_client(self, clients: ClientService) -> None:
        client_id = await clients.add_client(
            name="Vendor", role=Role.SIS, oin=OIN, brins=["25GV"], jwks=jwks(ec_key())
        )
        found = await clients.find(client_id)
        assert found is not None
        assert (found.oin, found.role, found.organisation_name) == (OIN, Role.SIS, "Vendor")
        assert [key["kid"] for key in found.keys] == ["ec"]
        assert not found.revoked
        assert await clients.find("hub-nobody") is None

    async def test_lets_a_second_client_join(self, clients: ClientService, database: Database) -> None:
        for name, brin in (("First", "25GV"), ("Second", "25LH")):
            await clients.add_client(name=name, role=Role.SIS, oin=OIN, brins=[brin], jwks=jwks(ec_key()))
        await clients.add_client(name="Other role", role=Role.OS, oin=OIN, jwks=jwks(ec_key()))
        listed = await clients.list_clients()
        assert [(each.name, each.organisation, each.brins) for each in listed] == [
            ("First", "First", ("25GV", "25LH")),
            ("Second", "First", ("25GV", "25LH")),
            ("Other role", "Other role", ()),
        ]
        assert await _counts(database) == [2, 3, 1, 2, 0]

    async def test_makes_one_organisation_for_clients_that_come_at_once(
        self, clients: ClientService, database: Database
    ) -> None:
        await asyncio.gather(
            *(
                clients.add_client(name="V", role=Role.SIS, oin=OIN, brins=["25GV"], jwks=jwks(ec_key()))
                for _ in range(4)
            )
        )
        assert await _counts(database) == [1, 4, 0, 1, 0]

    @pytest.mark.parametrize(("role", "complete"), [(Role.OS, False), (Role.CAMBO, True)])
    async def test_gives_a_receiver_its_feed(
        self, clients: ClientService, database: Database, role: Role, complete: bool
    ) -> None:
        for _ in range(2):
            await clients.add_client(name="R", role=role, oin=OIN, jwks=jwks(ec_key()))
        async with database.connection() as connection:
            feeds = await connection.fetch("select complete, last_number from feed")
        assert [tuple(feed) for feed in feeds] == [(complete, 0)]

    async def test_keeps_the_institutions_of_an_institution(self, clients: ClientService) -> None:
        ids = [
            await clients.add_client(
                name="I", role=Role.INSTITUTION, oin=OIN, brins=brins, jwks=jwks(ec_key())
            )
            for brins in (["25GV", "25GV"], ["25LH"], [])
        ]
        found = [await clients.find(client_id) for client_id in ids]
        assert all(each is not None and each.brins == {"25GV", "25LH"} for each in found)

    async def test_keeps_the_region(self, clients: ClientService) -> None:
        first = await clients.add_client(
            name="R", role=Role.REGION, oin=OIN, region="29", jwks=jwks(ec_key())
        )
        found = await clients.find(first)
        assert found is not None
        assert found.region == "29"
        with pytest.raises(ConflictError):
            await clients.add_client(name="R", role=Role.REGION, oin=OIN, region="14", jwks=jwks(ec_key()))

    @pytest.mark.parametrize(
        ("field", "changes"),
        [
            ("name", {"name": ""}),
            ("name", {"name": "  "}),
            ("name", {"name": "a\nb"}),
            ("name", {"name": "a" * 201}),
            ("oin", {"oin": "123"}),
            ("oin", {"oin": "0" * 21}),
            ("oin", {"oin": "\u0660" * 20}),
            ("brin", {"brins": ["25gv"]}),
            ("brin", {"brins": ["25GV00"]}),
            ("brin", {"brins": ["25GV"], "role": Role.OS}),
            ("brin", {"role": Role.INSTITUTION}),
            ("region", {"role": Role.REGION}),
            ("region", {"role": Role.REGION, "region": "Rijnmond"}),
            ("region", {"region": "29"}),
        ],
        ids=range(14),
    )
    async def test_refuses_an_organisation(
        self, clients: ClientService, database: Database, field: str, changes: dict[str, object]
    ) -> None:
        right: dict[str, object] = {"name": "V", "role": Role.SIS, "oin": OIN, "jwks": jwks(ec_key())}
        with pytest.raises(BadUserInputError) as refused:
            await clients.add_client(**{**right, **changes})  # type: ignore[arg-type]
        assert refused.value.field == field
        assert await _counts(database) == [0, 0, 0, 0, 0]

    @pytest.mark.parametrize(
        "keys",
        [
            None,
            [],
            "text",
            {},
            {"keys": []},
            {"keys": "text"},
            {"keys": [1]},
            {"keys": [_public(ec_key(f"k{number}")) for number in range(11)]},
            {"keys": [_public(ec_key()), _public(ec_key())]},
            ec_key().as_dict(private=True),
            rsa_key().as_dict(private=True),
            {**_public(ec_key()), "d": None},
            OctKey.generate_key(256).as_dict(),
            _public(ECKey.generate_key("P-384")),
            _public(ec_key(), crv="P-521"),
            _public(ec_key(), x=None),
            _public(ec_key(), x=1),
            _public(ec_key(), x="AAAA"),
            _public(ec_key(), x="é"),
            _public(ec_key(), kty="OKP"),
            _public(ec_key(), kty=["EC"]),
            _public(ec_key(), use="enc"),
            _public(ec_key(), key_ops=["encrypt"]),
            _public(ec_key(), alg="RS256"),
            _public(ec_key(), alg=["ES256"]),
            _public(rsa_key(), alg="RS512"),
            _public(rsa_key(), n="AQAB"),
            _public(rsa_key(), e=""),
            _public(ec_key(), kid=""),
            _public(ec_key(), kid=1),
            _public(ec_key(), kid="k\x00"),
            _public(ec_key(), kid="k" * 201),
        ],
        ids=range(32),
    )
    async def test_refuses_keys(self, keys: object) -> None:
        # Refused before the database is asked, so that none is needed.
        with pytest.raises(BadUserInputError) as refused:
            await ClientService(None).add_client(  # type: ignore[arg-type]
                name="V", role=Role.SIS, oin=OIN, jwks=keys
            )
        assert refused.value.field == "jwks"
        assert "\n" not in str(refused.value)

    async def test_takes_single_keys_and_names_them(self, clients: ClientService) -> None:
        for key in (ECKey.generate_key("P-256"), RSAKey.generate_key(2048)):
            client_id = await clients.add_client(
                name="V", role=Role.SIS, oin=OIN, jwks=_public(key, note="x")
            )
            found = await clients.find(client_id)
            assert found is not None
            assert found.keys[0]["kid"] == key.thumbprint()
            assert "note" not in found.keys[0]


class TestRevokeClient:
    async def test_ends_it_and_can_be_repeated(self, clients: ClientService) -> None:
        client_id = await clients.add_client(name="V", role=Role.SIS, oin=OIN, jwks=jwks(ec_key()))
        await clients.revoke_client(client_id)
        first = (await clients.list_clients())[0].revoked_at
        await clients.revoke_client(client_id)
        assert first is not None
        assert (await clients.list_clients())[0].revoked_at == first

    async def test_refuses_an_unknown_one(self, clients: ClientService) -> None:
        with pytest.raises(NotFoundError, match="There is no such client"):
            await clients.revoke_client("hub-nobody")


class TestMandates:
    @pytest.fixture
    async def vendor(self, clients: ClientService) -> str:
        return await clients.add_client(name="V", role=Role.SIS, oin=OIN, jwks=jwks(ec_key()))

    async def test_start_today_and_stay_open(
        self, clients: ClientService, database: Database, vendor: str
    ) -> None:
        for _ in range(2):
            await clients.add_mandate(vendor, "25GV")
        assert await _mandates(database) == [("25GV", _TODAY, None)]
        assert (await clients.list_clients())[0].brins == ("25GV",)

    async def test_last_to_the_end_of_their_last_day(
        self, clients: ClientService, database: Database, vendor: str
    ) -> None:
        await clients.add_mandate(vendor, "25GV", valid_from=_TODAY - _DAY, valid_to=_TODAY)
        await clients.add_mandate(vendor, "25LH", valid_from=_TODAY + _DAY)
        assert await _mandates(database) == [
            ("25GV", _TODAY - _DAY, _TODAY),
            ("25LH", _TODAY + _DAY, None),
        ]
        assert (await clients.list_clients())[0].brins == ("25GV",)

    async def test_end_at_once_when_removed_and_keep_their_past(
        self, clients: ClientService, database: Database, vendor: str
    ) -> None:
        await clients.add_mandate(vendor, "25GV", valid_from=_TODAY - 10 * _DAY)
        await clients.add_mandate(vendor, "25LH")
        await clients.remove_mandate(vendor, "25GV")
        assert await _mandates(database) == [
            ("25GV", _TODAY - 10 * _DAY, _TODAY - _DAY),
            ("25LH", _TODAY, None),
        ]
        with pytest.raises(NotFoundError):
            await clients.remove_mandate(vendor, "25GV")

    async def test_can_be_interrupted(self, clients: ClientService, database: Database, vendor: str) -> None:
        await clients.add_mandate(vendor, "25GV")
        start, end = _TODAY + 10 * _DAY, _TODAY + 20 * _DAY
        await clients.remove_mandate(vendor, "25GV", valid_from=start, valid_to=end)
        assert await _mandates(database) == [
            ("25GV", _TODAY, start - _DAY),
            ("25GV", end + _DAY, None),
        ]

    async def test_are_refused(self, clients: ClientService, database: Database, vendor: str) -> None:
        os = await clients.add_client(name="O", role=Role.OS, oin=_OTHER_OIN, jwks=jwks(ec_key()))
        with pytest.raises(BadUserInputError, match="Only a SIS vendor"):
            await clients.add_mandate(os, "25GV")
        with pytest.raises(BadUserInputError, match="BRIN"):
            await clients.add_mandate(vendor, "Albeda")
        with pytest.raises(BadUserInputError, match="before it starts"):
            await clients.add_mandate(vendor, "25GV", valid_to=_TODAY - _DAY)
        with pytest.raises(NotFoundError, match="There is no such client"):
            await clients.add_mandate("hub-nobody", "25GV")
        assert await _mandates(database) == []


class TestAssertions:
    async def test_are_used_once_by_each_client(self, clients: ClientService) -> None:
        ends = time.time() + 60
        used = await asyncio.gather(*(clients.use_assertion("hub-a", "j", ends) for _ in range(10)))
        assert sum(used) == 1
        assert await clients.use_assertion("hub-b", "j", ends)

    async def test_are_forgotten_a_day_after_their_end(self, clients: ClientService) -> None:
        now = time.time()
        await clients.use_assertion("hub-a", "old", now - 2 * 86_400)
        await clients.use_assertion("hub-a", "ended", now - 60)
        assert await clients.purge_assertions() == 1
        assert not await clients.use_assertion("hub-a", "ended", now)


class TestCommands:
    @pytest.fixture
    def keys(self, tmp_path: Path) -> Path:
        path = tmp_path / "keys.json"
        path.write_text(json.dumps(jwks(ec_key())))
        return path

    @pytest.fixture(autouse=True)
    def _settings(self, database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("KOPPELPUNT_DATABASE_URL", database.url)

    @staticmethod
    async def _run(*arguments: str) -> Result:
        program = typer.Typer()
        program.add_typer(commands.client, name="client")
        program.add_typer(commands.mandate, name="mandate")
        return await asyncio.to_thread(CliRunner().invoke, program, arguments)

    async def _added(self, keys: Path) -> str:
        added = await self._run(
            "client", "add", "--name", "Vendor", "--role", "sis", "--oin", OIN, "--brin", "25GV",
            "--brin", "25LH", "--jwks", str(keys),
        )  # fmt: skip
        assert added.exit_code == 0
        answer = json.loads(added.stdout)
        assert answer.keys() == {"client_id"}
        return str(answer["client_id"])

    async def test_add_list_and_revoke(self, keys: Path) -> None:
        client_id = await self._added(keys)
        assert (await self._run("client", "revoke", client_id)).exit_code == 0
        listed = json.loads((await self._run("client", "list")).stdout)
        assert {name: listed[name] for name in ("client_id", "name", "role", "oin", "brins")} == {
            "client_id": client_id,
            "name": "Vendor",
            "role": "sis",
            "oin": OIN,
            "brins": ["25GV", "25LH"],
        }
        assert listed["revoked"] is not None

    async def test_add_and_remove_mandates(self, keys: Path, database: Database) -> None:
        client_id = await self._added(keys)
        arguments = ["--client", client_id, "--brin", "30RM"]
        added = await self._run("mandate", "add", *arguments, "--from", "2030-08-01", "--to", "2031-07-31")
        assert added.exit_code == 0
        assert ("30RM", date(2030, 8, 1), date(2031, 7, 31)) in await _mandates(database)
        assert (await self._run("mandate", "remove", *arguments)).exit_code == 0
        assert {brin for brin, *_ in await _mandates(database)} == {"25GV", "25LH"}

    @pytest.mark.parametrize(
        ("arguments", "status"),
        [
            (["client", "add", "--name", "V", "--role", "sis", "--oin", "1", "--jwks", "{keys}"], 1),
            (["client", "add", "--name", "V", "--role", "sis", "--oin", OIN, "--jwks", "{text}"], 1),
            (["client", "add", "--name", "V", "--role", "king", "--oin", OIN, "--jwks", "{keys}"], 2),
            (["client", "add", "--name", "V", "--role", "sis", "--oin", OIN, "--jwks", "/none"], 2),
            (["client", "add", "--name", "V", "--role", "sis", "--oin", OIN], 2),
            (["client", "revoke", "hub-nobody"], 1),
            (["client", "revoke"], 2),
            (["mandate", "add", "--client", "hub-nobody", "--brin", "25GV"], 1),
            (["mandate", "add", "--client", "hub-nobody", "--brin", "25GV", "--from", "tomorrow"], 2),
        ],
        ids=range(9),
    )
    async def test_say_what_is_wrong(
        self, keys: Path, tmp_path: Path, arguments: list[str], status: int
    ) -> None:
        text = tmp_path / "text"
        text.write_text("not JSON")
        result = await self._run(*(part.format(keys=keys, text=text) for part in arguments))
        assert result.exit_code == status
        assert result.stdout == ""
        if status == 1:
            assert len(result.stderr.strip().splitlines()) == 1
