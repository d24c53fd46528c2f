"""Messages before their transaction: what can be told of each without looking at anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.status_message import spelled
from app.domain.value import value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from app.domain.codes import StatusSource
    from app.domain.personal_number import KeyChain, Pseudonym
    from app.domain.status_message import Correction, Refusal, StatusMessage
    from app.persistence.status_messages import MessageKey


@value
class Candidate:
    """A message of a sender. `key` is what it is known by: its sender, and the sender's id.

    `at` is when it occurred, spelled in UTC; empty for a correction that says nothing of it.
    """

    organisation_id: int
    source: StatusSource
    message: StatusMessage | Correction
    key: MessageKey
    pseudonym: Pseudonym | None
    digest: bytes
    at: str
    defect: Refusal | None
    field: str | None


def examine(
    messages: Sequence[StatusMessage | Correction],
    keys: KeyChain,
    now: datetime,
    *,
    organisation_id: int,
    source: StatusSource,
) -> list[Candidate]:
    """Judge the form of messages of one sender and compute their pseudonyms and digests."""
    pseudonyms, digest = keys.pseudonyms, keys.digest
    candidates = []
    for message in messages:
        number = message.personal_number
        digits = None if number is None else number.digits()
        at = "" if message.occurred_at is None else spelled(message.occurred_at)
        defect = message.defect(digits, now)
        candidates.append(
            Candidate(
                organisation_id,
                source,
                message,
                (organisation_id, str(message.message_id)),
                None if digits is None else pseudonyms(digits),
                digest(message.content(digits, at)),
                at,
                None if defect is None else defect.code,
                None if defect is None else defect.field,
            )
        )
    return candidates
