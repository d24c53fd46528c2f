"""What a document does not ask for is not read, where reading it costs something."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest

from app.domain.access import SCOPES_OF_ROLE, Principal, Role
from graphql_schema.context import Context
from graphql_schema.execution.operations import Operations
from graphql_schema.pagination import Cursors
from graphql_schema.schema import schema

OPERATIONS = Operations(schema)
PRINCIPAL = Principal("hub-x", 1, "00000099000000000001", "A vendor", Role.CAMBO, SCOPES_OF_ROLE[Role.CAMBO])
BOTH = {"status_since", "last_confirmed_at"}


class Registrations:
    """Has none, and notes what it was told not to read."""

    def __init__(self):
        self.unread = None

    async def page(self, _principal, _wanted, _after, _size, unread=frozenset()):
        self.unread = unread
        return []


async def unread_of(selection, *, compiled=True, **variables):
    registrations = Registrations()
    declared = ", ".join(f"${name}: Boolean!" for name in variables)
    text = f"query Q{f'({declared})' if declared else ''} {{ registrations {{ {selection} }} }}"
    if "...Part" in selection:
        text += " fragment Part on Registration { ...Deeper } fragment Deeper on Registration { statusSince }"
    prepared = OPERATIONS.prepare(text, None)
    assert prepared.plan is not None
    assert prepared.plan.choose(variables) is not None
    if not compiled:
        prepared = dataclasses.replace(prepared, plan=None)
    services: Any = SimpleNamespace(registrations=registrations)
    context = Context(PRINCIPAL, services, Cursors(bytes(32)))
    assert b'"errors"' not in await OPERATIONS.execute(prepared, variables, context)
    return registrations.unread


class TestUnread:
    @pytest.mark.parametrize(
        ("selection", "unread"),
        [
            ("nodes { status }", BOTH),
            ("nodes { since: statusSince }", {"last_confirmed_at"}),
            ("nodes { statusSince } edges { node { lastConfirmedAt } }", set()),
            ("nodes { ... on Registration { lastConfirmedAt } }", {"status_since"}),
            ("nodes { ...Part }", {"last_confirmed_at"}),
        ],
    )
    async def test_are_times_without_a_field(self, selection, unread):
        assert await unread_of(selection) == unread

    @pytest.mark.parametrize("included", [True, False])
    async def test_is_not_what_a_directive_may_ask_for(self, included):
        selection = "nodes { id statusSince @include(if: $included) }"
        assert await unread_of(selection, included=included) == {"last_confirmed_at"}

    async def test_is_nothing_where_graphql_core_calls(self):
        assert await unread_of("nodes { status }", compiled=False) == set()

    async def test_is_nothing_below_another_place_of_the_same_field(self):
        selection = "nodes { id } } registrations { nodes { statusSince lastConfirmedAt }"
        assert await unread_of(selection) == set()
