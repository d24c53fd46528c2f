"""One batch of messages in one transaction: each judged in its order, each with its own outcome.

The order of the statements is what keeps concurrent batches from deadlocks and lost updates: students and
registrations are made in the order of their keys, registrations are locked in that order, and only then
are events drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

from app.domain import codes
from app.domain.codes import StatusSource
from app.domain.message_result import MessageResult
from app.domain.registration import (
    ChangeKind,
    Judgement,
    Registration,
    Sender,
    correct,
    judge,
    judge_first,
)
from app.domain.status_message import (
    Correction,
    Finding,
    Outcome,
    Refusal,
    StatusMessage,
)
from app.persistence.events import RecordedChange
from app.persistence.status_messages import (
    BatchContext,
    LoggedMessage,
    MessageKey,
    NewMessage,
    RefusedMessage,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from app.domain.personal_number import KeyChain, Pseudonym
    from app.persistence.unit_of_work import UnitOfWork

DIGEST_VERSION = 1  # of the key of digests, which does not rotate: old messages must stay recognisable


@dataclass(frozen=True, slots=True)
class Candidate:
    """A message of a sender, with what was computed of it before the transaction."""

    organisation_id: int
    source: StatusSource
    message: StatusMessage | Correction
    pseudonym: Pseudonym | None
    digest: bytes
    defect: Refusal | None
    field: str | None

    @property
    def key(self) -> MessageKey:
        """What the message is known by: its sender, and the sender's id."""
        return self.organisation_id, self.message.message_id


def examine(
    message: StatusMessage | Correction,
    keys: KeyChain,
    now: datetime,
    *,
    organisation_id: int,
    source: StatusSource,
) -> Candidate:
    """Judge the form of a message and compute its pseudonym and digest."""
    number = message.personal_number
    digits = None if number is None else number.digits()
    pseudonym = None if digits is None else keys.pseudonyms(digits)
    defect = message.defect(digits, now)
    return Candidate(
        organisation_id,
        source,
        message,
        pseudonym,
        keys.digest(message.content(digits)),
        None if defect is None else defect.code,
        None if defect is None else defect.field,
    )


