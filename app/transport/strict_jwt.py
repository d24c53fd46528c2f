"""JSON Web Tokens, read strictly: what two readers might understand differently is refused."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from joserfc import jws
from joserfc.errors import JoseError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from joserfc.jwk import ECKey, RSAKey

_COMPACT = re.compile(r"([A-Za-z0-9_-]{1,2048})\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)", re.ASCII)
_LONGEST_KEY_ID = 200
_LAST_MOMENT = 253_402_300_799  # of the year 9999: the database could not hold a later one

# A thumbprint of a certificate does no harm. A key or an address of one would be the sender's own; `crit`
# and `b64` change what the rest means.
_HEADERS = frozenset({"alg", "kid", "typ", "x5t", "x5t#S256"})


class JwtError(ValueError):
    """The token is not one that the hub takes; the message holds no part of it."""


@dataclass(frozen=True, slots=True, repr=False)
class ReadJwt:
    """A token whose form is right. Its claims are whoever's until `verify` has returned."""

    compact: str
    algorithm: str
    key_id: str
    kind: str | None
    claims: Mapping[str, object]

    def verify(self, key: ECKey | RSAKey) -> None:
        """Raise JwtError unless this key made the signature with the algorithm that the token names."""
        registry = jws.JWSRegistry(algorithms=[self.algorithm])
        registry.max_header_length = 2048
        try:
            jws.deserialize_compact(self.compact, key, registry=registry)
        except (JoseError, ValueError):
            message = "the signature is not right"
            raise JwtError(message) from None

    def text(self, name: str) -> str:
        """Return a claim that must be a text that is not empty, of at most 200 printable characters."""
        value = self.claims.get(name)
        if not isinstance(value, str) or not 1 <= len(value) <= _LONGEST_KEY_ID or not value.isprintable():
            message = f"{name} is missing or not a text of 1 to {_LONGEST_KEY_ID} characters"
            raise JwtError(message)
        return value

    def moment(self, name: str) -> float:
        """Return a claim that must be a point in time, in seconds since the epoch."""
        value = self.claims.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= _LAST_MOMENT:
            message = f"{name} is missing or not a number of seconds"
            raise JwtError(message)
        return float(value)

    def check_times(self, now: float, *, leeway: float, longest: float) -> float:
        """Check `exp`, `iat` and, if there is one, `nbf`; return `exp`.

        `leeway` is for clocks that run ahead of ours, `longest` for the time between `iat` and `exp`.
        """
        expires_at, issued_at = self.moment("exp"), self.moment("iat")
        wrong = None
        if expires_at <= now:
            wrong = "exp has passed"
        elif issued_at > now + leeway:
            wrong = "iat lies in the future"
        elif "nbf" in self.claims and self.moment("nbf") > now + leeway:
            wrong = "nbf lies in the future"
        elif not 0 < expires_at - issued_at <= longest:
            wrong = f"exp is more than {longest:.0f} seconds after iat, or before it"
        if wrong is not None:
            raise JwtError(wrong)
        return expires_at


def read_jwt(compact: str, *, longest: int) -> ReadJwt:
    """Read a signed token without checking its signature; raise JwtError unless its form is right."""
    matched = _COMPACT.fullmatch(compact) if len(compact) <= longest else None
    if matched is None:
        message = "the token is too long or not in the form of three parts"
        raise JwtError(message)
    header, claims = _json(matched[1]), _json(matched[2])
    if not header.keys() <= _HEADERS:
        message = "the header has members other than alg, kid and typ"
        raise JwtError(message)
    algorithm, key_id, kind = header.get("alg"), header.get("kid"), header.get("typ")
    if (
        not isinstance(algorithm, str)
        or not isinstance(key_id, str)
        or not 1 <= len(key_id) <= _LONGEST_KEY_ID
    ):
        message = "the header has no alg or no kid"
        raise JwtError(message)
    if kind is not None and not isinstance(kind, str):
        message = "typ is not a text"
        raise JwtError(message)
    _decoded(matched[3])
    return ReadJwt(compact, algorithm, key_id, kind, claims)


def _decoded(part: str) -> bytes:
    try:
        decoded = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        decoded = b""
    # Bits after the last byte would let two texts mean the same token.
    if base64.urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        message = "a part is not base64url"
        raise JwtError(message)
    return decoded


def _json(part: str) -> dict[str, object]:
    try:
        value = json.loads(
            _decoded(part).decode("utf-8"),
            object_pairs_hook=_without_duplicates,
            parse_constant=_refuse_constant,
        )
    except JwtError:
        raise
    except (ValueError, RecursionError):
        message = "a part is not JSON"
        raise JwtError(message) from None
    if not isinstance(value, dict):
        message = "a part is not a JSON object"
        raise JwtError(message)
    return value


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        message = "a name occurs twice"
        raise JwtError(message)
    return members


def _refuse_constant(_: str) -> NoReturn:
    message = "NaN and Infinity are not JSON"
    raise JwtError(message)
