"""Asking for registrations, within what the caller may see."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Generic, TypeVar

from app.domain import codes
from app.domain.access import Principal, Scope, require
from app.domain.errors import BadUserInputError
from app.domain.record import Activity
from app.domain.school_year import require_school_year
from app.domain.value import value
from app.persistence.unit_of_work import reading
from app.persistence.visible_registrations import RegistrationFilter, Viewpoint, VisibleRegistrations
from app.services.processing_log import ProcessingLog
from app.services.together import Together

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import datetime
    from uuid import UUID

    from app.domain.catalogue import Names
    from app.domain.record import Processing
    from app.domain.seen import HistoryEntry, SeenRegistration
    from app.persistence.database import Database

PAGE_AT_MOST = 200
_Key = TypeVar("_Key")

__all__ = ["PAGE_AT_MOST", "RegistrationFilter", "RegistrationService"]


@value
class _Asked(Generic[_Key]):
    """A look-up of one caller; with `brin`, only of a registration there."""

    viewpoint: Viewpoint
    key: _Key
    brin: str | None
    processing: Processing

    def answered(self, found: SeenRegistration | None) -> SeenRegistration | None:
        return found if found is None or self.brin in {None, found.brin} else None


class RegistrationService:
    """Reads of registrations. What may not be seen is None, exactly as what does not exist."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], names: Names, *, vavo: bool
    ) -> None:
        self._database = database
        self._names = names
        self._clock = clock
        self._vavo = vavo
        self._log = ProcessingLog(database, clock)
        self._by_public_id = Together(self._find_public_ids)
        self._by_application_id = Together(self._find_application_ids)

    def _viewpoint(self, principal: Principal) -> Viewpoint:
        require(principal, Scope.REGISTRATIONS_READ)
        return Viewpoint(principal.organisation_id, principal.role, codes.today(self._clock()), self._vavo)

    async def by_public_id(self, principal: Principal, public_id: UUID) -> SeenRegistration | None:
        """Return the registration under the hub's own id."""
        viewpoint = self._viewpoint(principal)
        processing = self._log.begin(principal, Activity.READ_REGISTRATIONS)
        return await self._by_public_id.do(_Asked(viewpoint, public_id, None, processing))

    async def by_application_id(
        self, principal: Principal, brin: str, application_id: str
    ) -> SeenRegistration | None:
        """Return the registration of this institution under the key of CAMBO and SIS."""
        viewpoint = self._viewpoint(principal)
        if not codes.is_brin(brin):
            field = "brin"
            raise BadUserInputError(field, "This is no BRIN.")
        if not codes.is_identifier(application_id):
            return None
        processing = self._log.begin(principal, Activity.READ_REGISTRATIONS)
        return await self._by_application_id.do(_Asked(viewpoint, application_id, brin, processing))

    async def _find_public_ids(self, asked: Sequence[_Asked[UUID]]) -> list[SeenRegistration | None]:
        return await self._find(asked, VisibleRegistrations.by_public_ids)

    async def _find_application_ids(self, asked: Sequence[_Asked[str]]) -> list[SeenRegistration | None]:
        return await self._find(asked, VisibleRegistrations.by_application_ids)

    async def _find(
        self,
        asked: Sequence[_Asked[_Key]],
        look_up: Callable[[VisibleRegistrations, set[_Key]], Awaitable[dict[_Key, SeenRegistration]]],
    ) -> list[SeenRegistration | None]:
        """Look up what was asked for together: one statement for all who look from the same place.

        What was found is on record, committed, before anybody gets it: one more statement for all.
        """
        keys: dict[Viewpoint, set[_Key]] = defaultdict(set)
        for one in asked:
            keys[one.viewpoint].add(one.key)
        async with reading(self._database) as unit:
            found = {
                viewpoint: await look_up(unit.seen_from(viewpoint, self._names), wanted)
                for viewpoint, wanted in keys.items()
            }
            answers = [one.answered(found[one.viewpoint].get(one.key)) for one in asked]
            await unit.records.add_processing(
                [
                    self._log.ended(one.processing, [answer.student_id])
                    for one, answer in zip(asked, answers, strict=True)
                    if answer is not None
                ]
            )
        return answers

    async def page(
        self,
        principal: Principal,
        wanted: RegistrationFilter,
        after: tuple[str, int] | None,
        size: int,
        unread: frozenset[str] = frozenset(),
    ) -> list[SeenRegistration]:
        """Return up to `size` registrations after a key, in the order of the caller's own pages.

        The times that are named in `unread`, by their attributes, are None: nobody will look at them.
        """
        viewpoint = self._viewpoint(principal)
        if wanted.brin is not None and not codes.is_brin(wanted.brin):
            field = "brin"
            raise BadUserInputError(field, "This is no BRIN.")
        if wanted.school_year is not None:
            require_school_year(wanted.school_year, self._clock())
        processing = self._log.begin(principal, Activity.READ_REGISTRATIONS)
        async with reading(self._database) as unit:
            page = await unit.seen_from(viewpoint, self._names).page(wanted, after, size, unread)
        await self._log.read(processing, [registration.student_id for registration in page])
        return page

    async def histories(
        self,
        registration_ids: Sequence[int],
        after: int,
        size: int,
        unread: frozenset[str] = frozenset(),
    ) -> dict[int, list[HistoryEntry]]:
        """Return what happened to registrations that the caller was allowed to read.

        The reading of the registrations is on record; this belongs to it. `unread` as for a page.
        """
        async with reading(self._database) as unit:
            return await unit.events.histories(registration_ids, after, size, unread)
