"""The refusal of school years that cannot be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from app.domain.codes import is_school_year
from app.domain.errors import BadUserInputError

if TYPE_CHECKING:
    from datetime import datetime

NO_SCHOOL_YEAR: Final = "A school year lies between 2016 and next year + 1."


def require_school_year(year: int, now: datetime, field: str = "schoolYear") -> None:
    """Raise BadUserInputError, for the field, unless a school year lies between 2016 and next year + 1."""
    if not is_school_year(year, now):
        raise BadUserInputError(field, NO_SCHOOL_YEAR)
