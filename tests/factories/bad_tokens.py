"""All that a client could hand in that is wrong: at the token endpoint, and in place of an access token."""

from __future__ import annotations

import hmac
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from joserfc import jws

from tests.factories.identity import (
    ISSUER,
    RESOURCE,
    TOKEN_ENDPOINT,
    Claims,
    ec_key,
    encoded,
    respelled,
    rsa_key,
    signed,
    signing_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from joserfc.jwk import ECKey, RSAKey

_TEN_YEARS = 10 * 365 * 24 * 3600
_OF_ASSERTION: dict[str, object] = {"alg": "ES256", "kid": "ec", "typ": "JWT"}


def assertion(
    client_id: str,
    *,
    header: dict[str, object] | None = None,
    key: ECKey | RSAKey | None = None,
    **claims: object,
) -> str:
    return signed(
        {**_OF_ASSERTION, **(header or {})}, Claims(client_id).of_assertion(**claims), key or ec_key()
    )


def moment(seconds: int) -> int:
    return int(time.time()) + seconds


def _hs256_with_the_public_key(client_id: str) -> str:
    unsigned = f"{encoded({**_OF_ASSERTION, 'alg': 'HS256'})}.{encoded(Claims(client_id).of_assertion())}"
    signature = hmac.digest(ec_key().as_pem(private=False), unsigned.encode(), "sha256")
    return f"{unsigned}.{encoded(signature)}"


def _unsigned(client_id: str, alg: str) -> str:
    return f"{encoded({**_OF_ASSERTION, 'alg': alg})}.{encoded(Claims(client_id).of_assertion())}."


def _with_duplicate(client_id: str) -> str:
    claims = json.dumps(Claims(client_id).of_assertion(sub=None))
    return signed(
        _OF_ASSERTION, f'{claims[:-1]}, "sub": "somebody", "sub": "{client_id}"}}'.encode(), ec_key()
    )


def _with_duplicate_header(client_id: str) -> str:
    header = encoded(b'{"alg": "none", "alg": "ES256", "kid": "ec"}')
    unsigned = f"{header}.{encoded(Claims(client_id).of_assertion())}"
    signature = jws.JWSRegistry.algorithms["ES256"].sign(unsigned.encode(), ec_key())
    return f"{unsigned}.{encoded(signature)}"


def _with_raw_claim(client_id: str, raw: str) -> str:
    claims = json.dumps(Claims(client_id).of_assertion(exp=None))
    return signed(_OF_ASSERTION, f'{claims[:-1]}, "exp": {raw}}}'.encode(), ec_key())


@dataclass(frozen=True)
class BadRequest:
    """One way to be wrong: how the assertion is made, or how the form around it is."""

    made: Callable[[str], str] = assertion
    error: str = "invalid_client"
    status: int = 401
    form: dict[str, str | None] | None = None


def _around(error: str, status: int = 400, **changes: str | None) -> BadRequest:
    return BadRequest(error=error, status=status, form=changes)


ASSERTIONS: dict[str, BadRequest] = {
    # the signature and its key
    "foreign key": BadRequest(lambda c: assertion(c, key=ec_key("foreign"))),
    "foreign key of another kind": BadRequest(lambda c: assertion(c, header={"alg": "RS256"}, key=rsa_key())),
    "alg none": BadRequest(lambda c: _unsigned(c, "none")),
    "alg None": BadRequest(lambda c: _unsigned(c, "None")),
    "signature left out": BadRequest(lambda c: _unsigned(c, "ES256")),
    "HS256 with the public key": BadRequest(_hs256_with_the_public_key),
    "alg that is not allowed": BadRequest(
        lambda c: assertion(c, header={"alg": "RS384", "kid": "rsa"}, key=rsa_key())
    ),
    "alg that the key is not registered for": BadRequest(
        lambda c: assertion(c, header={"alg": "RS256", "kid": "ps"}, key=rsa_key("ps"))
    ),
    "alg that does not fit the key": BadRequest(lambda c: assertion(c, header={"kid": "rsa"})),
    "alg is a list": BadRequest(lambda c: assertion(c, header={"alg": ["ES256"]})),
    "kid unknown": BadRequest(lambda c: assertion(c, header={"kid": "other"})),
    "kid missing": BadRequest(lambda c: signed({"alg": "ES256"}, Claims(c).of_assertion(), ec_key())),
    "kid is a number": BadRequest(lambda c: assertion(c, header={"kid": 1})),
    "jwk in the header": BadRequest(lambda c: assertion(c, header={"jwk": ec_key().as_dict(private=False)})),
    "jku in the header": BadRequest(lambda c: assertion(c, header={"jku": "https://evil.example/jwks"})),
    "x5c in the header": BadRequest(lambda c: assertion(c, header={"x5c": ["MIIB"]})),
    "x5u in the header": BadRequest(lambda c: assertion(c, header={"x5u": "https://evil.example/x5u"})),
    "crit in the header": BadRequest(lambda c: assertion(c, header={"crit": ["exp"], "exp": 1})),
    "b64 in the header": BadRequest(lambda c: assertion(c, header={"b64": False, "crit": ["b64"]})),
    "typ of an access token": BadRequest(lambda c: assertion(c, header={"typ": "at+jwt"})),
    "typ is a list": BadRequest(lambda c: assertion(c, header={"typ": ["JWT"]})),
    "signed by the hub itself": BadRequest(
        lambda c: assertion(c, header={"kid": "current"}, key=signing_keys().current)
    ),
    "alg unheard of": BadRequest(lambda c: assertion(c, header={"alg": "XS256"})),
    "alg ES384": BadRequest(lambda c: assertion(c, header={"alg": "ES384"})),
    "alg PS512": BadRequest(lambda c: assertion(c, header={"alg": "PS512", "kid": "rsa"}, key=rsa_key())),
    "alg in small letters": BadRequest(lambda c: assertion(c, header={"alg": "es256"})),
    "kid empty": BadRequest(lambda c: assertion(c, header={"kid": ""})),
    "kid of 201 characters": BadRequest(lambda c: assertion(c, header={"kid": "k" * 201})),
    "kid is a path": BadRequest(lambda c: assertion(c, header={"kid": "../../dev/null"})),
    "kid is SQL": BadRequest(lambda c: assertion(c, header={"kid": "' or 1=1 --"})),
    "zip in the header": BadRequest(lambda c: assertion(c, header={"zip": "DEF"})),
    "cty in the header": BadRequest(lambda c: assertion(c, header={"cty": "JWT"})),
    "typ of a security event": BadRequest(lambda c: assertion(c, header={"typ": "secevent+jwt"})),
    # the claims
    "sub missing": BadRequest(lambda c: assertion(c, sub=None)),
    "sub of another": BadRequest(lambda c: assertion(c, sub="hub-other")),
    "sub is a list": BadRequest(lambda c: assertion(c, sub=[c])),
    "sub with a zero byte": BadRequest(lambda c: assertion(c, sub=f"{c}\x00")),
    "sub with half a surrogate": BadRequest(lambda c: assertion(c, sub="\ud800")),
    "iss missing": BadRequest(lambda c: assertion(c, iss=None)),
    "iss of another": BadRequest(lambda c: assertion(c, iss="hub-other")),
    "aud missing": BadRequest(lambda c: assertion(c, aud=None)),
    "aud of another": BadRequest(lambda c: assertion(c, aud="https://other.example")),
    "aud is the resource": BadRequest(lambda c: assertion(c, aud=RESOURCE)),
    "aud begins like ours": BadRequest(lambda c: assertion(c, aud=f"{ISSUER}.evil.example")),
    "two auds": BadRequest(lambda c: assertion(c, aud=[TOKEN_ENDPOINT, "https://other.example"])),
    "both of our auds": BadRequest(lambda c: assertion(c, aud=[ISSUER, TOKEN_ENDPOINT])),
    "no aud in the list": BadRequest(lambda c: assertion(c, aud=[])),
    "aud in a list in a list": BadRequest(lambda c: assertion(c, aud=[[ISSUER]])),
    "exp missing": BadRequest(lambda c: assertion(c, exp=None)),
    "exp passed": BadRequest(lambda c: assertion(c, iat=moment(-60), exp=moment(-1))),
    "exp six minutes ahead": BadRequest(lambda c: assertion(c, exp=moment(360))),
    "exp in ten years": BadRequest(lambda c: assertion(c, exp=moment(_TEN_YEARS))),
    "exp is a text": BadRequest(lambda c: assertion(c, exp=str(moment(60)))),
    "exp is true": BadRequest(lambda c: assertion(c, exp=True)),
    "exp is a list": BadRequest(lambda c: assertion(c, exp=[moment(60)])),
    "exp is not a number": BadRequest(lambda c: _with_raw_claim(c, "NaN")),
    "exp is endless": BadRequest(lambda c: _with_raw_claim(c, "1e999")),
    "exp has 5,000 digits": BadRequest(lambda c: _with_raw_claim(c, "9" * 5000)),
    "iat missing": BadRequest(lambda c: assertion(c, iat=None)),
    "iat in the future": BadRequest(lambda c: assertion(c, iat=moment(45))),
    "iat ten years ago": BadRequest(lambda c: assertion(c, iat=moment(-_TEN_YEARS))),
    "nbf in the future": BadRequest(lambda c: assertion(c, nbf=moment(45))),
    "nbf is a text": BadRequest(lambda c: assertion(c, nbf="now")),
    "jti missing": BadRequest(lambda c: assertion(c, jti=None)),
    "jti empty": BadRequest(lambda c: assertion(c, jti="")),
    "jti of 201 characters": BadRequest(lambda c: assertion(c, jti="j" * 201)),
    "jti is a list": BadRequest(lambda c: assertion(c, jti=["j"])),
    "jti with a zero byte": BadRequest(lambda c: assertion(c, jti="j\x00")),
    "sub of 101 characters": BadRequest(lambda c: assertion(c, sub="s" * 101, iss="s" * 101)),
    "sub and iss of another": BadRequest(lambda c: assertion(c, sub="hub-other", iss="hub-other")),
    "aud is a number": BadRequest(lambda c: assertion(c, aud=1)),
    "aud with a slash": BadRequest(lambda c: assertion(c, aud=f"{ISSUER}/")),
    "aud in capitals": BadRequest(lambda c: assertion(c, aud=TOKEN_ENDPOINT.upper())),
    "aud without TLS": BadRequest(lambda c: assertion(c, aud=TOKEN_ENDPOINT.replace("https", "http"))),
    "exp negative": BadRequest(lambda c: assertion(c, exp=-1)),
    "exp before iat": BadRequest(lambda c: assertion(c, iat=moment(20), exp=moment(10))),
    "exp in milliseconds": BadRequest(lambda c: assertion(c, exp=moment(60) * 1000)),
    "iat is a text": BadRequest(lambda c: assertion(c, iat=str(moment(0)))),
    "iat is null": BadRequest(lambda c: assertion(c, iat=[None])),
    "nbf is a list": BadRequest(lambda c: assertion(c, nbf=[moment(0)])),
    "jti is a number": BadRequest(lambda c: assertion(c, jti=1)),
    "jti of a million characters": BadRequest(lambda c: assertion(c, jti="j" * 40_000)),
    # the form of the token
    "duplicate keys": BadRequest(_with_duplicate),
    "duplicate keys in the header": BadRequest(_with_duplicate_header),
    "claims are a list": BadRequest(lambda _: signed(_OF_ASSERTION, [], ec_key())),
    "claims are not JSON": BadRequest(lambda _: signed(_OF_ASSERTION, b"{", ec_key())),
    "claims are not UTF-8": BadRequest(lambda _: signed(_OF_ASSERTION, b'{"sub": "\xff"}', ec_key())),
    "claims of great depth": BadRequest(lambda _: signed(_OF_ASSERTION, b"[" * 9000, ec_key())),
    "the same in other letters": BadRequest(lambda c: respelled(assertion(c))),
    "padding": BadRequest(lambda c: f"{assertion(c)}="),
    "a space": BadRequest(lambda c: f" {assertion(c)}"),
    "four parts": BadRequest(lambda c: f"{assertion(c)}.e30"),
    "no token": BadRequest(lambda _: "x"),
    "too long": BadRequest(lambda c: assertion(c, more="x" * 20_000)),
    "five parts": BadRequest(lambda c: f"{assertion(c)}.e30.e30"),
    "two parts": BadRequest(lambda c: assertion(c).rpartition(".")[0]),
    "a JSON serialisation": BadRequest(lambda c: json.dumps({"payload": assertion(c)})),
    # the request around it
    "no assertion": _around("invalid_client", 401, client_assertion=None),
    "no assertion type": _around("invalid_client", 401, client_assertion_type=None),
    "other assertion type": _around(
        "invalid_client",
        401,
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:saml2-bearer",
    ),
    "other client_id": _around("invalid_client", 401, client_id="hub-other"),
    "client secret": _around("invalid_request", client_secret="s"),
    "no grant type": _around("invalid_request", grant_type=None),
    "grant type password": _around("unsupported_grant_type", grant_type="password"),
    "grant type refresh_token": _around("unsupported_grant_type", grant_type="refresh_token"),
    "grant type authorization_code": _around("unsupported_grant_type", grant_type="authorization_code"),
    "grant type jwt-bearer": _around(
        "unsupported_grant_type", grant_type="urn:ietf:params:oauth:grant-type:jwt-bearer"
    ),
    "grant type in capitals": _around("unsupported_grant_type", grant_type="CLIENT_CREDENTIALS"),
    "scope of the operator": _around("invalid_scope", scope="hub:operate"),
    "scope twice spaced": _around("invalid_scope", scope="statuses:report  registrations:read"),
    "scope of another role": _around("invalid_scope", scope="students:follow"),
    "one scope too many": _around("invalid_scope", scope="statuses:report students:follow"),
    "unknown scope": _around("invalid_scope", scope="all"),
    "scope with a bad separator": _around("invalid_scope", scope="statuses:report,registrations:read"),
}


@dataclass(frozen=True)
class Forger:
    """Makes access tokens of a client, with the key of the hub or with another."""

    client_id: str
    key: ECKey

    @property
    def header(self) -> dict[str, object]:
        return {"alg": "ES256", "kid": self.key.kid, "typ": "at+jwt"}

    @property
    def claims(self) -> Claims:
        return Claims(self.client_id)

    def token(
        self, *, header: dict[str, object] | None = None, key: ECKey | RSAKey | None = None, **claims: object
    ) -> str:
        payload = self.claims.of_token(**claims)
        return signed({**self.header, **(header or {})}, payload, key or self.key)

    def bearer(self, **changes: object) -> str:
        return f"Bearer {self.token(**changes)}"  # type: ignore[arg-type]

    def with_duplicate(self) -> str:
        claims = json.dumps(self.claims.of_token(sub=None))
        return signed(
            self.header, f'{claims[:-1]}, "sub": "x", "sub": "{self.client_id}"}}'.encode(), self.key
        )

    def assertion(self) -> str:
        return signed(_OF_ASSERTION, self.claims.of_assertion(), ec_key())

    def tampered(self) -> str:
        header, _, signature = self.token().split(".")
        return f"{header}.{encoded(self.claims.of_token(scope='hub:operate'))}.{signature}"

    def hs256_with_the_public_key(self) -> str:
        unsigned = f"{encoded({**self.header, 'alg': 'HS256'})}.{encoded(self.claims.of_token())}"
        signature = hmac.digest(self.key.as_pem(private=False), unsigned.encode(), "sha256")
        return f"{unsigned}.{encoded(signature)}"


ACCESS_TOKENS: dict[str, Callable[[Forger], str | None]] = {
    "nothing": lambda f: None,
    "empty": lambda f: "",
    "a token without a scheme": lambda f: f.token(),
    "a scheme without a token": lambda f: "Bearer",
    "a scheme and a space": lambda f: "Bearer ",
    "Basic": lambda f: "Basic aHViOnM=",
    "DPoP": lambda f: f"DPoP {f.token()}",
    "two spaces": lambda f: f"Bearer  {f.token()}",
    "two tokens": lambda f: f"Bearer {f.token()}, {f.token()}",
    "a line break": lambda f: f"Bearer {f.token()}\n",
    "half a surrogate": lambda f: "Bearer \ud800",
    "9 KiB": lambda f: f.bearer(more="x" * 9000),
    "the same in other letters": lambda f: f"Bearer {respelled(f.token())}",
    "changed claims": lambda f: f"Bearer {f.tampered()}",
    "foreign key": lambda f: f.bearer(key=ec_key("foreign")),
    "key of a client": lambda f: f.bearer(key=ec_key(), header={"kid": "ec"}),
    "client assertion": lambda f: f"Bearer {f.assertion()}",
    "alg none": lambda f: f"Bearer {encoded({**f.header, 'alg': 'none'})}.{encoded(f.claims.of_token())}.",
    "alg RS256": lambda f: f.bearer(header={"alg": "RS256"}, key=rsa_key()),
    "alg missing": lambda f: (
        f"Bearer {signed({'kid': f.key.kid, 'typ': 'at+jwt'}, f.claims.of_token(), ec_key('current'))}"
    ),
    "kid unknown": lambda f: f.bearer(header={"kid": "next"}),
    "kid missing": lambda f: (
        f"Bearer {signed({'alg': 'ES256', 'typ': 'at+jwt'}, f.claims.of_token(), ec_key('current'))}"
    ),
    "jwk in the header": lambda f: f.bearer(header={"jwk": f.key.as_dict(private=False)}),
    "crit in the header": lambda f: f.bearer(header={"crit": ["exp"]}),
    "alg HS256 with the public key": lambda f: f"Bearer {f.hs256_with_the_public_key()}",
    "alg ES384": lambda f: f.bearer(header={"alg": "ES384"}),
    "alg is a list": lambda f: f.bearer(header={"alg": ["ES256"]}),
    "kid is a number": lambda f: f.bearer(header={"kid": 1}),
    "jku in the header": lambda f: f.bearer(header={"jku": f"{ISSUER}/oauth/jwks"}),
    "x5u in the header": lambda f: f.bearer(header={"x5u": "https://evil.example/x5u"}),
    "x5c in the header": lambda f: f.bearer(header={"x5c": ["MIIB"]}),
    "b64 in the header": lambda f: f.bearer(header={"b64": False}),
    "zip in the header": lambda f: f.bearer(header={"zip": "DEF"}),
    "typ missing": lambda f: (
        f"Bearer {signed({'alg': 'ES256', 'kid': f.key.kid}, f.claims.of_token(), ec_key('current'))}"
    ),
    "typ JWT": lambda f: f.bearer(header={"typ": "JWT"}),
    "typ is a list": lambda f: f.bearer(header={"typ": ["at+jwt"]}),
    "iss missing": lambda f: f.bearer(iss=None),
    "iss of another": lambda f: f.bearer(iss="https://other.example"),
    "iss is a list": lambda f: f.bearer(iss=[ISSUER]),
    "aud missing": lambda f: f.bearer(aud=None),
    "aud of another": lambda f: f.bearer(aud="https://other.example"),
    "aud is the token endpoint": lambda f: f.bearer(aud=TOKEN_ENDPOINT),
    "aud is an empty list": lambda f: f.bearer(aud=[]),
    "aud is an object": lambda f: f.bearer(aud={RESOURCE: True}),
    "sub missing": lambda f: f.bearer(sub=None),
    "sub of another": lambda f: f.bearer(sub="hub-other"),
    "client_id missing": lambda f: f.bearer(client_id=None),
    "client_id is a list": lambda f: f.bearer(client_id=[f.client_id], sub=[f.client_id]),
    "azp of another": lambda f: f.bearer(azp="hub-other"),
    "exp missing": lambda f: f.bearer(exp=None),
    "exp passed": lambda f: f.bearer(exp=moment(-1), iat=moment(-60)),
    "exp in ten years": lambda f: f.bearer(exp=moment(_TEN_YEARS)),
    "exp is a text": lambda f: f.bearer(exp=str(moment(60))),
    "iat missing": lambda f: f.bearer(iat=None),
    "iat in the future": lambda f: f.bearer(iat=moment(45)),
    "iat ten years ago": lambda f: f.bearer(iat=moment(-_TEN_YEARS)),
    "nbf in the future": lambda f: f.bearer(nbf=moment(45)),
    "exp negative": lambda f: f.bearer(exp=-1),
    "exp is true": lambda f: f.bearer(exp=True),
    "exp is a list": lambda f: f.bearer(exp=[moment(60)]),
    "life of sixteen minutes": lambda f: f.bearer(exp=moment(960)),
    "nbf is a text": lambda f: f.bearer(nbf="now"),
    "jti is a list": lambda f: f.bearer(jti=["j"]),
    "jti of 201 characters": lambda f: f.bearer(jti="j" * 201),
    "jti missing": lambda f: f.bearer(jti=None),
    "scope missing": lambda f: f.bearer(scope=None),
    "scope is a list": lambda f: f.bearer(scope=["statuses:report"]),
    "scope null": lambda f: f.bearer(scope=[None]),
    "bound to nothing": lambda f: f.bearer(cnf={}),
    "bound to a key (DPoP)": lambda f: f.bearer(cnf={"jkt": "A" * 43}),
    "bound to a list": lambda f: f.bearer(cnf=["A" * 43]),
    "aud is the issuer": lambda f: f.bearer(aud=ISSUER),
    "aud begins like ours": lambda f: f.bearer(aud=f"{RESOURCE}.evil.example"),
    "aud with a slash": lambda f: f.bearer(aud=f"{RESOURCE}/"),
    "sub is a list": lambda f: f.bearer(sub=[f.client_id]),
    "bound to a certificate": lambda f: f.bearer(cnf={"x5t#S256": "A" * 43}),
    "duplicate keys": lambda f: f"Bearer {f.with_duplicate()}",
    "claims are a list": lambda f: f"Bearer {signed(f.header, [], ec_key('current'))}",
    "claims are not JSON": lambda f: f"Bearer {signed(f.header, b'{', ec_key('current'))}",
    "client that does not exist": lambda f: f.bearer(sub="hub-gone", client_id="hub-gone", azp="hub-gone"),
}
