"""One transaction, with every repository in it. The only commit."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

import asyncpg

from app.domain.catalogue import Names
from app.persistence.analysis import Analysis
from app.persistence.batch_facts import Facts
from app.persistence.deliveries import Deliveries
from app.persistence.delivery_counts import DeliveryCounts
from app.persistence.events import Events
from app.persistence.export_links import ExportLinks
from app.persistence.feeds import Feeds
from app.persistence.finished_jobs import FinishedJobs
from app.persistence.follows import Follows
from app.persistence.foreign_subjects import ForeignSubjects
from app.persistence.message_log import MessageLog
from app.persistence.oversight import Oversight
from app.persistence.parts import write
from app.persistence.rates import RateBook
from app.persistence.reconciliation import Reconciliation
from app.persistence.record_exports import RecordExports
from app.persistence.record_removal import RecordRemoval
from app.persistence.records import Records
from app.persistence.registrations import Registrations
from app.persistence.restoring import Restoring
from app.persistence.retention import Retention
from app.persistence.statistics import Statistics
from app.persistence.status_messages import TAKEN, MessageIdTakenError, StatusMessages
from app.persistence.students import PseudonymKeys, Students
from app.persistence.trusted_documents import TrustedDocuments
from app.persistence.vetting import VettingBook
from app.persistence.visible_registrations import Viewpoint, VisibleRegistrations
from app.persistence.webhooks import Webhooks

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from sqlmodel.ext.asyncio.session import AsyncSession

    from app.persistence.database import Database
    from app.persistence.parts import Part

    Connection = asyncpg.Connection[asyncpg.Record]

_NAMELESS = Names()
_Made = TypeVar("_Made")


class _Repository(Generic[_Made]):
    """A repository of a unit of work, made when it is first used: few units use more than two or three."""

    def __init__(self, make: Callable[[Connection], _Made]) -> None:
        self._make = make
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, unit: UnitOfWork, owner: type) -> _Made:
        # It stands in the unit itself from now on, where it is found first.
        made = unit.__dict__[self._name] = self._make(unit._connection)  # noqa: SLF001 - its own
        return made


class UnitOfWork:
    """The repositories of one transaction. Committed when its block ends, rolled back when it raises."""

    analysis = _Repository(Analysis)
    deliveries = _Repository(Deliveries)
    delivery_counts = _Repository(DeliveryCounts)
    events = _Repository(Events)
    export_links = _Repository(ExportLinks)
    facts = _Repository(Facts)
    feeds = _Repository(Feeds)
    finished_jobs = _Repository(FinishedJobs)
    follows = _Repository(Follows)
    foreign_subjects = _Repository(ForeignSubjects)
    message_log = _Repository(MessageLog)
    messages = _Repository(StatusMessages)
    oversight = _Repository(Oversight)
    pseudonym_keys = _Repository(PseudonymKeys)
    rates = _Repository(RateBook)
    reconciliation = _Repository(Reconciliation)
    record_exports = _Repository(RecordExports)
    record_removal = _Repository(RecordRemoval)
    records = _Repository(Records)
    registrations = _Repository(Registrations)
    restoring = _Repository(Restoring)
    retention = _Repository(Retention)
    statistics = _Repository(Statistics)
    students = _Repository(Students)
    trusted_documents = _Repository(TrustedDocuments)
    vetting = _Repository(VettingBook)
    webhooks = _Repository(Webhooks)

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def write(self, parts: Sequence[Part]) -> None:
        """Write several things in one statement; raise MessageIdTakenError when a message id was taken."""
        try:
            await write(self._connection, parts)
        except asyncpg.UniqueViolationError as error:
            if error.constraint_name == TAKEN:
                raise MessageIdTakenError from None
            raise

    def seen_from(self, viewpoint: Viewpoint, names: Names = _NAMELESS) -> VisibleRegistrations:
        """Return registrations as one caller may see them, with these names."""
        return VisibleRegistrations(self._connection, viewpoint, names)


@asynccontextmanager
async def unit_of_work(
    database: Database, isolation: Literal["read_committed", "repeatable_read"] = "read_committed"
) -> AsyncIterator[UnitOfWork]:
    """Open a transaction; its commit is done when the block is left."""
    async with database.connection() as connection:
        transaction = connection.transaction(isolation=isolation)
        await transaction.start()
        try:
            yield UnitOfWork(connection)
        except TimeoutError:
            # To roll back would take as long once more where the server does not answer.
            connection.terminate()
            raise
        except BaseException:
            try:
                await transaction.rollback()
            except Exception:  # noqa: BLE001 - what went wrong first is told; a cancellation must not be lost
                connection.terminate()
            raise
        await transaction.commit()


@asynccontextmanager
async def reading(database: Database) -> AsyncIterator[UnitOfWork]:
    """Lend the repositories without a transaction: each statement sees the newest commit."""
    async with database.connection() as connection:
        yield UnitOfWork(connection)


@asynccontextmanager
async def administrative_work(database: Database) -> AsyncIterator[AsyncSession]:
    """Open a SQLModel session for the cold paths; committed when the block ends."""
    async with database.session() as session:
        yield session
        await session.commit()
