"""An institution looks into its own message log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain import codes
from app.domain.access import Principal, institutions_of_log
from app.domain.errors import BadUserInputError
from app.persistence.unit_of_work import reading

if TYPE_CHECKING:
    from datetime import datetime

    from app.domain.message_log import LoggedMessageOverview
    from app.persistence.database import Database


class MessageLogService:
    """Reads of the message log. It holds no person, so a read is no processing of anybody's data."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, principal: Principal, brin: str | None, before: tuple[datetime, str] | None, size: int
    ) -> list[LoggedMessageOverview]:
        """Return up to `size` messages about one (None: all) of the caller's institutions, newest first."""
        if brin is not None and not codes.is_brin(brin):
            field = "brin"
            raise BadUserInputError(field, "This is no BRIN.")
        institutions = institutions_of_log(principal, brin)
        async with reading(self._database) as unit:
            return await unit.message_log.page(institutions, before, size)
