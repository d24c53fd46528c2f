"""Documents that clients have registered, and clients that may run nothing else."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.errors import (
    BadUserInputError,
    LimitExceededError,
    NotFoundError,
    OperationNotAllowedError,
    UnavailableError,
)
from app.domain.trusted_document import document_id as id_of
from app.domain.trusted_document import plain_id
from app.persistence.unit_of_work import reading, unit_of_work
from app.services.clients import ClientNotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from app.domain.access import Principal
    from app.domain.trusted_document import TrustedDocument
    from app.persistence.database import Database

DOCUMENTS_AT_MOST = 500
_FRESH_SECONDS = 30.0  # what is added or removed counts within a minute
_CLIENTS_KEPT = 200


class DocumentNotFoundError(NotFoundError):
    """This client has no such document."""


class NotTrustedError(OperationNotAllowedError):
    """This client may run its registered documents only."""


@dataclass(frozen=True, slots=True)
class _Kept:
    texts: dict[str, str]
    fresh_until: float


class TrustedDocumentService:
    """What an operator does with documents, and what is asked about them at each request that names one."""

    def __init__(self, database: Database, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._monotonic = monotonic
        self._kept: dict[str, _Kept] = {}

    async def add(self, client_id: str, texts: Sequence[str]) -> list[str]:
        """Register documents and return their ids in that order; again is no harm.

        Raises ClientNotFoundError and, adding none, LimitExceededError above 500 documents.
        """
        ids = [id_of(text) for text in texts]
        async with unit_of_work(self._database) as unit:
            if not await unit.trusted_documents.lock_client(client_id):
                raise ClientNotFoundError
            if await unit.trusted_documents.count_with(client_id, ids) > DOCUMENTS_AT_MOST:
                message = f"A client has {DOCUMENTS_AT_MOST} documents at most."
                raise LimitExceededError(message)
            await unit.trusted_documents.add(client_id, dict(zip(ids, texts, strict=True)))
        return ids

    async def all(self, client_id: str | None = None) -> list[TrustedDocument]:
        """Return the documents of one client, or of every client."""
        async with reading(self._database) as unit:
            return await unit.trusted_documents.all(client_id)

    async def remove(self, client_id: str, document_id: str) -> None:
        """Remove a document; raises DocumentNotFoundError."""
        async with unit_of_work(self._database) as unit:
            if not await unit.trusted_documents.remove(client_id, plain_id(document_id) or ""):
                raise DocumentNotFoundError

    async def set_trusted_only(self, client_id: str, *, trusted_only: bool) -> None:
        """Let a client run its registered documents only, or any; raises ClientNotFoundError."""
        async with unit_of_work(self._database) as unit:
            if not await unit.trusted_documents.set_trusted_only(client_id, trusted_only=trusted_only):
                raise ClientNotFoundError

    async def text(self, principal: Principal, query: str | None, document_id: str | None) -> str:
        """Return the document that a request runs: the one it holds, or the one that it names by its id.

        Raises BadUserInputError for an id of no document of this client, and NotTrustedError for a document
        that is not registered when nothing else may run.
        """
        if document_id is None:
            if query is None:
                raise BadUserInputError("query", "A request has a text `query`, or a `documentId`.")
            if principal.trusted_only and id_of(query) not in await self._texts(principal.client_id):
                raise NotTrustedError
            return query
        found = (await self._texts(principal.client_id)).get(plain_id(document_id) or "")
        if found is None:
            raise BadUserInputError("documentId", "You have registered no document with this id.")
        return found

    async def _texts(self, client_id: str) -> dict[str, str]:
        now = self._monotonic()
        kept = self._kept.get(client_id)
        if kept is not None and kept.fresh_until > now:
            return kept.texts
        try:
            async with reading(self._database) as unit:
                texts = await unit.trusted_documents.texts(client_id, DOCUMENTS_AT_MOST)
        except UnavailableError:
            if kept is None:
                raise
            return kept.texts  # what it said last counts
        self._kept.pop(client_id, None)
        self._kept[client_id] = _Kept(texts, now + _FRESH_SECONDS)
        if len(self._kept) > _CLIENTS_KEPT:
            del self._kept[next(iter(self._kept))]
        return texts
