"""Queries about organisations, their OAuth clients and their mandates."""

from __future__ import annotations

import json
from collections import defaultdict
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from sqlalchemy import delete, func
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import col, select

from app.domain.access import Role
from app.domain.client import ClientOverview, Organisation, PublicJwk, RegisteredClient
from app.domain.mandate import Mandate, Period
from app.domain.vetting import ClientCertificate, Vetting
from app.persistence.tables import (
    ClientCertificateRow,
    ClientRow,
    FeedRow,
    MandateRow,
    OrganisationRow,
    OwnInstitutionRow,
    SecurityRecordRow,
)
from app.persistence.vetting import VETTING, vetting_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import asyncpg
    from sqlmodel.ext.asyncio.session import AsyncSession

    from app.domain.record import SecurityRecord

_CLIENT_WITH_ORGANISATION = f"""
select c.client_id, c.name, c.jwks, c.revoked_at is not null as revoked, c.trusted_only,
       {VETTING},
       o.id as organisation_id, o.oin, o.name as organisation_name, o.role, o.region,
       array(select i.brin from own_institution i where i.organisation_id = o.id) as brins
from client c join organisation o on o.id = c.organisation_id
where c.client_id = $1
"""

_CURRENT_MANDATES = """
select brin, valid_from, valid_to from mandate
where organisation_id = $1 and (valid_to is null or valid_to >= $2)
order by brin, valid_from
"""

# Two workers with the same assertion: the primary key lets one of them insert it.
_USE_ASSERTION = """
insert into client_assertion (client_id, jti, expires_at) values ($1, $2, to_timestamp($3))
on conflict do nothing returning true
"""

# A day of grace, since an assertion is judged by the clock of the hub and not by that of the database.
_PURGE_ASSERTIONS = """
with gone as (
    delete from client_assertion where (client_id, jti) in (
        select client_id, jti from client_assertion where expires_at < now() - interval '1 day' limit $1
    ) returning 1
)
select count(*) from gone
"""

_FEEDS = {Role.OS: False, Role.CAMBO: True}


async def client_with_organisation(
    connection: asyncpg.Connection[asyncpg.Record], client_id: str
) -> RegisteredClient | None:
    """Return a client with all that decides about its rights, revoked or not; None if there is none."""
    row = await connection.fetchrow(_CLIENT_WITH_ORGANISATION, client_id)
    if row is None:
        return None
    return RegisteredClient(
        client_id=row["client_id"],
        name=row["name"],
        organisation_id=row["organisation_id"],
        oin=row["oin"],
        organisation_name=row["organisation_name"],
        role=Role(row["role"]),
        region=row["region"],
        brins=frozenset(row["brins"]),
        keys=tuple(json.loads(row["jwks"])["keys"]),
        revoked=row["revoked"],
        trusted_only=row["trusted_only"],
        vetting=vetting_in(row),
    )


async def current_mandates(
    connection: asyncpg.Connection[asyncpg.Record], organisation_id: int, today: date
) -> list[Mandate]:
    """Return the mandates of an organisation that have not ended."""
    rows = await connection.fetch(_CURRENT_MANDATES, organisation_id, today)
    return [Mandate(row["brin"], row["valid_from"], row["valid_to"]) for row in rows]


async def use_assertion(
    connection: asyncpg.Connection[asyncpg.Record], client_id: str, jti: str, expires_at: float
) -> bool:
    """Remember that a client has used this `jti`; return False if it had before.

    `expires_at` is in seconds since the epoch. Of several calls at once, one gets True.
    """
    return bool(await connection.fetchval(_USE_ASSERTION, client_id, jti, expires_at))


async def purge_assertions(connection: asyncpg.Connection[asyncpg.Record], at_most: int = 10_000) -> int:
    """Delete what is remembered of assertions that ended a day ago; return how many they were."""
    return int(await connection.fetchval(_PURGE_ASSERTIONS, at_most))


