"""What the operator puts on record of clients, and who gets in by it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.applications import Starlette
from structlog.testing import capture_logs
from typer.testing import CliRunner

from app.cli import cli
from app.domain.access import SCOPES_OF_ROLE, Principal, Role
from app.domain.codes import today
from app.domain.errors import BadUserInputError, ForbiddenError, LimitExceededError, NotFoundError
from app.domain.vetting import NotAdmittedError, VettingRule
from app.services.clients import ClientNotFoundError, ClientService
from app.services.vetting import VettingService
from app.transport.authentication import Authenticator
from app.transport.client_certificate import CERTIFICATE, ShownCertificate
from app.transport.token_endpoint import token_routes
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema
from tests.factories.certificates import authority
from tests.factories.identity import ISSUER, OIN, Claims, ec_key, form, jwks, signed, signing_keys

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from app.persistence.database import Database
    from app.settings import Settings

pytestmark = pytest.mark.slow

_TODAY = today(datetime.now(UTC))
_DEMANDED = VettingRule(demanded=True, penetration_test_days=100)


@pytest.fixture
def vetting(database: Database) -> VettingService:
    return VettingService(database, _DEMANDED)


@pytest.fixture
async def client_id(database: Database) -> str:
    return await ClientService(database).add_client(name="V", role=Role.OS, oin=OIN, jwks=jwks(ec_key()))


async def recorded(database: Database) -> list[tuple[str, str | None]]:
    async with database.connection() as connection:
        rows = await connection.fetch("select event, detail from security_record order by id")
    return [(row["event"], row["detail"]) for row in rows if row["event"] != "CLIENT_ADDED"]


async def certificates(database: Database) -> int:
    async with database.connection() as connection:
        return int(await connection.fetchval("select count(*) from client_certificate"))


class TestCertificates:
    async def test_are_put_on_record_in_pem_and_in_der(
        self, vetting: VettingService, client_id: str, database: Database
    ) -> None:
        first, second = authority().client(OIN), authority().client(OIN)
        added = await vetting.add_certificate(client_id, first.pem)
        await vetting.add_certificate(client_id, second.der)
        await vetting.add_certificate(client_id, first.der)  # again
        assert (added.thumbprint, added.oin) == (first.thumbprint, OIN)
        found = await ClientService(database).find(client_id)
        assert found is not None
        assert {one.thumbprint for one in found.vetting.certificates} == {first.thumbprint, second.thumbprint}
        assert found.vetting.certificates[0].expires_at == first.certificate.not_valid_after_utc
        await vetting.remove_certificate(client_id, first.thumbprint)
        assert await certificates(database) == 1
        assert await recorded(database) == [
            ("CERTIFICATE_ADDED", first.thumbprint.hex()),
            ("CERTIFICATE_ADDED", second.thumbprint.hex()),
            ("CERTIFICATE_REMOVED", first.thumbprint.hex()),
        ]

    @pytest.mark.parametrize(
        ("encoded", "words"),
        [
            (lambda: authority().client("00000003271247460000").pem, "serialNumber"),
            (lambda: authority().client().pem, "serialNumber"),
            (lambda: authority().client(OIN, OIN).pem, "serialNumber"),
            (lambda: authority().client(f"{OIN} ").pem, "serialNumber"),
            (lambda: authority().client(OIN, life=timedelta(seconds=-1)).pem, "has run out"),
            (lambda: authority().client(OIN).pem * 2, "one certificate"),
            (lambda: b"-----BEGIN CERTIFICATE-----\n", "one certificate"),
            (lambda: b"", "one certificate"),
            (lambda: b"\x30\x82" + b"\xff" * 70_000, "one certificate"),
        ],
        ids=["foreign OIN", "no OIN", "two OINs", "a space", "run out", "two", "broken", "empty", "huge"],
    )
    async def test_that_are_wrong_are_refused_and_leave_no_trace(
        self,
        vetting: VettingService,
        client_id: str,
        database: Database,
        encoded: Callable[[], bytes],
        words: str,
    ) -> None:
        with pytest.raises(BadUserInputError, match=words):
            await vetting.add_certificate(client_id, encoded())
        assert (await certificates(database), await recorded(database)) == (0, [])

    async def test_are_ten_at_most(self, vetting: VettingService, client_id: str, database: Database) -> None:
        for _ in range(10):
            await vetting.add_certificate(client_id, authority().client(OIN).pem)
        with pytest.raises(LimitExceededError):
            await vetting.add_certificate(client_id, authority().client(OIN).pem)
        assert await certificates(database) == 10

    async def test_are_those_of_a_client(self, vetting: VettingService, client_id: str) -> None:
        with pytest.raises(ClientNotFoundError):
            await vetting.add_certificate("hub-nobody", authority().client(OIN).pem)
        with pytest.raises(NotFoundError):
            await vetting.remove_certificate(client_id, b"x" * 32)


class TestDays:
    async def test_are_put_on_record(
        self, vetting: VettingService, client_id: str, database: Database
    ) -> None:
        await vetting.state_second_factor(client_id, _TODAY)
        await vetting.state_second_factor(client_id, None)
        await vetting.record_penetration_test(client_id, _TODAY)
        found = await ClientService(database).find(client_id)
        assert found is not None
        assert (found.vetting.second_factor_stated_on, found.vetting.penetration_tested_on) == (None, _TODAY)
        assert await recorded(database) == [
            ("SECOND_FACTOR_RECORDED", _TODAY.isoformat()),
            ("SECOND_FACTOR_RECORDED", "withdrawn"),
            ("PENETRATION_TEST_RECORDED", _TODAY.isoformat()),
        ]

    async def test_to_come_are_refused(
        self, vetting: VettingService, client_id: str, database: Database
    ) -> None:
        tomorrow = _TODAY + timedelta(days=1)
        for work in (vetting.state_second_factor, vetting.record_penetration_test):
            with pytest.raises(BadUserInputError):
                await work(client_id, tomorrow)
            with pytest.raises(ClientNotFoundError):
                await work("hub-nobody", _TODAY)
        assert await recorded(database) == []


class TestWarnings:
    async def test_name_the_client_while_there_is_time_and_as_long_as_it_counts(
        self, vetting: VettingService, client_id: str, database: Database
    ) -> None:
        first = authority().client(OIN, life=timedelta(days=27))
        await vetting.add_certificate(client_id, first.pem)
        await vetting.record_penetration_test(client_id, _TODAY - timedelta(days=101))
        with capture_logs() as logged:
            assert await vetting.warn() == 2
        assert {(one["event"], one["client_id"], one["what"]) for one in logged} == {
            ("client_runs_out", client_id, "certificate"),
            ("client_runs_out", client_id, "penetration_test"),
        }
        assert logged[0]["ends"] == first.certificate.not_valid_after_utc.isoformat()
        await vetting.add_certificate(client_id, authority().client(OIN, life=timedelta(days=29)).pem)
        await vetting.record_penetration_test(client_id, _TODAY)
        assert await vetting.warn() == 0
        await vetting.record_penetration_test(client_id, _TODAY - timedelta(days=100))
        assert await vetting.warn() == 1
        await ClientService(database).revoke_client(client_id)
        assert await vetting.warn() == 0

    async def test_leave_nobody_out_where_there_are_many(
        self, vetting: VettingService, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("app.services.vetting._PAGE", 2)
        for number in range(4):
            added = await ClientService(database).add_client(
                name=f"V{number}", role=Role.OS, oin=OIN, jwks=jwks(ec_key())
            )
            await vetting.record_penetration_test(added, _TODAY - timedelta(days=200))
        assert await vetting.warn() == 4


class TestAdmission:
    async def test_waits_for_all_three_and_says_what_is_lacking(
        self, vetting: VettingService, client_id: str, database: Database
    ) -> None:
        clients, shown = ClientService(database), authority().client(OIN)
        routes = token_routes(ISSUER, signing_keys(), clients, token_seconds=300, rule=_DEMANDED)
        inner = Starlette(routes=list(routes))
        on_connection = {CERTIFICATE: ShownCertificate(shown.thumbprint, shown.der)}

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await inner({**scope, **on_connection}, receive, send)

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ISSUER) as http:

            async def ask() -> httpx.Response:
                assertion = signed(
                    {"alg": "ES256", "kid": "ec"}, Claims(client_id).of_assertion(jti="one"), ec_key()
                )
                return await http.post("/oauth/token", data=form(assertion))

            steps: list[tuple[str, Callable[[], Awaitable[object]]]] = [
                ("no certificate is on record", lambda: vetting.add_certificate(client_id, shown.pem)),
                ("second factor", lambda: vetting.state_second_factor(client_id, _TODAY)),
                (
                    "no penetration test is on record",
                    lambda: vetting.record_penetration_test(client_id, _TODAY - timedelta(days=101)),
                ),
                ("too old", lambda: vetting.record_penetration_test(client_id, _TODAY - timedelta(days=100))),
            ]
            for words, mend in steps:
                refused = await ask()
                assert (refused.status_code, refused.json()["error"]) == (400, "unauthorized_client")
                assert words in refused.json()["error_description"]
                await mend()
            answered = await ask()  # with the same jti: what was refused used nothing up
            assert answered.status_code == 200
            bearer = f"Bearer {answered.json()['access_token']}"

        now = [0.0]
        authenticator = Authenticator(
            ISSUER, signing_keys(), clients, rule=_DEMANDED, monotonic=lambda: now[0]
        )
        principal = await authenticator.authenticate(bearer, {"client": None, "headers": [], **on_connection})
        assert await authenticator.still_valid(principal)
        await vetting.state_second_factor(client_id, None)
        now[0] += 21
        assert not await authenticator.still_valid(principal)
        with pytest.raises(NotAdmittedError, match="second factor"):
            await authenticator.authenticate(bearer, {"client": None, "headers": [], **on_connection})


CLIENTS = """query($first: Int! = 50, $after: String) { clients(first: $first, after: $after) {
  nodes { clientId name organisation { oin role } certificates { thumbprint expiresAt } secondFactorStatedOn
          penetrationTestedOn penetrationTestUntil fitUntil lacks admitted revokedAt }
  pageInfo { hasNextPage endCursor } } }"""


class TestOperatorsView:
    async def ask(self, world: Any, by: Principal, **variables: object) -> dict[str, Any]:
        operations = Operations(schema)
        prepared = operations.prepare(CLIENTS, None)
        answer: dict[str, Any] = json.loads(
            await operations.execute(prepared, dict(variables), world.hub.context(by))
        )
        assert "errors" not in answer, answer
        found: dict[str, Any] = answer["data"]["clients"]
        return found

    async def test_shows_what_runs_out_and_when(self, world: Any) -> None:
        operator = await world.principal(Role.OPERATOR)
        shown = authority().client(world.os.oin)
        vetting = world.services.vetting
        await vetting.add_certificate(world.os.client_id, shown.pem)
        await vetting.state_second_factor(world.os.client_id, _TODAY)
        await vetting.record_penetration_test(world.os.client_id, date(2026, 1, 1))
        await world.services.clients.revoke_client(world.other_os.client_id)
        nodes = {one["clientId"]: one for one in (await self.ask(world, operator))["nodes"]}
        mine = nodes[world.os.client_id]
        ends = shown.certificate.not_valid_after_utc
        assert mine["certificates"][0]["thumbprint"] == shown.thumbprint.hex()
        assert mine["penetrationTestUntil"] == "2027-01-01"
        assert mine["fitUntil"] == today(ends).isoformat()
        assert (mine["lacks"], mine["admitted"]) == ([], True)
        other = nodes[world.other_os.client_id]
        assert other["lacks"] == ["NO_CERTIFICATE", "NO_SECOND_FACTOR", "NO_PENETRATION_TEST"]
        assert (other["fitUntil"], other["admitted"]) == (None, False)
        assert nodes[world.sis.client_id]["admitted"], "this hub does not demand it"

    async def test_is_paged_and_for_the_operator_alone(self, world: Any) -> None:
        operator = await world.principal(Role.OPERATOR)
        seen: list[str] = []
        cursor = None
        while True:
            page = await self.ask(world, operator, first=2, after=cursor)
            seen += [one["clientId"] for one in page["nodes"]]
            cursor = page["pageInfo"]["endCursor"]
            if not page["pageInfo"]["hasNextPage"]:
                break
        assert len(seen) == len(set(seen)) == await world.count("client")
        for role in set(Role) - {Role.OPERATOR}:
            caller = Principal("c", 1, OIN, "O", role, SCOPES_OF_ROLE[role])
            with pytest.raises(ForbiddenError):
                await world.services.vetting.clients(caller, None, 10)


class TestCommands:
    @pytest.fixture
    def typed(self, settings: Settings) -> Callable[..., Any]:
        environment = {
            "KOPPELPUNT_DATABASE_URL": str(settings.database_url),
            "KOPPELPUNT_PSEUDONYM_KEY_FILE": str(settings.pseudonym_key_file),
            "KOPPELPUNT_SIGNING_KEYS_FILE": str(settings.signing_keys_file),
        }
        return lambda *arguments: CliRunner().invoke(
            cli, [*map(str, arguments)], env=environment, catch_exceptions=False
        )

    def test_keep_the_record(self, typed: Callable[..., Any], tmp_path: Path) -> None:
        keys, pem = tmp_path / "keys.json", tmp_path / "client.pem"
        keys.write_text(json.dumps(jwks(ec_key())), encoding="utf-8")
        shown = authority().client(OIN)
        pem.write_bytes(shown.pem)
        add = ("client", "add", "--name", "V", "--role", "os", "--oin", OIN, "--jwks", keys)
        client_id = json.loads(typed(*add).stdout)["client_id"]
        added = json.loads(typed("client", "certificate", "add", "--client", client_id, pem).stdout)
        assert added["thumbprint"] == shown.thumbprint.hex()
        assert typed("client", "second-factor", client_id, "--stated", "2026-09-01").exit_code == 0
        assert typed("client", "penetration-test", client_id, "--on", "2025-01-02").exit_code == 0
        listed = json.loads(typed("client", "list").stdout)
        assert listed["certificates"] == {added["thumbprint"]: added["expires"]}
        assert (listed["second_factor"], listed["penetration_test"]) == ("2026-09-01", "2025-01-02")
        assert (listed["penetration_test_until"], listed["fit_until"]) == ("2026-01-02", "2026-01-02")
        assert listed["lacks"] == ["PENETRATION_TEST_TOO_OLD"]
        remove = ("client", "certificate", "remove", "--client", client_id)
        colons = ":".join(added["thumbprint"][n : n + 2].upper() for n in range(0, 64, 2))
        assert typed(*remove, colons).exit_code == 0
        assert typed("client", "second-factor", client_id, "--withdrawn").exit_code == 0
        assert "NO_CERTIFICATE" in typed("client", "list").stdout
        for wrong, status in {
            (*remove, added["thumbprint"]): 1,
            (*remove, "xyz"): 1,
            ("client", "certificate", "add", "--client", client_id, keys): 1,
            ("client", "second-factor", client_id): 2,
            ("client", "second-factor", client_id, "--withdrawn", "--stated", "2026-09-01"): 2,
            ("client", "penetration-test", client_id): 2,
            ("client", "penetration-test", "hub-nobody", "--on", "2026-09-01"): 1,
        }.items():
            ended = typed(*wrong)
            assert ended.exit_code == status, wrong
            assert status == 2 or len(ended.stderr.splitlines()) == 1
