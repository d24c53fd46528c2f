"""Webhooks: the receiver's own view of its webhook, and the claims of those who deliver."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.domain.webhook import Notification, Record, Webhook, WebhookProblem, WebhookState

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    import asyncpg

    from app.domain.webhook import Setback

_COLUMNS = "url, state, delivered_number, last_attempt_at, next_attempt_at, failures, last_problem"
_OF = f"select {_COLUMNS} from webhook where organisation_id = $1"
# From the feed's last number on: what was before is fetched, not notified.
_ADD = f"""
insert into webhook (organisation_id, webhook_id, url, sealed_secret, state, delivered_number, failures,
                     next_attempt_at)
select f.organisation_id, $2, $3, $4, 'ACTIVE', f.last_number, 0, $5 from feed f where f.organisation_id = $1
on conflict (organisation_id) do nothing
returning {_COLUMNS}
"""
# The lease stays until its time is up: whoever holds it may be sending. What comes of that no longer counts.
_RESET = f"""
update webhook set state = 'ACTIVE', failures = 0, failing_since = null, next_attempt_at = $2,
                   last_problem = null, lease = null
where organisation_id = $1
returning {_COLUMNS}
"""
_REMOVE = "delete from webhook where organisation_id = $1 returning true"

# What is told is written down before it is sent, so that it is repeated under the same id after a crash.
# Leases go by the clock of the database, which is the same for all hubs, and only pauses by that of a hub.
_CLAIM = """
with due as materialized (
  select w.organisation_id from webhook w join feed f on f.organisation_id = w.organisation_id
  where (w.state = 'ACTIVE' or w.state = 'RETRYING' and w.next_attempt_at <= $1)
    and (w.leased_until is null or w.leased_until < clock_timestamp())
    and (w.notification_id is not null or f.last_number > w.delivered_number)
    and exists (select 1 from client c where c.organisation_id = w.organisation_id and c.revoked_at is null)
  order by w.next_attempt_at, w.organisation_id limit $2
  for update of w skip locked
)
update webhook w
set notification_number = case when w.notification_id is null then f.last_number
                               else w.notification_number end,
    notification_at = case when w.notification_id is null then f.last_at else w.notification_at end,
    notification_id = coalesce(w.notification_id, gen_random_uuid()),
    lease = gen_random_uuid(), leased_until = clock_timestamp() + make_interval(secs => $3)
from due d join feed f on f.organisation_id = d.organisation_id
where w.organisation_id = d.organisation_id
returning w.organisation_id, w.webhook_id, w.url, w.sealed_secret, w.lease, w.notification_id,
          w.notification_number, w.notification_at, w.failures, w.failing_since, w.delivered_number
"""
_DELIVERED = """
update webhook
set state = 'ACTIVE', delivered_number = notification_number, notification_id = null,
    notification_number = null, notification_at = null, failures = 0, failing_since = null,
    last_attempt_at = $3, next_attempt_at = $3, last_problem = null, lease = null, leased_until = null
where organisation_id = $1 and lease = $2
returning true
"""
_FAILED = """
update webhook
set state = $4, failures = $5, failing_since = $6, last_attempt_at = $3, next_attempt_at = $7,
    last_problem = $8, lease = null, leased_until = null
where organisation_id = $1 and lease = $2
returning true
"""


@dataclass(frozen=True, slots=True)
class Claim:
    """A notification that is the holder's to send, for as long as the lease lasts."""

    organisation_id: int
    webhook_id: UUID
    url: str = field(repr=False)
    sealed_secret: bytes = field(repr=False)
    lease: UUID
    notification: Notification
    record: Record
    delivered_number: int


class Webhooks:
    """Webhooks in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def of(self, organisation_id: int) -> Webhook | None:
        """Return the webhook of a receiver, or None."""
        return _webhook_of(await self._connection.fetchrow(_OF, organisation_id))

    async def add(
        self, organisation_id: int, webhook_id: UUID, url: str, sealed_secret: bytes, now: datetime
    ) -> Webhook | None:
        """Add a receiver's webhook; None when it has one already."""
        row = await self._connection.fetchrow(_ADD, organisation_id, webhook_id, url, sealed_secret, now)
        return _webhook_of(row)

    async def reset(self, organisation_id: int, now: datetime) -> Webhook | None:
        """Try again from now on, with all patience; None when there is no webhook."""
        return _webhook_of(await self._connection.fetchrow(_RESET, organisation_id, now))

    async def remove(self, organisation_id: int) -> bool:
        """Remove a receiver's webhook; False when there is none."""
        return bool(await self._connection.fetchval(_REMOVE, organisation_id))

    async def claim(self, now: datetime, at_most: int, seconds: float) -> list[Claim]:
        """Claim notifications that are due, each for so many seconds; nobody else gets them meanwhile."""
        rows = await self._connection.fetch(_CLAIM, now, at_most, seconds)
        return [
            Claim(
                row["organisation_id"],
                row["webhook_id"],
                row["url"],
                row["sealed_secret"],
                row["lease"],
                Notification(row["notification_id"], row["notification_number"], row["notification_at"]),
                Record(row["failures"], row["failing_since"]),
                row["delivered_number"],
            )
            for row in rows
        ]

    async def delivered(self, claim: Claim, at: datetime) -> bool:
        """Record that the receiver took it; False when the claim was no longer the holder's."""
        return bool(await self._connection.fetchval(_DELIVERED, claim.organisation_id, claim.lease, at))

    async def failed(self, claim: Claim, at: datetime, problem: WebhookProblem, setback: Setback) -> bool:
        """Record that it failed; False when the claim was no longer the holder's."""
        return bool(
            await self._connection.fetchval(
                _FAILED,
                claim.organisation_id,
                claim.lease,
                at,
                setback.state,
                setback.failures,
                setback.failing_since,
                setback.next_attempt_at,
                problem,
            )
        )


def _webhook_of(row: asyncpg.Record | None) -> Webhook | None:
    if row is None:
        return None
    state = WebhookState(row["state"])
    problem = row["last_problem"]
    return Webhook(
        url=row["url"],
        state=state,
        last_delivered_number=row["delivered_number"],
        last_attempt_at=row["last_attempt_at"],
        next_attempt_at=row["next_attempt_at"] if state is WebhookState.RETRYING else None,
        failures=row["failures"],
        last_problem=None if problem is None else WebhookProblem(problem),
    )
