"""Tokens that are bound to certificates, where the hub speaks TLS itself; and who may say what was shown."""

from __future__ import annotations

import asyncio
import base64
import json
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from app.domain.errors import UnauthenticatedError
from app.domain.vetting import ClientCertificate, Vetting
from app.transport.authentication import Authenticator
from app.transport.client_certificate import (
    CERTIFICATE,
    CertificateReader,
    ShownCertificate,
    bound_to,
    confirmation,
)
from app.transport.strict_jwt import JwtError
from tests.factories.certificates import Authority, Issued, authority
from tests.factories.identity import (
    ISSUER,
    OIN,
    Claims,
    ClientsInMemory,
    ec_key,
    form,
    registered,
    signed,
    signing_keys,
)
from tests.factories.served_hub import Door, ServedHub, served
from tests.factories.world import an_oin

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_NEVER = datetime(2100, 1, 1, tzinfo=UTC)


def scope(
    peer: str | None = "10.0.0.5", *headers: tuple[bytes, bytes], shown: Issued | None = None
) -> dict[str, Any]:
    made: dict[str, Any] = {"client": None if peer is None else (peer, 1), "headers": list(headers)}
    if shown is not None:
        made[CERTIFICATE] = ShownCertificate(shown.thumbprint, shown.der)
    return made


@pytest.fixture(scope="module")
def shown() -> Issued:
    return authority().client(OIN)


class TestProxyHeader:
    def as_nginx(self, shown: Issued) -> tuple[bytes, bytes]:
        return b"client-cert", shown.escaped.encode()

    def as_rfc_9440(self, shown: Issued) -> tuple[bytes, bytes]:
        return b"client-cert", b":" + base64.b64encode(shown.der) + b":"

    @pytest.mark.parametrize("peer", ["10.0.0.5", "10.1.2.3", "::ffff:10.0.0.5", "fd00::7"])
    def test_counts_from_a_proxy_in_either_spelling(self, shown: Issued, peer: str) -> None:
        reader = CertificateReader(["10.0.0.5", "10.1.0.0/16", "fd00::/8"])
        for header in (self.as_nginx(shown), self.as_rfc_9440(shown)):
            found = reader.shown(scope(peer, (b"host", b"x"), header))
            assert found is not None
            assert (found.thumbprint, found.der) == (shown.thumbprint, shown.der)

    @pytest.mark.parametrize(
        "peer", ["10.0.0.6", "127.0.0.1", "::1", "::ffff:10.0.0.6", "", "10.0.0.5.evil", None]
    )
    def test_is_worth_nothing_from_anybody_else(self, shown: Issued, peer: str | None) -> None:
        for reader in (CertificateReader(["10.0.0.5"]), CertificateReader()):
            assert reader.shown(scope(peer, self.as_nginx(shown))) is None

    @pytest.mark.parametrize(
        "value",
        [
            b"",
            b":",
            b"::",
            b":!!!:",
            b":QUJD",
            b"x",
            b"%2D%2D",
            b"-----BEGIN%20CERTIFICATE-----",
            b"\xff",
            b"A" * 20_000,
        ],
    )
    def test_that_holds_no_certificate_shows_none(self, value: bytes) -> None:
        assert CertificateReader(["10.0.0.5"]).shown(scope("10.0.0.5", (b"client-cert", value))) is None

    def test_that_comes_twice_shows_none(self, shown: Issued) -> None:
        twice = [self.as_nginx(shown)] * 2
        assert CertificateReader(["10.0.0.5"]).shown(scope("10.0.0.5", *twice)) is None

    def test_is_the_callers_and_the_certificate_of_the_proxy_is_not(self, shown: Issued) -> None:
        reader = CertificateReader(["10.0.0.5"])
        of_the_proxy = authority().client(an_oin())
        assert reader.shown(scope("10.0.0.5", shown=of_the_proxy)) is None
        found = reader.thumbprint(scope("10.0.0.5", self.as_nginx(shown), shown=of_the_proxy))
        assert found == shown.thumbprint

    def test_never_overrules_what_was_shown_to_the_hub_itself(self, shown: Issued) -> None:
        other = authority().client(an_oin())
        found = CertificateReader(["10.0.0.5"]).thumbprint(
            scope("10.9.9.9", self.as_nginx(other), shown=shown)
        )
        assert found == shown.thumbprint


class TestConfirmation:
    def test_is_read_as_it_was_written(self) -> None:
        assert bound_to({"cnf": confirmation(bytes(range(32)))}) == bytes(range(32))
        assert bound_to({}) is None

    @pytest.mark.parametrize(
        "claim",
        [
            None,
            {},
            [],
            "A" * 43,
            {"x5t#S256": None},
            {"x5t#S256": ["A" * 43]},
            {"x5t#S256": "A" * 42},
            {"x5t#S256": "A" * 44},
            {"x5t#S256": "A" * 42 + "B"},
            {"x5t#S256": "é" * 43},
            {"x5t#S256": "A" * 42 + "="},
            {"x5t#S256": "A" * 43, "jkt": "A" * 43},
            {"jkt": "A" * 43},
        ],
    )
    def test_that_the_hub_cannot_check_is_refused(self, claim: object) -> None:
        with pytest.raises(JwtError):
            bound_to({"cnf": claim})


