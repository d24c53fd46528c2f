"""The OAuth clients that play in a simulation, with their private keys, in a file for its owner only."""

from __future__ import annotations

import json
import os
import stat
import time
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING
from uuid import uuid4

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey

from app.domain.access import Role

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from ssl import SSLContext

FILE_NAME = "simulation-clients.json"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_ASSERTION_SECONDS = 60


class CredentialsError(Exception):
    """The file of clients cannot be used."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """One client. `brins`: institutions that a SIS vendor reports for, or that an institution is.

    `tls`: what it connects with, None for what is usual.
    """

    name: str
    role: Role
    client_id: str
    brins: tuple[str, ...]
    key: ECKey = field(repr=False)
    tls: SSLContext | None = field(default=None, repr=False, compare=False)

    def assertion(self, audience: str) -> str:
        """Return what the client shows to the token endpoint (`private_key_jwt`, RFC 7523)."""
        now = int(time.time())
        claims = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": audience,
            "iat": now,
            "exp": now + _ASSERTION_SECONDS,
            "jti": str(uuid4()),
        }
        return jwt.encode({"alg": "ES256", "kid": self.key.kid}, claims, self.key)


def new_key() -> ECKey:
    """Make a private key with an id."""
    return ECKey.generate_key("P-256", auto_kid=True)


def read_credentials(path: Path) -> tuple[Credentials, ...]:
    """Read the clients of a file; raise CredentialsError with one line."""
    try:
        if path.stat().st_mode & _OTHERS:
            raise CredentialsError(f"{path} can be read or written by others; give it mode 0600")
        content = json.loads(path.read_bytes())
        return tuple(
            Credentials(
                str(one["name"]),
                Role(one["role"]),
                str(one["clientId"]),
                tuple(str(brin) for brin in one["brins"]),
                ECKey.import_key(one["key"]),
            )
            for one in content["clients"]
        )
    except OSError as error:
        raise CredentialsError(f"{path} cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, JoseError):
        raise CredentialsError(f"{path} is not a file of simulation clients") from None


def read_key(path: Path) -> ECKey:
    """Read a private key (one JWK); raise CredentialsError with one line."""
    try:
        key = ECKey.import_key(json.loads(path.read_bytes()))
        if not key.is_private or key.kid is None:
            raise ValueError  # noqa: TRY301 - one line for every way in which a file can be wrong
    except (OSError, ValueError, LookupError, TypeError, JoseError):
        raise CredentialsError(f"{path} holds no private EC key with a kid, as a JWK") from None
    return key


def credentials_of(client_id: str, path: Path) -> Credentials:
    """Return a client by its id and the file of its private key; raise CredentialsError with one line."""
    return Credentials(client_id, Role.OS, client_id, (), read_key(path))


def write_credentials(path: Path, clients: Iterable[Credentials]) -> None:
    """Put the clients in place of what the file held; mode 0600 from the start."""
    content = {
        "clients": [
            {
                "name": one.name,
                "role": one.role.value,
                "clientId": one.client_id,
                "brins": list(one.brins),
                "key": one.key.as_dict(private=True),
            }
            for one in clients
        ]
    }
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(content, file, indent=1)
    unfinished.replace(path)


def named(clients: Iterable[Credentials], name: str) -> Credentials:
    """Return the client of that name; raise CredentialsError with the names that there are."""
    known = {one.name: one for one in clients}
    if name not in known:
        raise CredentialsError(f"there is no client {name!r}; there are: {', '.join(sorted(known))}")
    return known[name]
