"""A state machine on the real database: what every receiver must get, whatever happens in whatever order."""

import asyncio
import itertools
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.bootstrap import clock, removal_ledger, retention_rule
from app.domain import codes
from app.domain.access import Role
from app.domain.codes import Status
from app.domain.errors import CursorAheadError, CursorExpiredError
from app.domain.following import FollowOutcome
from app.domain.personal_number import PersonalNumber
from app.domain.registration import ChangeKind
from app.domain.status_message import Correction, CorrectionKind, Outcome
from app.feed.doorbell import Bell
from app.services.retention import RetentionService
from tests.factories.world import BRIN, OTHER_BRIN, a_message, a_personal_number

STUDENTS, APPLICATIONS = 2, 3
FRESH_SECONDS = 1.1
EVENTS = """
select e.id, e.student_id, r.student_id as present_student, r.application_id, e.kind, e.status,
       e.previous_status, e.recorded_at
from status_event e join pending_event p on p.event_id = e.id join registration r on r.id = e.registration_id
where e.id > $1 order by e.id
"""
# What a removal must leave nothing of.
LEFT_OF_STUDENTS = (
    "select count(*) from registration where student_id = any($1::bigint[])",
    "select count(*) from follow where student_id = any($1::bigint[])",
    """
    select count(*) from status_event e where cardinality($1::bigint[]) > 0
    and not exists (select from registration r where r.id = e.registration_id)
    """,
)


@dataclass(eq=False)
class Follow:
    """One follow of the model, from its beginning to its end."""

    student: int
    reference: str
    open: bool = True


@dataclass(eq=False)
class Receiver:
    """A receiver: what its feed must hold, and what it has heard so far."""

    principal: object
    complete: bool
    follows: dict[int, Follow] = field(default_factory=dict)
    feed: list[tuple[asyncpg.Record, Follow | None]] = field(default_factory=list)
    heard: int = 0
    expired: int = 0
    stream: object = None


class Lab:
    """A hub of which the test itself is the dispatcher."""

    def __init__(self, world, subscription, numbering):
        self.world, self.subscription, self.numbering = world, subscription, numbering

    async def sweep(self, days):
        """Announce and remove what is due as if so many days had passed."""
        settings = self.world.hub.settings
        retention = RetentionService(
            self.world.hub.database,
            self.world.services.retention._keys,
            lambda: clock() + timedelta(days=days),
            lambda: None,
            rule=retention_rule(settings),
            ledger=removal_ledger(settings),
        )
        return await retention.sweep()


