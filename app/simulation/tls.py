"""What a client connects with: the authorities that it trusts, and its own certificate."""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

from app.simulation.credentials import CredentialsError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from app.simulation.credentials import Credentials


def tls_context(
    certificate: Path | None = None, key: Path | None = None, ca: Path | None = None
) -> ssl.SSLContext | None:
    """Return what connections are made with (all PEM), None where nothing was told.

    A certificate without `key` has its key in the same file. Raises CredentialsError with one line.
    """
    if certificate is None:
        if key is not None:
            raise CredentialsError("a key of a certificate needs the certificate")
        if ca is None:
            return None
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ssl.SSLError):
        raise CredentialsError(f"{ca} holds no authorities, as PEM") from None
    if certificate is not None:
        try:
            context.load_cert_chain(certificate, key, password=_no_password)
        except (OSError, ssl.SSLError, ValueError):
            raise CredentialsError(f"{certificate} is no certificate with its key, as PEM") from None
    return context


def with_certificates(
    clients: Iterable[Credentials], folder: Path | None, ca: Path | None
) -> tuple[Credentials, ...]:
    """Return the clients with their certificates: `CLIENT_ID.pem` in the folder, its key in `CLIENT_ID.key`.

    Who has none there shows none. Raises CredentialsError with one line.
    """
    trusting, found = tls_context(ca=ca), []
    for one in clients:
        certificate = None if folder is None else folder / f"{one.client_id}.pem"
        if certificate is None or not certificate.exists():
            found.append(replace(one, tls=trusting))
        else:
            found.append(replace(one, tls=tls_context(certificate, certificate.with_suffix(".key"), ca)))
    return tuple(found)


def _no_password() -> str:
    # Without it OpenSSL would ask on the terminal.
    raise ValueError