class TestBoundToken:
    """What a token is good for as certificates come and go; the clock is the test's."""

    def authenticator(self, vetting: Vetting) -> tuple[Authenticator, ClientsInMemory, list[float]]:
        clients, monotonic = ClientsInMemory(registered(vetting=vetting)), [0.0]
        made = Authenticator(ISSUER, signing_keys(), clients, monotonic=lambda: monotonic[0])
        return made, clients, monotonic

    def bearer(self, **claims: object) -> str:
        header: dict[str, object] = {"alg": "ES256", "kid": "current", "typ": "at+jwt"}
        return f"Bearer {signed(header, Claims('hub-known').of_token(**claims), ec_key('current'))}"

    async def test_is_good_with_its_certificate_alone(self, shown: Issued) -> None:
        other = authority().client(OIN)
        on_record = [ClientCertificate(one.thumbprint, OIN, _NEVER) for one in (shown, other)]
        authenticator, _, _ = self.authenticator(Vetting(tuple(on_record)))
        bearer = self.bearer(cnf=confirmation(shown.thumbprint))
        principal = await authenticator.authenticate(bearer, scope(shown=shown))
        for _ in range(2):  # the second time it is known
            principal = await authenticator.authenticate(bearer, scope(shown=shown))
            assert principal.certificate == shown.thumbprint
            for wrong in (None, scope(), scope(shown=other)):
                with pytest.raises(UnauthenticatedError):
                    await authenticator.authenticate(bearer, wrong)
        assert await authenticator.still_valid(principal)

    async def test_that_is_bound_to_none_is_refused_once_the_client_has_one(self, shown: Issued) -> None:
        authenticator, clients, monotonic = self.authenticator(Vetting())
        bearer = self.bearer()
        principal = await authenticator.authenticate(bearer, scope(shown=shown))
        on_record = Vetting((ClientCertificate(shown.thumbprint, OIN, _NEVER),))
        clients.clients["hub-known"] = registered(vetting=on_record)
        monotonic[0] += 21
        assert not await authenticator.still_valid(principal)
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(bearer, scope(shown=shown))

    @pytest.mark.parametrize("how", ["removed", "run out"])
    async def test_ends_with_its_certificate(self, shown: Issued, how: str) -> None:
        on_record = Vetting((ClientCertificate(shown.thumbprint, OIN, _NEVER),))
        authenticator, clients, monotonic = self.authenticator(on_record)
        bearer = self.bearer(cnf=confirmation(shown.thumbprint))
        principal = await authenticator.authenticate(bearer, scope(shown=shown))
        past = datetime.now(UTC) - timedelta(seconds=1)
        left = {"removed": (), "run out": (ClientCertificate(shown.thumbprint, OIN, past),)}[how]
        clients.clients["hub-known"] = registered(vetting=Vetting(left))
        monotonic[0] += 21
        assert not await authenticator.still_valid(principal)
        with pytest.raises(UnauthenticatedError):
            await authenticator.authenticate(bearer, scope(shown=shown))


@pytest.fixture(scope="module")
async def hub(
    template: str, key_files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ServedHub]:
    """Serve a hub that speaks TLS itself and asks for certificates."""
    folder = tmp_path_factory.mktemp("tls")
    certfile, keyfile = authority().server().write(folder, "server")
    ca, _ = authority().issued.write(folder, "authority")
    async with served(
        template, **key_files, ssl_certfile=certfile, ssl_keyfile=keyfile, ssl_ca_certs=ca
    ) as running:
        yield running


async def refused_everywhere(door: Door, token: str, headers: dict[str, str] | None = None) -> None:
    answered = await door.view(f"Bearer {token}", **(headers or {}))
    assert (answered.status_code, answered.headers["www-authenticate"]) == (401, "Bearer")
    assert answered.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"
    assert await door.greet(f"Bearer {token}", headers) == (4403, "Forbidden")


