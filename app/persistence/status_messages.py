"""The message log: which ids are taken, what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from app.domain.status_message import Finding, Outcome, Refusal
from app.domain.value import value
from app.persistence.packing import pack, pack_each, pack_nullable, unpack
from app.persistence.parts import Part

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime

    import asyncpg

_KNOWN = """
select message_id::text, outcome, digest, digest_version, findings, registration_id
from status_message where organisation_id = $1 and message_id = any($2::uuid[])
"""
# No `on conflict`: it looks twice and writes a record more for each row, for what hardly ever happens.
_TAKE = """
logged as (
  insert into status_message (organisation_id, message_id, brin, registration_id, outcome, findings, digest,
                              digest_version, occurred_at, received_at)
  select organisation_id, message_id, brin, registration_id, outcome,
         coalesce(string_to_array(findings, ' '), '{{}}'), decode(digest, 'hex'), $1, occurred_at, $2
  from ({source}) as added (organisation_id, message_id, brin, registration_id, outcome, findings, digest,
                            occurred_at)
  order by organisation_id, message_id
)
"""
_OF_STEPS = """
select organisation_id, message_id, brin, registration_id, 'ACCEPTED', findings, digest, at from stepped
"""
_OF_OTHERS = f"""
select * from unnest({unpack(3, "bigint")}, {unpack(4, "uuid")}, {unpack(5)}, {unpack(6, "bigint")},
                     {unpack(7)}, {unpack(8)}, {unpack(9)}, {unpack(10, "timestamptz")})
"""
_TAKE_STEPS = _TAKE.format(source=_OF_STEPS)
_TAKE_OTHERS = _TAKE.format(source=_OF_OTHERS)
_TAKE_BOTH = _TAKE.format(source=f"{_OF_STEPS} union all {_OF_OTHERS}")
TAKEN = "status_message_pkey"  # the constraint that a taken id violates
_INSERT_REFUSED = f"""
refused as (
insert into refused_message (organisation_id, message_id, brin, code, field, received_at)
select organisation_id, message_id, brin, code, field, $6
from unnest({unpack(1, "bigint")}, {unpack(2, "uuid")}, {unpack(3)}, {unpack(4)}, {unpack(5)})
     as added (organisation_id, message_id, brin, code, field)
)
"""
_REFUSED = """
select distinct on (message_id) message_id::text, code, field
from refused_message where organisation_id = $1 and message_id = any($2::uuid[])
order by message_id, id desc
"""
_MANDATES = """
select distinct brin from mandate
where organisation_id = $1 and valid_from <= $2 and (valid_to is null or valid_to >= $2)
"""
MessageKey = tuple[int, str]  # the sending organisation, and its id of the message


class MessageIdTakenError(Exception):
    """Another transaction took one of these message ids first; judge the batch again."""


@value
class LoggedMessage:
    """What the log holds of a message. `code` and `field` are those of a refusal."""

    message_id: str
    outcome: Outcome
    digest: bytes = b""
    digest_version: int = 0
    findings: tuple[Finding, ...] = ()
    registration_id: int | None = None
    code: Refusal | None = None
    field: str | None = None


@value
class NewMessage:
    """A message that takes its id."""

    organisation_id: int
    message_id: str
    brin: str
    registration_id: int
    outcome: Outcome
    findings: tuple[Finding, ...]
    digest: bytes
    at: str  # when it occurred, with its offset


@value
class RefusedMessage:
    """A message that leaves its id free; `brin` only where it has the form of one."""

    organisation_id: int
    message_id: str
    brin: str | None
    code: Refusal
    field: str | None


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What a batch is judged against: mandates of today as (organisation, BRIN), and the catalogue."""

    mandates: frozenset[tuple[int, str]]
    institutions: frozenset[str]
    programmes: frozenset[str]


def context_of(row: asyncpg.Record) -> BatchContext:
    """Return the context in a row."""
    mandates = (mandate.split(" ", 1) for mandate in row["mandates"])
    return BatchContext(
        frozenset((int(organisation_id), brin) for organisation_id, brin in mandates),
        frozenset(row["institutions"]),
        frozenset(row["programmes"]),
    )


def logged_of(row: Sequence[Any]) -> LoggedMessage:
    """Return the message in a row: id, outcome, digest, digest_version, findings, registration_id."""
    message_id, outcome, digest, digest_version, findings, registration_id = row
    return LoggedMessage(
        message_id,
        Outcome(outcome),
        digest,
        digest_version,
        tuple(Finding(finding) for finding in findings),
        registration_id,
    )


def taking(
    messages: Sequence[NewMessage], digest_version: int, received_at: datetime, *, steps: bool
) -> Part:
    """Return what takes the ids of these messages and, with `steps`, of those in `stepped`."""
    if not messages:
        return Part(_TAKE_STEPS, (digest_version, received_at))
    return Part(
        _TAKE_BOTH if steps else _TAKE_OTHERS,
        (
            digest_version,
            received_at,
            pack_each(message.organisation_id for message in messages),
            pack(message.message_id for message in messages),
            pack(message.brin for message in messages),
            pack_each(message.registration_id for message in messages),
            pack(message.outcome for message in messages),
            pack_nullable(" ".join(message.findings) or None for message in messages),
            pack(message.digest.hex() for message in messages),
            pack(message.at for message in messages),
        ),
    )


def refusing(messages: Sequence[RefusedMessage], received_at: datetime) -> Part:
    """Return what logs refusals."""
    return Part(
        _INSERT_REFUSED,
        (
            pack_each(message.organisation_id for message in messages),
            pack(message.message_id for message in messages),
            pack_nullable(message.brin for message in messages),
            pack(message.code for message in messages),
            pack_nullable(message.field for message in messages),
            received_at,
        ),
    )


class StatusMessages:
    """The message log in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def context(self, organisation_id: int, today: date) -> BatchContext:
        """Return the mandates of one organisation."""
        mandates = await self._connection.fetch(_MANDATES, organisation_id, today)
        return BatchContext(
            frozenset((organisation_id, row["brin"]) for row in mandates), frozenset(), frozenset()
        )

    async def known(self, organisation_id: int, message_ids: Collection[str]) -> dict[str, LoggedMessage]:
        """Return those of the sender's message ids that are taken."""
        rows = await self._connection.fetch(_KNOWN, organisation_id, list(message_ids))
        return {row["message_id"]: logged_of(tuple(row)) for row in rows}

    async def refused(self, organisation_id: int, message_ids: Collection[str]) -> dict[str, LoggedMessage]:
        """Return the latest refusal of each of the sender's message ids that has one."""
        rows = await self._connection.fetch(_REFUSED, organisation_id, list(message_ids))
        return {
            row["message_id"]: LoggedMessage(
                row["message_id"], Outcome.REFUSED, code=Refusal(row["code"]), field=row["field"]
            )
            for row in rows
        }
