"""From an access token to the caller. Runs on every request, so what was verified is kept.

A token that is bound to a certificate (RFC 8705) is good over connections with that certificate alone; all
that this costs a request is to compare two thumbprints.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from app.domain.access import SCOPES_OF_ROLE, Principal, Scope
from app.domain.errors import UnauthenticatedError, UnavailableError
from app.domain.vetting import NotAdmittedError, VettingRule
from app.transport.client_certificate import CertificateReader, bound_to
from app.transport.external_issuers import ExternalIssuers, ForeignSubject
from app.transport.strict_jwt import JwtError, ReadJwt, read_jwt
from app.transport.token_endpoint import resource_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from app.domain.client import RegisteredClient
    from app.services.clients import ClientService
    from app.services.key_files import KeySource
    from app.services.keys import SigningKeys

_LONGEST_HEADER = 8 * 1024
_MOST_KEPT = 10_000
_FRESH_SECONDS = 20.0  # a revoked client is out within a minute
_LEEWAY = 30.0
LONGEST_LIFE = 900.0  # seconds, of a token
_SCHEME = "bearer"
_KINDS = frozenset({"at+jwt", "application/at+jwt"})
_KNOWN_SCOPES = {str(scope): scope for scope in Scope}


@dataclass(frozen=True, slots=True)
class _State:
    """A client as it was read, and until when that counts as new (monotonic seconds)."""

    client: RegisteredClient | None
    fresh_until: float


@dataclass(slots=True)
class _Token:
    """What a token says, once verified; `principal` is what it came to in `state`.

    `certificate` is the thumbprint of the one that it is bound to. A token of another issuer is verified anew
    after `good_until`, since keys and subjects change there.
    """

    client_id: str
    scopes: frozenset[Scope]
    expires_at: float
    certificate: bytes | None = None
    good_until: float = float("inf")
    whose: ForeignSubject | None = None
    state: _State | None = None
    principal: Principal | None = None


class Authenticator:
    """Verifies access tokens of this hub, and knows whether their clients still stand."""

    def __init__(  # noqa: PLR0913 - what it judges by
        self,
        issuer: str,
        keys: KeySource[SigningKeys],
        clients: ClientService,
        *,
        certificates: CertificateReader | None = None,
        rule: VettingRule | None = None,
        longest_life: float = LONGEST_LIFE,
        external: ExternalIssuers | None = None,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._issuer = issuer
        self._resource = resource_of(issuer)
        self._source = keys
        self._known = keys.latest()
        self._keys = self._known.by_id()
        self._clients = clients
        self._certificates = certificates or CertificateReader()
        self._rule = rule or VettingRule()
        self._longest_life = longest_life
        self._external = external
        self._clock = clock
        self._monotonic = monotonic
        self._tokens: OrderedDict[bytes, _Token] = OrderedDict()
        self._states: OrderedDict[str, _State] = OrderedDict()
        self._readings: dict[str, asyncio.Task[_State]] = {}

    async def authenticate(
        self, authorization: str | None, scope: Mapping[str, Any] | None = None
    ) -> Principal:
        """Return the caller from the value of an `Authorization` header and the scope of its connection.

        Raises UnauthenticatedError unless it is a valid token of a client that is not revoked, and came with
        the certificate that it is bound to, and UnavailableError when the database does not tell.
        """
        if authorization is None or len(authorization) > _LONGEST_HEADER:
            raise UnauthenticatedError
        self._follow()
        # The digest, so that no token lies in memory longer than its request.
        key = sha256(authorization.encode("utf-8", "surrogatepass")).digest()
        token = self._tokens.get(key)
        if token is None or token.good_until <= self._clock():
            token = await self._verified(authorization)
            self._tokens[key] = token
            if len(self._tokens) > _MOST_KEPT:
                self._tokens.popitem(last=False)
        else:
            self._tokens.move_to_end(key)
        if token.expires_at <= self._clock():
            self._tokens.pop(key, None)
            raise UnauthenticatedError
        if token.certificate is not None and (
            scope is None or self._certificates.thumbprint(scope) != token.certificate
        ):
            raise UnauthenticatedError
        state = self._states.get(token.client_id)
        if state is None or state.fresh_until <= self._monotonic():
            state = await self._read(token.client_id)
        if token.principal is None or token.state is not state:
            token.principal, token.state = self._principal(token, state.client), state
        return token.principal

    async def still_valid(self, principal: Principal) -> bool:
        """Tell whether an open connection of this caller may go on: its token holds, its rights are the same.

        While the database does not answer, what it said last counts.
        """
        if principal.expires_at <= self._clock():
            return False
        state = self._states.get(principal.client_id)
        if state is None or state.fresh_until <= self._monotonic():
            try:
                state = await self._read(principal.client_id)
            except UnavailableError:
                if state is None:
                    return True
        client = state.client
        return (
            client is not None
            and not client.revoked
            and client.organisation_id == principal.organisation_id
            and client.role is principal.role
            and client.region == principal.region
            and client.brins == principal.brins
            and client.trusted_only == principal.trusted_only
            and self._admits(client, principal.certificate)
            and await self._still_stands(principal)
        )

    async def _still_stands(self, principal: Principal) -> bool:
        if principal.subject is None or self._external is None:
            return principal.subject is None
        try:
            return await self._external.still_stands(ForeignSubject(*principal.subject, principal.client_id))
        except UnavailableError:
            return True

    def _admits(self, client: RegisteredClient, certificate: bytes | None) -> bool:
        now = datetime.fromtimestamp(self._clock(), UTC)
        try:
            self._rule.require(client.vetting, now)
        except NotAdmittedError:
            return False
        return client.vetting.takes(certificate, now)

    def _principal(self, token: _Token, client: RegisteredClient | None) -> Principal:
        if client is None or client.revoked:
            raise UnauthenticatedError
        now = datetime.fromtimestamp(self._clock(), UTC)
        self._rule.require(client.vetting, now)
        if not client.vetting.takes(token.certificate, now):
            raise UnauthenticatedError
        return Principal(
            client_id=client.client_id,
            organisation_id=client.organisation_id,
            oin=client.oin,
            organisation_name=client.organisation_name,
            role=client.role,
            scopes=token.scopes & SCOPES_OF_ROLE[client.role],
            brins=client.brins,
            region=client.region,
            expires_at=token.expires_at,
            trusted_only=client.trusted_only,
            certificate=token.certificate,
            subject=None if token.whose is None else (token.whose.issuer, token.whose.subject),
        )

    async def _read(self, client_id: str) -> _State:
        # One reading for all who wait; it goes on when the first of them leaves.
        reading = self._readings.get(client_id)
        if reading is None:
            reading = asyncio.create_task(self._read_client(client_id))
            self._readings[client_id] = reading
            reading.add_done_callback(lambda done: self._finish(client_id, done))
        return await asyncio.shield(reading)

    def _finish(self, client_id: str, done: asyncio.Task[_State]) -> None:
        self._readings.pop(client_id, None)
        if not done.cancelled():
            done.exception()  # seen, even when everybody who waited has left

    async def _read_client(self, client_id: str) -> _State:
        asked_at = self._monotonic()
        client = await self._clients.find(client_id)
        state = _State(client, asked_at + _FRESH_SECONDS)
        self._states[client_id] = state
        self._states.move_to_end(client_id)
        if len(self._states) > _MOST_KEPT:
            self._states.popitem(last=False)
        return state

    def _follow(self, *, urgent: bool = False) -> None:
        """Take over the keys as they are now; tokens are verified anew when they have changed."""
        keys = self._source.latest(urgent=urgent)
        if keys is not self._known:
            self._known = keys
            self._keys = keys.by_id()
            self._tokens.clear()

    async def _verified(self, authorization: str) -> _Token:
        scheme, _, compact = authorization.partition(" ")
        if scheme.lower() != _SCHEME:
            raise UnauthenticatedError
        try:
            token = read_jwt(compact, longest=_LONGEST_HEADER)
            if self._external is not None and token.claims.get("iss") in self._external:
                return await self._judged_of_another(token, self._external)
            return self._judged(token)
        except JwtError:
            raise UnauthenticatedError from None

    async def _judged_of_another(self, token: ReadJwt, external: ExternalIssuers) -> _Token:
        if token.kind is None or token.kind.lower() not in _KINDS:
            raise UnauthenticatedError
        whose = await external.verify(token)
        now = self._clock()
        judged = self._judged_claims(token, whose.client_id, LONGEST_LIFE)
        judged.whose, judged.good_until = whose, now + _FRESH_SECONDS
        return judged

    def _judged(self, token: ReadJwt) -> _Token:
        if token.key_id not in self._keys:
            self._follow(urgent=True)
        key = self._keys.get(token.key_id)
        if (
            token.algorithm != "ES256"
            or key is None
            or token.kind is None
            or token.kind.lower() not in _KINDS
        ):
            raise UnauthenticatedError
        token.verify(key)
        client_id = token.text("client_id")
        if (
            token.claims.get("iss") != self._issuer
            or token.claims.get("sub") != client_id
            or token.claims.get("azp", client_id) != client_id
        ):
            raise UnauthenticatedError
        return self._judged_claims(token, client_id, self._longest_life)

    def _judged_claims(self, token: ReadJwt, client_id: str, longest: float) -> _Token:
        """Judge what every issuer's tokens must say alike."""
        expires_at = token.check_times(self._clock(), leeway=_LEEWAY, longest=longest)
        audience, scope = token.claims.get("aud"), token.claims.get("scope")
        token.text("jti")
        named = self._resource in (audience if isinstance(audience, list) else [audience])
        if not named or not isinstance(scope, str):
            raise UnauthenticatedError
        scopes = frozenset(_KNOWN_SCOPES[name] for name in scope.split() if name in _KNOWN_SCOPES)
        return _Token(client_id, scopes, expires_at, bound_to(token.claims))
