"""Very many registrations, as if a country had reported for a while: copies of one, made by PostgreSQL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    import asyncpg

# A new row has what the row of the one registration that was reported has, and this instead. Each student has
# one registration with one event, of which one receiver has been told.
_GROWN: Final[dict[str, dict[str, str]]] = {
    "student": {"id": "{base} + n", "pseudonym": "sha256(n::text::bytea)"},
    "registration": {
        "id": "{base} + n",
        "public_id": "gen_random_uuid()",
        "application_id": "'G-' || n",
        "student_id": "{base} + n",
        "brin": "({brins})[1 + n % {count}]",
    },
    "status_event": {"id": "{base} + n", "registration_id": "{base} + n", "student_id": "{base} + n"},
    "status_message": {"message_id": "gen_random_uuid()", "registration_id": "{base} + n"},
    "follow": {"id": "{base} + n", "student_id": "{base} + n", "reference": "'G-' || n"},
    "feed_entry": {
        "number": "{last} + n - 1",
        "event_id": "{base} + n",
        "follow_id": "{base} + n",
        "batch": "t.batch",
    },
}
_BASE: Final = 1_000_000_000
_COLUMNS: Final = """
select column_name from information_schema.columns
where table_schema = 'public' and table_name = $1 and is_generated = 'NEVER' order by ordinal_position
"""


async def grow(
    connection: asyncpg.Connection[asyncpg.Record], size: int, brins: Sequence[str], follower: int
) -> None:
    """Add what is missing to so many registrations, as a load does: one statement for each table.

    There is one registration, which this organisation follows and has been told of. The n-th, from the second
    on, has the application id G-n, and the institutions take turns: `brins[n % len(brins)]`.
    """
    last = await connection.fetchval("select last_number from feed where organisation_id = $1", follower)
    named = {
        "base": _BASE,
        "last": last,
        "brins": "array[" + ",".join(f"'{brin}'" for brin in brins) + "]",
        "count": len(brins),
    }
    for name, changed in _GROWN.items():
        columns = [row[0] for row in await connection.fetch(_COLUMNS, name)]
        values = [changed.get(one, f"t.{one}").format(**named) for one in columns]
        whose = "where t.organisation_id = $2" if name in {"follow", "feed_entry"} else ""
        statement = (
            f"insert into {name} ({', '.join(columns)}) overriding system value "  # noqa: S608 - names from here
            f"select {', '.join(values)} from (select * from {name} t {whose} limit 1) t "
            "cross join generate_series(2, $1::bigint) n"
        )
        await connection.execute(statement, *((size, follower) if whose else (size,)), timeout=3600)
    await connection.execute(
        "update feed set last_number = $2 where organisation_id = $1", follower, last + size - 1
    )
    await connection.execute("vacuum (analyze)", timeout=3600)