class ClientRegister:
    """Organisations, clients and mandates inside one transaction; it does not commit."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def put_on_record(self, record: SecurityRecord) -> None:
        """Add to the security log what this transaction does."""
        self._session.add(
            SecurityRecordRow(
                at=record.at,
                event=record.event,
                outcome=record.outcome,
                actor=record.actor,
                on_behalf_of=record.on_behalf_of,
                subject=record.subject,
                detail=record.detail,
                count=record.count,
            )
        )

    async def organisation(self, oin: str, role: Role, *, name: str, region: str | None) -> Organisation:
        """Return the organisation with this OIN in this role, locked; make it, and its feed, if need be."""
        values = {"oin": oin, "role": role, "name": name, "region": region}
        await self._session.exec(insert(OrganisationRow).values(values).on_conflict_do_nothing())
        found = select(OrganisationRow).where(OrganisationRow.oin == oin, OrganisationRow.role == role)
        organisation = _organisation((await self._session.exec(found.with_for_update())).one())
        if role in _FEEDS:
            await self._make_feed(organisation.number, complete=_FEEDS[role])
        return organisation

    async def _make_feed(self, organisation_id: int, *, complete: bool) -> None:
        if await self._session.get(FeedRow, organisation_id) is None:
            self._session.add(FeedRow(organisation_id=organisation_id, complete=complete))
            await self._session.flush()

    async def organisation_of(self, client_id: str) -> Organisation | None:
        """Return the organisation that a client acts for, locked; None if there is no such client."""
        found = (
            select(OrganisationRow)
            .join(ClientRow, col(ClientRow.organisation_id) == OrganisationRow.id)
            .where(ClientRow.client_id == client_id)
            .with_for_update(of=OrganisationRow)
        )
        row = (await self._session.exec(found)).one_or_none()
        return None if row is None else _organisation(row)

    async def own_institutions(self, organisation_id: int) -> Sequence[str]:
        """Return the BRINs that an organisation in the role `institution` is."""
        found = select(OwnInstitutionRow.brin).where(OwnInstitutionRow.organisation_id == organisation_id)
        return (await self._session.exec(found)).all()

    async def add_own_institutions(self, organisation_id: int, brins: Iterable[str]) -> None:
        """Add to the BRINs that an organisation is; those that it has already stay."""
        values = [{"organisation_id": organisation_id, "brin": brin} for brin in brins]
        if values:
            await self._session.exec(insert(OwnInstitutionRow).values(values).on_conflict_do_nothing())

    async def add_client(
        self, client_id: str, organisation_id: int, name: str, keys: Sequence[PublicJwk]
    ) -> None:
        """Add a client of an organisation with its public keys."""
        jwks = {"keys": [dict(key) for key in keys]}
        self._session.add(
            ClientRow(client_id=client_id, organisation_id=organisation_id, name=name, jwks=jwks)
        )
        await self._session.flush()

    async def revoke(self, client_id: str) -> bool:
        """End a client, or leave it ended; return False if there is none."""
        client = await self._session.get(ClientRow, client_id)
        if client is None:
            return False
        if client.revoked_at is None:
            client.revoked_at = datetime.now(UTC)
            await self._session.flush()
        return True

    async def mandates(self, organisation_id: int, brin: str) -> tuple[Period, ...]:
        """Return the periods in which an organisation may act for an institution."""
        found = select(MandateRow).where(
            MandateRow.organisation_id == organisation_id, MandateRow.brin == brin
        )
        rows = (await self._session.exec(found)).all()
        return tuple(sorted(Period(row.valid_from, row.valid_to or date.max) for row in rows))

    async def replace_mandates(self, organisation_id: int, brin: str, periods: Iterable[Period]) -> None:
        """Make these the only periods in which an organisation may act for an institution."""
        await self._session.exec(
            delete(MandateRow).where(
                col(MandateRow.organisation_id) == organisation_id, col(MandateRow.brin) == brin
            )
        )
        self._session.add_all(
            MandateRow(
                organisation_id=organisation_id,
                brin=brin,
                valid_from=period.start,
                valid_to=None if period.end == date.max else period.end,
            )
            for period in periods
        )
        await self._session.flush()

    async def clients(self, today: date) -> list[ClientOverview]:
        """Return every client, the oldest first."""
        mandated = (
            select(func.array_agg(MandateRow.brin.distinct()))  # type: ignore[attr-defined]
            .where(
                MandateRow.organisation_id == OrganisationRow.id,
                col(MandateRow.valid_from) <= today,
                func.coalesce(MandateRow.valid_to, date.max) >= today,
            )
            .scalar_subquery()
        )
        own = (
            select(func.array_agg(OwnInstitutionRow.brin))
            .where(OwnInstitutionRow.organisation_id == OrganisationRow.id)
            .scalar_subquery()
        )
        found = (
            select(ClientRow, OrganisationRow, func.coalesce(mandated, own))
            .join(OrganisationRow, col(OrganisationRow.id) == ClientRow.organisation_id)
            .order_by(col(ClientRow.created_at), ClientRow.client_id)
        )
        certificates: defaultdict[str, list[ClientCertificate]] = defaultdict(list)
        for row in (await self._session.exec(select(ClientCertificateRow))).all():
            certificates[row.client_id].append(ClientCertificate(row.thumbprint, row.oin, row.expires_at))
        return [
            ClientOverview(
                client_id=client.client_id,
                name=client.name,
                role=organisation.role,
                oin=organisation.oin,
                organisation=organisation.name,
                region=organisation.region,
                brins=tuple(sorted(brins or ())),
                created_at=client.created_at or datetime.min.replace(tzinfo=UTC),
                revoked_at=client.revoked_at,
                vetting=Vetting(
                    tuple(certificates[client.client_id]),
                    client.second_factor_stated_on,
                    client.penetration_tested_on,
                ),
            )
            for client, organisation, brins in (await self._session.exec(found)).all()
        ]


def _organisation(row: OrganisationRow) -> Organisation:
    if row.id is None:
        raise LookupError(row.oin)
    return Organisation(row.id, row.oin, row.role, row.name, row.region)
