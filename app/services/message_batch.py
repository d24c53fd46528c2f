"""One batch of messages in one transaction: each judged in its order, each with its own outcome.

The order of the statements is what keeps concurrent batches from deadlocks and lost updates: students and
registrations are made in the order of their keys, registrations are locked in that order, and only then
are events drawn. However many messages there are, and of however many senders, the number of statements is
the same: facts, lock, write, and between them what makes students and registrations that are new.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import uuid4

from app.domain import codes
from app.domain.codes import StatusSource
from app.domain.message_result import MessageResult
from app.domain.registration import (
    Judgement,
    Registration,
    Sender,
    correct,
    in_full,
    judge,
    judge_first,
    refused,
)
from app.domain.status_message import (
    Correction,
    Finding,
    Outcome,
    Refusal,
    StatusMessage,
)
from app.persistence.batch_facts import Asked
from app.services.batch_journal import BatchJournal

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from app.domain.personal_number import KeyChain
    from app.domain.record import ProcessingRecord
    from app.persistence.batch_facts import BatchFacts
    from app.persistence.status_messages import BatchContext, LoggedMessage
    from app.persistence.unit_of_work import UnitOfWork
    from app.services.candidates import Candidate

_DUPLICATE = Judgement(Outcome.DUPLICATE, None)


class RemovedMeanwhileError(Exception):
    """A registration was removed between two looks at it; judge the batch again."""


class MessageBatch:
    """Judges and writes messages, of one sender or of several.

    Unless it `shows` registrations, the results of steps may lack theirs: nobody asks for them.
    """

    def __init__(
        self,
        unit: UnitOfWork,
        keys: KeyChain,
        candidates: Sequence[Candidate],
        clock: Callable[[], datetime],
        *,
        shows: bool = True,
    ) -> None:
        self._unit = unit
        self._keys = keys
        self._candidates = candidates
        self._clock = clock
        self._shows = shows
        self._now = clock()
        self._recorded_at = self._now
        self._states: dict[str, Registration] = {}
        self._fresh: set[str] = set()
        self._repeated: frozenset[str] = frozenset()
        self._students: dict[bytes, int] = {}
        self._regions: dict[str, str] = {}
        self._ids = list({one.key for one in candidates})
        self._journal = BatchJournal({}, self._now)

    @property
    def has_changes(self) -> bool:
        """Whether there is something for the dispatcher."""
        return self._journal.has_changes

    async def judge(self) -> list[MessageResult]:
        """Judge all messages; results in their order. Registrations stay locked, and new ones stand made."""
        facts = await self._facts()
        context = facts.context
        self._shows |= bool(facts.known)  # of a message that is known all is shown, as the batch leaves it
        self._journal = BatchJournal(
            facts.known, self._now, ids_repeat=len(self._ids) < len(self._candidates)
        )
        latest = self._now + codes.AHEAD_AT_MOST
        refusals = [one.defect or self._refusal(one, context, latest) for one in self._candidates]
        await self._load(
            [
                one
                for one, refusal in zip(self._candidates, refusals, strict=True)
                if refusal is None and one.key not in facts.known
            ],
            facts,
        )
        # After the locks: whoever had them before has an earlier time.
        self._recorded_at = recorded_at = self._clock()
        senders = {
            sender: Sender(*sender, recorded_at)
            for sender in {(one.organisation_id, one.source) for one in self._candidates}
        }
        answers = []
        for one, refusal in zip(self._candidates, refusals, strict=True):
            logged = self._journal.taken.get(one.key)
            if logged is None:
                sender = senders[one.organisation_id, one.source]
                judgement = self._judge(one, context, sender) if refusal is None else refused(refusal)
            elif logged.digest == one.digest:
                judgement = _DUPLICATE
            else:
                judgement, logged = refused(Refusal.MESSAGE_ID_REUSED), None
            if judgement.code is not None:
                self._journal.refuse(one, judgement.code)
            answers.append((one, judgement, logged))
        return await self._results(answers, context)

    async def write(self, records: Sequence[ProcessingRecord]) -> None:
        """Write what was judged, and the processings that it was."""
        await self._unit.registrations.discard(self._fresh)
        await self._unit.write(list(self._journal.parts(self._recorded_at, records)))

    def subjects(self, candidates: Sequence[Candidate], results: Sequence[MessageResult]) -> set[int]:
        """Return the students whom some of the messages, with their results, were about."""
        meant = {self._student_of(one) for one in candidates}
        told = {one.registration.student_id for one in results if one.registration is not None}
        return {student_id for student_id in meant if student_id is not None} | told

    async def _facts(self) -> BatchFacts:
        sound = [one for one in self._candidates if one.defect is None]
        messages = [one.message for one in sound]
        statuses = [message for message in messages if isinstance(message, StatusMessage)]
        return await self._unit.facts.read(
            Asked(
                {one.organisation_id for one in self._candidates},
                {message.brin for message in messages},
                {message.programme_code for message in statuses},
                {message.leaving_school for message in statuses if message.leaving_school is not None},
                {one.pseudonym for one in sound if one.pseudonym is not None},
                {message.application_id for message in messages},
                self._ids,
            ),
            codes.today(self._now),
        )

    def _refusal(self, one: Candidate, context: BatchContext, latest: datetime) -> Refusal | None:
        """Return why a sound message needs no look at its registration, unless its id is taken."""
        message = one.message
        if one.source is StatusSource.SIS and (one.organisation_id, message.brin) not in context.mandates:
            return Refusal.NO_MANDATE
        if message.brin not in context.institutions:
            return Refusal.UNKNOWN_INSTITUTION
        if message.occurred_at is not None and message.occurred_at > latest:
            return Refusal.IN_THE_FUTURE
        return None

    async def _load(self, candidates: Sequence[Candidate], facts: BatchFacts) -> None:
        """Make students and registrations that are new, and lock the registrations of the batch."""
        if not candidates:
            return
        unit = self._unit
        pseudonyms = {one.pseudonym for one in candidates if one.pseudonym is not None}
        self._students = {one[0]: facts.students[one[0]] for one in pseudonyms if one[0] in facts.students}
        if unknown := [one for one in pseudonyms if one[0] not in facts.students]:
            self._students |= await unit.students.ensure(unknown, self._keys)
        self._regions = facts.regions
        wanted = {one.message.application_id for one in candidates}
        if len(wanted) < len(candidates):
            counted = Counter(one.message.application_id for one in candidates)
            self._repeated = frozenset(key for key, number in counted.items() if number > 1)
        first: dict[str, Registration] = {}
        if facts.missing:
            for one in candidates:
                message = one.message
                if isinstance(message, StatusMessage) and message.application_id in facts.missing:
                    first.setdefault(message.application_id, self._made(message, one))
        self._fresh = await unit.registrations.create(list(first.values()))
        self._states = await unit.registrations.lock(wanted)
        # What a correction is about may be unknown; what a message is about was there, or was made.
        if (gone := wanted - self._states.keys()) and any(
            isinstance(one.message, StatusMessage) and one.message.application_id in gone
            for one in candidates
        ):
            raise RemovedMeanwhileError

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

    def _judge(self, one: Candidate, context: BatchContext, sender: Sender) -> Judgement:
        """Judge a message by its registration, and note what it did unless that is nothing."""
        message = one.message
        application_id = message.application_id
        current = self._states.get(application_id)
        if current is None:
            return refused(Refusal.UNKNOWN_REGISTRATION)
        alone = application_id not in self._repeated
        if isinstance(message, Correction):
            judgement = correct(current, message, self._student_of(one), sender)
        else:
            judgement = self._judge_message(current, message, one, sender, context)
            if judgement.is_step:
                if alone and self._journal.takes_steps and not self._shows:
                    self._journal.step(one, current, message.status, judgement.findings)
                    return judgement
                judgement = in_full(judgement, current, message, sender)
        after = judgement.registration
        if after is not None:
            self._fresh.discard(application_id)
            self._states[application_id] = after
            self._journal.accept(one, current, after, judgement, alone=alone)
        return judgement

    def _judge_message(
        self,
        current: Registration,
        message: StatusMessage,
        one: Candidate,
        sender: Sender,
        context: BatchContext,
    ) -> Judgement:
        student_id = self._student_of(one)
        if student_id is None:
            # Cannot be: `_load` made all that were unknown.
            return refused(Refusal.UNKNOWN_REGISTRATION)
        if message.application_id in self._fresh:
            judgement = judge_first(current, message, sender)
        else:
            judgement = judge(current, message, student_id, sender)
        if judgement.outcome is Outcome.REFUSED:
            return judgement
        if message.leaving_school is not None and judgement.outcome is Outcome.ACCEPTED:
            region = self._region_of(message)
            if region is not None and region != current.region:
                if judgement.is_step:
                    judgement = in_full(judgement, current, message, sender)
                judgement = _with_region(judgement, region)
        if message.programme_code not in context.programmes:
            judgement = replace(judgement, findings=(Finding.UNKNOWN_PROGRAMME, *judgement.findings))
        return judgement

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
        results: list[MessageResult] = []
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
            elif judgement.outcome is Outcome.REFUSED:
                field = one.field if judgement.code is one.defect else None
                results.append(MessageResult(message_id, Outcome.REFUSED, code=judgement.code, field=field))
            elif (after := judgement.registration) is None:  # a step that nobody looks at
                results.append(
                    MessageResult(message_id, Outcome.ACCEPTED, None, None, None, judgement.findings)
                )
            else:
                registration = present.get(after.id)
                results.append(
                    MessageResult(
                        message_id,
                        judgement.outcome,
                        findings=judgement.findings,
                        registration=shown_to(one.organisation_id, one.source, registration, context),
                    )
                )
        return results


def _with_region(judgement: Judgement, region: str) -> Judgement:
    after = judgement.registration
    if after is None:
        return judgement
    return replace(judgement, registration=replace(after, region=region), is_step=False)


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
