"""Random interleavings on the real database, against a model of what every receiver must get."""

import asyncio
import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from app.bootstrap import Hub, clock
from app.domain.codes import Status
from app.domain.status_message import CorrectionKind
from app.feed.subscription import FeedSubscription
from app.feed.tail import Tail
from app.persistence.numbering import NumberingConnection
from app.settings import load_settings
from tests.factories.feed_machine import APPLICATIONS, STUDENTS, Lab, machine_of
from tests.factories.world import World

pytestmark = pytest.mark.slow


@pytest.fixture
def runner():
    """Run coroutines on a loop that only turns while a rule is at work."""
    with asyncio.Runner() as own:
        yield own


@pytest.fixture
def lab(runner, open_world, database_url, key_files, tmp_path):  # `open_world`: for a furnished database
    """Open a hub without a dispatcher, with a tail."""
    opened = Hub.open(
        load_settings(
            database_url=database_url,
            broadcast_url="memory://",
            removal_ledger_file=tmp_path / "removals.jsonl",
            **key_files,
        ),
        background=False,
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
        lambda: machine.erase(student()): 1,
        lambda: machine.sweep(source.choice((340, 370))): 1,
        machine.let_a_moment_pass: 0.5,
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
