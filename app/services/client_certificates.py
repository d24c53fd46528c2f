"""The certificates that clients are known by: read, and judged when one is put on record."""

from __future__ import annotations

from datetime import UTC
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from app.domain.errors import BadUserInputError
from app.domain.vetting import ClientCertificate

if TYPE_CHECKING:
    from datetime import datetime

_FIELD = "certificate"
_PEM = b"-----BEGIN"
_LARGEST = 64 * 1024


def read_certificate(encoded: bytes) -> ClientCertificate:
    """Return what a certificate (DER, or one in PEM) says; raise ValueError for what is none.

    The OIN is the serialNumber of the subject, as PKIoverheid has it; None if there is none, or several.
    """
    if len(encoded) > _LARGEST:
        raise ValueError
    if encoded.lstrip().startswith(_PEM):
        (certificate,) = x509.load_pem_x509_certificates(encoded)
    else:
        certificate = x509.load_der_x509_certificate(encoded)
    numbers = certificate.subject.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return ClientCertificate(
        thumbprint=sha256(certificate.public_bytes(Encoding.DER)).digest(),
        oin=str(numbers[0].value) if len(numbers) == 1 else None,
        expires_at=certificate.not_valid_after_utc.astimezone(UTC),
    )


def oin_of(der: bytes) -> str | None:
    """Return the OIN in a certificate; None if there is none, or the certificate cannot be read."""
    try:
        return read_certificate(der).oin
    except ValueError:
        return None


def checked_certificate(encoded: bytes, oin: str, now: datetime) -> ClientCertificate:
    """Return a certificate that may be put on record for an organisation; raise BadUserInputError."""
    try:
        certificate = read_certificate(encoded)
    except (ValueError, x509.DuplicateExtension):
        raise BadUserInputError(_FIELD, "The file does not hold one certificate, in PEM or DER.") from None
    if certificate.oin != oin:
        raise BadUserInputError(
            _FIELD, "The serialNumber in the subject of the certificate is not the OIN of the client."
        )
    if certificate.expires_at <= now:
        raise BadUserInputError(_FIELD, "The certificate has run out.")
    return certificate
