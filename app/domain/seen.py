"""What a caller sees of a registration: values as they are kept, ready to be shown.

Tuples, since a page makes hundreds of them; of an enum they hold the name alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from app.domain.catalogue import Institution, Names, Programme
    from app.domain.registration import Registration


class SeenRegistration(NamedTuple):
    """A registration that its caller may see, with the names that the catalogue has now.

    `key` is the hub's own and goes to nobody, `id` the text of `public_id`, which clients see; `reference` is
    the caller's own for the student, of a transfer system only. A time that its reader said not to read is
    None.
    """

    institution: Institution
    programme: Programme
    id: str
    public_id: UUID
    key: int
    application_id: str
    student_id: int
    learning_path: str
    school_year: int
    programme_year: int
    status: str
    status_since: datetime
    status_source: str
    last_confirmed_at: datetime
    annulled: bool
    reference: str | None
    brin: str
    programme_code: str

    @classmethod
    def of(cls, registration: Registration, names: Names) -> SeenRegistration:
        """Return a registration of the domain as it is shown."""
        return cls(
            names.institutions[registration.brin],
            names.programmes[registration.programme_code],
            str(registration.public_id),
            registration.public_id,
            registration.id,
            registration.application_id,
            registration.student_id,
            registration.learning_path,
            registration.school_year,
            registration.programme_year,
            registration.status,
            registration.status_since,
            registration.status_source,
            registration.last_confirmed_at,
            registration.annulled_by is not None,
            registration.reference,
            registration.brin,
            registration.programme_code,
        )


class HistoryEntry(NamedTuple):
    """One thing that happened to a registration; OUTDATED ones had no effect.

    A time that its reader said not to read is None.
    """

    registration: int
    id: int
    kind: str
    status: str
    previous_status: str | None
    source: str
    occurred_at: datetime
    recorded_at: datetime
