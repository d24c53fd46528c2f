"""Documents and values that nobody thought of: schemathesis makes them from the schema.

For twenty seconds; KOPPELPUNT_FUZZ_SECONDS says otherwise.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from app.domain import errors
from app.domain.access import Role
from tests.end_to_end import fuzz_hooks
from tests.factories.world import BRIN, OTHER_BRIN, a_personal_number

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.factories.live_hub import LiveClient, LiveHub

pytestmark = pytest.mark.slow

SECONDS = float(os.environ.get("KOPPELPUNT_FUZZ_SECONDS", "20"))
SDL = Path(__file__).parents[2] / "graphql_schema" / "schema.graphql"
CODES = {error.code for error in errors.HubError.__subclasses__()}
NUMBERS = st.one_of(
    st.randoms().map(a_personal_number), st.integers(), st.none(), st.lists(st.none()), fuzz_hooks.ANYTHING
)
_A_ROUND = 40


def with_variables(document: str) -> str:
    """Return the document with personal numbers as a variable, as they have to be."""
    if "personalNumber: null" not in document:
        return document
    changed = document.replace("personalNumber: null", "personalNumber: $number")
    return changed.replace("mutation {", "mutation ($number: PersonalNumber!) {", 1)


class TestFuzzing:
    @pytest.fixture
    async def callers(
        self, hub: LiveHub, join: Callable[..., Awaitable[LiveClient]]
    ) -> dict[Role, LiveClient]:
        """Register a client of each role that has much to ask."""
        return {
            Role.OS: await join(hub, Role.OS),
            Role.SIS: await join(hub, Role.SIS, BRIN, OTHER_BRIN),
            Role.CAMBO: await join(hub, Role.CAMBO),
            Role.INSTITUTION: await join(hub, Role.INSTITUTION, BRIN),
            Role.OPERATOR: await join(hub, Role.OPERATOR),
        }

    @pytest.mark.timeout(SECONDS + 120)
    def test_finds_no_fault_and_no_error_that_is_not_masked(
        self, hub: LiveHub, callers: dict[Role, LiveClient]
    ) -> None:
        schema = schemathesis.graphql.from_path(SDL)
        until = time.monotonic() + SECONDS
        log_before = len(hub.log)
        outcomes: dict[str, int] = {}

        with httpx.Client(base_url=hub.url, timeout=60) as http:

            def post(role: Role, document: str, number: object) -> None:
                asked = with_variables(document)
                members = {"query": asked, "variables": {"number": number} if "$number" in asked else None}
                try:
                    answered = http.post("/graphql", json=members, headers=callers[role].headers)
                except UnicodeEncodeError:
                    return  # lone surrogates never leave this side
                assert answered.status_code < 500, (document, answered.text)
                found = [one["extensions"]["code"] for one in answered.json().get("errors", ())]
                assert set(found) <= CODES, (document, answered.text)
                for code in found or ["answered"]:
                    outcomes[code] = outcomes.get(code, 0) + 1

            for number in range(10_000):
                fuzz = settings(
                    max_examples=_A_ROUND,
                    deadline=None,
                    database=None,
                    suppress_health_check=list(HealthCheck),
                )(seed(number)(given(st.sampled_from(sorted(callers)), schema.as_strategy(), NUMBERS)(
                    lambda role, case, value: post(role, case.body, value)
                )))  # fmt: skip
                fuzz()
                if time.monotonic() > until:
                    break
        assert outcomes.get("answered", 0) > 0, outcomes
        assert outcomes.get("BAD_USER_INPUT", 0) > 0, outcomes
        assert "internal_error" not in hub.log[log_before:]
        print(f"{sum(outcomes.values())} answers: {outcomes}")  # noqa: T201 - what the seconds were good for
