"""Who may what."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.access import SCOPES_OF_ROLE, Principal, Role, Scope, require, require_statistics_of
from app.domain.errors import ForbiddenError

_ROLES = st.sampled_from(Role)
_SCOPES = st.frozensets(st.sampled_from(Scope))


def _principal(
    role: Role, scopes: frozenset[Scope] | None = None, brins: frozenset[str] = frozenset()
) -> Principal:
    return Principal(
        client_id="hub-x",
        organisation_id=1,
        oin="00000001234567890000",
        organisation_name="X",
        role=role,
        scopes=SCOPES_OF_ROLE[role] if scopes is None else scopes,
        brins=brins,
    )


def _allows(principal: Principal, scope: Scope) -> bool:
    try:
        require(principal, scope)
    except ForbiddenError:
        return False
    return True


class TestRequire:
    @given(role=_ROLES, held=_SCOPES, asked=st.sampled_from(Scope))
    def test_needs_both_the_token_and_the_role(
        self, role: Role, held: frozenset[Scope], asked: Scope
    ) -> None:
        assert _allows(_principal(role, held), asked) == (asked in held and asked in SCOPES_OF_ROLE[role])

    @pytest.mark.parametrize(
        ("role", "never"),
        [
            (
                Role.SIS,
                set(Scope) - {Scope.STATUSES_REPORT, Scope.REGISTRATIONS_READ},
            ),
            (
                Role.OS,
                set(Scope) - {Scope.STUDENTS_FOLLOW, Scope.REGISTRATIONS_READ, Scope.FEED_READ},
            ),
            (
                Role.INSTITUTION,
                set(Scope) - {Scope.STATISTICS_READ, Scope.MESSAGES_READ, Scope.DELIVERY_READ},
            ),
            (
                Role.CAMBO,
                {
                    Scope.STUDENTS_FOLLOW,
                    Scope.MESSAGES_READ,
                    Scope.DELIVERY_READ,
                    Scope.COVERAGE_READ,
                    Scope.HUB_OPERATE,
                },
            ),
            (Role.REGION, set(Scope) - {Scope.STATISTICS_READ, Scope.COVERAGE_READ}),
            (
                Role.OPERATOR,
                set(Scope)
                - {Scope.STATISTICS_READ, Scope.DELIVERY_READ, Scope.COVERAGE_READ, Scope.HUB_OPERATE},
            ),
        ],
    )
    def test_keeps_a_role_from_what_is_not_its_own(self, role: Role, never: set[Scope]) -> None:
        everything = _principal(role, frozenset(Scope))
        assert {scope for scope in Scope if not _allows(everything, scope)} == never

    def test_knows_every_role(self) -> None:
        assert SCOPES_OF_ROLE.keys() == set(Role)


class TestRequireStatisticsOf:
    @pytest.mark.parametrize(
        ("role", "brin", "allowed"),
        [
            (Role.INSTITUTION, "25GV", True),
            (Role.INSTITUTION, "25LH", False),
            (Role.INSTITUTION, None, True),
            (Role.OPERATOR, "25LH", True),
            (Role.CAMBO, None, True),
            (Role.CAMBO, "25GV", False),
            (Role.REGION, None, True),
            (Role.REGION, "25GV", False),
            (Role.SIS, None, False),
            (Role.OS, None, False),
        ],
    )
    def test_shows_an_institution_only_to_itself_and_the_operator(
        self, role: Role, brin: str | None, allowed: bool
    ) -> None:
        principal = _principal(role, brins=frozenset({"25GV"}) if role is Role.INSTITUTION else frozenset())
        if allowed:
            require_statistics_of(principal, brin)
        else:
            with pytest.raises(ForbiddenError):
                require_statistics_of(principal, brin)
