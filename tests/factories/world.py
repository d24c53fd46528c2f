"""A hub at work with a few organisations: what most tests begin with."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from app.domain.access import SCOPES_OF_ROLE, Principal, Role
from app.domain.catalogue import Institution, Programme, School
from app.domain.codes import LearningPath, Status
from app.domain.following import StudentToFollow
from app.domain.personal_number import PersonalNumber
from app.domain.status_message import StatusMessage
from tests.factories.identity import ec_key, jwks

if TYPE_CHECKING:
    from app.bootstrap import Hub
    from app.domain.feed import StatusChange

BRIN, OTHER_BRIN, FOREIGN_BRIN = "25LH", "25GV", "01AA"
PROGRAMME = "25604"
_oins = itertools.count(1)
_furnished: list[dict[str, Principal]] = []  # the callers of each database that was furnished here


def an_oin() -> str:
    """Return an identification number of the test range."""
    return f"00000099{next(_oins):012d}"


def a_personal_number(random_source: random.Random | None = None) -> str:
    """Generate a number that passes the test of eleven."""
    source = random_source or random
    while True:
        digits = [9, 9, *(source.randrange(10) for _ in range(6))]
        check = sum(weight * digit for weight, digit in zip(range(9, 1, -1), digits, strict=True)) % 11
        if check < 10:
            return "".join(map(str, [*digits, check]))


def a_message(**changed: object) -> StatusMessage:
    """Return a message that is all right; each has its own student and registration."""
    number = changed.pop("personal_number", None)
    values: dict[str, object] = {
        "message_id": uuid4(),
        "application_id": f"A-{uuid4().hex[:12]}",
        "personal_number": PersonalNumber(number or a_personal_number()),
        "brin": BRIN,
        "programme_code": PROGRAMME,
        "learning_path": LearningPath.BOL,
        "school_year": 2026,
        "programme_year": 1,
        "status": Status.RECEIVED,
        "occurred_at": datetime.now(UTC) - timedelta(hours=1),
        **changed,
    }
    return StatusMessage(**values)  # type: ignore[arg-type]


def a_student(number: str, reference: str, **changed: object) -> StudentToFollow:
    """Return a wish to follow."""
    return StudentToFollow(PersonalNumber(number), reference, **changed)  # type: ignore[arg-type]


class World:
    """A hub, its callers, and what they do often."""

    sis: Principal
    other_sis: Principal
    cambo: Principal
    os: Principal
    other_os: Principal
    institution: Principal

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.services = hub.services

    async def furnish(self) -> None:
        """Fill the catalogue and register the usual callers, unless the database is a clone that has them."""
        callers = await self._those_who_are_here() or await self._move_in()
        for name, caller in callers.items():
            setattr(self, name, caller)
        await self.services.catalogue.refresh()

    async def _those_who_are_here(self) -> dict[str, Principal] | None:
        for callers in _furnished:
            if await self.services.clients.find(callers["sis"].client_id) is not None:
                return callers
        return None

    async def _move_in(self) -> dict[str, Principal]:
        await self.services.catalogue.put(
            [Institution(brin, f"Institution {brin}") for brin in (BRIN, OTHER_BRIN, FOREIGN_BRIN)],
            [Programme(PROGRAMME, "Software developer", 4)],
            [School("00AH00", "12")],
        )
        callers = {
            "sis": await self.principal(Role.SIS, brins=(BRIN, OTHER_BRIN)),
            "other_sis": await self.principal(Role.SIS, brins=(FOREIGN_BRIN,)),
            "cambo": await self.principal(Role.CAMBO),
            "os": await self.principal(Role.OS),
            "other_os": await self.principal(Role.OS),
            "institution": await self.principal(Role.INSTITUTION, brins=(BRIN,)),
        }
        _furnished.append(callers)
        return callers

    async def principal(self, role: Role, brins: tuple[str, ...] = (), oin: str | None = None) -> Principal:
        """Register a client and return it as a caller with all scopes of its role."""
        region = "12" if role is Role.REGION else None
        client_id = await self.services.clients.add_client(
            name=f"a {role}", role=role, oin=oin or an_oin(), brins=brins, region=region, jwks=jwks(ec_key())
        )
        found = await self.services.clients.find(client_id)
        assert found is not None
        return Principal(
            client_id,
            found.organisation_id,
            found.oin,
            found.organisation_name,
            role,
            SCOPES_OF_ROLE[role],
            found.brins,
            found.region,
        )

    async def report(self, *messages: StatusMessage, by: Principal | None = None):
        """Report messages and return their results."""
        return await self.services.status_messages.report(by or self.sis, messages)

    async def follow(self, number: str, reference: str, by: Principal | None = None, **changed: object):
        """Follow one student and return the snapshot."""
        return await self.services.following.follow(by or self.os, [a_student(number, reference, **changed)])

    async def hear(
        self, count: int, by: Principal | None = None, after: int | None = 0, seconds: float = 15
    ) -> list[StatusChange]:
        """Subscribe and return the first so many changes after a number."""
        heard: list[StatusChange] = []
        async with (
            asyncio.timeout(seconds),
            aclosing(self.services.subscription.changes(by or self.os, after)) as changes,
        ):
            async for change in changes:
                heard.append(change)
                if len(heard) == count:
                    break
        return heard

    async def settled(self, seconds: float = 15) -> None:
        """Wait until every event has its numbers."""
        async with asyncio.timeout(seconds), self.hub.database.connection() as connection:
            while await connection.fetchval("select count(*) from pending_event"):  # noqa: ASYNC110 - a table
                await asyncio.sleep(0.02)

    async def count(self, table: str) -> int:
        """Return how many rows a table has."""
        async with self.hub.database.connection() as connection:
            return int(await connection.fetchval(f"select count(*) from {table}"))  # noqa: S608 - a test's own word
