"""A receiver's web server, with certificates of an authority of its own; it answers as a test says."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import ssl
from collections import deque
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

HOST = "receiver.example"
TAKEN = b"HTTP/1.1 204 No Content\r\n\r\n"
BROKEN = b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n"
HANG = b""


def answer(status: str, *headers: str) -> bytes:
    return "\r\n".join((f"HTTP/1.1 {status}", "content-length: 0", *headers, "", "")).encode()


def _certificate(name, issuer, key, issuer_key, extensions):
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False
        )
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(issuer_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass(frozen=True)
class Authority:
    """A certificate authority and one server certificate of it, for HOST and this machine."""

    ca_file: Path
    server: ssl.SSLContext


def an_authority(folder: Path) -> Authority:
    """Make an authority; its server certificate is good for HOST, localhost and 127.0.0.1."""
    folder.mkdir(parents=True, exist_ok=True)
    ca_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName(HOST),
            x509.DNSName("localhost"),
            x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
        ]
    )
    ca = _certificate(
        "test authority",
        "test authority",
        ca_key,
        ca_key,
        [(x509.BasicConstraints(ca=True, path_length=0), True), (usage, True)],
    )
    server = _certificate(
        HOST,
        "test authority",
        key,
        ca_key,
        [(names, False), (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)],
    )
    (folder / "ca.pem").write_bytes(ca)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "server.pem").write_bytes(private + server)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    return Authority(folder / "ca.pem", context)


@dataclass(frozen=True)
class Arrival:
    """A request as it came."""

    request_line: str
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, str]:
        event: dict[str, str] = json.loads(self.body)
        return event

    @property
    def sequence(self) -> int:
        return int(self.event["sequence"])

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """Answers with `answers`, one a request, then with `usual`; HANG: not at all."""

    port: int = 0
    usual: bytes = TAKEN
    answers: deque[bytes] = field(default_factory=deque)
    arrivals: list[Arrival] = field(default_factory=list)
    connections: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"https://{HOST}:{self.port}/hooks?of=hub"

    @property
    def sequences(self) -> list[int]:
        return [arrival.sequence for arrival in self.arrivals]

    async def came(self, count: int, seconds: float = 10) -> None:
        """Wait until so many requests have come."""
        async with asyncio.timeout(seconds), self._news:
            await self._news.wait_for(lambda: len(self.arrivals) >= count)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, ssl.SSLError, asyncio.IncompleteReadError):
            await self._answer(reader, writer)
        writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        line, *lines = head.strip().split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (header.partition(":") for header in lines)
        }
        body = await reader.readexactly(int(headers["content-length"]))
        # Drawn before anybody can hear of the request and prepare the next answer.
        what = self.answers.popleft() if self.answers else self.usual
        async with self._news:
            self.arrivals.append(Arrival(line, headers, body))
            self._news.notify_all()
        if what == HANG:
            await reader.read()  # until the hub hangs up
            return
        writer.write(what)
        await writer.drain()


@asynccontextmanager
async def listening(tls: ssl.SSLContext | None) -> AsyncIterator[Receiver]:
    """Run a receiver on this machine."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
