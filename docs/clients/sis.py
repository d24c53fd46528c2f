r"""A complete small sender: reports statuses until each has its outcome, whatever happens between.

    pip install httpx joserfc
    HUB_URL=https://hub.example CLIENT_ID=hub-… KEY_FILE=private-key.json \
        python sis.py outbox.jsonl done.jsonl

CERTIFICATE_FILE and CERTIFICATE_KEY_FILE (PEM) are your client certificate, CA_FILE the authorities that you
trust, if not the usual ones.

`outbox.jsonl` holds one message a line, as `StatusMessageInput` has it, each with a `messageId` that the SIS
drew once, when it wrote the line. The id is what makes sending again safe: the hub answers DUPLICATE with the
outcome of the first time. Outcomes are added to `done.jsonl`; what stands there is not sent again.

    python sis.py compare registrations.json 25LH 2026

`registrations.json` holds all that the SIS has at this institution in this school year, statuses by
application id: `{"A-1": "ENROLLED", …}`. One line is printed for each difference; what to do about it is for
the SIS to decide, and it does so with messages.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
import uuid
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from joserfc import jwt
from joserfc.jwk import JWKRegistry

if TYPE_CHECKING:
    from collections.abc import Iterator

HUB = os.environ["HUB_URL"].rstrip("/")
CLIENT_ID = os.environ["CLIENT_ID"]
KEY = JWKRegistry.import_key(json.loads(Path(os.environ["KEY_FILE"]).read_text()))


def tls() -> ssl.SSLContext:
    """Return what connections are made with: your client certificate, where the hub knows you by one."""
    context = ssl.create_default_context(cafile=os.environ.get("CA_FILE"))
    if certificate := os.environ.get("CERTIFICATE_FILE"):
        context.load_cert_chain(certificate, os.environ["CERTIFICATE_KEY_FILE"])
    return context


TLS = tls()

MESSAGES_AT_ONCE = 500  # at most 1,000, and 1 MiB
LONGEST_WAIT = float(os.environ.get("LONGEST_WAIT_SECONDS", "30"))
PASSING = {"UNAUTHENTICATED", "RATE_LIMITED", "UNAVAILABLE", "INTERNAL"}

REPORT = """
mutation Report($input: ReportStatusesInput!) {
  reportStatuses(input: $input) { results { messageId outcome originalOutcome code field findings } }
}
"""
DIGEST = """
query Digest($brin: BRIN!, $schoolYear: Int!, $prefix: String!) {
  registrationDigest(brin: $brin, schoolYear: $schoolYear, prefix: $prefix) {
    prefix count digest children { prefix count digest }
  }
}
"""
COMPARE = """
query Compare($input: CompareRegistrationsInput!) {
  compareRegistrations(input: $input) { differences { applicationId difference status field } }
}
"""
LISTED_AT_ONCE = 1000


class TryAgainError(Exception):
    """It is not known what became of the batch: send the very same again."""


def token(client: httpx.Client) -> str:
    """Get an access token by private_key_jwt; it lives 15 minutes at most."""
    now = int(time.time())
    claims = {
        "iss": CLIENT_ID,
        "sub": CLIENT_ID,
        "aud": f"{HUB}/oauth/token",
        "iat": now,
        "exp": now + 60,
        "jti": str(uuid.uuid4()),
    }
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode({"alg": "ES256", "kid": KEY.kid}, claims, KEY),
    }
    answer = client.post(f"{HUB}/oauth/token", data=form)
    if answer.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
        raise TryAgainError
    return str(answer.raise_for_status().json()["access_token"])


def report(client: httpx.Client, bearer: str, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Send a batch and return the outcome of each message, in their order."""
    data = ask(client, bearer, REPORT, {"input": {"messages": messages}})
    results: list[dict[str, Any]] = data["reportStatuses"]["results"]
    return results