class MessageBatch:
    """Judges and writes messages, of one sender or of several."""

    def __init__(
        self,
        unit: UnitOfWork,
        keys: KeyChain,
        candidates: Sequence[Candidate],
        clock: Callable[[], datetime],
    ) -> None:
        self._unit = unit
        self._keys = keys
        self._candidates = candidates
        self._clock = clock
        self._now = clock()
        self._states: dict[str, Registration] = {}
        self._fresh: set[str] = set()
        self._taken: dict[MessageKey, LoggedMessage] = {}
        self._students: dict[bytes, int] = {}
        self._regions: dict[str, str] = {}
        self._changed: dict[str, None] = {}
        self._changes: list[RecordedChange] = []
        self._accepted: list[NewMessage] = []
        self._refused: list[RefusedMessage] = []

    async def run(self, *, dry_run: bool = False) -> list[MessageResult]:
        """Judge all messages, and write what they do unless this is a dry run; results in their order."""
        unit = self._unit
        self._taken = await unit.messages.known({one.key for one in self._candidates})
        context = await self._context()
        await self._load([one for one in self._candidates if self._early(one, context) is None])
        # After the locks: whoever had them before has an earlier time.
        recorded_at = self._clock()
        answers = [
            self._judge(one, context, Sender(one.organisation_id, one.source, recorded_at))
            for one in self._candidates
        ]
        if not dry_run:
            await self._write(recorded_at)
        return await self._results(answers, context)

    async def _context(self) -> BatchContext:
        messages = [one.message for one in self._candidates if one.defect is None]
        return await self._unit.messages.context(
            {one.organisation_id for one in self._candidates},
            codes.today(self._now),
            {message.brin for message in messages},
            {message.programme_code for message in messages if isinstance(message, StatusMessage)},
        )

    def _early(self, one: Candidate, context: BatchContext) -> Refusal | None:
        """Return why a message needs no look at its registration; DUPLICATE ones count as reused here."""
        message = one.message
        if one.key in self._taken:
            return Refusal.MESSAGE_ID_REUSED
        if one.defect is not None:
            return one.defect
        if one.source is StatusSource.SIS and (one.organisation_id, message.brin) not in context.mandates:
            return Refusal.NO_MANDATE
        if message.brin not in context.institutions:
            return Refusal.UNKNOWN_INSTITUTION
        if message.occurred_at is not None and message.occurred_at > self._now + codes.AHEAD_AT_MOST:
            return Refusal.IN_THE_FUTURE
        return None

    async def _load(self, candidates: Sequence[Candidate]) -> None:
        """Make students and registrations that are new, and lock the registrations of the batch."""
        if not candidates:
            return
        unit = self._unit
        self._students = await unit.students.ensure(
            {one.pseudonym for one in candidates if one.pseudonym is not None}, self._keys
        )
        self._regions = await unit.registrations.regions(
            {
                one.message.leaving_school
                for one in candidates
                if isinstance(one.message, StatusMessage) and one.message.leaving_school is not None
            }
        )
        wanted = {one.message.application_id for one in candidates}
        missing = wanted - await unit.registrations.existing(wanted)
        first: dict[str, Registration] = {}
        for one in candidates:
            message = one.message
            if isinstance(message, StatusMessage) and message.application_id in missing:
                first.setdefault(message.application_id, self._made(message, one))
        self._fresh = await unit.registrations.create(list(first.values()))
        self._states = await unit.registrations.lock(wanted)

    def _made(self, message: StatusMessage, one: Candidate) -> Registration:
        return Registration(
            id=0,
            public_id=uuid4(),
            application_id=message.application_id,
            student_id=self._student_of(one) or 0,
            brin=message.brin,
            programme_code=message.programme_code,
            learning_path=message.learning_path,
            school_year=message.school_year,
            programme_year=message.programme_year,
            status=message.status,
            status_since=message.occurred_at,
            status_source=one.source,
            effective_at=min(message.occurred_at, self._now),
            last_confirmed_at=self._now,
            annulled_by=None,
            reported_by=(one.organisation_id,),
            region=self._region_of(message),
        )

    def _student_of(self, one: Candidate) -> int | None:
        return None if one.pseudonym is None else self._students.get(one.pseudonym[0])

    def _region_of(self, message: StatusMessage) -> str | None:
        return None if message.leaving_school is None else self._regions.get(message.leaving_school)

    def _judge(
        self, one: Candidate, context: BatchContext, sender: Sender
    ) -> tuple[Candidate, Judgement, LoggedMessage | None]:
        message = one.message
        logged = self._taken.get(one.key)
        if logged is not None:
            if logged.digest == one.digest:
                return one, Judgement(Outcome.DUPLICATE, None), logged
            return self._refuse(one, Refusal.MESSAGE_ID_REUSED)
        early = self._early(one, context)
        if early is not None:
            return self._refuse(one, early)
        current = self._states.get(message.application_id)
        if isinstance(message, Correction):
            judgement = correct(current, message, self._student_of(one), sender)
        else:
            judgement = self._judge_message(current, message, one, sender, context)
        if judgement.registration is None:
            return self._refuse(one, judgement.code or Refusal.UNKNOWN_REGISTRATION)
        self._accept(one, current, judgement)
        return one, judgement, None

    def _judge_message(
        self,
        current: Registration | None,
        message: StatusMessage,
        one: Candidate,
        sender: Sender,
        context: BatchContext,
    ) -> Judgement:
        student_id = self._student_of(one)
        if current is None or student_id is None:
            # Cannot be: what is no correction was made by `_load`.
            return Judgement(Outcome.REFUSED, None, code=Refusal.UNKNOWN_REGISTRATION)
        if message.application_id in self._fresh:
            judgement = judge_first(current, message, sender)
        else:
            judgement = judge(current, message, student_id, sender)
        if judgement.registration is None:
            return judgement
        after = judgement.registration
        region = self._region_of(message)
        if region is not None and region != after.region and judgement.outcome is Outcome.ACCEPTED:
            judgement = replace(judgement, registration=replace(after, region=region))
        if message.programme_code not in context.programmes:
            judgement = replace(judgement, findings=(Finding.UNKNOWN_PROGRAMME, *judgement.findings))
        return judgement

    def _refuse(self, one: Candidate, code: Refusal) -> tuple[Candidate, Judgement, None]:
        message = one.message
        field = one.field if code is one.defect else None
        brin = message.brin if codes.is_brin(message.brin) else None
        self._refused.append(RefusedMessage(one.organisation_id, message.message_id, brin, code, field))
        return one, Judgement(Outcome.REFUSED, None, code=code), None

    def _accept(self, one: Candidate, before: Registration | None, judgement: Judgement) -> None:
        message, after = one.message, judgement.registration
        if after is None:
            return
        self._fresh.discard(message.application_id)
        self._states[message.application_id] = after
        if after is not before:
            self._changed[message.application_id] = None
        self._changes.extend(
            RecordedChange(one.organisation_id, after.id, change) for change in judgement.changes
        )
        self._taken[one.key] = LoggedMessage(
            message.message_id,
            judgement.outcome,
            one.digest,
            DIGEST_VERSION,
            judgement.findings,
            after.id,
        )
        self._accepted.append(
            NewMessage(
                one.organisation_id,
                message.message_id,
                after.brin,
                after.id,
                judgement.outcome,
                judgement.findings,
                one.digest,
                message.occurred_at or self._now,
            )
        )

    async def _write(self, recorded_at: datetime) -> None:
        unit = self._unit
        await unit.registrations.discard(self._fresh)
        await unit.registrations.update([self._states[key] for key in self._changed])
        await unit.events.append(recorded_at, self._changes)
        await unit.messages.add(self._accepted, DIGEST_VERSION, recorded_at)
        await unit.messages.add_refused(self._refused, recorded_at)

    def subjects(self, candidates: Sequence[Candidate], results: Sequence[MessageResult]) -> set[int]:
        """Return the students whom some of the messages, with their results, were about."""
        meant = {self._student_of(one) for one in candidates}
        told = {one.registration.student_id for one in results if one.registration is not None}
        return {student_id for student_id in meant if student_id is not None} | told

    @property
    def has_changes(self) -> bool:
        """Whether there is something for the dispatcher."""
        return any(one.change.kind is not ChangeKind.OUTDATED for one in self._changes)

    async def _results(
        self,
        answers: Sequence[tuple[Candidate, Judgement, LoggedMessage | None]],
        context: BatchContext,
    ) -> list[MessageResult]:
        present = {state.id: state for state in self._states.values()}
        elsewhere = {
            logged.registration_id
            for _, _, logged in answers
            if logged is not None
            and logged.registration_id is not None
            and logged.registration_id not in present
        }
        if elsewhere:
            present |= await self._unit.registrations.by_ids(elsewhere)
        results = []
        for one, judgement, logged in answers:
            message_id = one.message.message_id
            if logged is not None:
                registration = present.get(logged.registration_id or 0)
                results.append(
                    MessageResult(
                        message_id,
                        Outcome.DUPLICATE,
                        original_outcome=logged.outcome,
                        findings=logged.findings,
                        registration=shown_to(one.organisation_id, one.source, registration, context),
                    )
                )
            elif judgement.registration is None:
                field = one.field if judgement.code is one.defect else None
                results.append(MessageResult(message_id, Outcome.REFUSED, code=judgement.code, field=field))
            else:
                results.append(
                    MessageResult(
                        message_id,
                        judgement.outcome,
                        findings=judgement.findings,
                        registration=shown_to(
                            one.organisation_id, one.source, present.get(judgement.registration.id), context
                        ),
                    )
                )
        return results


def shown_to(
    organisation_id: int,
    source: StatusSource,
    registration: Registration | None,
    context: BatchContext,
) -> Registration | None:
    """Return a registration that a sender reported, unless it may no longer see it."""
    if registration is None or registration.annulled_by not in {None, organisation_id}:
        return None
    if source is StatusSource.SIS and (organisation_id, registration.brin) not in context.mandates:
        return None
    return registration
