"""Subjects of external issuers, and the clients that they stand for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncpg

_FIND = "select client_id from foreign_subject where issuer = $1 and subject = $2"
# A subject stands for one client: who wants another takes it away first.
_ADD = """
insert into foreign_subject (issuer, subject, client_id)
select $1, $2, c.client_id from client c where c.client_id = $3
on conflict (issuer, subject) do update set subject = excluded.subject
where foreign_subject.client_id = excluded.client_id
returning true
"""
_REMOVE = "delete from foreign_subject where issuer = $1 and subject = $2 returning client_id"
_ALL = "select issuer, subject, client_id from foreign_subject order by issuer, subject"
_IS_CLIENT = "select exists (select 1 from client where client_id = $1)"


class ForeignSubjects:
    """The register of subjects, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def client_of(self, issuer: str, subject: str) -> str | None:
        """Return the client that a subject stands for, if there is one."""
        found: str | None = await self._connection.fetchval(_FIND, issuer, subject)
        return found

    async def add(self, issuer: str, subject: str, client_id: str) -> bool:
        """Let a subject stand for a client; return False if it stands for another, or there is no client."""
        return bool(await self._connection.fetchval(_ADD, issuer, subject, client_id))

    async def remove(self, issuer: str, subject: str) -> str | None:
        """Let a subject stand for nobody; return the client that it stood for."""
        removed: str | None = await self._connection.fetchval(_REMOVE, issuer, subject)
        return removed

    async def all(self) -> list[tuple[str, str, str]]:
        """Return issuer, subject and client of each, in the order of their names."""
        return [
            (row["issuer"], row["subject"], row["client_id"]) for row in await self._connection.fetch(_ALL)
        ]

    async def is_client(self, client_id: str) -> bool:
        """Tell whether there is such a client."""
        return bool(await self._connection.fetchval(_IS_CLIENT, client_id))
