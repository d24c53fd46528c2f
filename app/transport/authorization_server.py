"""Authlib's authorization server with one grant (client credentials) and one way in (`private_key_jwt`).

Its core is synchronous: the client is fetched before, and the use of the assertion is recorded after.
Where it is laxer than NL GOV OAuth 1.1 and RFC 9068, the checks are ours (`client_assertion`).
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidClientError,
    OAuth2Error,
    OAuth2Request,
    UnauthorizedClientError,
)
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7523 import JWTBearerClientAssertion
from authlib.oauth2.rfc9068 import JWTBearerTokenGenerator
from joserfc.jwk import KeySet

from app.domain.access import SCOPES_OF_ROLE, Scope
from app.domain.vetting import NotAdmittedError, VettingRule
from app.services.client_certificates import oin_of
from app.transport.client_assertion import UsedAssertion, check_claims, verify_signature
from app.transport.client_certificate import ShownCertificate, confirmation
from app.transport.strict_jwt import JwtError, ReadJwt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from app.domain.client import RegisteredClient
    from app.services.key_files import KeySource
    from app.services.keys import SigningKeys

AUTHENTICATION_METHOD = "private_key_jwt"
GRANT_TYPE = ClientCredentialsGrant.GRANT_TYPE
SIGNING_ALGORITHM = "ES256"

# TLS is the business of the proxy in front, of which Authlib sees nothing: it would refuse plain HTTP
# from anywhere but this machine.
_ADDRESS = "https://localhost/oauth/token"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the core makes of a request. `used`: the assertion was right, and must be recorded as used."""

    status: int
    body: Mapping[str, object]
    used: UsedAssertion | None


@dataclass(slots=True)
class TokenRequest:
    """The parameters of a request, its assertion and the client that the assertion names, if there is one."""

    parameters: Mapping[str, str]
    assertion: ReadJwt | None
    client: RegisteredClient | None
    certificate: ShownCertificate | None = None
    used: UsedAssertion | None = field(default=None, init=False)


class _Client(ClientMixin):  # type: ignore[misc]
    def __init__(self, client: RegisteredClient, certificate: bytes | None) -> None:
        self.registered = client
        self.certificate = certificate

    def get_client_id(self) -> str:
        return self.registered.client_id

    def check_endpoint_auth_method(self, method: str, _endpoint: str) -> bool:
        return method == AUTHENTICATION_METHOD

    def check_grant_type(self, grant_type: str) -> bool:
        return bool(grant_type == GRANT_TYPE)

    def get_allowed_scope(self, scope: str | None) -> str | None:
        """Return what is granted: all if nothing is asked for, None (`invalid_scope`) if it is too much."""
        held = SCOPES_OF_ROLE[self.registered.role]
        if scope is None:
            return " ".join(sorted(held))
        asked = set(scope.split(" "))
        return " ".join(sorted(asked)) if asked <= held else None


class _Request(OAuth2Request):  # type: ignore[misc]
    def __init__(self, request: TokenRequest) -> None:
        super().__init__("POST", _ADDRESS)
        self.token_request = request
        self.payload = BasicOAuth2Payload(dict(request.parameters))

    @property
    def form(self) -> dict[str, str]:
        return dict(self.token_request.parameters)


class _Assertion(JWTBearerClientAssertion):  # type: ignore[misc]
    CLIENT_AUTH_METHOD = AUTHENTICATION_METHOD

    def __init__(self, audiences: frozenset[str], rule: VettingRule, clock: Callable[[], float]) -> None:
        super().__init__()
        self._audiences = audiences
        self._rule = rule
        self._clock = clock

    def __call__(self, _query_client: Callable[[str], object], request: _Request) -> _Client | None:
        asked = request.token_request
        if asked.parameters.get("client_assertion_type") != self.CLIENT_ASSERTION_TYPE:
            return None
        if asked.assertion is None or asked.client is None or asked.client.revoked:
            raise InvalidClientError
        try:
            verify_signature(asked.assertion, asked.client)
        except JwtError:
            raise InvalidClientError from None
        try:
            used = check_claims(asked.assertion, asked.client, self._audiences, self._clock())
        except JwtError as error:
            # Whoever holds the key may know what is wrong.
            raise InvalidClientError(description=f"The assertion is refused: {error}.") from None
        thumbprint = self._admit(asked.client, asked.certificate)
        asked.used = used
        client = request.client = _Client(asked.client, thumbprint)
        return client

    def _admit(self, client: RegisteredClient, certificate: ShownCertificate | None) -> bytes | None:
        """Return the thumbprint that the token is to be bound to; None for a client without certificates."""
        now = datetime.fromtimestamp(self._clock(), UTC)
        try:
            self._rule.require(client.vetting, now)
        except NotAdmittedError as error:
            raise UnauthorizedClientError(description=str(error)) from None
        if not client.vetting.certificates:
            return None
        if certificate is None:
            raise InvalidClientError(description="This client needs its certificate on the connection.")
        if not client.vetting.takes(certificate.thumbprint, now) or oin_of(certificate.der) != client.oin:
            raise InvalidClientError(
                description="The certificate of this connection is not that of the client, or has run out."
            )
        return certificate.thumbprint


