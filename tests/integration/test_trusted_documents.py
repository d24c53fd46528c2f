"""Documents that clients have registered, and clients that may run nothing else."""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest

from app.domain.errors import (
    BadUserInputError,
    LimitExceededError,
    NotFoundError,
    OperationNotAllowedError,
    UnavailableError,
)
from app.persistence.database import Database
from app.services.trusted_documents import DOCUMENTS_AT_MOST, TrustedDocumentService

if TYPE_CHECKING:
    from app.domain.access import Principal
    from tests.factories.world import World

pytestmark = pytest.mark.slow

FEED, VIEWER = "{feed{lastNumber}}", "{viewer{clientId}}"
FEED_ID = sha256(FEED.encode()).hexdigest()


class Clock:
    """A clock that a test moves."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def caller(quiet: World) -> Principal:
    return quiet.os


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def documents(quiet: World, clock: Clock) -> TrustedDocumentService:
    return TrustedDocumentService(quiet.hub.database, monotonic=clock)


class TestAdd:
    async def test_gives_the_digest_of_the_text(
        self, documents: TrustedDocumentService, caller: Principal
    ) -> None:
        assert await documents.add(caller.client_id, [FEED]) == [FEED_ID]

    async def test_does_no_harm_again(
        self, documents: TrustedDocumentService, caller: Principal, quiet: World
    ) -> None:
        for _ in range(2):
            await documents.add(caller.client_id, [FEED, VIEWER, FEED])
        assert await quiet.count("trusted_document") == 2

    async def test_refuses_an_unknown_client(self, documents: TrustedDocumentService, quiet: World) -> None:
        with pytest.raises(NotFoundError):
            await documents.add("nobody", [FEED])
        assert await quiet.count("trusted_document") == 0

    async def test_refuses_more_than_a_client_may_have(
        self, documents: TrustedDocumentService, caller: Principal, quiet: World
    ) -> None:
        many = [f"{{a{place}: __typename}}" for place in range(DOCUMENTS_AT_MOST)]
        await documents.add(caller.client_id, many)
        await documents.add(caller.client_id, many)
        with pytest.raises(LimitExceededError):
            await documents.add(caller.client_id, [FEED])
        assert await quiet.count("trusted_document") == DOCUMENTS_AT_MOST


class TestText:
    @pytest.mark.parametrize("prefix", ["", "sha256:"])
    async def test_is_found_by_its_id(
        self, documents: TrustedDocumentService, caller: Principal, prefix: str
    ) -> None:
        await documents.add(caller.client_id, [FEED])
        assert await documents.text(caller, None, prefix + FEED_ID) == FEED

    @pytest.mark.parametrize("wrong", ["", "x", FEED_ID[:-1], FEED_ID.upper(), f"md5:{FEED_ID}", "0" * 64])
    async def test_is_refused_under_another_id(
        self, documents: TrustedDocumentService, caller: Principal, wrong: str
    ) -> None:
        await documents.add(caller.client_id, [FEED])
        with pytest.raises(BadUserInputError) as refused:
            await documents.text(caller, None, wrong)
        assert refused.value.field == "documentId"

    async def test_of_another_client_is_as_unknown(
        self, documents: TrustedDocumentService, caller: Principal, quiet: World
    ) -> None:
        await documents.add(quiet.other_os.client_id, [FEED])
        with pytest.raises(BadUserInputError):
            await documents.text(caller, None, FEED_ID)

    async def test_may_be_any_unless_the_client_is_marked(
        self, documents: TrustedDocumentService, caller: Principal
    ) -> None:
        assert await documents.text(caller, VIEWER, None) == VIEWER

    async def test_must_be_registered_when_the_client_is_marked(
        self, documents: TrustedDocumentService, caller: Principal
    ) -> None:
        await documents.add(caller.client_id, [FEED])
        marked = replace(caller, trusted_only=True)
        with pytest.raises(OperationNotAllowedError):
            await documents.text(marked, VIEWER, None)
        assert await documents.text(marked, FEED, None) == FEED
        assert await documents.text(marked, None, FEED_ID) == FEED

    async def test_is_new_or_gone_within_a_minute(
        self, documents: TrustedDocumentService, caller: Principal, clock: Clock
    ) -> None:
        with pytest.raises(BadUserInputError):
            await documents.text(caller, None, FEED_ID)
        await documents.add(caller.client_id, [FEED])
        clock.now += 59
        assert await documents.text(caller, None, FEED_ID) == FEED
        await documents.remove(caller.client_id, FEED_ID)
        clock.now += 59
        with pytest.raises(BadUserInputError):
            await documents.text(caller, None, FEED_ID)

    async def test_is_told_from_memory_while_the_database_is_away(
        self, documents: TrustedDocumentService, caller: Principal, clock: Clock
    ) -> None:
        await documents.add(caller.client_id, [FEED])
        await documents.text(caller, None, FEED_ID)
        documents._database = Database("postgresql://localhost:1/nowhere")
        clock.now += 3600
        assert await documents.text(caller, None, FEED_ID) == FEED

    async def test_cannot_be_told_by_a_process_that_never_knew(self, caller: Principal) -> None:
        unknowing = TrustedDocumentService(Database("postgresql://localhost:1/nowhere"))
        with pytest.raises(UnavailableError):
            await unknowing.text(caller, None, FEED_ID)


class TestRemove:
    async def test_refuses_what_is_not_there(
        self, documents: TrustedDocumentService, caller: Principal
    ) -> None:
        with pytest.raises(NotFoundError):
            await documents.remove(caller.client_id, FEED_ID)


class TestTrustedOnly:
    async def test_is_a_mark_on_the_client(
        self, documents: TrustedDocumentService, caller: Principal, quiet: World
    ) -> None:
        for marked in (True, False):
            await documents.set_trusted_only(caller.client_id, trusted_only=marked)
            found = await quiet.services.clients.find(caller.client_id)
            assert found is not None
            assert found.trusted_only is marked

    async def test_refuses_an_unknown_client(self, documents: TrustedDocumentService) -> None:
        with pytest.raises(NotFoundError):
            await documents.set_trusted_only("nobody", trusted_only=True)
