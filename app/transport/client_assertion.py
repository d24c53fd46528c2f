"""What a client hands in instead of a secret: an assertion that it signed (RFC 7523, NL GOV OAuth 3.1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.codes import is_identifier
from app.services.client_keys import ASSERTION_ALGORITHMS, algorithms_of, public_key
from app.transport.strict_jwt import JwtError, ReadJwt, read_jwt

if TYPE_CHECKING:
    from collections.abc import Collection

    from app.domain.client import PublicJwk, RegisteredClient

_LONGEST_ASSERTION = 16 * 1024
_FURTHEST_EXPIRY = 300.0
_LONGEST_LIFE = (
    600.0  # between `iat` and `exp`: generous to clients that date theirs back, closed to old ones
)
_LEEWAY = 30.0

# A token for something else must not pass for an assertion (RFC 8725, 3.11).
_KINDS = frozenset({None, "jwt", "client-authentication+jwt", "application/client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class UsedAssertion:
    """An assertion that was found right, and now counts as used until `expires_at`."""

    jti: str
    expires_at: float


def read_assertion(compact: str) -> ReadJwt:
    """Read an assertion without checking its signature; raise JwtError unless its form is right."""
    assertion = read_jwt(compact, longest=_LONGEST_ASSERTION)
    if assertion.algorithm not in ASSERTION_ALGORITHMS:
        message = "alg is not allowed"
        raise JwtError(message)
    if assertion.kind is not None and assertion.kind.lower() not in _KINDS:
        message = "typ is that of another token"
        raise JwtError(message)
    if not is_identifier(assertion.text("sub")):
        message = "sub cannot be the id of a client"
        raise JwtError(message)
    return assertion


def key_for(assertion: ReadJwt, client: RegisteredClient) -> PublicJwk:
    """Return the registered key that the assertion names; raise JwtError if it does not fit."""
    for key in client.keys:
        if key["kid"] == assertion.key_id:
            if assertion.algorithm in algorithms_of(key):
                return key
            message = "alg does not fit the key"
            raise JwtError(message)
    message = "kid is not known"
    raise JwtError(message)


def verify_signature(assertion: ReadJwt, client: RegisteredClient) -> None:
    """Raise JwtError unless the client signed this assertion with one of its registered keys."""
    assertion.verify(public_key(key_for(assertion, client)))


def check_claims(
    assertion: ReadJwt, client: RegisteredClient, audiences: Collection[str], now: float
) -> UsedAssertion:
    """Check every claim of an assertion whose signature is right; raise JwtError with the reason."""
    if assertion.text("sub") != client.client_id or assertion.text("iss") != client.client_id:
        message = "iss and sub must be the id of the client"
        raise JwtError(message)
    audience = assertion.claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        audience = audience[0]
    if not isinstance(audience, str) or audience not in audiences:
        message = "aud must be the issuer or the token endpoint, and nothing else"
        raise JwtError(message)
    expires_at = assertion.check_times(now, leeway=_LEEWAY, longest=_LONGEST_LIFE)
    if expires_at > now + _FURTHEST_EXPIRY:
        message = f"exp lies more than {_FURTHEST_EXPIRY:.0f} seconds ahead"
        raise JwtError(message)
    return UsedAssertion(jti=assertion.text("jti"), expires_at=expires_at)
