"""Reporting statuses, correcting registrations, and looking back at what became of messages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, Role, Scope, require
from app.domain.codes import StatusSource
from app.domain.errors import BadUserInputError, UnavailableError
from app.domain.status_message import MessageResult
from app.persistence.retry import CONTENTION
from app.persistence.status_messages import MessageIdTakenError
from app.persistence.unit_of_work import reading, unit_of_work
from app.services.message_batch import MessageBatch, examine

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from app.domain.personal_number import KeyChain
    from app.domain.status_message import Correction, StatusMessage
    from app.persistence.database import Database

MESSAGES_AT_MOST = 1000
CORRECTIONS_AT_MOST = 100
_ATTEMPTS = 12


class _DryRunError(Exception):
    """Rolls a judged batch back."""

    def __init__(self, results: list[MessageResult]) -> None:
        super().__init__()
        self.results = results


class StatusMessageService:
    """What senders do."""

    def __init__(
        self,
        database: Database,
        keys: KeyChain,
        clock: Callable[[], datetime],
        ring: Callable[[], None],
    ) -> None:
        self._database = database
        self._keys = keys
        self._clock = clock
        self._ring = ring

    async def report(
        self, principal: Principal, messages: Sequence[StatusMessage], *, dry_run: bool = False
    ) -> list[MessageResult]:
        """Judge and record 1 to 1,000 messages in one transaction; answered after its commit.

        Results come in the order of the messages. A refused message changes nothing and spoils nothing.
        """
        if not 1 <= len(messages) <= MESSAGES_AT_MOST:
            field = "input.messages"
            raise BadUserInputError(field, "A batch has 1 to 1,000 messages.")
        return await self._run(principal, messages, dry_run=dry_run)

    async def correct(self, principal: Principal, corrections: Sequence[Correction]) -> list[MessageResult]:
        """Judge and record 1 to 100 explicit corrections, which win over time."""
        if not 1 <= len(corrections) <= CORRECTIONS_AT_MOST:
            field = "input.corrections"
            raise BadUserInputError(field, "A batch has 1 to 100 corrections.")
        return await self._run(principal, corrections, dry_run=False)

    async def _run(
        self, principal: Principal, messages: Sequence[StatusMessage | Correction], *, dry_run: bool
    ) -> list[MessageResult]:
        require(principal, Scope.STATUSES_REPORT)
        now = self._clock()
        candidates = [examine(message, self._keys, now) for message in messages]
        source = StatusSource.CAMBO if principal.role is Role.CAMBO else StatusSource.SIS
        for _ in range(_ATTEMPTS):
            try:
                async with unit_of_work(self._database) as unit:
                    batch = MessageBatch(
                        unit,
                        self._keys,
                        candidates,
                        organisation_id=principal.organisation_id,
                        source=source,
                        clock=self._clock,
                    )
                    results = await batch.run(dry_run=dry_run)
                    if dry_run:
                        raise _DryRunError(results)  # noqa: TRY301 - leaving the block so is what rolls back
            except _DryRunError as judged:
                return judged.results
            except (MessageIdTakenError, *CONTENTION):
                continue
            if batch.has_changes:
                self._ring()
            return results
        raise UnavailableError

    async def results(self, principal: Principal, message_ids: Sequence[UUID]) -> list[MessageResult | None]:
        """Return what became of one's own messages, None where the hub never got one under this id."""
        require(principal, Scope.STATUSES_REPORT)
        if not 1 <= len(message_ids) <= MESSAGES_AT_MOST:
            field = "messageIds"
            raise BadUserInputError(field, "Ask for 1 to 1,000 messages.")
        organisation_id = principal.organisation_id
        async with reading(self._database) as unit:
            logged = await unit.messages.known(organisation_id, message_ids)
            unknown = [message_id for message_id in message_ids if message_id not in logged]
            refused = await unit.messages.refused(organisation_id, unknown) if unknown else {}
            context = await unit.messages.context(organisation_id, codes.today(self._clock()), (), ())
            keys = {one.registration_id for one in logged.values() if one.registration_id is not None}
            registrations = await unit.registrations.by_ids(keys) if keys else {}
        found: list[MessageResult | None] = []
        for message_id in message_ids:
            one = logged.get(message_id) or refused.get(message_id)
            if one is None:
                found.append(None)
                continue
            registration = registrations.get(one.registration_id or 0)
            if registration is not None and (
                registration.annulled_by not in {None, organisation_id}
                or (principal.role is Role.SIS and registration.brin not in context.mandates)
            ):
                registration = None
            found.append(
                MessageResult(
                    message_id,
                    one.outcome,
                    code=one.code,
                    field=one.field,
                    findings=one.findings,
                    registration=registration,
                )
            )
        return found