class TestOverTls:
    async def test_binds_the_token_to_the_certificate(self, hub: ServedHub, tmp_path: Path) -> None:
        client = await hub.client()
        mine, same_oin = authority().client(client.oin), authority().client(client.oin)
        await hub.vetting.add_certificate(client.client_id, mine.pem)
        async with (
            hub.door(authority().trusted(tmp_path, mine)) as right,
            hub.door(authority().trusted(tmp_path, same_oin)) as other,
            hub.door(authority().trusted(tmp_path)) as bare,
        ):
            token = await right.token(client)
            claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
            assert claims["cnf"] == confirmation(mine.thumbprint)
            assert (await right.view(f"Bearer {token}")).json()["data"]["viewer"][
                "clientId"
            ] == client.client_id
            assert await right.greet(f"Bearer {token}") is None
            await refused_everywhere(other, token)
            await refused_everywhere(bare, token)
            spoofed = {"Client-Cert": mine.escaped}
            await refused_everywhere(bare, token, spoofed)
            assert (await right.view(f"Bearer {token}")).status_code == 200

    async def test_issues_nothing_over_another_connection(self, hub: ServedHub, tmp_path: Path) -> None:
        client = await hub.client()
        mine, same_oin = authority().client(client.oin), authority().client(client.oin)
        await hub.vetting.add_certificate(client.client_id, mine.pem)
        used = await hub.count("client_assertion")
        for shown, words in ((None, "needs its certificate"), (same_oin, "not that of the client")):
            async with hub.door(authority().trusted(tmp_path, shown)) as door:
                answered = await door.ask_token(client, jti="kept")
                assert (answered.status_code, answered.json()["error"]) == (401, "invalid_client")
                assert words in answered.json()["error_description"]
        assert await hub.count("client_assertion") == used
        async with hub.door(authority().trusted(tmp_path, mine)) as door:
            assert (await door.ask_token(client, jti="kept")).status_code == 200

    async def test_tells_a_wrong_key_nothing_of_certificates(self, hub: ServedHub, tmp_path: Path) -> None:
        client = await hub.client()
        await hub.vetting.add_certificate(client.client_id, authority().client(client.oin).pem)
        async with hub.door(authority().trusted(tmp_path)) as door:
            unknown = await door.ask_token(type(client)("hub-nobody", client.oin))
            forged = signed(
                {"alg": "ES256", "kid": "ec"}, Claims(client.client_id).of_assertion(), ec_key("foreign")
            )
            answered = await door.http.post("/oauth/token", data=form(forged))
        assert (answered.status_code, answered.json()) == (unknown.status_code, unknown.json())

    async def test_takes_two_certificates_while_one_replaces_the_other(
        self, hub: ServedHub, tmp_path: Path
    ) -> None:
        client = await hub.client()
        old, new = authority().client(client.oin), authority().client(client.oin)
        for one in (old, new, new):
            await hub.vetting.add_certificate(client.client_id, one.pem)
        async with (
            hub.door(authority().trusted(tmp_path, old)) as before,
            hub.door(authority().trusted(tmp_path, new)) as after,
        ):
            for door in (before, after):
                assert (await door.view(f"Bearer {await door.token(client)}")).status_code == 200
            await hub.vetting.remove_certificate(client.client_id, old.thumbprint)
            assert (await before.ask_token(client)).status_code == 401
            assert (await after.ask_token(client)).status_code == 200

    async def test_lets_clients_without_certificates_in_as_before(
        self, hub: ServedHub, tmp_path: Path
    ) -> None:
        client = await hub.client()
        async with hub.door(authority().trusted(tmp_path)) as bare:
            token = await bare.token(client)
            assert (await bare.view(f"Bearer {token}")).status_code == 200
            assert await bare.greet(f"Bearer {token}") is None
            assert (await bare.http.get("/health/live")).headers["strict-transport-security"]

    @pytest.mark.parametrize(
        ("version", "ciphers", "agreed"),
        [
            (ssl.TLSVersion.TLSv1_3, None, True),
            (ssl.TLSVersion.TLSv1_2, "ECDHE+AESGCM", True),
            (ssl.TLSVersion.TLSv1_2, "ECDHE+AES+SHA1:@SECLEVEL=0", False),
            (ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0", False),
        ],
        ids=["1.3", "1.2", "1.2 with CBC", "1.1"],
    )
    @pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
    async def test_speaks_what_is_good_of_tls(
        self, hub: ServedHub, tmp_path: Path, version: ssl.TLSVersion, ciphers: str | None, agreed: bool
    ) -> None:
        context = authority().trusted(tmp_path)
        context.minimum_version = context.maximum_version = version
        if ciphers is not None:
            context.set_ciphers(ciphers)
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", hub.port, ssl=context)
        except (ssl.SSLError, ConnectionError):
            assert not agreed
        else:
            writer.close()
            assert agreed

    async def test_ends_the_handshake_of_a_foreign_authority(self, hub: ServedHub, tmp_path: Path) -> None:
        foreign = Authority("Test authority").client(OIN)
        async with hub.door(authority().trusted(tmp_path, foreign)) as door:
            with pytest.raises((httpx.TransportError, ssl.SSLError)):
                await door.http.get("/health/live")
        async with hub.door(authority().trusted(tmp_path)) as door:
            assert (await door.http.get("/health/live")).status_code == 200
