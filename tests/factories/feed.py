"""Feeds in tests: changes that come in a row, and numbering by hand."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from app.domain import codes
from app.domain.codes import Status
from tests.factories.world import a_message


def now():
    return datetime.now(UTC)


def numbers(changes):
    return [change.number for change in changes]


def steps(count, **changed):
    """Return messages about one registration, each of which changes its status."""
    first = a_message(occurred_at=now() - timedelta(days=1), **changed)
    statuses = itertools.cycle([Status.RECEIVED, Status.OFFERED])
    return [
        replace(
            first,
            message_id=uuid4(),
            status=next(statuses),
            occurred_at=first.occurred_at + timedelta(seconds=step),
        )
        for step in range(count)
    ]


async def whole_feed(world, by):
    position = await world.services.feed.position(by)
    return await world.services.feed.changes(by.organisation_id, 0, position.last_number + 1)


async def number_pending(numbering, low=0, size=1000):
    async with numbering.transaction() as pending:
        return await pending.number(low, size, codes.today(now()), now(), vavo=False)


async def append_event(connection):
    """Insert an event about the first registration as another writer would; return its id."""
    event_id = await connection.fetchval(
        "insert into status_event (registration_id, student_id, organisation_id, kind, status, learning_path,"
        " source, occurred_at, recorded_at)"
        " select id, student_id, 1, 'STATUS', 'OFFERED', 'BOL', 'SIS', now(), now()"
        " from registration order by id limit 1 returning id"
    )
    await connection.execute("insert into pending_event values ($1)", event_id)
    return event_id
