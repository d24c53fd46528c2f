"""What every answer bears, and where the hub listens."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import psutil
import pytest
from cryptography import x509

from app.bootstrap.configured import hub_certificate_ends
from app.cli.serving import server_options
from app.settings import LONGEST_TOKEN_SECONDS, Settings, SettingsError, load_settings
from app.transport.authentication import LONGEST_LIFE
from tests.factories.certificates import authority
from tests.factories.served_hub import ServedHub, served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@pytest.fixture(scope="module")
async def hub(template: str, key_files: dict[str, Path]) -> AsyncIterator[ServedHub]:
    async with served(template, **key_files) as running:
        yield running


class TestListening:
    async def test_is_on_the_loopback_alone_unless_told(self, hub: ServedHub) -> None:
        listening = {
            one.laddr.ip
            for one in psutil.Process().net_connections("inet")
            if one.status == psutil.CONN_LISTEN and one.laddr.port == hub.port
        }
        assert listening == {"127.0.0.1"}
        assert server_options(load_settings())["host"] == "127.0.0.1"

    async def test_is_elsewhere_only_when_told(self) -> None:
        assert server_options(load_settings(host="0.0.0.0"))["host"] == "0.0.0.0"  # noqa: S104 - what is tested

    async def test_opens_no_other_port(self, hub: ServedHub) -> None:
        with socket.socket() as probe:
            probe.settimeout(1)
            assert probe.connect_ex(("127.0.0.2", hub.port)) != 0


class TestHeaders:
    @pytest.mark.parametrize(
        ("method", "path"),
        [
            ("GET", "/"),
            ("GET", "/nowhere"),
            ("GET", "/../../etc/passwd"),
            ("GET", "/graphql"),
            ("POST", "/graphql"),
            ("OPTIONS", "/graphql"),
            ("GET", "/oauth/token"),
            ("POST", "/oauth/token"),
            ("GET", "/oauth/jwks"),
            ("GET", "/.well-known/oauth-authorization-server"),
            ("GET", "/health/live"),
            ("GET", "/health/ready"),
            ("GET", "/metrics"),
            ("TRACE", "/"),
        ],
    )
    async def test_keep_browsers_and_caches_in_hand(self, hub: ServedHub, method: str, path: str) -> None:
        async with hub.door() as door:
            answered = await door.http.request(method, path)
        headers = answered.headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"] == "no-referrer"
        for part in ("default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"):
            assert part in headers["content-security-policy"]
        assert "server" not in headers
        assert "strict-transport-security" not in headers, "this hub speaks no TLS"
        assert "access-control-allow-origin" not in headers
        if path.startswith(("/graphql", "/oauth/token", "/health", "/metrics")):
            assert headers["cache-control"] == "no-store"


class TestSettingsOfTls:
    def settings(self, folder: Path, **changed: object) -> Settings:
        certificate, key = authority().server().write(folder, "server")
        given = {"ssl_certfile": certificate, "ssl_keyfile": key, **changed}
        return load_settings(**given)

    def test_make_the_address_one_of_tls(self, tmp_path: Path) -> None:
        assert self.settings(tmp_path).base_url == "https://127.0.0.1:8000"

    def test_tell_when_the_certificate_runs_out(self, tmp_path: Path) -> None:
        settings = self.settings(tmp_path)
        assert settings.ssl_certfile is not None
        own = x509.load_pem_x509_certificate(settings.ssl_certfile.read_bytes())
        assert hub_certificate_ends(settings) == own.not_valid_after_utc
        assert hub_certificate_ends(load_settings()) is None
        settings.ssl_certfile.write_bytes(b"no certificate")
        with pytest.raises(SettingsError, match="KOPPELPUNT_SSL_CERTFILE"):
            hub_certificate_ends(settings)

    @pytest.mark.parametrize(
        ("given", "words"),
        [
            ({"ssl_certfile": "x.pem"}, "need each other"),
            ({"ssl_keyfile": "x.key"}, "need each other"),
            ({"ssl_ca_certs": "x.pem"}, "speaks TLS itself"),
            ({"proxy_addresses": "10.0.0.5/8"}, "KOPPELPUNT_PROXY_ADDRESSES"),
            ({"proxy_addresses": "proxy.example"}, "KOPPELPUNT_PROXY_ADDRESSES"),
            ({"access_token_seconds": "901"}, "KOPPELPUNT_ACCESS_TOKEN_SECONDS"),
            ({"access_token_seconds": "3601", "measuring": "true"}, "KOPPELPUNT_ACCESS_TOKEN_SECONDS"),
            ({"measuring": "true", "clients_must_be_vetted": "true"}, "KOPPELPUNT_MEASURING"),
            ({"penetration_test_days": "0"}, "KOPPELPUNT_PENETRATION_TEST_DAYS"),
        ],
    )
    def test_that_are_wrong_stop_the_start_with_one_line(self, given: dict[str, str], words: str) -> None:
        with pytest.raises(SettingsError, match=words) as refused:
            load_settings(**given)
        assert len(str(refused.value).splitlines()) == 1

    def test_let_tokens_live_longer_only_to_be_measured(self) -> None:
        assert load_settings().access_token_seconds == LONGEST_TOKEN_SECONDS == LONGEST_LIFE
        assert load_settings(access_token_seconds="3600", measuring="true").access_token_seconds == 3600
