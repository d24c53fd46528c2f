"""The public keys that a client registers: which are taken, and for which algorithms."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, RSAKey

from app.domain.errors import BadUserInputError

if TYPE_CHECKING:
    from app.domain.client import PublicJwk

_FIELD = "jwks"
_MOST_KEYS = 10
_MOST_FOREIGN_KEYS = 100
_LONGEST_KEY_ID = 200
_RSA_BITS = range(2048, 8193)
_KINDS: dict[str, type[ECKey | RSAKey]] = {"EC": ECKey, "RSA": RSAKey}
_PUBLIC_MEMBERS = {"EC": ("crv", "x", "y"), "RSA": ("n", "e")}
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ALGORITHMS = {"EC": frozenset({"ES256"}), "RSA": frozenset({"PS256", "RS256"})}

# What a client may sign its assertions with (NL GOV assurance profile for OAuth 2.0, 3.1.1).
ASSERTION_ALGORITHMS = ("PS256", "RS256", "ES256")


def algorithms_of(key: PublicJwk) -> frozenset[str]:
    """Return the algorithms that a registered key is for: the one it names, or all that fit it."""
    fitting = _ALGORITHMS[key["kty"]]
    return fitting & {key["alg"]} if "alg" in key else fitting


def public_key(key: PublicJwk) -> ECKey | RSAKey:
    """Return a registered key in a form that verifies."""
    return _KINDS[key["kty"]].import_key(dict(key))


def checked_keys(jwks: object) -> tuple[PublicJwk, ...]:
    """Return the keys of a JWK set, or of a single JWK, as they are kept.

    Raises BadUserInputError unless there are 1 to 10, each a public EC P-256 or RSA key of 2048 bits
    or more, meant for signatures. A key without `kid` gets its thumbprint (RFC 7638).
    """
    listed = jwks.get("keys", [jwks]) if isinstance(jwks, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, str) or not 1 <= len(listed) <= _MOST_KEYS:
        raise BadUserInputError(
            _FIELD, f"The keys must be a JWK set of 1 to {_MOST_KEYS} keys, or a single JWK."
        )
    keys = tuple(_checked(key) for key in listed)
    if len({key["kid"] for key in keys}) < len(keys):
        raise BadUserInputError(_FIELD, "Two keys have the same kid.")
    return keys


def usable_keys(jwks: object) -> tuple[PublicJwk, ...]:
    """Return those keys of somebody else's JWK set that the hub can verify with; the others are left out.

    Raises ValueError for what is no set, or has more than a hundred keys.
    """
    listed = jwks.get("keys") if isinstance(jwks, Mapping) else None
    if not isinstance(listed, Sequence) or isinstance(listed, str) or len(listed) > _MOST_FOREIGN_KEYS:
        raise ValueError
    keys = []
    for key in listed:
        with suppress(BadUserInputError):
            keys.append(_checked(key))
    return tuple(keys)


def _checked(jwk: object) -> PublicJwk:
    if not isinstance(jwk, Mapping):
        raise BadUserInputError(_FIELD, "A key is not a JSON object.")
    if _PRIVATE_MEMBERS & jwk.keys():
        raise BadUserInputError(
            _FIELD, "A key has private parts; register its public part, and replace the key."
        )
    kind = jwk.get("kty")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise BadUserInputError(_FIELD, "A key is neither EC (P-256) nor RSA.")
    if jwk.get("use", "sig") != "sig" or "verify" not in _operations(jwk):
        raise BadUserInputError(_FIELD, "A key is not meant for signatures.")
    algorithm = jwk.get("alg")
    if algorithm is not None and (not isinstance(algorithm, str) or algorithm not in _ALGORITHMS[kind]):
        raise BadUserInputError(
            _FIELD, "A key names an algorithm other than PS256, RS256 or ES256, or one that is not its own."
        )
    kept = {name: jwk.get(name) for name in ("kty", *_PUBLIC_MEMBERS[kind])}
    key = _imported(kind, kept)
    key_id = jwk.get("kid", key.thumbprint())
    if not isinstance(key_id, str) or not 1 <= len(key_id) <= _LONGEST_KEY_ID or not key_id.isprintable():
        raise BadUserInputError(_FIELD, f"A kid must be a text of 1 to {_LONGEST_KEY_ID} characters.")
    public = {name: str(value) for name, value in kept.items()} | {"kid": key_id, "use": "sig"}
    return public if algorithm is None else {**public, "alg": algorithm}


def _operations(jwk: Mapping[str, object]) -> Sequence[object]:
    operations = jwk.get("key_ops", ["verify"])
    return operations if isinstance(operations, list) else ()


def _imported(kind: str, members: Mapping[str, object]) -> ECKey | RSAKey:
    if not all(isinstance(value, str) and value.isascii() for value in members.values()):
        raise BadUserInputError(_FIELD, "A key is not complete.")
    if kind == "EC" and members["crv"] != "P-256":
        raise BadUserInputError(_FIELD, "An EC key is not on the curve P-256.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of short RSA keys, which are refused below
            key = _KINDS[kind].import_key({name: str(value) for name, value in members.items()})
    except (JoseError, ValueError, TypeError):
        raise BadUserInputError(_FIELD, "A key cannot be read.") from None
    if isinstance(key, RSAKey) and key.raw_value.key_size not in _RSA_BITS:
        raise BadUserInputError(_FIELD, "An RSA key must have 2048 to 8192 bits.")
    return key
