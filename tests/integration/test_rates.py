"""Rates of clients over processes, and what is counted exactly, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from app.domain.errors import RateLimitedError, UnavailableError
from app.domain.following import FollowOutcome
from app.domain.rates import Quotas, Rate, RateKind
from app.persistence.database import Database
from app.services.following import FollowingService
from app.services.rates import Rates
from app.services.status_messages import StatusMessageService
from app.telemetry import UNUSUAL_FOLLOWS
from tests.factories.world import a_message, a_personal_number, a_student

if TYPE_CHECKING:
    from app.domain.access import Principal
    from app.domain.following import StudentToFollow
    from tests.factories.world import World

KIND = RateKind.REQUESTS
NO_NUMBER = "123456789"


class Process:
    """Buckets with a clock of their own, as one worker has them."""

    def __init__(self, database: Database) -> None:
        self.now = 0.0
        self.rates = Rates(database, {KIND: Rate(1, 10)}, monotonic=lambda: self.now)

    def spend(self, count: int, client_id: str = "a") -> int:
        """Return how many of so many requests were let through."""
        let_through = 0
        for _ in range(count):
            try:
                self.rates.spend(client_id, KIND)
            except RateLimitedError:
                continue
            let_through += 1
        return let_through


class TestBuckets:
    async def test_are_shared_by_processes(self, database: Database) -> None:
        one, other = Process(database), Process(database)
        assert one.spend(8) == 8
        assert other.spend(1) == 1
        await one.rates.settle()
        await other.rates.settle()
        assert other.spend(10) <= 2

    async def test_overshoot_by_what_was_left_and_wait_for_it(self, database: Database) -> None:
        processes = [Process(database) for _ in range(3)]
        assert [process.spend(20) for process in processes] == [10, 10, 10]
        for process in processes:
            await process.rates.settle()
        assert processes[2].spend(1) == 0
        with pytest.raises(RateLimitedError) as refused:
            processes[2].rates.spend("a", KIND)
        assert 10 < refused.value.retry_after <= 21

    async def test_of_one_client_leave_others_alone(self, database: Database) -> None:
        process = Process(database)
        assert process.spend(20, "a") == 10
        assert process.spend(5, "b") == 5
        await process.rates.settle()
        assert process.spend(5, "b") == 5

    async def test_count_what_is_spent_while_they_agree(self, database: Database) -> None:
        process = Process(database)
        process.spend(4)
        settling = asyncio.create_task(process.rates.settle())
        await asyncio.sleep(0)
        process.spend(3)
        await settling
        assert process.spend(10) == 3

    async def test_are_forgotten_when_idle(self, database: Database) -> None:
        process = Process(database)
        process.spend(4)
        await process.rates.settle()
        process.now = 60
        await process.rates.settle()
        assert process.rates._buckets[KIND] == {}

    async def test_go_on_without_the_database(self, database: Database) -> None:
        away = Process(Database("postgresql://localhost:1/nowhere"))
        assert away.spend(20) == 10
        with pytest.raises(UnavailableError):
            await away.rates.settle()
        assert away.rates._buckets[KIND]["a"].spent == 10


def following(world: World, quotas: Quotas, at: datetime | None = None) -> FollowingService:
    own = world.services.following
    clock = own._clock if at is None else lambda: at
    return FollowingService(own._database, own._keys, clock, vavo=False, quotas=quotas)


def students(count: int, start: int = 0) -> list[StudentToFollow]:
    return [a_student(a_personal_number(), f"S-{start + place}") for place in range(count)]


class TestFollowsOfADay:
    async def test_are_refused_above_the_quota_and_nobody_is_followed(self, quiet: World) -> None:
        service = following(quiet, Quotas(follows_per_day=5))
        await service.follow(quiet.os, students(3))
        with pytest.raises(RateLimitedError) as refused:
            await service.follow(quiet.os, students(3, 3))
        assert 0 < refused.value.retry_after <= 86_400
        assert await quiet.count("follow") == 3
        await service.follow(quiet.os, students(2, 3))

    async def test_count_new_ones_only(self, quiet: World) -> None:
        service = following(quiet, Quotas(follows_per_day=3))
        three = students(3)
        for _ in range(3):
            await service.follow(quiet.os, three)

    async def test_are_those_of_one_client(self, quiet: World) -> None:
        service = following(quiet, Quotas(follows_per_day=3))
        await service.follow(quiet.os, students(3))
        await service.follow(quiet.other_os, students(3))

    async def test_begin_anew_on_the_next_day(self, quiet: World) -> None:
        now = datetime.now(UTC)
        await following(quiet, Quotas(follows_per_day=3), now).follow(quiet.os, students(3))
        tomorrow = following(quiet, Quotas(follows_per_day=3), now + timedelta(days=1))
        await tomorrow.follow(quiet.os, students(3, 3))

    async def test_are_exact_when_many_come_at_once(self, quiet: World) -> None:
        service = following(quiet, Quotas(follows_per_day=5))
        results = await asyncio.gather(
            *(service.follow(quiet.os, students(1, place)) for place in range(12)), return_exceptions=True
        )
        assert sum(isinstance(one, RateLimitedError) for one in results) == 7
        assert await quiet.count("follow") == 5


class TestUnusualFollows:
    async def _followed(self, world: World, by: Principal, count: int, at: datetime, start: int) -> float:
        """Return by how much the alarm went up."""
        before: float = UNUSUAL_FOLLOWS._value.get()
        service = following(world, Quotas(), at)
        for first in range(0, count, 1000):
            await service.follow(by, students(min(1000, count - first), start + first))
        return float(UNUSUAL_FOLLOWS._value.get()) - before

    async def test_raise_the_alarm_once(self, quiet: World) -> None:
        now = datetime.now(UTC)
        assert await self._followed(quiet, quiet.os, 600, now - timedelta(days=2), 0) == 0
        with capture_logs() as logged:
            assert await self._followed(quiet, quiet.os, 2500, now, 1_000) == 1
        (line,) = [one for one in logged if one["event"] == "unusual_follows"]
        assert line["client_id"] == quiet.os.client_id
        assert 1800 < line["followed"] <= 2000  # in the second batch
        assert line["most_before"] in range(590, 601)  # numbers drawn twice are followed once


class TestFailedNumbers:
    async def test_of_follows_are_refused_after_too_many(self, quiet: World) -> None:
        service = following(quiet, Quotas(failed_numbers_per_hour=3))
        wrong = [a_student(NO_NUMBER, f"S-{place}") for place in range(2)]
        for _ in range(2):
            snapshot = await service.follow(quiet.os, wrong)
            assert {one.outcome for one in snapshot.results} == {FollowOutcome.REFUSED}
        with pytest.raises(RateLimitedError) as refused:
            await service.follow(quiet.os, [*wrong, *students(1, 10)])
        assert 0 < refused.value.retry_after <= 3600
        assert await quiet.count("follow") == 0
        await service.follow(quiet.os, students(1, 10))

    async def test_of_messages_are_refused_after_too_many(self, quiet: World) -> None:
        own = quiet.services.status_messages
        service = StatusMessageService(
            own._database, own._keys, own._clock, own._ring, quotas=Quotas(failed_numbers_per_hour=1)
        )
        await service.report(quiet.sis, [a_message(personal_number=NO_NUMBER)])
        with pytest.raises(RateLimitedError):
            await service.report(quiet.sis, [a_message(personal_number=NO_NUMBER)], dry_run=True)
        assert await quiet.count("status_message") == 0
        await service.report(quiet.sis, [a_message()])
        assert await quiet.count("status_message") == 1
