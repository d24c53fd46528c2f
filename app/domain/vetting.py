"""When a client is fit for production: its certificates, its users' second factor, its penetration test.

Source: the certification scheme of the chain (ROSA) as the agreements of the hub hold it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING

from app.domain.codes import midnight, today
from app.domain.errors import UnauthenticatedError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import date, datetime


class Lack(StrEnum):
    """What keeps a client out where clients must be vetted; the value is how it is said."""

    NO_CERTIFICATE = "no certificate is on record"
    CERTIFICATE_EXPIRED = "its certificate has run out"
    NO_SECOND_FACTOR = "no statement about its users' second factor is on record"
    NO_PENETRATION_TEST = "no penetration test is on record"
    PENETRATION_TEST_TOO_OLD = "its last penetration test is too old"


class RunningOut(StrEnum):
    """What ends by itself, and has to be renewed before."""

    CERTIFICATE = "certificate"  # the last one of a client
    PENETRATION_TEST = "penetration_test"  # of a client
    HUB_CERTIFICATE = "hub_certificate"  # where the hub speaks TLS itself


NOTICE = timedelta(days=28)  # so long before, the operator hears of a client


class NotAdmittedError(UnauthenticatedError):
    """This client is not admitted."""

    def __init__(self, lacks: Iterable[Lack]) -> None:
        super().__init__(f"This client is not admitted: {'; '.join(lacks)}.")


@dataclass(frozen=True, slots=True)
class ClientCertificate:
    """A certificate. `thumbprint` is the SHA-256 of its DER form; `oin` the serialNumber of its subject."""

    thumbprint: bytes
    oin: str | None
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Vetting:
    """What is on record of a client: its certificates, the day of the statement, the day of the test."""

    certificates: tuple[ClientCertificate, ...] = ()
    second_factor_stated_on: date | None = None
    penetration_tested_on: date | None = None

    def takes(self, thumbprint: bytes | None, now: datetime) -> bool:
        """Tell whether a token that is bound to this certificate (None: to none) is good for the client.

        With certificates on record, run out or not, none but these will do; without, none may be named.
        """
        if thumbprint is None:
            return not self.certificates
        return any(one.thumbprint == thumbprint and now < one.expires_at for one in self.certificates)


@dataclass(frozen=True, slots=True)
class VettingRule:
    """What a hub demands of its clients; a penetration test is good for `penetration_test_days`."""

    demanded: bool = False
    penetration_test_days: int = 365

    def require(self, vetting: Vetting, now: datetime) -> None:
        """Raise NotAdmittedError, with all that is lacking, where clients must be vetted."""
        if self.demanded and (lacks := self.lacks(vetting, now)):
            raise NotAdmittedError(lacks)

    def lacks(self, vetting: Vetting, now: datetime) -> tuple[Lack, ...]:
        """Return what is lacking, whether this hub demands it or not."""
        found = []
        if not vetting.certificates:
            found.append(Lack.NO_CERTIFICATE)
        elif all(one.expires_at <= now for one in vetting.certificates):
            found.append(Lack.CERTIFICATE_EXPIRED)
        if vetting.second_factor_stated_on is None:
            found.append(Lack.NO_SECOND_FACTOR)
        until = self.penetration_test_until(vetting)
        if until is None:
            found.append(Lack.NO_PENETRATION_TEST)
        elif until < today(now):
            found.append(Lack.PENETRATION_TEST_TOO_OLD)
        return tuple(found)

    def penetration_test_until(self, vetting: Vetting) -> date | None:
        """Return the last day (Europe/Amsterdam) on which the penetration test is good; None without one."""
        tested_on = vetting.penetration_tested_on
        return None if tested_on is None else tested_on + timedelta(days=self.penetration_test_days)

    def ends(self, vetting: Vetting) -> dict[RunningOut, datetime]:
        """Return the moment from which on each thing that is on record is no longer good."""
        found = {}
        if vetting.certificates:
            found[RunningOut.CERTIFICATE] = max(one.expires_at for one in vetting.certificates)
        if vetting.penetration_tested_on is not None:
            found[RunningOut.PENETRATION_TEST] = self.penetration_test_ends(vetting.penetration_tested_on)
        return found

    def penetration_test_ends(self, tested_on: date) -> datetime:
        """Return the midnight (Europe/Amsterdam) after which a test of that day is too old."""
        return midnight(tested_on + timedelta(days=self.penetration_test_days + 1))

    def fit_until(self, vetting: Vetting) -> date | None:
        """Return the last day on which nothing has run out yet; None if something was never recorded.

        The day may have passed. On its last day a certificate ends at a moment, not at midnight.
        """
        until = self.penetration_test_until(vetting)
        if until is None or not vetting.certificates or vetting.second_factor_stated_on is None:
            return None
        return min(until, max(today(one.expires_at) for one in vetting.certificates))
