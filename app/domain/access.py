"""Who may do what: pure functions over the caller. Source: the roles of the chain's agreements."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.domain.errors import ForbiddenError


class Role(StrEnum):
    """What an organisation is to the hub."""

    SIS = "sis"
    OS = "os"
    INSTITUTION = "institution"
    CAMBO = "cambo"
    REGION = "region"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What an access token allows; the names that stand in its `scope` claim."""

    STATUSES_REPORT = "statuses:report"
    REGISTRATIONS_READ = "registrations:read"
    STUDENTS_FOLLOW = "students:follow"
    STUDENTS_ERASE = "students:erase"
    FEED_READ = "feed:read"
    STATISTICS_READ = "statistics:read"
    MESSAGES_READ = "messages:read"
    DELIVERY_READ = "delivery:read"
    COVERAGE_READ = "coverage:read"
    HUB_OPERATE = "hub:operate"


SCOPES_OF_ROLE: dict[Role, frozenset[Scope]] = {
    Role.SIS: frozenset({Scope.STATUSES_REPORT, Scope.REGISTRATIONS_READ}),
    Role.OS: frozenset({Scope.STUDENTS_FOLLOW, Scope.REGISTRATIONS_READ, Scope.FEED_READ}),
    Role.INSTITUTION: frozenset({Scope.STATISTICS_READ, Scope.MESSAGES_READ, Scope.DELIVERY_READ}),
    Role.CAMBO: frozenset(
        {
            Scope.STATUSES_REPORT,
            Scope.REGISTRATIONS_READ,
            Scope.STUDENTS_ERASE,
            Scope.FEED_READ,
            Scope.STATISTICS_READ,
        }
    ),
    Role.REGION: frozenset({Scope.STATISTICS_READ, Scope.COVERAGE_READ}),
    Role.OPERATOR: frozenset(
        {Scope.STATISTICS_READ, Scope.DELIVERY_READ, Scope.COVERAGE_READ, Scope.HUB_OPERATE}
    ),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request: a client of an organisation in one role.

    `brins` are an institution's own; `region` is a region's code; `expires_at` is the end of the
    token in seconds since the epoch; `certificate` is the thumbprint that the token is bound to;
    `subject` the issuer and the subject of a token that is not the hub's own.
    """

    client_id: str
    organisation_id: int
    oin: str
    organisation_name: str
    role: Role
    scopes: frozenset[Scope]
    brins: frozenset[str] = frozenset()
    region: str | None = None
    expires_at: float = float("inf")
    trusted_only: bool = False
    certificate: bytes | None = None
    subject: tuple[str, str] | None = None


def require(principal: Principal, scope: Scope) -> None:
    """Raise ForbiddenError unless the caller's token holds the scope and its role can."""
    if scope not in principal.scopes or scope not in SCOPES_OF_ROLE[principal.role]:
        raise ForbiddenError


def require_statistics_of(principal: Principal, brin: str | None) -> None:
    """Raise ForbiddenError unless the caller may see the figures of this institution (None: national)."""
    require(principal, Scope.STATISTICS_READ)
    if brin is None or principal.role is Role.OPERATOR:
        return
    if principal.role is not Role.INSTITUTION or brin not in principal.brins:
        raise ForbiddenError


def require_delivery_of(principal: Principal, brin: str) -> None:
    """Raise ForbiddenError unless the caller may see how this institution is reported about."""
    require(principal, Scope.DELIVERY_READ)
    if principal.role is not Role.OPERATOR and brin not in principal.brins:
        raise ForbiddenError


def sees_others_statistics(principal: Principal, brin: str | None) -> bool:
    """Tell whether the figures asked for are of an institution that the caller is not."""
    return brin is not None and brin not in principal.brins


def require_coverage_of(principal: Principal, region: str) -> None:
    """Raise ForbiddenError unless the caller may see how a region's students are followed."""
    require(principal, Scope.COVERAGE_READ)
    if principal.role is not Role.OPERATOR and principal.region != region:
        raise ForbiddenError


def institutions_of_log(principal: Principal, brin: str | None) -> frozenset[str]:
    """Return the institutions whose log is asked for (None: all own); raise ForbiddenError for others."""
    require(principal, Scope.MESSAGES_READ)
    if brin is None:
        return principal.brins
    if brin not in principal.brins:
        raise ForbiddenError
    return frozenset({brin})
