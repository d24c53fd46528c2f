"""Exports, by a link that only its caller can use, and only once."""

from __future__ import annotations

import asyncio
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from app.domain import annual_overview
from app.domain.access import SCOPES_OF_ROLE, Principal, require
from app.domain.errors import ForbiddenError, NotFoundError
from app.domain.export import (
    FOLLOWED_STUDENTS,
    LINK_LIFE,
    ExportFormat,
    ExportRequest,
    OverviewRequest,
    lines_of,
)
from app.domain.record import Activity
from app.persistence.unit_of_work import unit_of_work
from app.services.sheets import as_csv, as_xlsx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from datetime import datetime

    from app.domain.export import AnyExport
    from app.domain.following import FollowedFilter
    from app.persistence.database import Database
    from app.services.annual_overview import AnnualOverviewService
    from app.services.catalogue import CatalogueService
    from app.services.following import FollowingService

_STUDENTS_OF_A_PAGE = 500
_AT_A_TIME = 2  # in a process: an export is long, and nobody shall wait for it who wants something short


class ExportService:
    """Offers exports, and writes them."""

    def __init__(
        self,
        database: Database,
        following: FollowingService,
        overviews: AnnualOverviewService,
        catalogue: CatalogueService,
        clock: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._following = following
        self._overviews = overviews
        self._catalogue = catalogue
        self._clock = clock
        self._writing = asyncio.Semaphore(_AT_A_TIME)

    async def offer(self, principal: Principal, request: AnyExport) -> tuple[str, datetime]:
        """Return the secret of a link for this client, and when it ends; the database has a hash of it."""
        require(principal, request.scope)
        if isinstance(request, OverviewRequest):
            await self._overviews.overview(principal, request.school_year, "input.")
        else:
            self._following.check(request.wanted, "input.")
        secret = secrets.token_urlsafe(32)
        now = self._clock()
        async with unit_of_work(self._database) as unit:
            await unit.export_links.add(_hash(secret), _owner(principal), now + LINK_LIFE, request, now)
        return secret, now + LINK_LIFE

    async def take(self, principal: Principal, secret: str) -> AnyExport:
        """Return what a link is to, and end it; raise NotFoundError unless the caller has such a link."""
        scopes = principal.scopes & SCOPES_OF_ROLE[principal.role]
        if not scopes & {ExportRequest.scope, OverviewRequest.scope}:
            raise ForbiddenError
        async with unit_of_work(self._database) as unit:
            request = await unit.export_links.take(_hash(secret), _owner(principal), self._clock(), scopes)
        if request is None:
            raise NotFoundError
        return request

    async def write(self, principal: Principal, request: AnyExport) -> AsyncIterator[bytes]:
        """Yield the file. Each page of students is on record before it is written."""
        columns: tuple[str, ...]
        if isinstance(request, OverviewRequest):
            columns, pages = annual_overview.COLUMNS, self._overview(principal, request.school_year)
        else:
            columns, pages = FOLLOWED_STUDENTS, self._pages(principal, request.wanted)
        async with self._writing:
            written = as_csv if request.format is ExportFormat.CSV else as_xlsx
            async for chunk in written(columns, pages):
                yield chunk

    async def _overview(self, principal: Principal, school_year: int) -> AsyncIterator[list[tuple[str, ...]]]:
        overview = await self._overviews.overview(principal, school_year)
        catalogue = self._catalogue
        yield list(annual_overview.lines_of(overview, catalogue.institution, catalogue.programme))

    async def _pages(
        self, principal: Principal, wanted: FollowedFilter
    ) -> AsyncIterator[list[tuple[str, ...]]]:
        after = ""
        while students := await self._following.followed_students(
            principal, after, _STUDENTS_OF_A_PAGE, wanted, Activity.EXPORT_FOLLOWED_STUDENTS
        ):
            catalogue = self._catalogue
            yield [
                line
                for student in students
                for line in lines_of(student, catalogue.institution, catalogue.programme)
            ]
            after = students[-1].reference
            if len(students) < _STUDENTS_OF_A_PAGE:
                return


def _hash(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def _owner(principal: Principal) -> tuple[str, int]:
    return principal.client_id, principal.organisation_id