def machine_of(runner, lab):  # noqa: C901 - a class of short rules, which share a runner and a lab
    """Return the state machine of one lab; each of its runs has receivers and students of its own."""
    world = lab.world
    services = world.services
    statuses = strategies.sampled_from(Status)
    receivers = strategies.integers(0, 2)
    students = strategies.integers(0, STUDENTS - 1)
    applications = strategies.integers(0, APPLICATIONS - 1)

    class Delivery(RuleBasedStateMachine):
        def __init__(self):
            super().__init__()
            self.steps = itertools.count(1)
            self.begun = datetime.now(UTC) - timedelta(days=1)
            self.numbers = [a_personal_number() for _ in range(STUDENTS)]
            self.application_ids = [f"A-{uuid4().hex[:12]}" for _ in range(APPLICATIONS)]
            self.student_of: dict[str, int] = {}
            self.keys: dict[int, int] = {}
            self.last_event = 0
            self.pending = []
            self.application_of: dict[int, str] = {}  # of all events
            self.gone: dict[int, float] = {}  # the events that were removed, and when
            runner.run(self._begin())
            # Most of what can go wrong needs somebody who follows.
            for which, student in ((0, 0), (0, 1), (1, 0)):
                self.follow(which, student)

        async def _begin(self):
            self._numbered_before = await self._number(1000)
            roles = (Role.OS, Role.OS, Role.CAMBO)
            self.receivers = [
                Receiver(await world.principal(role), complete=role is Role.CAMBO) for role in roles
            ]
            async with world.hub.database.connection() as connection:
                self.last_event = await connection.fetchval("select coalesce(max(id), 0) from status_event")

        async def _number(self, size):
            async with lab.numbering.transaction() as pending:
                numbered = await pending.number(0, size, codes.today(clock()), clock(), vavo=False)
            world.hub.doorbell.ring(Bell.ENTRIES)
            return numbered

        async def _note(self):
            """Take over into the model what was recorded: judging is tested elsewhere."""
            async with world.hub.database.connection() as connection:
                rows = await connection.fetch(EVENTS, self.last_event)
            for row in rows:
                self.last_event = row["id"]
                self.student_of[row["application_id"]] = row["present_student"]
                self.application_of[row["id"]] = row["application_id"]
                self.pending.append(row)

        async def _removing(self, work):
            """Do what removes students, note whom in the model; return what it returns, and them."""
            async with world.hub.database.connection() as connection:
                before = await connection.fetch("select id from student")
                done = await work
                there = {row["id"] for row in await connection.fetch("select id from student")}
                removed = {row["id"] for row in before} - there
                for rest in LEFT_OF_STUDENTS:
                    assert await connection.fetchval(rest, list(removed)) == 0, rest
            await self._note()
            applications = {one for one, student in self.student_of.items() if student in removed}
            for application_id in applications:
                del self.student_of[application_id]
            for event, application_id in self.application_of.items():
                if application_id in applications:
                    self.gone.setdefault(event, runner.get_loop().time())
            for receiver in self.receivers:
                for student, follow in list(receiver.follows.items()):
                    if follow.student in removed:
                        receiver.follows.pop(student).open = False
            return done, removed

        # --- what senders do

        @rule(which=applications, status=statuses)
        def report(self, which, status):
            number = self.numbers[which % STUDENTS]
            message = a_message(
                application_id=self.application_ids[which],
                personal_number=number,
                status=status,
                brin=BRIN if which % 2 else OTHER_BRIN,
                occurred_at=self.begun + timedelta(seconds=next(self.steps)),
            )

            async def work():
                await world.report(message)
                await self._note()

            runner.run(work())

        @rule(which=applications, kind=strategies.sampled_from(CorrectionKind), status=statuses, to=students)
        def correct(self, which, kind, status, to):
            correction = Correction(
                uuid4(),
                self.application_ids[which],
                BRIN if which % 2 else OTHER_BRIN,
                kind,
                "a reason",
                status=status if kind is CorrectionKind.REPLACE_STATUS else None,
                occurred_at=self.begun if kind is CorrectionKind.REPLACE_STATUS else None,
                personal_number=(
                    PersonalNumber(self.numbers[to]) if kind is CorrectionKind.REPLACE_STUDENT else None
                ),
            )

            async def work():
                (result,) = await services.status_messages.correct(world.sis, [correction])
                assert result.outcome in {Outcome.ACCEPTED, Outcome.REFUSED}
                await self._note()

            runner.run(work())

        @rule(which=students)
        def erase(self, which):
            number = PersonalNumber(self.numbers[which])

            async def work():
                erased, removed = await self._removing(services.retention.erase(world.cambo, number))
                assert len(removed) == erased
                assert not await services.retention.erase(world.cambo, number), (
                    "it is as if it had never been"
                )

            runner.run(work())

        # --- what receivers do

        @rule(which=strategies.integers(0, 1), student=students)
        def follow(self, which, student):
            receiver = self.receivers[which]
            known = receiver.follows.get(student)
            reference = known.reference if known else f"S-{next(self.steps)}"

            async def work():
                snapshot = await world.follow(self.numbers[student], reference, by=receiver.principal)
                async with world.hub.database.connection() as connection:
                    self.keys[student] = await connection.fetchval(
                        "select student_id from follow where organisation_id = $1 and reference = $2"
                        " order by id desc limit 1",
                        receiver.principal.organisation_id,
                        reference,
                    )
                return snapshot

            snapshot = runner.run(work())
            (result,) = snapshot.results
            assert result.outcome is (FollowOutcome.ALREADY_FOLLOWED if known else FollowOutcome.FOLLOWED)
            assert snapshot.feed.last_number == len(receiver.feed)
            if known is None:
                receiver.follows[student] = Follow(self.keys[student], reference)

        @rule(which=strategies.integers(0, 1), student=students)
        def unfollow(self, which, student):
            receiver = self.receivers[which]
            known = receiver.follows.pop(student, None)
            reference = known.reference if known else "nobody"
            ended, _ = runner.run(services.following.unfollow(receiver.principal, [reference]))
            assert ended == ([reference] if known else [])
            if known:
                known.open = False

        @rule(which=receivers)
        def connect(self, which):
            receiver = self.receivers[which]
            if receiver.stream is None:
                receiver.stream = lab.subscription.changes(receiver.principal, receiver.heard)

        @rule(which=receivers, most=strategies.integers(1, 10))
        def hear(self, which, most):
            receiver = self.receivers[which]
            if receiver.stream is None:
                return
            wanted = min(most, len(receiver.feed) - receiver.heard)

            async def work():
                async with asyncio.timeout(10):
                    return [await anext(receiver.stream) for _ in range(wanted)]

            for change in runner.run(work()):
                receiver.heard += 1
                assert change.number == receiver.heard
                # A stream that was open before may show for a second what was hidden meanwhile.
                self._check(receiver, change, strictly=False)

        @rule(which=receivers)
        def disconnect(self, which):
            receiver = self.receivers[which]
            if receiver.stream is not None:
                runner.run(receiver.stream.aclose())
                receiver.stream = None

        @rule(which=receivers, share=strategies.floats(0, 1), size=strategies.integers(1, 8))
        def page(self, which, share, size):
            receiver = self.receivers[which]
            after = int(share * len(receiver.feed))
            if after < receiver.expired:
                with pytest.raises(CursorExpiredError) as refused:
                    runner.run(services.feed.page(receiver.principal, after, size))
                assert refused.value.earliest == receiver.expired + 1
                return
            page = runner.run(services.feed.page(receiver.principal, after, size))
            expected = list(range(after + 1, min(after + size, len(receiver.feed)) + 1))
            assert [change.number for change in page.changes] == expected
            assert page.has_next_page == (after + size < len(receiver.feed))
            for change in page.changes:
                self._check(receiver, change)

        # --- what time does

        @rule(which=receivers, share=strategies.floats(0, 1))
        def expire(self, which, share):
            """Let entries grow old that the receiver has heard."""
            receiver = self.receivers[which]
            up_to = int(share * receiver.heard)
            if up_to <= receiver.expired:
                return

            async def work():
                async with world.hub.database.connection() as connection:
                    await connection.execute(
                        "update feed_entry set numbered_at = numbered_at - interval '100 days'"
                        " where organisation_id = $1 and number <= $2",
                        receiver.principal.organisation_id,
                        up_to,
                    )
                return await world.hub.housekeeping.now("feed-expiry")

            assert runner.run(work()) == up_to - receiver.expired
            receiver.expired = up_to

        @rule(days=strategies.sampled_from((340, 370)))
        def sweep(self, days):
            """Announce the removal of all, or remove those of whom it was announced."""
            swept, removed = runner.run(self._removing(lab.sweep(days)))
            assert swept.removed == len(removed)

        # --- what the dispatcher does

        @rule(size=strategies.integers(1, 6))
        def number(self, size):
            taken, self.pending = self.pending[:size], self.pending[size:]
            numbered = runner.run(self._number(size))
            assert numbered.events == len(taken)
            entries = 0
            for event in taken:
                for receiver in self.receivers:
                    follow = next(
                        (one for one in receiver.follows.values() if one.student == event["student_id"]), None
                    )
                    if event["kind"] == ChangeKind.REMOVAL_ANNOUNCED and not receiver.complete:
                        continue
                    if receiver.complete or follow is not None:
                        receiver.feed.append((event, follow))
                        entries += 1
            # Receivers of earlier runs get theirs too.
            assert numbered.entries >= entries

        # --- what must be so

        def _check(self, receiver, change, *, strictly=True):
            event, follow = receiver.feed[change.number - 1]
            removed_at = self.gone.get(event["id"])
            if removed_at is not None and runner.get_loop().time() > removed_at + FRESH_SECONDS:
                strictly = True
            if removed_at is None or change.kind is not ChangeKind.HIDDEN:
                assert change.recorded_at == event["recorded_at"], "a number means always the same change"
            present = self.student_of.get(event["application_id"]) == event["student_id"]
            visible = removed_at is None and (
                follow is None or (follow.open and (present or event["kind"] == ChangeKind.ANNULLED))
            )
            if change.kind is ChangeKind.HIDDEN:
                assert not visible
                assert (
                    change.reference is change.application_id is change.registration is change.status is None
                )
                return
            assert visible or not strictly
            told = (change.kind, change.application_id, change.status, change.previous_status)
            assert told == tuple(
                event[name] for name in ("kind", "application_id", "status", "previous_status")
            )
            assert change.reference == (None if follow is None else follow.reference)

        @invariant()
        def nobody_can_go_on_from_beyond_the_end(self):
            receiver = self.receivers[0]
            with pytest.raises(CursorAheadError):
                runner.run(services.feed.page(receiver.principal, len(receiver.feed) + 1, 1))

        def let_a_moment_pass(self):
            """Wait until nothing may be delivered as it was read before; no rule, since it takes so long."""
            runner.run(asyncio.sleep(FRESH_SECONDS))

        def teardown(self):
            while self.pending:
                self.number(6)
            for receiver in self.receivers:
                which = self.receivers.index(receiver)
                self.connect(which)
                while receiver.heard < len(receiver.feed):
                    self.hear(which, 10)
                self.disconnect(which)
                self._check_whole(receiver)

        def _check_whole(self, receiver):
            async def work():
                kept = receiver.feed[receiver.expired :]
                stream = lab.subscription.changes(receiver.principal, receiver.expired)
                async with aclosing(stream):
                    return [await anext(stream) for _ in kept]

            changes = runner.run(work())
            first = receiver.expired + 1
            assert [change.number for change in changes] == list(range(first, len(receiver.feed) + 1))
            order: dict[str, int] = {}
            for change, (event, _) in zip(changes, receiver.feed[receiver.expired :], strict=True):
                self._check(receiver, change)
                assert event["id"] > order.get(event["application_id"], 0), "the order of a registration"
                order[event["application_id"]] = event["id"]

    return Delivery
