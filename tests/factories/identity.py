"""Clients with keys, and the assertions and tokens that they, or somebody else, could send."""

from __future__ import annotations

import base64
import json
import string
import time
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING
from uuid import uuid4

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from app.domain.access import Role
from app.domain.client import RegisteredClient
from app.services.client_keys import checked_keys
from app.services.clients import ClientService
from app.services.keys import SigningKeys

if TYPE_CHECKING:
    from collections.abc import Mapping

ISSUER = "https://hub.example"
TOKEN_ENDPOINT = f"{ISSUER}/oauth/token"
RESOURCE = f"{ISSUER}/graphql"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
OIN = "00000001234567890000"


@cache
def ec_key(key_id: str = "ec") -> ECKey:
    return ECKey.generate_key("P-256", parameters={"kid": key_id})


@cache
def rsa_key(key_id: str = "rsa") -> RSAKey:
    return RSAKey.generate_key(2048, parameters={"kid": key_id})


@cache
def signing_keys() -> SigningKeys:
    return SigningKeys((ec_key("current"), ec_key("previous")))


def jwks(*keys: ECKey | RSAKey) -> dict[str, object]:
    return {"keys": [key.as_dict(private=False) for key in keys]}


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def signed(header: Mapping[str, object], payload: object, key: ECKey | RSAKey) -> str:
    """Sign whatever it is: the algorithms of a hub's own code would refuse half of it."""
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    name = str(header.get("alg", "ES256"))
    algorithm = jws.JWSRegistry.algorithms.get(name, jws.JWSRegistry.algorithms["ES256"])
    unsigned = f"{encoded(dict(header))}.{encoded(raw)}"
    return f"{unsigned}.{encoded(algorithm.sign(unsigned.encode(), key))}"


def respelled(token: str) -> str:
    """The same token to a lenient reader: the last letter differs in bits that stand for nothing."""
    letters = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
    return token[:-1] + letters[letters.index(token[-1]) + 1]


@dataclass
class Claims:
    """Claims that are right, until a test says otherwise; None leaves one out."""

    client_id: str
    now: float = field(default_factory=time.time)

    def of_assertion(self, **changes: object) -> dict[str, object]:
        now = int(self.now)
        claims: dict[str, object] = {
            "iss": self.client_id,
            "sub": self.client_id,
            "aud": TOKEN_ENDPOINT,
            "iat": now,
            "exp": now + 60,
            "jti": str(uuid4()),
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}

    def of_token(self, **changes: object) -> dict[str, object]:
        now = int(self.now)
        claims: dict[str, object] = {
            "iss": ISSUER,
            "sub": self.client_id,
            "client_id": self.client_id,
            "azp": self.client_id,
            "aud": RESOURCE,
            "iat": now,
            "exp": now + 600,
            "jti": str(uuid4()),
            "scope": "statuses:report registrations:read",
        }
        return {name: value for name, value in {**claims, **changes}.items() if value is not None}


def form(assertion: str, **changes: str | None) -> dict[str, str]:
    parameters = {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": assertion,
        **changes,
    }
    return {name: value for name, value in parameters.items() if value is not None}


def registered(client_id: str = "hub-known", **changes: object) -> RegisteredClient:
    """A SIS vendor's client with an EC key, an RSA key, and an RSA key for PS256 alone."""
    for_ps256 = {**rsa_key("ps").as_dict(private=False), "alg": "PS256"}
    keys = [ec_key().as_dict(private=False), rsa_key().as_dict(private=False), for_ps256]
    client = RegisteredClient(
        client_id=client_id,
        name="Vendor",
        organisation_id=1,
        oin=OIN,
        organisation_name="Vendor",
        role=Role.SIS,
        region=None,
        brins=frozenset(),
        keys=checked_keys({"keys": keys}),
        revoked=False,
    )
    return replace(client, **changes)  # type: ignore[arg-type]


class ClientsInMemory(ClientService):
    """The clients without a database; counts what it is asked."""

    def __init__(self, *clients: RegisteredClient) -> None:
        self.clients = {client.client_id: client for client in clients}
        self.used: set[tuple[str, str]] = set()
        self.finds = 0

    async def find(self, client_id: str) -> RegisteredClient | None:
        self.finds += 1
        return self.clients.get(client_id)

    async def use_assertion(self, client_id: str, jti: str, expires_at: float) -> bool:
        assert expires_at > 0
        first = (client_id, jti) not in self.used
        self.used.add((client_id, jti))
        return first
