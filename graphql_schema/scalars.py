"""Scalars. What is judged per item of a batch takes any text: one typing error spoils no batch."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import NewType
from uuid import UUID

import strawberry
from strawberry.types.scalar import ScalarDefinition

from app.domain.personal_number import PersonalNumber
from graphql_schema.execution.selections import BY_ENCODER

Brin = NewType("Brin", str)
ProgrammeCode = NewType("ProgrammeCode", str)

_DATE_TIME = re.compile(r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


def _parse_date_time(value: object) -> datetime:
    if not isinstance(value, str) or _DATE_TIME.fullmatch(value) is None:
        message = "An RFC 3339 time with an offset is expected."
        raise ValueError(message)
    try:
        moment = datetime.fromisoformat(value if value[-1] == "Z" and value[10] == "T" else value.upper())
        return moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    except OverflowError as error:
        message = "This time is out of range."
        raise ValueError(message) from error


def _show_date_time(value: datetime) -> str:
    text = value.isoformat() if value.tzinfo is UTC else value.astimezone(UTC).isoformat()
    return text.removesuffix("+00:00") + "Z"


setattr(_show_date_time, BY_ENCODER, True)


def _parse_date(value: object) -> date:
    if not isinstance(value, str) or _DATE.fullmatch(value) is None:
        message = "A date as 2026-12-31 is expected."
        raise ValueError(message)
    return date.fromisoformat(value)


def _parse_uuid(value: object) -> str:
    """Return a UUID as text, in one spelling: to make an object of it takes longer than to check it."""
    if not isinstance(value, str):
        message = "A UUID is expected."
        raise ValueError(message)  # noqa: TRY004 - graphql-core asks for any exception
    return value if _UUID.fullmatch(value) is not None else str(UUID(value))


def _text(value: object) -> str:
    # Anything else is a text that no code has, and so is refused in its turn.
    return value if isinstance(value, str) else ""


SCALARS: dict[object, ScalarDefinition] = {
    PersonalNumber: strawberry.scalar(
        name="PersonalNumber",
        description="BSN or onderwijsnummer. Input only, in variables only; judged per item of a batch.",
        serialize=lambda _: None,
        parse_value=PersonalNumber,
    ),
    Brin: strawberry.scalar(
        name="BRIN",
        description="The code of an institution: two digits, two capitals. Judged per item of a batch.",
        serialize=str,
        parse_value=_text,
    ),
    ProgrammeCode: strawberry.scalar(
        name="ProgrammeCode",
        description=(
            "The crebo (five digits); for VAVO and others the code of their own system, 1 to 8 letters or "
            "digits. Judged per item of a batch."
        ),
        serialize=str,
        parse_value=_text,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description="RFC 3339; any offset in, UTC out.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=_show_date_time,
        parse_value=_parse_date_time,
    ),
    date: strawberry.scalar(
        name="Date",
        description="A date as 2026-12-31.",
        serialize=date.isoformat,
        parse_value=_parse_date,
    ),
    UUID: strawberry.scalar(
        name="UUID",
        description="RFC 9562.",
        specified_by_url="https://www.rfc-editor.org/rfc/rfc9562",
        serialize=str,
        parse_value=_parse_uuid,
    ),
}
