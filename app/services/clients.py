"""Organisations, their OAuth clients, and the mandates of SIS vendors."""

from __future__ import annotations

import re
import secrets
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from app.domain.access import Role
from app.domain.codes import is_brin, is_oin, today
from app.domain.errors import BadUserInputError, ConflictError, NotFoundError
from app.domain.mandate import Mandate, Period, with_period, without_period
from app.domain.record import OPERATOR, SecurityEvent, SecurityRecord
from app.persistence import clients as register
from app.persistence.clients import ClientRegister
from app.persistence.unit_of_work import administrative_work
from app.services.client_keys import checked_keys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from app.domain.client import ClientOverview, RegisteredClient
    from app.persistence.database import Database

_LONGEST_NAME = 200
_REGION = re.compile(r"[0-9]{2}", re.ASCII)  # of the RMC, as in the register of institutions
_WITH_BRINS = frozenset({Role.SIS, Role.INSTITUTION})


class ClientNotFoundError(NotFoundError):
    """There is no such client."""


class ClientService:
    """What an operator does with clients, and what the token endpoint asks about them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @asynccontextmanager
    async def _register(self) -> AsyncIterator[ClientRegister]:
        async with administrative_work(self._database) as session:
            yield ClientRegister(session)

    async def add_client(
        self,
        *,
        name: str,
        role: Role,
        oin: str,
        jwks: object,
        brins: Collection[str] = (),
        region: str | None = None,
    ) -> str:
        """Register a client and return its id.

        A second client of the same OIN and role joins the organisation. `brins` are mandates from today
        on for a SIS vendor, and its own for an institution. Raises BadUserInputError, naming the field,
        and ConflictError when the region is not that of the organisation.
        """
        keys = checked_keys(jwks)
        _check_organisation(name, role, oin, brins, region)
        client_id = f"hub-{secrets.token_urlsafe(12)}"
        async with self._register() as clients:
            organisation = await clients.organisation(oin, role, name=name, region=region)
            if region not in {None, organisation.region}:
                message = "This organisation has another region."
                raise ConflictError(message)
            if role is Role.SIS:
                for brin in sorted(set(brins)):
                    await _add_mandate(clients, organisation.number, brin, Period(_today()))
            if role is Role.INSTITUTION:
                await clients.add_own_institutions(organisation.number, sorted(set(brins)))
                if not await clients.own_institutions(organisation.number):
                    raise BadUserInputError("brin", "An institution needs a BRIN.")
            await clients.add_client(client_id, organisation.number, name, keys)
            await _put_on_record(clients, SecurityEvent.CLIENT_ADDED, client_id, oin)
        return client_id

    async def list_clients(self) -> list[ClientOverview]:
        """Return every client, the revoked ones too, the oldest first."""
        async with self._register() as clients:
            return await clients.clients(_today())

    async def revoke_client(self, client_id: str) -> None:
        """End a client; again does no harm. Raises ClientNotFoundError."""
        async with self._register() as clients:
            if not await clients.revoke(client_id):
                raise ClientNotFoundError
            await _put_on_record(clients, SecurityEvent.CLIENT_REVOKED, client_id)

    async def add_mandate(
        self, client_id: str, brin: str, *, valid_from: date | None = None, valid_to: date | None = None
    ) -> None:
        """Let the organisation of a client act for an institution; both dates are inclusive.

        Without `valid_from` it starts today, without `valid_to` it stays open. Periods that touch become one.
        """
        period = _period(valid_from, valid_to)
        async with self._register() as clients:
            organisation_id = await _sis_vendor(clients, client_id, brin)
            await _add_mandate(clients, organisation_id, brin, period)
            await _put_on_record(
                clients, SecurityEvent.MANDATE_ADDED, client_id, brin, f"{period.start} to {period.end}"
            )

    async def remove_mandate(
        self, client_id: str, brin: str, *, valid_from: date | None = None, valid_to: date | None = None
    ) -> None:
        """Take these days, by default from today on, out of a mandate; both dates are inclusive.

        Raises NotFoundError when there is no mandate on any of these days.
        """
        period = _period(valid_from, valid_to)
        async with self._register() as clients:
            organisation_id = await _sis_vendor(clients, client_id, brin)
            before = await clients.mandates(organisation_id, brin)
            after = without_period(before, period)
            if after == before:
                message = "There is no such mandate."
                raise NotFoundError(message)
            await clients.replace_mandates(organisation_id, brin, after)
            await _put_on_record(
                clients, SecurityEvent.MANDATE_REMOVED, client_id, brin, f"{period.start} to {period.end}"
            )

    async def find(self, client_id: str) -> RegisteredClient | None:
        """Return a client with what decides about its rights, revoked or not; None if there is none."""
        async with self._database.connection() as connection:
            return await register.client_with_organisation(connection, client_id)

    async def mandates(self, organisation_id: int) -> list[Mandate]:
        """Return an organisation's mandates that have not ended, by institution and first day."""
        async with self._database.connection() as connection:
            return await register.current_mandates(connection, organisation_id, _today())

    async def use_assertion(self, client_id: str, jti: str, expires_at: float) -> bool:
        """Remember that a client has used an assertion; False if it had before, here or on another worker."""
        async with self._database.connection() as connection:
            return await register.use_assertion(connection, client_id, jti, expires_at)

    async def purge_assertions(self) -> int:
        """Forget assertions that have ended; return how many, at most 10,000 a call."""
        async with self._database.connection() as connection:
            return await register.purge_assertions(connection)