class _Grant(ClientCredentialsGrant):  # type: ignore[misc]
    TOKEN_ENDPOINT_AUTH_METHODS: ClassVar = [AUTHENTICATION_METHOD]

    def create_token_response(self) -> tuple[int, dict[str, object], list[tuple[str, str]]]:
        # Authlib's own writes the token into its debug log.
        token = self.generate_token(scope=self.request.payload.scope, include_refresh_token=False)
        return 200, token, self.TOKEN_RESPONSE_HEADER


class _TokenGenerator(JWTBearerTokenGenerator):  # type: ignore[misc]
    def __init__(
        self,
        issuer: str,
        resource: str,
        keys: KeySource[SigningKeys],
        seconds: int,
        clock: Callable[[], float],
    ) -> None:
        super().__init__(issuer, alg=SIGNING_ALGORITHM, expires_generator=seconds)
        self._resource = resource
        self._keys = keys
        self._clock = clock

    def get_jwks(self) -> KeySet:
        # A set, since only then joserfc writes `kid` into the header.
        return KeySet([self._keys.latest().signing(self._clock())])

    def get_audiences(self, _client: object, _user: object, _scope: str) -> str:
        return self._resource

    def get_extra_claims(
        self, client: _Client, _grant_type: str, _user: object, _scope: str
    ) -> dict[str, object]:
        claims: dict[str, object] = {"azp": client.get_client_id()}
        if client.certificate is not None:
            claims["cnf"] = confirmation(client.certificate)
        return claims

    def get_jti(self, *_: object) -> str:
        return secrets.token_urlsafe(16)


class TokenServer(AuthorizationServer):  # type: ignore[misc]
    """Answers token requests whose client has been fetched already."""

    def __init__(
        self,
        issuer: str,
        resource: str,
        keys: KeySource[SigningKeys],
        seconds: int,
        *,
        rule: VettingRule | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(scopes_supported=[str(scope) for scope in Scope])
        audiences = frozenset({issuer, f"{issuer}/oauth/token"})
        self.register_grant(_Grant)
        self.register_client_auth_method(
            AUTHENTICATION_METHOD, _Assertion(audiences, rule or VettingRule(), clock)
        )
        self.register_token_generator("default", _TokenGenerator(issuer, resource, keys, seconds, clock))

    def answer(self, request: TokenRequest) -> Answer:
        """Judge a request; whatever it holds, no value of it stands in a refusal."""
        status, body = self.create_token_response(request)
        return Answer(status, body, request.used)

    def query_client(self, _client_id: str) -> None:
        """Find nobody: the client comes with the request."""

    def create_oauth2_request(self, request: TokenRequest) -> _Request:
        """Dress a request for Authlib."""
        return _Request(request)

    def send_signal(self, *_: object, **__: object) -> None:
        """Tell nobody: Authlib has signals only in its integrations."""

    def handle_response(
        self, status: int, body: Mapping[str, object], _headers: object
    ) -> tuple[int, Mapping[str, object]]:
        """Return status and body; the headers are the same for every answer of the endpoint."""
        return status, body

    def handle_error_response(
        self, _request: _Request, error: OAuth2Error
    ) -> tuple[int, Mapping[str, object]]:
        """Return a refusal after RFC 6749, 5.2."""
        return refusal(error.error, error.description)


_DESCRIPTIONS = {
    "invalid_client": "The client is not known, or could not be authenticated.",
    "invalid_request": "The request is malformed.",
    "invalid_scope": "The client does not hold every scope that was asked for.",
    "unsupported_grant_type": f"The grant type must be {GRANT_TYPE}.",
}


_OWN_WORDS = frozenset({"invalid_client", "invalid_request", "unauthorized_client"})


def refusal(error: str, description: str | None = None) -> tuple[int, Mapping[str, object]]:
    """Return status and body of a refusal; the description falls back on that of the error."""
    described = description if error in _OWN_WORDS and description else None
    status = 401 if error == "invalid_client" else 400
    return status, {"error": error, "error_description": described or _DESCRIPTIONS.get(error, "Refused.")}
