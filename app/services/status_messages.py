"""Reporting statuses, correcting registrations, and looking back at what became of messages."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import chain, islice
from operator import attrgetter
from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, Role, Scope, require
from app.domain.codes import StatusSource
from app.domain.errors import BadUserInputError, UnavailableError
from app.domain.message_result import MessageResult
from app.domain.rates import Quotas
from app.domain.record import Activity, Processing
from app.domain.status_message import Refusal
from app.persistence.retry import CONTENTION
from app.persistence.status_messages import MessageIdTakenError
from app.persistence.unit_of_work import reading, unit_of_work
from app.services.candidates import Candidate, examine
from app.services.message_batch import MessageBatch, RemovedMeanwhileError, shown_to
from app.services.processing_log import ProcessingLog
from app.services.rates import count_failed_numbers
from app.services.together import Together
from app.telemetry import MESSAGES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from app.domain.personal_number import KeyChain
    from app.domain.status_message import Correction, MessageId, StatusMessage
    from app.persistence.database import Database
    from app.services.key_files import KeySource

MESSAGES_AT_MOST = 1000
CORRECTIONS_AT_MOST = 100
_ATTEMPTS = 12
_OUTCOME = attrgetter("outcome", "code")
_SMALL = 20  # submissions of up to so many messages share a transaction when they arrive together
_PAUSE_SECONDS = 0.002  # after a transaction of many, before the next


class _DryRunError(Exception):
    """Rolls a judged batch back."""

    def __init__(self, results: list[MessageResult]) -> None:
        super().__init__()
        self.results = results


@dataclass(frozen=True, slots=True)
class _Submission:
    """What one caller sent at once; it `shows` registrations if the caller asked for them."""

    processing: Processing
    candidates: list[Candidate]
    shows: bool = True


class StatusMessageService:
    """What senders do."""

    def __init__(
        self,
        database: Database,
        keys: KeySource[KeyChain],
        clock: Callable[[], datetime],
        ring: Callable[[], None],
        *,
        quotas: Quotas | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._ring = ring
        self._quotas = quotas or Quotas()
        self._log = ProcessingLog(database, clock)
        self._together: Together[_Submission, list[MessageResult]] = Together(
            self._record, pause=_PAUSE_SECONDS
        )

    async def report(
        self,
        principal: Principal,
        messages: Sequence[StatusMessage],
        *,
        dry_run: bool = False,
        shows: bool = True,
    ) -> list[MessageResult]:
        """Judge and record 1 to 1,000 messages in one transaction; answered after its commit.

        Results come in the order of the messages. A refused message changes nothing and spoils nothing.
        Unless registrations are to be shown, some results lack theirs.
        """
        if not 1 <= len(messages) <= MESSAGES_AT_MOST:
            field = "input.messages"
            raise BadUserInputError(field, "A batch has 1 to 1,000 messages.")
        submission = self._submission(principal, messages, Activity.REPORT_STATUSES, shows=shows)
        await self._count_failed(principal, submission.candidates)
        if dry_run:
            return await self._dry_run(submission)
        if len(messages) <= _SMALL:
            return await self._together.do(submission)
        return (await self._record([submission]))[0]

    async def correct(self, principal: Principal, corrections: Sequence[Correction]) -> list[MessageResult]:
        """Judge and record 1 to 100 explicit corrections, which win over time."""
        if not 1 <= len(corrections) <= CORRECTIONS_AT_MOST:
            field = "input.corrections"
            raise BadUserInputError(field, "A batch has 1 to 100 corrections.")
        submission = self._submission(principal, corrections, Activity.CORRECT_REGISTRATIONS)
        await self._count_failed(principal, submission.candidates)
        return (await self._record([submission]))[0]

    def _submission(
        self,
        principal: Principal,
        messages: Sequence[StatusMessage | Correction],
        activity: Activity,
        *,
        shows: bool = True,
    ) -> _Submission:
        require(principal, Scope.STATUSES_REPORT)
        now = self._clock()
        source = StatusSource.CAMBO if principal.role is Role.CAMBO else StatusSource.SIS
        keys = self._keys.latest()
        candidates = examine(messages, keys, now, organisation_id=principal.organisation_id, source=source)
        return _Submission(self._log.begin(principal, activity), candidates, shows)

    async def _count_failed(self, principal: Principal, candidates: Sequence[Candidate]) -> None:
        if failed := sum(one.defect is Refusal.PERSONAL_NUMBER_INVALID for one in candidates):
            await count_failed_numbers(self._database, principal, failed, self._quotas, self._clock())

    async def _record(self, submissions: Sequence[_Submission]) -> list[list[MessageResult]]:
        """Judge and write submissions, one after another, in one transaction; results for each."""
        candidates = list(chain.from_iterable(submission.candidates for submission in submissions))
        shows = any(submission.shows for submission in submissions)
        for _ in range(_ATTEMPTS):
            try:
                async with unit_of_work(self._database) as unit:
                    batch = MessageBatch(unit, self._keys.latest(), candidates, self._clock, shows=shows)
                    results = await batch.judge()
                    remaining = iter(results)
                    each = [list(islice(remaining, len(submission.candidates))) for submission in submissions]
                    await batch.write(
                        [
                            self._log.ended(one.processing, batch.subjects(one.candidates, told))
                            for one, told in zip(submissions, each, strict=True)
                        ]
                    )
            except (MessageIdTakenError, RemovedMeanwhileError):
                continue
            except CONTENTION:
                if len(submissions) > 1:
                    raise  # each for itself then, so that one row that is held does not hold up the others
                continue
            if batch.has_changes:
                self._ring()
            _count(results)
            return each
        raise UnavailableError

    async def _dry_run(self, submission: _Submission) -> list[MessageResult]:
        try:
            async with unit_of_work(self._database) as unit:
                batch = MessageBatch(unit, self._keys.latest(), submission.candidates, self._clock)
                results = await batch.judge()
                raise _DryRunError(results)  # noqa: TRY301 - leaving the block so is what rolls back
        except _DryRunError as judged:
            told = (one.registration for one in judged.results)
            await self._log.read(submission.processing, (one.student_id for one in told if one is not None))
            return judged.results
        except (*CONTENTION, RemovedMeanwhileError) as error:
            raise UnavailableError from error

    async def results(
        self, principal: Principal, message_ids: Sequence[MessageId]
    ) -> list[MessageResult | None]:
        """Return what became of one's own messages, None where the hub never got one under this id."""
        require(principal, Scope.STATUSES_REPORT)
        if not 1 <= len(message_ids) <= MESSAGES_AT_MOST:
            field = "messageIds"
            raise BadUserInputError(field, "Ask for 1 to 1,000 messages.")
        organisation_id = principal.organisation_id
        ids = [str(message_id) for message_id in message_ids]
        processing = self._log.begin(principal, Activity.READ_MESSAGE_RESULTS)
        async with reading(self._database) as unit:
            logged = await unit.messages.known(organisation_id, ids)
            unknown = [message_id for message_id in ids if message_id not in logged]
            refused = await unit.messages.refused(organisation_id, unknown) if unknown else {}
            context = await unit.messages.context(organisation_id, codes.today(self._clock()))
            keys = {one.registration_id for one in logged.values() if one.registration_id is not None}
            registrations = await unit.registrations.by_ids(keys) if keys else {}
        source = StatusSource.CAMBO if principal.role is Role.CAMBO else StatusSource.SIS
        found: list[MessageResult | None] = []
        for message_id in ids:
            one = logged.get(message_id) or refused.get(message_id)
            if one is None:
                found.append(None)
                continue
            registration = registrations.get(one.registration_id or 0)
            found.append(
                MessageResult(
                    message_id,
                    one.outcome,
                    code=one.code,
                    field=one.field,
                    findings=one.findings,
                    registration=shown_to(organisation_id, source, registration, context),
                )
            )
        told = (one.registration for one in found if one is not None)
        await self._log.read(processing, (one.student_id for one in told if one is not None))
        return found


def _count(results: Sequence[MessageResult]) -> None:
    for (outcome, code), number in Counter(map(_OUTCOME, results)).items():
        MESSAGES.labels(outcome, code or "").inc(number)
