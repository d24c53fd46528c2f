"""The closed lists and the forms of codes, in the words of the field (`BRIN`, `crebo`, `leertraject`)."""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

AMSTERDAM = ZoneInfo("Europe/Amsterdam")

_BRIN = re.compile(r"[0-9]{2}[A-Z]{2}", re.ASCII)
_SCHOOL = re.compile(r"[0-9]{2}[A-Z]{2}[0-9]{2}", re.ASCII)
_PROGRAMME_CODE = re.compile(r"[0-9]{5}|[0-9A-Za-z]{1,8}", re.ASCII)
_OIN = re.compile(r"[0-9]{8}[0-9A-Z]{12}", re.ASCII)
_IDENTIFIER = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,100}")

_LONGEST_IDENTIFIER = 100
_FIRST_SCHOOL_YEAR = 2016
_PROGRAMME_YEARS = range(1, 4)
_FIRST_MONTH_OF_SCHOOL_YEAR = 8


class Choice(StrEnum):
    """One of a closed list: a text, with the hash of one. Enum's own takes Python code for each look-up."""

    __hash__ = str.__hash__


class Status(Choice):
    """The five statuses of a registration at the hub, with the codes of the older exchange."""

    RECEIVED = "RECEIVED"
    OFFERED = "OFFERED"
    ENROLLED = "ENROLLED"
    WITHDRAWN = "WITHDRAWN"
    REJECTED = "REJECTED"


LIVE = frozenset({Status.RECEIVED, Status.OFFERED, Status.ENROLLED})

# What the older exchange writes for each status: AO, OA, LI, AI and LNI.
OLDER_CODES = {
    Status.RECEIVED: "AO",
    Status.OFFERED: "OA",
    Status.ENROLLED: "LI",
    Status.WITHDRAWN: "AI",
    Status.REJECTED: "LNI",
}
_STATUSES = {
    **{status.value: status for status in Status},
    **{code: status for status, code in OLDER_CODES.items()},
}


def status_of(text: str) -> Status | None:
    """Return the status of this name or older code, or None."""
    return _STATUSES.get(text)


class StatusSource(Choice):
    """Where a status came from; follows from the role of the sender."""

    CAMBO = "CAMBO"
    SIS = "SIS"


class LearningPath(Choice):
    """The leertraject of a programme."""

    BOL = "BOL"
    BBL = "BBL"
    OVO = "OVO"
    ODT = "ODT"
    EX = "EX"
    NFO = "NFO"
    VAVO = "VAVO"


@lru_cache(4096)  # there are few, and each stands in many messages
def is_brin(text: str) -> bool:
    """Tell whether this has the form of a BRIN without branch."""
    return _BRIN.fullmatch(text) is not None


@lru_cache(4096)
def is_school(text: str) -> bool:
    """Tell whether this has the form of a BRIN with branch."""
    return _SCHOOL.fullmatch(text) is not None


@lru_cache(4096)
def is_programme_code(text: str) -> bool:
    """Tell whether this is a crebo, or a code of 1 to 8 letters and digits of another system."""
    return _PROGRAMME_CODE.fullmatch(text) is not None


def is_oin(text: str) -> bool:
    """Tell whether this has the form of an organisation's identification number."""
    return _OIN.fullmatch(text) is not None


def is_identifier(text: str) -> bool:
    """Tell whether this can be somebody's key: 1 to 100 characters, none of them a control character."""
    if text.isascii() and text.isprintable():
        return 0 < len(text) <= _LONGEST_IDENTIFIER
    return _IDENTIFIER.fullmatch(text) is not None


def is_school_year(year: int, now: datetime) -> bool:
    """Tell whether a school year lies between 2016 and next year + 1."""
    if _FIRST_SCHOOL_YEAR <= year <= now.year + 1:
        return True  # wherever `now` is told, in the Netherlands it is the year before at the earliest
    return _FIRST_SCHOOL_YEAR <= year <= now.astimezone(AMSTERDAM).year + 2


def is_programme_year(year: int) -> bool:
    """Tell whether a student may apply for this year of a programme: 1, 2 or 3."""
    return year in _PROGRAMME_YEARS


def today(now: datetime) -> date:
    """Return the date in the Netherlands."""
    return now.astimezone(AMSTERDAM).date()


def midnight(day: date) -> datetime:
    """Return the moment at which a day begins in the Netherlands."""
    return datetime.combine(day, time(), AMSTERDAM)


def school_year_of(day: date) -> int:
    """Return the school year in which a day lies, written as its first year; it begins on 1 August."""
    return day.year if day.month >= _FIRST_MONTH_OF_SCHOOL_YEAR else day.year - 1


LATE_AFTER = timedelta(hours=24)
AHEAD_AT_MOST = timedelta(minutes=10)
