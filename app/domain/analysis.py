"""The export for those who model the intake: the fields of the messages of the older exchange.

One row per period in which a registration had a status. What the hub does not hold stays empty. The key of a
student (`bsnhash`) is made anew for each export, so that two exports cannot be joined by it.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.codes import OLDER_CODES, Status

if TYPE_CHECKING:
    from datetime import datetime

FIELDS = (
    "id",
    "createdat",
    "lastmodifiedat",
    "ketenid",
    "bsnhash",
    "leeftijdscategorie",
    "postcodecijfers",
    "instellingserkenningscode",
    "onderwijsaanbiedercode",
    "onderwijslocatiecode",
    "opleidingcode",
    "leertrajectmbo",
    "startmoment",
    "status",
    "begindatum",
    "einddatum",
    "schooljaar",
    "statussource",
)
STILL = "3000-01-01 01:00:00.000"  # the end of a period that has not ended
_CODES = {status.value: code for status, code in OLDER_CODES.items()}

AnalysisRow = tuple[str, ...]  # in the order of FIELDS; "" for what the hub does not hold


@dataclass(frozen=True, slots=True)
class StatusPeriod:
    """A registration while it had one status; `until` is None for the present one, `oin` is the sender's."""

    application_id: str
    created_at: datetime
    changed_at: datetime
    oin: str
    student_id: int
    brin: str
    programme_code: str
    learning_path: str
    status: Status
    since: datetime
    until: datetime | None
    school_year: int
    source: str

    def row(self, secret: bytes) -> AnalysisRow:
        """Return the fields; the student's key is an HMAC under the secret of this export."""
        key = hmac.digest(secret, self.student_id.to_bytes(8, "big"), "sha256").hex()
        return (
            self.application_id,
            _moment(self.created_at),
            _moment(self.changed_at),
            self.oin,
            key,
            "",
            "",
            self.brin,
            "",
            "",
            self.programme_code,
            self.learning_path,
            "",
            _CODES[self.status],
            _moment(self.since),
            STILL if self.until is None else _moment(self.until),
            f"{self.school_year}-{self.school_year + 1}",
            self.source,
        )


def _moment(moment: datetime) -> str:
    """Return a time as the older exchange writes it, in UTC."""
    return moment.isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00")
