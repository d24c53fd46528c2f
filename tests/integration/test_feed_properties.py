"""Random interleavings on the real database, against a model of what every receiver must get."""

import asyncio
import itertools
import random
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from app.bootstrap import Hub, clock
from app.domain import codes
from app.domain.access import Role
from app.domain.codes import Status
from app.domain.errors import CursorAheadError, CursorExpiredError
from app.domain.following import FollowOutcome
from app.domain.personal_number import PersonalNumber
from app.domain.registration import ChangeKind
from app.domain.status_message import Correction, CorrectionKind, Outcome
from app.feed.doorbell import Bell
from app.feed.subscription import FeedSubscription
from app.feed.tail import Tail
from app.persistence.numbering import NumberingConnection
from app.settings import load_settings
from tests.factories.world import BRIN, OTHER_BRIN, World, a_message, a_personal_number

STUDENTS, APPLICATIONS = 2, 3
EVENTS = """
select e.id, e.student_id, r.student_id as present_student, r.application_id, e.kind, e.status,
       e.previous_status, e.recorded_at
from status_event e join pending_event p on p.event_id = e.id join registration r on r.id = e.registration_id
where e.id > $1 order by e.id
"""


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


@pytest.fixture
def runner():
    """Run coroutines on a loop that only turns while a rule is at work."""
    with asyncio.Runner() as own:
        yield own


@pytest.fixture
def lab(runner, open_world, database_url, key_files):  # `open_world`: for a database that is furnished
    """Open a hub without a dispatcher, with a tail."""
    opened = Hub.open(
        load_settings(database_url=database_url, broadcast_url="memory://", **key_files), background=False
    )
    hub = runner.run(opened.__aenter__())
    world = World(hub)
    runner.run(world.furnish())
    tail = Tail(hub.database, hub.doorbell, clock, vavo=False)

    async def begin():
        return asyncio.create_task(tail.run())

    reading = runner.run(begin())
    connection = NumberingConnection.open(hub.database)
    numbering = runner.run(connection.__aenter__())
    # A test thinks longer than a dispatcher may.
    runner.run(numbering._connection.execute("set idle_session_timeout = 0"))
    yield Lab(world, FeedSubscription(world.services.feed, tail), numbering)

    async def end():
        reading.cancel()
        await connection.__aexit__(None, None, None)
        await opened.__aexit__(None, None, None)

    runner.run(end())


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
                self.pending.append(row)

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
                    if receiver.complete or follow is not None:
                        receiver.feed.append((event, follow))
                        entries += 1
            # Receivers of earlier runs get theirs too.
            assert numbered.entries >= entries

        # --- what must be so

        def _check(self, receiver, change, *, strictly=True):
            event, follow = receiver.feed[change.number - 1]
            assert change.recorded_at == event["recorded_at"], "a number means always the same change"
            present = self.student_of[event["application_id"]] == event["student_id"]
            visible = follow is None or (follow.open and (present or event["kind"] == ChangeKind.ANNULLED))
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


def walk(machine, source, steps):
    """Take steps at random. Hypothesis goes deeper, but most of its first runs take no step at all."""

    def student():
        return source.randrange(STUDENTS)

    moves = {
        lambda: machine.report(source.randrange(APPLICATIONS), source.choice(list(Status))): 5,
        lambda: machine.correct(
            source.randrange(APPLICATIONS), source.choice(list(CorrectionKind)), Status.ENROLLED, student()
        ): 2,
        lambda: machine.number(source.randint(1, 6)): 4,
        lambda: machine.follow(source.randrange(2), student()): 2,
        lambda: machine.unfollow(source.randrange(2), student()): 2,
        lambda: machine.connect(source.randrange(3)): 2,
        lambda: machine.hear(source.randrange(3), source.randint(1, 10)): 3,
        lambda: machine.disconnect(source.randrange(3)): 1,
        lambda: machine.expire(source.randrange(3), source.random()): 1,
        lambda: machine.page(source.randrange(3), source.random(), source.randint(1, 8)): 2,
    }
    for move in source.choices(list(moves), list(moves.values()), k=steps):
        move()
        machine.nobody_can_go_on_from_beyond_the_end()
    machine.teardown()


class TestDelivery:
    @pytest.mark.parametrize("seed", [20261122])
    def test_holds_its_promises_over_200_random_steps(self, runner, lab, seed):
        source = random.Random(seed)
        machine = machine_of(runner, lab)
        for _ in range(5):
            walk(machine(), source, 40)

    @pytest.mark.slow
    @pytest.mark.timeout(900)
    def test_holds_its_promises_in_any_order_of_things(self, runner, lab):
        run_state_machine_as_test(
            machine_of(runner, lab),
            settings=settings(
                max_examples=200,
                stateful_step_count=60,
                print_blob=True,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
