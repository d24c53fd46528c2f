"""Webhooks: what may be registered, what a notification says, how it is signed, when it is tried again.

A notification tells that there is something to fetch, and nothing else: no person, no status, no reference.
Its form is a CloudEvent after the NL GOV profile (JSON, structured mode), its signature that of Standard
Webhooks.
"""

from __future__ import annotations

import base64
import hmac
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Self
from urllib.parse import urlsplit

from app.domain.errors import BadUserInputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

EVENT_TYPE = "nl.mbo-koppelpunt.status-changed.v1"
CONTENT_TYPE = "application/cloudevents+json; charset=UTF-8"
SECRET_PREFIX = "whsec_"  # noqa: S105 - what every secret of Standard Webhooks begins with
PATIENCE = timedelta(days=3)

_FIRST_PAUSE = timedelta(seconds=5)
_LONGEST_PAUSE = timedelta(hours=6)
_LONGEST_WISH = timedelta(days=1)
_LONGEST_ADDRESS = 2000
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.ASCII)
_FIELD = "input.url"


class WebhookState(StrEnum):
    """Whether a receiver gets notifications."""

    ACTIVE = "ACTIVE"
    RETRYING = "RETRYING"
    STOPPED = "STOPPED"


class WebhookProblem(StrEnum):
    """Why the latest attempt failed."""

    NAME_NOT_FOUND = "NAME_NOT_FOUND"
    ADDRESS_NOT_ALLOWED = "ADDRESS_NOT_ALLOWED"
    NOT_CONNECTED = "NOT_CONNECTED"
    CERTIFICATE_REFUSED = "CERTIFICATE_REFUSED"
    TIMED_OUT = "TIMED_OUT"
    NOT_HTTP = "NOT_HTTP"
    REDIRECTED = "REDIRECTED"
    GONE = "GONE"
    TOO_MANY_REQUESTS = "TOO_MANY_REQUESTS"
    REFUSED = "REFUSED"
    FAILED = "FAILED"
    SECRET_UNREADABLE = "SECRET_UNREADABLE"  # noqa: S105 - the name of a problem


# Trying again cannot help: the receiver wants no more, or there is nothing left to sign with.
_FINAL = frozenset({WebhookProblem.GONE, WebhookProblem.SECRET_UNREADABLE})


@dataclass(frozen=True, slots=True)
class WebhookAddress:
    """Where notifications go, taken apart once; whoever connects uses the parts and parses nothing again."""

    url: str = field(repr=False)
    scheme: str
    host: str
    port: int
    target: str = field(repr=False)

    @classmethod
    def parse(cls, url: str, *, plain: bool) -> Self:
        """Take an address apart; `plain` lets `http` pass. Raise BadUserInputError for what is none."""
        if not url.isascii() or not url.isprintable() or re.search(r'[\s\\"<>^`{|}]', url):
            raise BadUserInputError(_FIELD, "Write the address in ASCII, with percent-encoding and punycode.")
        if len(url) > _LONGEST_ADDRESS:
            raise BadUserInputError(_FIELD, f"An address has at most {_LONGEST_ADDRESS:,} characters.")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError:
            raise BadUserInputError(_FIELD, "This is not an address.") from None
        if parts.scheme not in ({"https", "http"} if plain else {"https"}):
            raise BadUserInputError(_FIELD, "The address must begin with https://.")
        if "@" in parts.netloc or "#" in url:
            raise BadUserInputError(_FIELD, "The address must have neither a user nor a fragment.")
        in_brackets = "[" in parts.netloc
        if port == 0 or not (in_brackets or _HOST.fullmatch(host)) or "%" in host:
            raise BadUserInputError(_FIELD, "The host of the address is not one.")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return cls(url, parts.scheme, host, port or (443 if parts.scheme == "https" else 80), target)

    @property
    def authority(self) -> str:
        """Host, and port where it is not the usual one, as they stand in the `Host` header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        usual = 443 if self.scheme == "https" else 80
        return host if self.port == usual else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A receiver's webhook as its owner sees it.

    `next_attempt_at` is None unless it is RETRYING; `last_problem` is None after a success and after a reset.
    """

    url: str = field(repr=False)
    state: WebhookState
    last_delivered_number: int
    last_attempt_at: datetime | None
    next_attempt_at: datetime | None
    failures: int
    last_problem: WebhookProblem | None


@dataclass(frozen=True, slots=True)
class Notification:
    """What is told: everything up to `number` is there to be fetched. Repeated with the same `id`.

    `at` is the time of the number.
    """

    id: UUID
    number: int
    at: datetime

    def body(self, source: str, dataref: str) -> bytes:
        """Return the CloudEvent. `source` names the hub, `dataref` is where to ask."""
        event = {
            "specversion": "1.0",
            "id": str(self.id),
            "source": source,
            "type": EVENT_TYPE,
            "time": self.at.astimezone(UTC).isoformat().removesuffix("+00:00") + "Z",
            "sequence": str(self.number),
            "sequencetype": "Integer",
            "dataref": dataref,
        }
        return json.dumps(event, separators=(",", ":")).encode()


def source_of(oin: str) -> str:
    """Return how the hub of an organisation names itself in events."""
    return f"urn:nld:oin:{oin}:systeem:koppelpunt"


def shown(secret: bytes) -> str:
    """Return a secret as its owner gets it, once."""
    return SECRET_PREFIX + base64.b64encode(secret).decode()


def signature_headers(secret: bytes, message_id: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """Return the headers of Standard Webhooks over a body that is sent at this moment."""
    timestamp = str(int(at.timestamp()))
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    signature = base64.b64encode(hmac.digest(secret, signed, "sha256")).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{signature}",
    }


@dataclass(frozen=True, slots=True)
class Setback:
    """What an attempt that failed leaves behind."""

    state: WebhookState
    failures: int
    failing_since: datetime
    next_attempt_at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """How it went before: failures in a row, and since when."""

    failures: int = 0
    failing_since: datetime | None = None

    def after_failure(
        self, problem: WebhookProblem, now: datetime, *, wish: timedelta | None, luck: float
    ) -> Setback:
        """Return how to go on: again after 5 s, 10 s, … 6 h, ±25 %, until three days after the first failure.

        `wish` is the receiver's Retry-After, obeyed up to a day; `luck` from 0 to 1 is the jitter, so that
        receivers that failed together do not all come back together.
        """
        since = self.failing_since or now
        end = since + PATIENCE
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures, 20), _LONGEST_PAUSE) * (0.75 + luck / 2)
        again = min(now + pause, end)
        if wish is not None:
            again = max(again, now + min(wish, _LONGEST_WISH))
        stopped = problem in _FINAL or now >= end
        state = WebhookState.STOPPED if stopped else WebhookState.RETRYING
        return Setback(state, self.failures + 1, since, again)


def retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Return what a Retry-After header asks for: seconds or a date; None for what is neither."""
    if value is None:
        return None
    if value.isascii() and value.isdigit():
        return timedelta(seconds=min(int(value[:10]), _LONGEST_WISH.total_seconds()))
    try:
        at = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    return max(at.replace(tzinfo=at.tzinfo or UTC) - now, timedelta())
