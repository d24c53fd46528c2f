"""Registrations of the domain that come from no database."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.registration import Registration
from tests.factories.world import BRIN, PROGRAMME

if TYPE_CHECKING:
    from datetime import datetime


def a_registration(number: int, since: datetime, application_id: str = "A-1") -> Registration:
    """Return a registration that an institution has offered a place at, since then."""
    return Registration(
        number,
        UUID(int=number),
        application_id,
        number,
        BRIN,
        PROGRAMME,
        LearningPath.BOL,
        2026,
        1,
        Status.OFFERED,
        since,
        StatusSource.SIS,
        since,
        since,
        None,
        (1,),
    )
