"""Which client a subject of an external issuer is: what an operator says, and nothing that a token says."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.domain.errors import BadUserInputError, ConflictError, NotFoundError
from app.domain.record import OPERATOR, SecurityEvent, SecurityRecord
from app.persistence.unit_of_work import UnitOfWork, reading, unit_of_work
from app.services.clients import ClientNotFoundError

if TYPE_CHECKING:
    from app.persistence.database import Database

_LONGEST = 200


class ForeignSubjectService:
    """Keeps who foreign subjects are."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def client_of(self, issuer: str, subject: str) -> str | None:
        """Return the client that a subject stands for, revoked or not; None for one that nobody named."""
        async with reading(self._database) as unit:
            return await unit.foreign_subjects.client_of(issuer, subject)

    async def add(self, client_id: str, issuer: str, subject: str) -> None:
        """Let a subject stand for a client; again does no harm.

        Raises BadUserInputError, ClientNotFoundError, and ConflictError when it stands for another client.
        """
        for field, text in (("issuer", issuer), ("subject", subject)):
            if not 1 <= len(text) <= _LONGEST or not text.isprintable():
                raise BadUserInputError(field, f"The {field} has 1 to {_LONGEST} printable characters.")
        async with unit_of_work(self._database) as unit:
            if not await unit.foreign_subjects.add(issuer, subject, client_id):
                if not await unit.foreign_subjects.is_client(client_id):
                    raise ClientNotFoundError
                message = "This subject stands for another client; remove it first."
                raise ConflictError(message)
            await _record(unit, SecurityEvent.SUBJECT_ADDED, client_id, issuer)

    async def all(self) -> list[tuple[str, str, str]]:
        """Return issuer, subject and client of each, in the order of their names."""
        async with reading(self._database) as unit:
            return await unit.foreign_subjects.all()

    async def remove(self, issuer: str, subject: str) -> None:
        """Let a subject stand for nobody; within a minute it is out. Raises NotFoundError."""
        async with unit_of_work(self._database) as unit:
            client_id = await unit.foreign_subjects.remove(issuer, subject)
            if client_id is None:
                message = "There is no such subject."
                raise NotFoundError(message)
            await _record(unit, SecurityEvent.SUBJECT_REMOVED, client_id, issuer)


async def _record(unit: UnitOfWork, event: SecurityEvent, client_id: str, issuer: str) -> None:
    await unit.records.add_security(
        [SecurityRecord(datetime.now(UTC), event, actor=OPERATOR, subject=client_id, detail=issuer)]
    )
