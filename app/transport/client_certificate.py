"""The certificate that a caller showed: to the hub itself, or to a proxy that the hub believes (RFC 8705).

A proxy that ends TLS hands it on in `Client-Cert`: as RFC 9440 writes it (`:base64 of DER:`), or as nginx
does (`$ssl_client_escaped_cert`, PEM in percent-encoding). From anybody but a proxy that is named in the
settings that header is never read. What a proxy shows itself when it connects is not the caller's.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from app.transport.strict_jwt import JwtError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping
    from typing import Any

CERTIFICATE = "koppelpunt.certificate"  # in the scope of a connection whose TLS the hub ends itself
HEADER = b"client-cert"
_THUMBPRINT = "x5t#S256"
_LETTERS = 43  # of 32 bytes in base64url
_LONGEST_HEADER = 16 * 1024
_MOST_KEPT = 1024
_MOST_PEERS = 4096


@dataclass(frozen=True, slots=True)
class ShownCertificate:
    """A certificate in DER, whose key the other side has proved to hold; and its SHA-256."""

    thumbprint: bytes
    der: bytes = field(repr=False)


class CertificateReader:
    """Finds the certificate of a caller in the scope of its connection."""

    def __init__(self, proxies: Iterable[str] = ()) -> None:
        self._proxies = tuple(ip_network(proxy) for proxy in proxies)
        self._peers: dict[str, bool] = {}

    def shown(self, scope: Mapping[str, Any]) -> ShownCertificate | None:
        """Return the certificate, or None for a caller that showed none."""
        client = scope.get("client")
        if client is None or not self._proxies or not self._believes(client[0]):
            certificate: ShownCertificate | None = scope.get(CERTIFICATE)
            return certificate
        handed_on = [value for name, value in scope["headers"] if name == HEADER]
        return _read(handed_on[0]) if len(handed_on) == 1 else None

    def thumbprint(self, scope: Mapping[str, Any]) -> bytes | None:
        """Return the SHA-256 of the caller's certificate."""
        certificate = self.shown(scope)
        return None if certificate is None else certificate.thumbprint

    def _believes(self, peer: str) -> bool:
        known = self._peers.get(peer)
        if known is None:
            known = self._is_proxy(peer)
            if len(self._peers) < _MOST_PEERS:
                self._peers[peer] = known
        return known

    def _is_proxy(self, peer: str) -> bool:
        try:
            address = ip_address(peer)
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        return any(address in network for network in self._proxies)


def confirmation(thumbprint: bytes) -> dict[str, str]:
    """Return the claim `cnf` of a token that is bound to a certificate (RFC 8705, 3.1)."""
    return {_THUMBPRINT: base64.urlsafe_b64encode(thumbprint).rstrip(b"=").decode()}


def bound_to(claims: Mapping[str, object]) -> bytes | None:
    """Return the thumbprint that a token is bound to; None for one that is bound to nothing.

    Raises JwtError for a binding that the hub cannot check.
    """
    if "cnf" not in claims:
        return None
    claim = claims["cnf"]
    text = claim.get(_THUMBPRINT) if isinstance(claim, dict) and len(claim) == 1 else None
    if isinstance(text, str) and len(text) == _LETTERS and text.isascii():
        thumbprint = base64.urlsafe_b64decode(f"{text}=")
        if confirmation(thumbprint)[_THUMBPRINT] == text:
            return thumbprint
    message = "cnf is not the thumbprint of a certificate"
    raise JwtError(message)


def shown_on(transport: asyncio.BaseTransport) -> ShownCertificate | None:
    """Return the certificate that was shown on a connection whose TLS the hub ends; None without."""
    tls = transport.get_extra_info("ssl_object")
    der = None if tls is None else tls.getpeercert(binary_form=True)
    return None if der is None else ShownCertificate(sha256(der).digest(), der)


@lru_cache(_MOST_KEPT)
def _read(handed_on: bytes) -> ShownCertificate | None:
    if not handed_on or len(handed_on) > _LONGEST_HEADER:
        return None
    try:
        if handed_on.startswith(b":") and handed_on.endswith(b":"):
            der = base64.b64decode(handed_on[1:-1], validate=True)
        else:
            der = ssl.PEM_cert_to_DER_cert(unquote_to_bytes(handed_on).decode("ascii"))
    except (ValueError, binascii.Error):
        return None
    return ShownCertificate(sha256(der).digest(), der) if der else None
