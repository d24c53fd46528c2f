r"""A complete small sender: reports statuses until each has its outcome, whatever happens between.

    pip install httpx joserfc
    HUB_URL=https://hub.example CLIENT_ID=hub-… KEY_FILE=private-key.json \
        python sis.py outbox.jsonl done.jsonl

`outbox.jsonl` holds one message a line, as `StatusMessageInput` has it, each with a `messageId` that the SIS
drew once, when it wrote the line. The id is what makes sending again safe: the hub answers DUPLICATE with the
outcome of the first time. Outcomes are added to `done.jsonl`; what stands there is not sent again.
"""

from __future__ import annotations

import json
import os
import sys
import time
import uuid
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

MESSAGES_AT_ONCE = 500  # at most 1,000, and 1 MiB
LONGEST_WAIT = float(os.environ.get("LONGEST_WAIT_SECONDS", "30"))
PASSING = {"UNAUTHENTICATED", "RATE_LIMITED", "UNAVAILABLE", "INTERNAL"}

REPORT = """
mutation Report($input: ReportStatusesInput!) {
  reportStatuses(input: $input) { results { messageId outcome originalOutcome code field findings } }
}
"""


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
    body = {"query": REPORT, "variables": {"input": {"messages": messages}}}
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
        raise SystemExit(f"the hub refuses the batch: {code}: {errors[0]['message']}")
    results: list[dict[str, Any]] = content["data"]["reportStatuses"]["results"]
    return results


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


def main(outbox: Path, done: Path) -> None:
    """Send everything."""
    bearer = ""
    with httpx.Client(timeout=60) as client, done.open("a") as log:
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
    main(Path(sys.argv[1]), Path(sys.argv[2]))
