"""What a batch of messages is judged against, read in one statement and without a lock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from app.persistence.packing import pack, pack_each, unpack_unseen
from app.persistence.status_messages import BatchContext, LoggedMessage, MessageKey, context_of, logged_of

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import date

    import asyncpg

    from app.domain.personal_number import Pseudonym

# Students under every version of their pseudonym, in one statement: between two, a student could step from
# one version to the next. Looked up one by one, so that no plan reads the table.
_FACTS = f"""
select
  array(select organisation_id || ' ' || brin from mandate
        where organisation_id = any($1::bigint[])
        and valid_from <= $2 and (valid_to is null or valid_to >= $2)) as mandates,
  array(select brin from institution where brin = any({unpack_unseen(3)})) as institutions,
  array(select code from programme where code = any({unpack_unseen(4)})) as programmes,
  array(select code || ' ' || region from school where code = any($5::text[])) as regions,
  array(select (select s.id from student s where s.pseudonym = asked.pseudonym)
        from (select decode(written, 'hex') as pseudonym, position
              from unnest({unpack_unseen(6)}) with ordinality as listed (written, position)) as asked
        order by position) as students,
  array(select asked.application_id from unnest({unpack_unseen(7)}) as asked (application_id)
        where not exists (select from registration r where r.application_id = asked.application_id)
        ) as missing,
  (select json_agg(json_build_array(m.organisation_id, m.message_id, m.outcome, encode(m.digest, 'hex'),
                                     m.digest_version, m.findings, m.registration_id))
   from unnest({unpack_unseen(8, "bigint")}, {unpack_unseen(9, "uuid")})
             as asked (organisation_id, message_id)
        join status_message m using (organisation_id, message_id)) as known
"""


@dataclass(frozen=True, slots=True)
class BatchFacts:
    """What was so a moment ago. `students` by their first pseudonym; `missing` have no registration."""

    context: BatchContext
    known: dict[MessageKey, LoggedMessage]
    students: dict[bytes, int]
    missing: frozenset[str]
    regions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked for; each thing once."""

    organisation_ids: Collection[int]
    brins: Collection[str]
    programme_codes: Collection[str]
    schools: Collection[str]
    pseudonyms: Collection[Pseudonym]
    application_ids: Collection[str]
    messages: Sequence[MessageKey]


def _known(values: list[Any]) -> tuple[MessageKey, LoggedMessage]:
    organisation_id, message_id, outcome, digest, version, findings, registration_id = values
    row = (message_id, outcome, bytes.fromhex(digest), version, findings, registration_id)
    return (organisation_id, message_id), logged_of(row)


class Facts:
    """Reads the facts for batches of one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def read(self, asked: Asked, today: date) -> BatchFacts:
        """Return what a batch is judged against."""
        firsts = [pseudonym[0] for pseudonym in asked.pseudonyms for _ in pseudonym]
        row = await self._connection.fetchrow(
            _FACTS,
            list(asked.organisation_ids),
            today,
            pack(asked.brins),
            pack(asked.programme_codes),
            list(asked.schools),
            pack([value.hex() for pseudonym in asked.pseudonyms for value in pseudonym]),
            pack(asked.application_ids),
            pack_each([organisation_id for organisation_id, _ in asked.messages]),
            pack_each([message_id for _, message_id in asked.messages]),
        )
        assert row is not None  # noqa: S101 - a select without `from` has one row
        return BatchFacts(
            context_of(row),
            {} if row["known"] is None else dict(map(_known, orjson.loads(row["known"]))),
            {first: key for first, key in zip(firsts, row["students"], strict=True) if key is not None},
            frozenset(row["missing"]),
            dict(one.split(" ", 1) for one in row["regions"]),
        )
