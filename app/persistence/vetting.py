"""Certificates of clients, and what is on record of their vetting."""

from __future__ import annotations

from typing import TYPE_CHECKING

from app.domain.access import Role
from app.domain.client import ClientOverview
from app.domain.vetting import ClientCertificate, Vetting

if TYPE_CHECKING:
    from datetime import date, datetime

    import asyncpg

# Columns of what a client `c` was vetted by; read by `vetting_in`.
VETTING = """
    c.second_factor_stated_on, c.penetration_tested_on,
    array(select v.thumbprint from client_certificate v where v.client_id = c.client_id
          order by v.thumbprint) as thumbprints,
    array(select v.oin from client_certificate v where v.client_id = c.client_id
          order by v.thumbprint) as certificate_oins,
    array(select v.expires_at from client_certificate v where v.client_id = c.client_id
          order by v.thumbprint) as certificates_expire_at
"""
_OIN_OF = """
select o.oin from client c join organisation o on o.id = c.organisation_id
where c.client_id = $1 for update of c
"""
_ADD = """
insert into client_certificate (client_id, thumbprint, oin, expires_at) values ($1, $2, $3, $4)
on conflict do nothing returning true
"""
_COUNT = "select count(*) from client_certificate where client_id = $1"
_REMOVE = "delete from client_certificate where client_id = $1 and thumbprint = $2 returning true"
_SECOND_FACTOR = "update client set second_factor_stated_on = $2 where client_id = $1 returning true"
_PENETRATION_TEST = "update client set penetration_tested_on = $2 where client_id = $1 returning true"
_PAGE = f"""
select c.client_id, c.name, o.role, o.oin, o.name as organisation, o.region, c.created_at, c.revoked_at,
    {VETTING}
from client c join organisation o on o.id = c.organisation_id
where ($1::timestamptz is null or (c.created_at, c.client_id) > ($1, $2))
order by c.created_at, c.client_id limit $3
"""
# Of each client the certificate that ends last, and of these the first; and the oldest penetration test.
_FIRST_TO_END = """
select (select min(last) from (select max(v.expires_at) as last from client c
                               join client_certificate v on v.client_id = c.client_id
                               where c.revoked_at is null group by c.client_id) ends) as certificate,
       (select min(penetration_tested_on) from client where revoked_at is null) as tested_on
"""


def vetting_in(row: asyncpg.Record) -> Vetting:
    """Return what the columns VETTING hold."""
    columns = (row["thumbprints"], row["certificate_oins"], row["certificates_expire_at"])
    return Vetting(
        tuple(ClientCertificate(*one) for one in zip(*columns, strict=True)),
        row["second_factor_stated_on"],
        row["penetration_tested_on"],
    )


class VettingBook:
    """What was vetted of clients, in one transaction."""

    def __init__(self, connection: asyncpg.Connection[asyncpg.Record]) -> None:
        self._connection = connection

    async def oin_of(self, client_id: str) -> str | None:
        """Return the OIN of a client, which is locked; None if there is no such client."""
        oin: str | None = await self._connection.fetchval(_OIN_OF, client_id)
        return oin

    async def add_certificate(self, client_id: str, certificate: ClientCertificate) -> bool:
        """Put a certificate on record; return False if it was before."""
        return bool(
            await self._connection.fetchval(
                _ADD, client_id, certificate.thumbprint, certificate.oin, certificate.expires_at
            )
        )

    async def count_certificates(self, client_id: str) -> int:
        """Return how many certificates a client has."""
        return int(await self._connection.fetchval(_COUNT, client_id))

    async def remove_certificate(self, client_id: str, thumbprint: bytes) -> bool:
        """Take a certificate off the record; return False if it was not on it."""
        return bool(await self._connection.fetchval(_REMOVE, client_id, thumbprint))

    async def state_second_factor(self, client_id: str, on: date | None) -> bool:
        """Put the day of the statement on record, or take it off; return False if there is no such client."""
        return bool(await self._connection.fetchval(_SECOND_FACTOR, client_id, on))

    async def record_penetration_test(self, client_id: str, on: date) -> bool:
        """Put the day of the last penetration test on record; return False if there is no such client."""
        return bool(await self._connection.fetchval(_PENETRATION_TEST, client_id, on))

    async def first_to_end(self) -> tuple[datetime | None, date | None]:
        """Return when the first active client is left without a certificate, and the oldest test of one."""
        row = await self._connection.fetchrow(_FIRST_TO_END)
        return (None, None) if row is None else (row["certificate"], row["tested_on"])

    async def page(self, after: tuple[datetime, str] | None, size: int) -> list[ClientOverview]:
        """Return up to `size` clients after the moment and the id of one, the oldest first; without BRINs."""
        moment, client_id = after or (None, "")
        return [
            ClientOverview(
                client_id=row["client_id"],
                name=row["name"],
                role=Role(row["role"]),
                oin=row["oin"],
                organisation=row["organisation"],
                region=row["region"],
                brins=(),
                created_at=row["created_at"],
                revoked_at=row["revoked_at"],
                vetting=vetting_in(row),
            )
            for row in await self._connection.fetch(_PAGE, moment, client_id, size)
        ]
