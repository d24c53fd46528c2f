"""What an operator puts on record of a client before it is let in, and what runs out when."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from app.domain.access import Principal, Scope, require
from app.domain.codes import today
from app.domain.errors import BadUserInputError, LimitExceededError, NotFoundError
from app.domain.record import OPERATOR, SecurityEvent, SecurityRecord
from app.domain.vetting import NOTICE
from app.persistence.unit_of_work import UnitOfWork, reading, unit_of_work
from app.services.client_certificates import checked_certificate
from app.services.clients import ClientNotFoundError
from app.telemetry import log

if TYPE_CHECKING:
    from datetime import date

    from app.domain.client import ClientOverview
    from app.domain.vetting import ClientCertificate, VettingRule
    from app.persistence.database import Database

_MOST_CERTIFICATES = 10
_PAGE = 200


class VettingService:
    """Keeps what clients were vetted by."""

    def __init__(self, database: Database, rule: VettingRule) -> None:
        self._database = database
        self.rule = rule

    async def add_certificate(self, client_id: str, encoded: bytes) -> ClientCertificate:
        """Bind a client to a certificate (PEM or DER), beside those that it has; again does no harm.

        From then on its tokens are good over connections with one of its certificates alone. Raises
        ClientNotFoundError, BadUserInputError, and LimitExceededError beyond ten.
        """
        now = datetime.now(UTC)
        async with unit_of_work(self._database) as unit:
            oin = await unit.vetting.oin_of(client_id)
            if oin is None:
                raise ClientNotFoundError
            certificate = checked_certificate(encoded, oin, now)
            if await unit.vetting.add_certificate(client_id, certificate):
                if await unit.vetting.count_certificates(client_id) > _MOST_CERTIFICATES:
                    message = f"A client has {_MOST_CERTIFICATES} certificates at most; remove one first."
                    raise LimitExceededError(message)
                detail = certificate.thumbprint.hex()
                await _record(unit, SecurityEvent.CERTIFICATE_ADDED, client_id, oin, detail)
        return certificate

    async def remove_certificate(self, client_id: str, thumbprint: bytes) -> None:
        """Take a certificate away; within a minute nobody gets in by it. Raises NotFoundError.

        Without the last one the client is bound to none: any connection will do again.
        """
        async with unit_of_work(self._database) as unit:
            if not await unit.vetting.remove_certificate(client_id, thumbprint):
                message = "This client has no such certificate."
                raise NotFoundError(message)
            await _record(unit, SecurityEvent.CERTIFICATE_REMOVED, client_id, detail=thumbprint.hex())

    async def state_second_factor(self, client_id: str, on: date | None) -> None:
        """Record the day on which its organisation stated that its users log in with a second factor.

        None: it is withdrawn. Raises ClientNotFoundError, and BadUserInputError for a day to come.
        """
        _check_day(on)
        async with unit_of_work(self._database) as unit:
            if not await unit.vetting.state_second_factor(client_id, on):
                raise ClientNotFoundError
            said = "withdrawn" if on is None else on.isoformat()
            await _record(unit, SecurityEvent.SECOND_FACTOR_RECORDED, client_id, detail=said)

    async def record_penetration_test(self, client_id: str, on: date) -> None:
        """Record the day of the last penetration test.

        Raises ClientNotFoundError, and BadUserInputError for a day to come.
        """
        _check_day(on)
        async with unit_of_work(self._database) as unit:
            if not await unit.vetting.record_penetration_test(client_id, on):
                raise ClientNotFoundError
            await _record(unit, SecurityEvent.PENETRATION_TEST_RECORDED, client_id, detail=on.isoformat())

    async def clients(
        self, principal: Principal, after: tuple[datetime, str] | None, size: int
    ) -> list[ClientOverview]:
        """Return up to `size` clients, the oldest first, after the moment and the id of one."""
        require(principal, Scope.HUB_OPERATE)
        async with reading(self._database) as unit:
            return await unit.vetting.page(after, size)

    async def warn(self) -> int:
        """Log which active clients are soon, or already, without something; return how many lines."""
        now, lines = datetime.now(UTC), 0
        after: tuple[datetime, str] | None = None
        while True:
            async with reading(self._database) as unit:
                page = await unit.vetting.page(after, _PAGE)
            for client in page:
                if client.revoked_at is not None:
                    continue
                for what, ends in self.rule.ends(client.vetting).items():
                    if ends - now < NOTICE:
                        log.warning(
                            "client_runs_out",
                            client_id=client.client_id,
                            what=what.value,
                            ends=ends.astimezone(UTC).isoformat(),
                        )
                        lines += 1
            if len(page) < _PAGE:
                return lines
            after = (page[-1].created_at, page[-1].client_id)


def _check_day(day: date | None) -> None:
    if day is not None and day > today(datetime.now(UTC)):
        raise BadUserInputError("day", "This day is yet to come.")


async def _record(
    unit: UnitOfWork,
    event: SecurityEvent,
    client_id: str,
    on_behalf_of: str | None = None,
    detail: str | None = None,
) -> None:
    record = SecurityRecord(
        datetime.now(UTC), event, actor=OPERATOR, on_behalf_of=on_behalf_of, subject=client_id, detail=detail
    )
    await unit.records.add_security([record])