def ask(client: httpx.Client, bearer: str, document: str, variables: dict[str, Any]) -> dict[str, Any]:
    """Return the data of an operation."""
    body = {"query": document, "variables": variables}
    headers = {"Authorization": f"Bearer {bearer}", "Accept": "application/graphql-response+json"}
    answer = client.post(f"{HUB}/graphql", json=body, headers=headers)
    try:
        content = answer.json()
    except ValueError as error:  # a proxy between, for one
        raise TryAgainError from error
    if errors := content.get("errors"):
        code = errors[0].get("extensions", {}).get("code")
        if code in PASSING:
            raise TryAgainError
        raise SystemExit(f"the hub refuses this: {code}: {errors[0]['message']}")
    data: dict[str, Any] = content["data"]
    return data


def batches(outbox: Path, done: Path) -> Iterator[list[dict[str, Any]]]:
    """Yield what has no outcome yet, in its order."""
    lines = done.read_text().splitlines() if done.exists() else []
    known = {json.loads(line)["messageId"] for line in lines}
    waiting = [
        message
        for message in map(json.loads, outbox.read_text().splitlines())
        if message["messageId"] not in known
    ]
    for first in range(0, len(waiting), MESSAGES_AT_ONCE):
        yield waiting[first : first + MESSAGES_AT_ONCE]


class Comparison:
    """All that the SIS has of an institution and school year, against what the hub has of it."""

    def __init__(self, client: httpx.Client, statuses: dict[str, str], brin: str, school_year: int) -> None:
        self.client = client
        self.bearer = token(client)
        self.place = {"brin": brin, "schoolYear": school_year}
        self.mine = sorted(
            (sha256(one.encode()).hexdigest(), one, status) for one, status in statuses.items()
        )

    def below(self, prefix: str) -> list[tuple[str, str, str]]:
        """Return (hash, application id, status) of what falls below a prefix, in the order of the hashes."""
        return [one for one in self.mine if one[0].startswith(prefix)]

    def same(self, theirs: dict[str, Any]) -> bool:
        """Tell whether both sides have the same below a prefix."""
        lines = "".join(f"{hashed} {status}\n" for hashed, _, status in self.below(theirs["prefix"]))
        return bool(theirs["digest"] == sha256(lines.encode()).hexdigest())

    def differences(self, prefix: str = "") -> Iterator[dict[str, Any]]:
        """Go down where the digests differ, and compare lists where these are short enough."""
        found = ask(self.client, self.bearer, DIGEST, {**self.place, "prefix": prefix})["registrationDigest"]
        if self.same(found):
            return
        if max(found["count"], len(self.below(prefix))) <= LISTED_AT_ONCE:
            yield from self.compared(prefix)
            return
        children = {child["prefix"]: child for child in found["children"]}
        for child in sorted({*children, *(one[0][: len(prefix) + 2] for one in self.below(prefix))}):
            if not self.same(children.get(child, {"prefix": child, "digest": ""})):
                yield from self.differences(child)

    def compared(self, prefix: str) -> list[dict[str, Any]]:
        """Send all that the SIS has below a prefix, and return what differs."""
        listed = [{"applicationId": one, "status": status} for _, one, status in self.below(prefix)]
        given = {**self.place, "prefix": prefix, "registrations": listed}
        data = ask(self.client, self.bearer, COMPARE, {"input": given})
        differences: list[dict[str, Any]] = data["compareRegistrations"]["differences"]
        return differences


def compare(file: Path, brin: str, school_year: int) -> None:
    """Print every difference."""
    with httpx.Client(verify=TLS, timeout=60) as client:
        statuses = json.loads(file.read_text())
        for difference in Comparison(client, statuses, brin, school_year).differences():
            sys.stdout.write(f"{json.dumps(difference)}\n")


def main(outbox: Path, done: Path) -> None:
    """Send everything."""
    bearer = ""
    with httpx.Client(verify=TLS, timeout=60) as client, done.open("a") as log:
        for messages in batches(outbox, done):
            wait = 0.2
            while True:
                try:
                    bearer = bearer or token(client)
                    results = report(client, bearer, messages)
                    break
                except (TryAgainError, httpx.TransportError):
                    bearer = ""
                    time.sleep(wait)
                    wait = min(LONGEST_WAIT, 2 * wait)
            # A REFUSED message needs a person: its code says why. The others are on disk at the hub.
            log.writelines(f"{json.dumps(result)}\n" for result in results)
            log.flush()


if __name__ == "__main__":
    if sys.argv[1] == "compare":
        compare(Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
