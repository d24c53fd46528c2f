"""A certificate authority of the tests, and the certificates that it, or somebody else, hands out."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from hashlib import sha256
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Issued:
    """A certificate with its private key."""

    certificate: x509.Certificate = field(repr=False)
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def thumbprint(self) -> bytes:
        return sha256(self.der).digest()

    @property
    def escaped(self) -> str:
        """As nginx writes it into a header."""
        return quote(self.pem.decode(), safe="")

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write certificate and key; return where they are."""
        paths = folder / f"{name}.pem", folder / f"{name}.key"
        paths[0].write_bytes(self.pem)
        paths[1].write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        paths[1].chmod(0o600)
        return paths


class Authority:
    """Signs certificates; each authority is trusted only by those that are told to."""

    def __init__(self, name: str = "Test authority") -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(subject, subject, key.public_key(), timedelta(days=30)).add_extension(
            x509.BasicConstraints(ca=True, path_length=0), critical=True
        )
        self.issued = Issued(builder.sign(key, SHA256()), key)

    def client(self, *oins: str, life: timedelta = timedelta(days=1)) -> Issued:
        """Issue a certificate with these serialNumbers in its subject."""
        names = [x509.NameAttribute(NameOID.SERIAL_NUMBER, oin) for oin in oins]
        return self._sign(names, life, ExtendedKeyUsageOID.CLIENT_AUTH)

    def server(self) -> Issued:
        """Issue a certificate for this machine."""
        return self._sign([], timedelta(days=1), ExtendedKeyUsageOID.SERVER_AUTH)

    def _sign(
        self, names: list[x509.NameAttribute[str]], life: timedelta, use: x509.ObjectIdentifier
    ) -> Issued:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([*names, x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
        here = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = (
            _builder(subject, self.issued.certificate.subject, key.public_key(), life)
            .add_extension(x509.SubjectAlternativeName(here), critical=False)
            .add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        )
        return Issued(builder.sign(self.issued.key, SHA256()), key)

    def trusted(self, folder: Path, shown: Issued | None = None) -> ssl.SSLContext:
        """Return what a client connects with: it trusts this authority, and shows a certificate if told."""
        context = ssl.create_default_context(cadata=self.issued.pem.decode())
        if shown is not None:
            context.load_cert_chain(*shown.write(folder, f"shown-{shown.thumbprint.hex()[:12]}"))
        return context


@cache
def authority() -> Authority:
    """Return the authority that the hubs and proxies of the tests trust."""
    return Authority()


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, life: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=2))
        .not_valid_after(now + life)
    )