def _today() -> date:
    return today(datetime.now(UTC))


def _check_organisation(name: str, role: Role, oin: str, brins: Collection[str], region: str | None) -> None:
    if not name.strip() or not name.isprintable() or len(name) > _LONGEST_NAME:
        raise BadUserInputError("name", f"A name has 1 to {_LONGEST_NAME} printable characters.")
    if not is_oin(oin):
        raise BadUserInputError("oin", "An OIN has 20 digits, of which the last 12 may be capitals.")
    if brins and role not in _WITH_BRINS:
        raise BadUserInputError("brin", "Only a SIS vendor and an institution have BRINs.")
    for brin in brins:
        _check_brin(brin)
    if role is Role.REGION and region is None:
        raise BadUserInputError("region", "A region needs its code.")
    if role is not Role.REGION and region is not None:
        raise BadUserInputError("region", "Only the role region has one.")
    if region is not None and _REGION.fullmatch(region) is None:
        raise BadUserInputError("region", "The code of a region has two digits.")


def _check_brin(brin: str) -> None:
    if not is_brin(brin):
        raise BadUserInputError("brin", "A BRIN has two digits and two capitals, such as 25GV.")


def _period(valid_from: date | None, valid_to: date | None) -> Period:
    start = valid_from or _today()
    if valid_to is not None and valid_to < start:
        raise BadUserInputError("to", "A mandate cannot end before it starts.")
    return Period(start, valid_to or date.max)


async def _put_on_record(
    clients: ClientRegister,
    event: SecurityEvent,
    client_id: str,
    on_behalf_of: str | None = None,
    detail: str | None = None,
) -> None:
    await clients.put_on_record(
        SecurityRecord(
            datetime.now(UTC),
            event,
            actor=OPERATOR,
            subject=client_id,
            on_behalf_of=on_behalf_of,
            detail=detail,
        )
    )


async def _sis_vendor(clients: ClientRegister, client_id: str, brin: str) -> int:
    _check_brin(brin)
    organisation = await clients.organisation_of(client_id)
    if organisation is None:
        raise ClientNotFoundError
    if organisation.role is not Role.SIS:
        raise BadUserInputError("client", "Only a SIS vendor has mandates.")
    return organisation.number


async def _add_mandate(clients: ClientRegister, organisation_id: int, brin: str, period: Period) -> None:
    before = await clients.mandates(organisation_id, brin)
    await clients.replace_mandates(organisation_id, brin, with_period(before, period))
