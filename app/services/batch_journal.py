"""What a batch does, collected while it is judged and then written in one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.registration import ChangeKind
from app.domain.status_message import Outcome, spelled
from app.persistence.events import RecordedChange, appending
from app.persistence.records import processing
from app.persistence.registrations import updating
from app.persistence.status_messages import (
    LoggedMessage,
    MessageKey,
    NewMessage,
    RefusedMessage,
    refusing,
    taking,
)
from app.persistence.steps import Step, stepping

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from app.domain.codes import Status
    from app.domain.record import ProcessingRecord
    from app.domain.registration import Judgement, Registration
    from app.domain.status_message import Finding, Refusal
    from app.persistence.parts import Part
    from app.services.candidates import Candidate

DIGEST_VERSION = 1  # of the key of digests, which does not rotate: old messages must stay recognisable


class BatchJournal:
    """Collects judgements.

    `taken` are the message ids that nobody can have any more: at first those of the log and, where ids repeat
    within the batch, those that it takes itself. `takes_steps` tells whether a step can be noted as one:
    these are written before other changes, so after one of those a step takes the longer way, and feeds keep
    the order of the list.
    """

    def __init__(
        self, taken: dict[MessageKey, LoggedMessage], now: datetime, *, ids_repeat: bool = False
    ) -> None:
        self.taken = taken
        self.takes_steps = True
        self._ids_repeat = ids_repeat
        self._now = spelled(now)
        self._steps: list[Step] = []
        self._changed: dict[str, Registration] = {}
        self._changes: list[RecordedChange] = []
        self._accepted: list[NewMessage] = []
        self._refused: list[RefusedMessage] = []

    @property
    def has_changes(self) -> bool:
        """Whether there is something for the dispatcher."""
        return bool(self._steps) or any(one.change.kind is not ChangeKind.OUTDATED for one in self._changes)

    def refuse(self, one: Candidate, code: Refusal) -> None:
        """Note a refusal; the id stays free."""
        message = one.message
        field = one.field if code is one.defect else None
        brin = message.brin if codes.is_brin(message.brin) else None
        self._refused.append(RefusedMessage(one.organisation_id, one.key[1], brin, code, field))

    def step(
        self, one: Candidate, before: Registration, status: Status, findings: tuple[Finding, ...]
    ) -> None:
        """Note a message that moves the status of a registration; no other of the batch is about it."""
        if self._ids_repeat:
            self._take(one, Outcome.ACCEPTED, findings, before.id)
        self._steps.append(
            (
                one.organisation_id,
                one.source,
                one.key[1],
                before.id,
                status,
                before.status,
                findings,
                one.digest,
                one.at,
            )
        )

    def _take(
        self, one: Candidate, outcome: Outcome, findings: tuple[Finding, ...], registration_id: int
    ) -> None:
        self.taken[one.key] = LoggedMessage(
            one.key[1], outcome, one.digest, DIGEST_VERSION, findings, registration_id
        )

    def accept(
        self, one: Candidate, before: Registration, after: Registration, judgement: Judgement, *, alone: bool
    ) -> None:
        """Note what a message did. `alone`: no other message of the batch is about its registration."""
        outcome, findings = judgement.outcome, judgement.findings
        if alone and judgement.is_step and self.takes_steps:
            self.step(one, before, after.status, findings)
            return
        if self._ids_repeat:
            self._take(one, outcome, findings, after.id)
        if after is not before:
            self._changed[after.application_id] = after
        for change in judgement.changes:
            self._changes.append(RecordedChange(one.organisation_id, after.id, change))
            self.takes_steps = False
        self._accepted.append(
            NewMessage(
                one.organisation_id,
                one.key[1],
                after.brin,
                after.id,
                outcome,
                findings,
                one.digest,
                one.at or self._now,
            )
        )

    def parts(self, recorded_at: datetime, records: Sequence[ProcessingRecord]) -> Iterator[Part]:
        """Yield what writes it all, beside the processings that the batch was."""
        if self._steps:
            yield stepping(recorded_at, self._steps)
        if self._changed:
            yield updating(list(self._changed.values()))
        if self._changes:
            yield appending(recorded_at, self._changes, after_steps=bool(self._steps))
        if self._steps or self._accepted:
            yield taking(self._accepted, DIGEST_VERSION, recorded_at, steps=bool(self._steps))
        if self._refused:
            yield refusing(self._refused, recorded_at)
        if records:
            yield processing(records)
