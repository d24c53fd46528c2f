"""Steps: messages that move the status of a registration and nothing else of it, which are nearly all.

For these one list of nine columns says everything: what the event and the log need besides, the updated row
gives back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.persistence.packing import pack, pack_each, pack_nullable, unpack
from app.persistence.parts import Part

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from app.domain.codes import Status, StatusSource
    from app.domain.status_message import Finding

# The ids of events are drawn in the order of the list, as in `events.py`.
_STEPS = f"""
stepped as (
  update registration r set
    status = step.status, status_since = step.at, status_source = step.source,
    effective_at = least(step.at, $10), last_confirmed_at = greatest(r.last_confirmed_at, $10)
  from unnest({unpack(1, "bigint")}, {unpack(2)}, {unpack(3, "uuid")}, {unpack(4, "bigint")}, {unpack(5)},
              {unpack(6)}, {unpack(7)}, {unpack(8)}, {unpack(9, "timestamptz")}) with ordinality
       as step (organisation_id, source, message_id, registration_id, status, previous_status, findings,
                digest, at, position)
  where r.id = step.registration_id
  returning step.*, r.student_id, r.brin, r.learning_path
),
step_events as (
  insert into status_event (registration_id, student_id, organisation_id, kind, status, previous_status,
                            learning_path, source, occurred_at, recorded_at)
  select registration_id, student_id, organisation_id, 'STATUS', status, previous_status, learning_path,
         source, at, $10
  from stepped order by position
  returning id, student_id, learning_path
),
step_pending as (
  insert into pending_event (event_id, student_id, vavo)
  select id, student_id, learning_path = 'VAVO' from step_events
)
"""


# A step of a registration that this transaction has locked, and the message that made it: organisation,
# source, message id, registration, status, previous status, findings, digest, and when it occurred, with its
# offset.
Step = tuple[int, "StatusSource", str, int, "Status", "Status", "tuple[Finding, ...]", bytes, str]


def stepping(recorded_at: datetime, steps: Sequence[Step]) -> Part:
    """Return what updates the registrations and appends their events; `stepped` has what the log needs.

    No registration may stand in it twice.
    """
    senders, sources, message_ids, registration_ids, statuses, before, findings, digests, moments = zip(
        *steps, strict=True
    )
    return Part(
        _STEPS,
        (
            pack_each(senders),
            pack(sources),
            pack(message_ids),
            pack_each(registration_ids),
            pack(statuses),
            pack(before),
            pack_nullable([" ".join(found) if found else None for found in findings]),
            pack([digest.hex() for digest in digests]),
            pack(moments),
            recorded_at,
        ),
    )
