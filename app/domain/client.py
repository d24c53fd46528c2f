"""OAuth clients of organisations, as the hub knows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from app.domain.vetting import Vetting

if TYPE_CHECKING:
    from datetime import datetime

    from app.domain.access import Role

# A public key as RFC 7517 writes it; always has `kid`, and only members that are text.
PublicJwk = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Organisation:
    """An organisation (OIN) in one role, under the hub's own number."""

    number: int
    oin: str
    role: Role
    name: str
    region: str | None


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """A client and the organisation that it acts for. `brins` are those that an institution is."""

    client_id: str
    name: str
    organisation_id: int
    oin: str
    organisation_name: str
    role: Role
    region: str | None
    brins: frozenset[str]
    keys: tuple[PublicJwk, ...]
    revoked: bool
    trusted_only: bool = False
    vetting: Vetting = field(default_factory=Vetting)


@dataclass(frozen=True, slots=True)
class ClientOverview:
    """A client in a list. `brins`: of a SIS vendor those with a mandate today, of an institution its own."""

    client_id: str
    name: str
    role: Role
    oin: str
    organisation: str
    region: str | None
    brins: tuple[str, ...]
    created_at: datetime
    revoked_at: datetime | None
    vetting: Vetting = field(default_factory=Vetting)
