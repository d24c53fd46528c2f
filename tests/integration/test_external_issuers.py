"""Access tokens of other issuers: taken where the hub is told to, and as strictly judged as its own."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from app.bootstrap import issuer_keys
from app.cli import cli
from app.domain.access import Role, Scope
from app.domain.errors import (
    BadUserInputError,
    ConflictError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
)
from app.domain.vetting import ClientCertificate, Vetting
from app.feed.webhook_sender import trusted
from app.services.clients import ClientNotFoundError, ClientService
from app.services.foreign_subjects import ForeignSubjectService
from app.services.issuer_keys import IssuerKeys, source_of_keys
from app.settings import SettingsError, load_settings
from app.transport.authentication import Authenticator
from app.transport.client_certificate import confirmation
from app.transport.external_issuers import ExternalIssuers
from tests.factories.identity import (
    ISSUER,
    RESOURCE,
    Claims,
    ClientsInMemory,
    ec_key,
    jwks,
    registered,
    rsa_key,
    signed,
    signing_keys,
)
from tests.factories.served_hub import ServedHub, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from joserfc.jwk import ECKey, RSAKey

    from app.persistence.database import Database

pytestmark = pytest.mark.slow

IDP = "https://idp.example"
SUBJECT = "vendor-1"


class SubjectsInMemory(ForeignSubjectService):
    """The register without a database."""

    def __init__(self) -> None:
        self.subjects = {(IDP, SUBJECT): "hub-known"}

    async def client_of(self, issuer: str, subject: str) -> str | None:
        return self.subjects.get((issuer, subject))


class Idp:
    """An issuer in this process, and a hub's view of it; the clock is the test's."""

    def __init__(self, vetting: Vetting | None = None) -> None:
        self.now = 0.0
        self.keys: object = jwks(ec_key("idp"), rsa_key("idp-rsa"))
        self.asked = 0
        self.subjects = SubjectsInMemory()
        self.known = IssuerKeys(IDP, self.fetch, lambda: self.now)
        self.clients = ClientsInMemory(registered(vetting=vetting or Vetting()))
        self.authenticator = Authenticator(
            ISSUER,
            signing_keys(),
            self.clients,
            external=ExternalIssuers([self.known], self.subjects),
            monotonic=lambda: self.now,
        )

    async def fetch(self) -> object:
        self.asked += 1
        if isinstance(self.keys, Exception):
            raise self.keys
        return self.keys

    async def authenticate(self, bearer: str) -> Any:
        return await self.authenticator.authenticate(bearer, {"client": None, "headers": []})


def bearer(
    header: dict[str, object] | None = None, key: ECKey | RSAKey | None = None, **claims: object
) -> str:
    given: dict[str, object] = {"iss": IDP, "sub": SUBJECT, "client_id": "theirs", "azp": "theirs", **claims}
    head = {"alg": "ES256", "kid": "idp", "typ": "at+jwt", **(header or {})}
    return f"Bearer {signed(head, Claims('').of_token(**given), key or ec_key('idp'))}"


REFUSED: dict[str, Callable[[], str]] = {
    "subject that nobody named": lambda: bearer(sub="vendor-2"),
    "subject in capitals": lambda: bearer(sub=SUBJECT.upper()),
    "sub is the id of a client": lambda: bearer(sub="hub-known", client_id="hub-known"),
    "sub missing": lambda: bearer(sub=None),
    "sub is a list": lambda: bearer(sub=[SUBJECT]),
    "issuer that is not configured": lambda: bearer(iss="https://other.example"),
    "issuer with a slash": lambda: bearer(iss=f"{IDP}/"),
    "the hub's issuer with a foreign key": lambda: bearer(iss=ISSUER),
    "the hub's key with a foreign issuer": lambda: bearer(header={"kid": "current"}, key=ec_key("current")),
    "aud is another": lambda: bearer(aud="https://other.example/graphql"),
    "aud missing": lambda: bearer(aud=None),
    "aud is the issuer": lambda: bearer(aud=IDP),
    "foreign key": lambda: bearer(key=ec_key("foreign")),
    "kid unknown": lambda: bearer(header={"kid": "next"}),
    "alg of another kind of key": lambda: bearer(
        header={"alg": "RS256", "kid": "idp"}, key=rsa_key("idp-rsa")
    ),
    "alg none": lambda: bearer(header={"alg": "none"}),
    "jwk in the header": lambda: bearer(header={"jwk": ec_key("idp").as_dict(private=False)}),
    "typ JWT": lambda: bearer(header={"typ": "JWT"}),
    "id token": lambda: bearer(header={"typ": "id_token"}),
    "exp missing": lambda: bearer(exp=None),
    "life of an hour": lambda: bearer(exp=Claims("").of_token()["iat"] + 3600),  # type: ignore[operator]
    "jti missing": lambda: bearer(jti=None),
    "scope is a list": lambda: bearer(scope=["statuses:report"]),
    "bound to a certificate that is not on record": lambda: bearer(cnf=confirmation(b"x" * 32)),
}


class TestForeignTokens:
    @pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED.keys())
    async def test_are_refused(self, make: Callable[[], str]) -> None:
        idp = Idp()
        for _ in range(2):
            with pytest.raises(UnauthenticatedError):
                await idp.authenticate(make())
        assert (await idp.authenticate(bearer())).client_id == "hub-known"

    @pytest.mark.parametrize(
        ("header", "key"),
        [
            ({}, None),
            ({"alg": "RS256", "kid": "idp-rsa"}, rsa_key("idp-rsa")),
            ({"alg": "PS256", "kid": "idp-rsa"}, rsa_key("idp-rsa")),
        ],
        ids=["ES256", "RS256", "PS256"],
    )
    async def test_give_what_role_and_token_allow(
        self, header: dict[str, object], key: RSAKey | None
    ) -> None:
        principal = await Idp().authenticate(
            bearer(
                header,
                key,
                scope="statuses:report hub:operate email",
                aud=["https://other.example", RESOURCE],
            )
        )
        assert (principal.role, principal.scopes) == (Role.SIS, {Scope.STATUSES_REPORT})

    async def test_are_nothing_to_a_hub_that_was_not_told(self) -> None:
        bare = Authenticator(ISSUER, signing_keys(), ClientsInMemory(registered()))
        with pytest.raises(UnauthenticatedError):
            await bare.authenticate(bearer())

    async def test_need_the_certificate_of_their_client(self) -> None:
        on_record = ClientCertificate(b"x" * 32, None, datetime(2100, 1, 1, tzinfo=UTC))
        with pytest.raises(UnauthenticatedError):
            await Idp(Vetting((on_record,))).authenticate(bearer())

    async def test_end_within_a_minute_when_their_subject_is_removed(self) -> None:
        idp, token = Idp(), bearer()
        principal = await idp.authenticate(token)
        assert await idp.authenticator.still_valid(principal)
        idp.subjects.subjects.clear()
        assert not await idp.authenticator.still_valid(principal)
        idp.authenticator._clock = lambda: Claims("").now + 21
        with pytest.raises(UnauthenticatedError):
            await idp.authenticate(token)


class TestIssuerKeys:
    async def test_are_fetched_once_for_all_who_come_at_the_same_moment(self) -> None:
        idp = Idp()
        await asyncio.gather(*(idp.authenticate(bearer()) for _ in range(20)))
        assert idp.asked == 1

    async def test_are_looked_for_once_a_minute_at_most(self) -> None:
        idp = Idp()
        for _ in range(50):
            with pytest.raises(UnauthenticatedError):
                await idp.authenticate(bearer({"kid": "next"}, ec_key("next")))
        assert idp.asked == 1
        idp.keys = jwks(ec_key("next"))
        idp.now = 59
        with pytest.raises(UnauthenticatedError):
            await idp.authenticate(bearer({"kid": "next"}, ec_key("next")))
        idp.now = 60
        assert (await idp.authenticate(bearer({"kid": "next"}, ec_key("next")))).client_id == "hub-known"
        assert idp.asked == 2

    async def test_go_out_when_the_issuer_takes_them_back(self) -> None:
        idp = Idp()
        await idp.authenticate(bearer())
        idp.keys = jwks(ec_key("next"))
        idp.now = 601
        await idp.authenticate(bearer({"kid": "next"}, ec_key("next")))
        with pytest.raises(UnauthenticatedError):
            await idp.authenticate(bearer())

    async def test_count_for_an_hour_while_the_issuer_is_away(self) -> None:
        idp = Idp()
        await idp.authenticate(bearer())
        idp.keys = OSError()
        for idp.now in (601, 1200, 3599):
            assert (await idp.authenticate(bearer())).client_id == "hub-known"
        idp.now = 3700
        with pytest.raises(UnavailableError):
            await idp.authenticate(bearer())

    @pytest.mark.parametrize("answer", [OSError(), None, {}, {"keys": []}, {"keys": 1}, {"keys": [1]}, []])
    async def test_that_cannot_be_had_make_nobody_a_stranger(self, answer: object) -> None:
        idp = Idp()
        idp.keys = answer
        with pytest.raises(UnavailableError):
            await idp.authenticate(bearer())

    async def test_that_the_hub_cannot_use_are_left_out(self) -> None:
        idp = Idp()
        good = ec_key("idp").as_dict(private=False)
        idp.keys = {"keys": [{"kty": "oct", "k": "AAAA", "kid": "idp"}, {**good, "use": "enc"}, 5, good]}
        assert (await idp.authenticate(bearer())).client_id == "hub-known"


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Listen on the loopback and give everybody this answer; yield the address and what was asked."""
    asked: list[bytes] = []

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks", asked


