"""Organisations in a role, their OAuth clients, their mandates."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from sqlalchemy import Boolean, Column, Index, LargeBinary, UniqueConstraint, false
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field, SQLModel

from app.domain.access import Role
from app.persistence.tables import columns


class OrganisationRow(SQLModel, table=True):
    """An organisation (OIN) in one role: the unit that sends, receives, and holds mandates."""

    __tablename__ = "organisation"
    __table_args__ = (UniqueConstraint("oin", "role"),)

    id: int | None = Field(default=None, sa_column=columns.identity())
    oin: str = Field(max_length=20)
    role: Role = Field(sa_column=columns.choice(Role))
    name: str
    region: str | None = None
    created_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))


class OwnInstitutionRow(SQLModel, table=True):
    """The institutions (BRIN) that an organisation in the role `institution` is."""

    __tablename__ = "own_institution"

    organisation_id: int = Field(sa_column=columns.reference("organisation.id", primary=True))
    brin: str = Field(primary_key=True)


class ClientRow(SQLModel, table=True):
    """An OAuth client. `jwks` holds its public keys, `revoked_at` ends it; two days tell of its vetting."""

    __tablename__ = "client"

    client_id: str = Field(primary_key=True)
    organisation_id: int = Field(sa_column=columns.reference("organisation.id"))
    name: str
    jwks: dict[str, Any] = Field(sa_column=Column(JSONB, nullable=False))
    created_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))
    revoked_at: datetime | None = Field(default=None, sa_column=columns.moment(nullable=True))
    trusted_only: bool = Field(
        default=False, sa_column=Column(Boolean, nullable=False, server_default=false())
    )
    second_factor_stated_on: date | None = None
    penetration_tested_on: date | None = None


class ClientCertificateRow(SQLModel, table=True):
    """A certificate that a client's tokens are bound to; `oin` stood in its subject."""

    __tablename__ = "client_certificate"

    client_id: str = Field(foreign_key="client.client_id", primary_key=True)
    thumbprint: bytes = Field(sa_column=Column(LargeBinary, primary_key=True))
    oin: str = Field(max_length=20)
    expires_at: datetime = Field(sa_column=columns.moment())
    added_at: datetime | None = Field(default=None, sa_column=columns.moment(now=True))


class ClientAssertionRow(SQLModel, table=True):
    """A `jti` that a client has used; kept until the assertion would have ended anyway."""

    __tablename__ = "client_assertion"
    __table_args__ = (Index("client_assertion_expires_at_idx", "expires_at"),)

    client_id: str = Field(primary_key=True)
    jti: str = Field(primary_key=True)
    expires_at: datetime = Field(sa_column=columns.moment())


class MandateRow(SQLModel, table=True):
    """What a SIS vendor may do for an institution, and when. `valid_to` is inclusive; None is open."""

    __tablename__ = "mandate"
    __table_args__ = (Index("mandate_organisation_id_brin_idx", "organisation_id", "brin"),)

    id: int | None = Field(default=None, sa_column=columns.identity())
    organisation_id: int = Field(sa_column=columns.reference("organisation.id"))
    brin: str
    kind: str = Field(default="STATUSES", max_length=20)
    valid_from: date
    valid_to: date | None = None
