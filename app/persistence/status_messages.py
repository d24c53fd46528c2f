"""The message log: which ids are taken, what became of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.status_message import Finding, Outcome, Refusal
from app.persistence.packing import pack, pack_each, pack_moments, pack_nullable, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date, datetime
    from uuid import UUID

    import asyncpg

_KNOWN = f"""
select m.organisation_id, m.message_id, m.digest, m.digest_version, m.outcome, m.findings, m.registration_id
from unnest({unpack(1, "bigint")}, {unpack(2, "uuid")}) as asked (organisation_id, message_id)
join status_message m using (organisation_id, message_id)
"""
_INSERT = f"""
insert into status_message (organisation_id, message_id, brin, registration_id, outcome, findings, digest,
                            digest_version, occurred_at, received_at)
select organisation_id, message_id, brin, registration_id, outcome,
       coalesce(string_to_array(findings, ','), '{{}}'), decode(digest, 'hex'), $8, occurred_at, $9
from unnest({unpack(1, "bigint")}, {unpack(2, "uuid")}, {unpack(3)}, {unpack(4, "bigint")}, {unpack(5)},
            {unpack(6)}, {unpack(7)}, {unpack(10, "timestamptz")})
     as added (organisation_id, message_id, brin, registration_id, outcome, findings, digest, occurred_at)
order by organisation_id, message_id
on conflict do nothing
"""
_INSERT_REFUSED = f"""
insert into refused_message (organisation_id, message_id, brin, code, field, received_at)
select organisation_id, message_id, brin, code, field, $6
from unnest({unpack(1, "bigint")}, {unpack(2, "uuid")}, {unpack(3)}, {unpack(4)}, {unpack(5)})
     as added (organisation_id, message_id, brin, code, field)
"""
_REFUSED = """
insert into refused_message (organisation_id, message_id, brin, code, field, received_at)
select $1, message_id, brin, code, field, $6
from unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) as added (message_id, brin, code, field)
"""
_REFUSED = """
select distinct on (message_id) message_id, code, field
from refused_message where organisation_id = $1 and message_id = any($2::uuid[])
order by message_id, id desc
"""
_CONTEXT = """
select
  array(select organisation_id || ' ' || brin from mandate
        where organisation_id = any($1::bigint[])
        and valid_from <= $2 and (valid_to is null or valid_to >= $2)) as mandates,
  array(select brin from institution where brin = any($3::text[])) as institutions,
  array(select code from programme where code = any($4::text[])) as programmes
"""


MessageKey = tuple[int, "UUID"]  # the sending organisation, and its id of the message


class MessageIdTakenError(Exception):
    """Another transaction took one of these message ids first; judge the batch again."""


@dataclass(frozen=True, slots=True)
class LoggedMessage:
    """What the log holds of a message. `code` and `field` are those of a refusal."""

    message_id: UUID
    outcome: Outcome
    digest: bytes = b""
    digest_version: int = 0
    findings: tuple[Finding, ...] = ()
    registration_id: int | None = None
    code: Refusal | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message that takes its id."""

    organisation_id: int
    message_id: UUID
    brin: str
    registration_id: int
    outcome: Outcome
    findings: tuple[Finding, ...]
    digest: bytes
    occurred_at: datetime


@dataclass(frozen=True, slots=True)
class RefusedMessage:
    """A message that leaves its id free; `brin` only where it has the form of one."""

    organisation_id: int
    message_id: UUID
    brin: str | None
    code: Refusal
    field: str | None


@dataclass(frozen=True, slots=True)
class BatchContext:
    """What a batch is judged against: mandates of today as (organisation, BRIN), and the catalogue."""

    mandates: frozenset[tuple[int, str]]
    institutions: frozenset[str]
    programmes: frozenset[str]


class StatusMessages:
    """The message log in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def context(
        self,
        organisation_ids: Collection[int],
        today: date,
        brins: Collection[str],
        programme_codes: Collection[str],
    ) -> BatchContext:
        """Read mandates and catalogue for one batch, in one statement."""
        row = await self._connection.fetchrow(
            _CONTEXT, list(organisation_ids), today, list(brins), list(programme_codes)
        )
        if row is None:
            return BatchContext(frozenset(), frozenset(), frozenset())
        mandates = (mandate.split(" ", 1) for mandate in row["mandates"])
        return BatchContext(
            frozenset((int(organisation_id), brin) for organisation_id, brin in mandates),
            frozenset(row["institutions"]),
            frozenset(row["programmes"]),
        )

    async def known(self, keys: Collection[MessageKey]) -> dict[MessageKey, LoggedMessage]:
        """Return those message ids, as (sender, id), that are taken."""
        rows = await self._connection.fetch(
            _KNOWN,
            pack_each(organisation_id for organisation_id, _ in keys),
            pack_each(message_id for _, message_id in keys),
        )
        return {
            (row["organisation_id"], row["message_id"]): LoggedMessage(
                row["message_id"],
                Outcome(row["outcome"]),
                row["digest"],
                row["digest_version"],
                tuple(Finding(finding) for finding in row["findings"]),
                row["registration_id"],
            )
            for row in rows
        }

    async def refused(self, organisation_id: int, message_ids: Collection[UUID]) -> dict[UUID, LoggedMessage]:
        """Return the latest refusal of each of the sender's message ids that has one."""
        rows = await self._connection.fetch(_REFUSED, organisation_id, list(message_ids))
        return {
            row["message_id"]: LoggedMessage(
                row["message_id"], Outcome.REFUSED, code=Refusal(row["code"]), field=row["field"]
            )
            for row in rows
        }

    async def add(self, messages: Sequence[NewMessage], digest_version: int, received_at: datetime) -> None:
        """Take the ids of these messages; raise MessageIdTakenError when one was taken meanwhile."""
        if not messages:
            return
        status = await self._connection.execute(
            _INSERT,
            pack_each(message.organisation_id for message in messages),
            pack_each(message.message_id for message in messages),
            pack(message.brin for message in messages),
            pack_each(message.registration_id for message in messages),
            pack(message.outcome for message in messages),
            pack_nullable(",".join(message.findings) or None for message in messages),
            pack(message.digest.hex() for message in messages),
            digest_version,
            received_at,
            pack_moments(message.occurred_at for message in messages),
        )
        if int(status.rsplit(" ", 1)[1]) != len(messages):
            raise MessageIdTakenError

    async def add_refused(self, messages: Sequence[RefusedMessage], received_at: datetime) -> None:
        """Log refusals."""
        if not messages:
            return
        await self._connection.execute(
            _INSERT_REFUSED,
            pack_each(message.organisation_id for message in messages),
            pack_each(message.message_id for message in messages),
            pack_nullable(message.brin for message in messages),
            pack(message.code for message in messages),
            pack_nullable(message.field for message in messages),
            received_at,
        )