def http(body: bytes, status: str = "200 OK", more: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{more}\r\n".encode() + body


class TestSource:
    async def test_is_an_address(self) -> None:
        async with answering(http(json.dumps(jwks(ec_key("idp"))).encode())) as (url, asked):
            source = source_of_keys(url, _tls(), allow_private=True)
            assert await source() == jwks(ec_key("idp"))
            assert asked[0].startswith(b"GET /jwks HTTP/1.1\r\n")

    async def test_is_a_file(self, tmp_path: Path) -> None:
        file = tmp_path / "jwks.json"
        file.write_text(json.dumps(jwks(ec_key("idp"))), encoding="utf-8")
        assert await source_of_keys(str(file), _tls(), allow_private=False)() == jwks(ec_key("idp"))

    @pytest.mark.parametrize(
        "answer",
        [
            http(b"{}", "302 Found", "location: http://127.0.0.1:1/\r\n"),
            http(b"{}", "500 Oh"),
            http(b"{"),
            http(b" " * 300_000),
            http(b"{}", more="content-encoding: gzip\r\n"),
            b"nonsense",
            b"",
        ],
        ids=["redirect", "500", "no JSON", "300 KB", "gzip", "no HTTP", "nothing"],
    )
    async def test_that_answers_badly_is_asked_once(self, answer: bytes) -> None:
        async with answering(answer) as (url, asked):
            keys = IssuerKeys(IDP, source_of_keys(url, _tls(), allow_private=True))
            for _ in range(3):
                with pytest.raises(UnavailableError):
                    await keys.find("idp")
        assert len(asked) == 1

    async def test_at_a_private_address_is_never_connected_to(self) -> None:
        async with answering(http(json.dumps(jwks(ec_key("idp"))).encode())) as (url, asked):
            for address in (
                url.replace("http", "https"),
                url.replace("http", "https").replace("127.0.0.1", "localhost"),
            ):
                source = source_of_keys(address, _tls(), allow_private=False)
                with pytest.raises(PermissionError):
                    await source()
        assert asked == []


def _tls() -> Any:
    return trusted(None)


class TestSettings:
    @pytest.mark.parametrize("given", ["{", "[]", "1", '{"https://idp.example": 1}', '"x"'])
    def test_that_are_no_json_stop_the_start(self, given: str) -> None:
        with pytest.raises(SettingsError, match="KOPPELPUNT_EXTERNAL_ISSUERS"):
            load_settings(external_issuers=given)

    @pytest.mark.parametrize(
        "place", ["http://idp.example/jwks", "ftp://idp.example", "https://u:p@idp.example/"]
    )
    def test_with_an_address_that_may_not_be_used_stop_the_start(self, place: str) -> None:
        with pytest.raises(SettingsError, match="KOPPELPUNT_EXTERNAL_ISSUERS"):
            issuer_keys(load_settings(external_issuers=json.dumps({IDP: place})))


class TestSubjects:
    async def test_stand_for_one_client_each(self, database: Database) -> None:
        clients, subjects = ClientService(database), ForeignSubjectService(database)
        first, second = [
            await clients.add_client(name="V", role=Role.OS, oin=oin, jwks=jwks(ec_key()))
            for oin in ("00000001234567890000", "00000003271247460000")
        ]
        await subjects.add(first, IDP, SUBJECT)
        await subjects.add(first, IDP, SUBJECT)
        with pytest.raises(ConflictError):
            await subjects.add(second, IDP, SUBJECT)
        with pytest.raises(ClientNotFoundError):
            await subjects.add("hub-nobody", IDP, "vendor-2")
        with pytest.raises(BadUserInputError):
            await subjects.add(first, IDP, "")
        assert await subjects.all() == [(IDP, SUBJECT, first)]
        assert await subjects.client_of("https://other.example", SUBJECT) is None
        await subjects.remove(IDP, SUBJECT)
        with pytest.raises(NotFoundError):
            await subjects.remove(IDP, SUBJECT)


class TestLive:
    @pytest.fixture
    async def hub(
        self, template: str, key_files: dict[str, Path], tmp_path: Path
    ) -> AsyncIterator[ServedHub]:
        file = tmp_path / "idp.json"
        file.write_text(json.dumps(jwks(ec_key("idp"))), encoding="utf-8")
        async with served(template, **key_files, external_issuers=json.dumps({IDP: str(file)})) as running:
            yield running

    async def test_lets_in_whom_the_operator_named(self, hub: ServedHub) -> None:
        client = await hub.client()
        environment = {
            "KOPPELPUNT_DATABASE_URL": str(hub.settings.database_url),
            "KOPPELPUNT_PSEUDONYM_KEY_FILE": str(hub.settings.pseudonym_key_file),
            "KOPPELPUNT_SIGNING_KEYS_FILE": str(hub.settings.signing_keys_file),
        }

        def typed(*arguments: str) -> Any:
            ended = CliRunner().invoke(cli, ["client", "subject", *arguments], env=environment)
            assert (ended.exit_code, ended.stderr) == (0, "")
            return ended.stdout

        named = ("--issuer", IDP, "--subject", SUBJECT)
        async with hub.door() as door:
            assert (await door.view(bearer())).status_code == 401
            await asyncio.to_thread(typed, "add", "--client", client.client_id, *named)
            seen = await door.view(bearer())
            assert seen.json()["data"]["viewer"]["clientId"] == client.client_id
            assert await door.greet(bearer()) is None
            listed = json.loads(await asyncio.to_thread(typed, "list"))
            assert listed == {"issuer": IDP, "subject": SUBJECT, "client_id": client.client_id}
            await asyncio.to_thread(typed, "remove", *named)
            assert (await door.view(bearer())).status_code == 401
