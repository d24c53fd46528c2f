"""Statements about the documents that clients have registered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.trusted_document import TrustedDocument

if TYPE_CHECKING:
    from collections.abc import Mapping

    import asyncpg

_ADD = """
insert into trusted_document (client_id, document_id, text)
select c.client_id, d.id, d.text from client c, unnest($2::text[], $3::text[]) as d (id, text)
where c.client_id = $1
on conflict do nothing
"""
_OF = "select client_id, document_id, text, added_at from trusted_document where client_id = $1 limit $2"
_ALL = """
select client_id, document_id, text, added_at from trusted_document
where $1::text is null or client_id = $1 order by client_id, added_at, document_id
"""
_REMOVE = "delete from trusted_document where client_id = $1 and document_id = $2 returning true"
_TRUSTED_ONLY = "update client set trusted_only = $2 where client_id = $1 returning true"
_COUNT = """
select count(*) from (
    select document_id from trusted_document where client_id = $1 union select unnest($2::text[])
) as all_of_them
"""
_LOCK = "select true from client where client_id = $1 for update"


class TrustedDocuments:
    """Registered documents, on one connection."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def lock_client(self, client_id: str) -> bool:
        """Lock a client, so that nobody else adds documents to it; False if there is none."""
        return bool(await self._connection.fetchval(_LOCK, client_id))

    async def count_with(self, client_id: str, document_ids: list[str]) -> int:
        """Return how many documents a client has once these are added."""
        return int(await self._connection.fetchval(_COUNT, client_id, document_ids))

    async def add(self, client_id: str, texts: Mapping[str, str]) -> None:
        """Add documents by their ids; those that there are stay."""
        await self._connection.execute(_ADD, client_id, list(texts), list(texts.values()))

    async def texts(self, client_id: str, at_most: int) -> dict[str, str]:
        """Return a client's documents by their ids."""
        rows = await self._connection.fetch(_OF, client_id, at_most)
        return {row["document_id"]: row["text"] for row in rows}

    async def all(self, client_id: str | None) -> list[TrustedDocument]:
        """Return the documents of one client, or of every client."""
        rows = await self._connection.fetch(_ALL, client_id)
        return [
            TrustedDocument(row["client_id"], row["document_id"], row["text"], row["added_at"])
            for row in rows
        ]

    async def remove(self, client_id: str, document_id: str) -> bool:
        """Remove a document; False if there was none."""
        return bool(await self._connection.fetchval(_REMOVE, client_id, document_id))

    async def set_trusted_only(self, client_id: str, *, trusted_only: bool) -> bool:
        """Let a client run its registered documents only, or any; False if there is none."""
        return bool(await self._connection.fetchval(_TRUSTED_ONLY, client_id, trusted_only))
