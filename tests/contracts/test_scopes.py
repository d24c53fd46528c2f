"""Walks the schema: each root field names its scope; whoever lacks it gets nothing and changes nothing."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from graphql import GraphQLObjectType, get_named_type, is_list_type, is_non_null_type, is_required_argument

from app.domain.access import SCOPES_OF_ROLE, Principal, Role, Scope
from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema
from tests.factories import world as world_factory
from tests.factories.world import BRIN, PROGRAMME, World, a_personal_number

if TYPE_CHECKING:
    from collections.abc import Iterator

BUILT = schema._schema
ROOTS = ("Query", "Mutation", "Subscription")
# What tells of one person, or of one message about one.
PERSONAL = {
    "DifferentRegistration",
    "FollowResult",
    "FollowedStudent",
    "MessageResult",
    "Registration",
    "RegistrationOnDate",
    "StatusChange",
    "StatusHistoryEntry",
}
NEVER_A_PERSON = (Role.INSTITUTION, Role.REGION, Role.OPERATOR)
# Lists below the root, each with what bounds it.
BOUNDED_BY_THE_PAGE = {"edges", "nodes", "changes"}
BOUNDED_BY_THE_INPUT = {
    "ReportStatusesPayload.results",
    "CorrectRegistrationsPayload.results",
    "FollowStudentsPayload.results",
    "UnfollowStudentsPayload.unfollowed",
    "UnfollowStudentsPayload.unknown",
    "RegistrationComparison.differences",
}
FILLED_BY_THE_HUB = {
    "completeness",
    "delivery_progress",
    "security_record",
    "sender_delivery",
    "statistics_cell",
    "statistics_snapshot",
}
BOUNDED_BY_NATURE = {
    "MessageResult.findings": "a closed list of findings",
    "FollowResult.registrations": "all of one student: none may be missing",
    "FollowedStudent.onDate": "all of one student: none may be missing",
    "FollowedStudent.registrations": "all of one student: none may be missing",
    "MultipleRegistrationStatistics.byProgramme": "the programmes of the catalogue",
    "RegistrationDigest.children": "two hexadecimal digits",
    "DeliveryQuality.findings": "a closed list",
    "DeliveryQuality.senders": "those with a mandate for one institution",
    "SenderDelivery.findings": "a closed list",
    "SenderDelivery.refusals": "a closed list",
    "MultipleRegistrationStatistics.byLiveRegistrations": "1, 2, 3, and 4 or more",
    "MultipleRegistrationStatistics.overlap": "the institutions of the country",
    "RegistrationStatistics.byProgramme": "the programmes of the catalogue",
    "RegistrationStatistics.byLearningPath": "a closed list",
    "RegistrationStatistics.byProgrammeYear": "1, 2 and 3",
    "RegistrationStatistics.byWeek": "the weeks in which one applies for a school year",
    "RegistrationStatistics.byStatus": "two closed lists",
    "RegistrationStatistics.byRegion": "the regions of the country",
    "RegistrationStatistics.byInstitution": "the institutions of the country",
    "AnnualOverview.byInstitution": "the institutions of the country",
    "AnnualOverview.byProgramme": "the programmes of the catalogue",
    "AnnualOverview.byRegion": "the regions of the country",
    "Coverage.silentInstitutions": "the institutions of a region",
    "Viewer.scopes": "a closed list",
    "VettedClient.lacks": "a closed list",
    "VettedClient.certificates": "ten at most",
    "Viewer.brins": "the institutions of one organisation",
    "Viewer.mandates": "the institutions of the country",
}


def a_message() -> dict[str, object]:
    return {
        "messageId": str(uuid4()),
        "applicationId": uuid4().hex,
        "personalNumber": a_personal_number(),
        "brin": BRIN,
        "programmeCode": PROGRAMME,
        "learningPath": "BOL",
        "schoolYear": 2026,
        "status": "RECEIVED",
        "occurredAt": "2026-09-01T12:00:00+02:00",
    }


def a_correction() -> dict[str, object]:
    return {
        "messageId": str(uuid4()),
        "applicationId": "unknown",
        "brin": BRIN,
        "kind": "ANNUL",
        "reason": "typing error",
    }


def a_student() -> dict[str, object]:
    return {"personalNumber": a_personal_number(), "reference": uuid4().hex}


# The least that each root field can be called with: its variables, and what to select of its answer.
CALLS: dict[str, tuple[dict[str, tuple[str, object]], str]] = {
    "Query.viewer": ({}, "{ clientId }"),
    "Query.registration": ({"id": ("ID!", str(uuid4()))}, "{ id }"),
    "Query.registrationByApplicationId": (
        {"brin": ("BRIN!", BRIN), "applicationId": ("ID!", "unknown")},
        "{ id }",
    ),
    "Query.registrations": ({}, "{ nodes { id } }"),
    "Query.messageResults": ({"messageIds": ("[UUID!]!", [str(uuid4())])}, "{ outcome }"),
    "Query.followedStudents": ({}, "{ nodes { reference } }"),
    "Query.followedStudent": ({"reference": ("ID!", "unknown")}, "{ reference }"),
    "Query.feed": ({}, "{ lastNumber }"),
    "Query.statusChanges": ({}, "{ changes { number } }"),
    "Query.webhook": ({}, "{ url }"),
    "Query.messageLog": ({}, "{ nodes { messageId } }"),
    "Query.receivers": ({}, "{ nodes { lastNumber } }"),
    "Query.registrationDigest": (
        {"brin": ("BRIN!", BRIN), "schoolYear": ("Int!", 2026)},
        "{ count children { digest } }",
    ),
    "Query.compareRegistrations": (
        {"input": ("CompareRegistrationsInput!", {"brin": BRIN, "schoolYear": 2026, "registrations": []})},
        "{ equal }",
    ),
    "Query.clients": ({}, "{ nodes { clientId } }"),
    "Query.deliveryQuality": ({"brin": ("BRIN!", BRIN)}, "{ registrations senders { state } }"),
    "Query.deliveryQualities": ({}, "{ nodes { registrations } }"),
    "Query.deliveryState": ({}, "{ pendingEvents }"),
    "Query.multipleRegistrationStatistics": ({"schoolYear": ("Int!", 2026)}, "{ asOf }"),
    "Query.registrationStatistics": ({"schoolYear": ("Int!", 2026)}, "{ asOf }"),
    "Query.annualOverview": ({"schoolYear": ("Int!", 2020)}, "{ asOf }"),
    "Query.coverage": ({"region": ("String!", "12"), "schoolYear": ("Int!", 2026)}, "{ asOf }"),
    "Mutation.reportStatuses": (
        {"input": ("ReportStatusesInput!", {"messages": [a_message()]})},
        "{ results { outcome } }",
    ),
    "Mutation.correctRegistrations": (
        {"input": ("CorrectRegistrationsInput!", {"corrections": [a_correction()]})},
        "{ results { outcome } }",
    ),
    "Mutation.followStudents": (
        {"input": ("FollowStudentsInput!", {"students": [a_student()]})},
        "{ results { outcome } }",
    ),
    "Mutation.unfollowStudents": (
        {"input": ("UnfollowStudentsInput!", {"references": ["unknown"]})},
        "{ unknown }",
    ),
    "Mutation.eraseStudent": (
        {"input": ("EraseStudentInput!", {"personalNumber": a_personal_number()})},
        "{ erased }",
    ),
    "Mutation.acknowledgeStatusChanges": (
        {"input": ("AcknowledgeStatusChangesInput!", {"number": 0})},
        "{ acknowledged }",
    ),
    "Mutation.exportFollowedStudents": (
        {"input": ("ExportFollowedStudentsInput!", {"format": "CSV"})},
        "{ expiresAt }",
    ),
    "Mutation.exportAnnualOverview": (
        {"input": ("ExportAnnualOverviewInput!", {"format": "CSV", "schoolYear": 2020})},
        "{ expiresAt }",
    ),
    "Mutation.registerWebhook": (
        {"input": ("RegisterWebhookInput!", {"url": "https://127.0.0.1/"})},
        "{ secret }",
    ),
    "Mutation.resetWebhook": ({}, "{ webhook { url } }"),
    "Mutation.removeWebhook": ({}, "{ removed }"),
    "Subscription.statusChanged": ({"after": ("Int", 10**6)}, "{ number }"),
}
# What the use case itself says of a call that the caller may make.
ANSWERS = {
    "Query.annualOverview": "NOT_FOUND",
    "Mutation.exportAnnualOverview": "NOT_FOUND",
    "Mutation.registerWebhook": "BAD_USER_INPUT",
    "Mutation.resetWebhook": "NOT_FOUND",
    "Subscription.statusChanged": "CURSOR_AHEAD",
}


def root_fields() -> Iterator[tuple[str, Any]]:
    """Yield each root field with its name in the schema, as Strawberry defines it."""
    for root in ROOTS:
        definition = BUILT.type_map[root].extensions["strawberry-definition"]
        for field in definition.fields:
            yield f"{root}.{schema.config.name_converter.get_graphql_name(field)}", field


FIELDS = dict(root_fields())


async def call(principal: Principal, world: World, name: str, **changed: object) -> str | None:
    """Call a root field and return the code of its first error, None when it was answered."""
    root, _, field = name.partition(".")
    variables, selection = CALLS[name]
    declared = ", ".join(f"${argument}: {kind}" for argument, (kind, _) in variables.items())
    passed = ", ".join(f"{argument}: ${argument}" for argument in variables)
    text = (
        f"{root.lower()}{f'({declared})' if declared else ''} "
        f"{{ {field}{f'({passed})' if passed else ''} {selection} }}"
    )
    values = {argument: value for argument, (_, value) in variables.items()}
    return await run(principal, world, text, {**values, **changed})


async def run(principal: Principal, world: World, text: str, values: dict[str, object]) -> str | None:
    operations = Operations(schema)
    context = world.hub.context(principal)
    try:
        prepared = operations.prepare(text, None)
        if text.startswith("subscription"):
            async with aclosing(operations.subscribe(prepared, values, context)) as events:
                async for _ in events:
                    return None
        answer = json.loads(await operations.execute(prepared, values, context))
    except RequestFailedError as failure:
        return failure.code
    errors = answer.get("errors")
    return errors[0]["extensions"]["code"] if errors else None


async def rows(world: World) -> dict[str, int]:
    """Return how many rows each table has, but for those that the hub fills by itself."""
    async with world.hub.database.connection() as connection:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
    names = [row["tablename"] for row in tables if row["tablename"] not in FILLED_BY_THE_HUB]
    return {name: await world.count(name) for name in names}


class TestRootFields:
    def test_are_all_called_here(self) -> None:
        assert set(CALLS) == set(FIELDS)

    @pytest.mark.parametrize("name", FIELDS)
    def test_name_their_scope(self, name: str) -> None:
        metadata = FIELDS[name].metadata
        assert "scope" in metadata, "give the field metadata=needs(...)"
        scope = metadata["scope"]
        assert isinstance(scope, Scope) or (scope is None and name == "Query.viewer")

    @pytest.mark.parametrize("root", ROOTS)
    def test_are_those_of_the_built_schema(self, root: str) -> None:
        built = BUILT.type_map[root]
        assert isinstance(built, GraphQLObjectType)
        assert {f"{root}.{name}" for name in built.fields} == {n for n in FIELDS if n.startswith(f"{root}.")}

    async def test_refuse_who_lacks_the_scope_and_nobody_else(self, world) -> None:
        callers = {role: await world.principal(role, (BRIN,) if role in {Role.SIS, Role.INSTITUTION} else ())
                   for role in Role}  # fmt: skip
        before = await rows(world)
        wrong = []
        for role, caller in callers.items():
            for name, field in FIELDS.items():
                scope = field.metadata["scope"]
                if scope is None or scope in SCOPES_OF_ROLE[role]:
                    continue
                code = await call(caller, world, name)
                if code != "FORBIDDEN":
                    wrong.append((role, name, code))
        assert wrong == []
        assert await rows(world) == before
        for role, caller in callers.items():
            for name, field in FIELDS.items():
                scope = field.metadata["scope"]
                if scope is None or scope in SCOPES_OF_ROLE[role]:
                    code = await call(caller, world, name)
                    if code != ANSWERS.get(name):
                        wrong.append((role, name, code))
        assert wrong == []

    async def test_refuse_a_token_without_the_scope_although_the_role_has_it(self, world) -> None:
        before = await rows(world)
        for role in Role:
            brins = (BRIN,) if role is Role.INSTITUTION else ()
            whole = await world.principal(role, brins)
            known = await rows(world)
            for name, field in FIELDS.items():
                scope = field.metadata["scope"]
                if scope is None:
                    continue
                narrow = Principal(
                    whole.client_id,
                    whole.organisation_id,
                    whole.oin,
                    whole.organisation_name,
                    role,
                    whole.scopes - {scope},
                    whole.brins,
                    whole.region,
                )
                assert await call(narrow, world, name) == "FORBIDDEN", (role, name)
            assert await rows(world) == known
        after = await rows(world)
        assert {name for name in after if after[name] != before[name]} <= {
            "organisation", "client", "own_institution", "feed",
        }  # fmt: skip


class TestPersonalData:
    @staticmethod
    def reachable(start: object) -> set[str]:
        """Return the names of all types that an answer of this type can hold."""
        found: set[str] = set()
        waiting = [get_named_type(start)]  # type: ignore[call-overload]
        while waiting:
            type_ = waiting.pop()
            if type_.name in found:
                continue
            found.add(type_.name)
            if isinstance(type_, GraphQLObjectType):
                waiting.extend(get_named_type(field.type) for field in type_.fields.values())
        return found

    @pytest.mark.parametrize("role", NEVER_A_PERSON)
    def test_is_out_of_reach_of_who_may_never_see_a_person(self, role: Role) -> None:
        for name, field in FIELDS.items():
            root, _, field_name = name.partition(".")
            scope = field.metadata["scope"]
            if scope is not None and scope not in SCOPES_OF_ROLE[role]:
                continue
            built = BUILT.type_map[root]
            assert isinstance(built, GraphQLObjectType)
            assert not self.reachable(built.fields[field_name].type) & PERSONAL, name

    def test_is_in_the_types_named_here(self) -> None:
        assert set(BUILT.type_map) >= PERSONAL

    def test_leaves_no_type_with_a_reference_or_an_application_out(self) -> None:
        telling = {
            name
            for name, type_ in BUILT.type_map.items()
            if isinstance(type_, GraphQLObjectType) and {"reference", "applicationId"} & set(type_.fields)
        }
        assert telling <= PERSONAL

    def test_never_holds_a_personal_number(self) -> None:
        for type_ in BUILT.type_map.values():
            if isinstance(type_, GraphQLObjectType):
                for name, field in type_.fields.items():
                    assert get_named_type(field.type).name != "PersonalNumber", f"{type_.name}.{name}"


def lists() -> Iterator[str]:
    """Yield every field of the schema that answers with a list, as Type.field."""
    for type_ in BUILT.type_map.values():
        if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
            for name, field in type_.fields.items():
                bare = field.type.of_type if is_non_null_type(field.type) else field.type
                if is_list_type(bare):
                    yield f"{type_.name}.{name}"


def paged() -> Iterator[str]:
    for type_ in BUILT.type_map.values():
        if isinstance(type_, GraphQLObjectType):
            for name, field in type_.fields.items():
                if get_named_type(field.type).name.endswith(("Connection", "Page")):
                    yield f"{type_.name}.{name}"


class TestLists:
    def test_are_each_bounded_by_something_known(self) -> None:
        unbounded = {
            name
            for name in lists()
            if name.partition(".")[2] not in BOUNDED_BY_THE_PAGE
            and name not in {*BOUNDED_BY_THE_INPUT, *BOUNDED_BY_NATURE}
        }
        assert unbounded == {"Query.messageResults"}  # its ids are bounded: see below

    @pytest.mark.parametrize("name", [*paged()])
    def test_in_pages_have_a_size_with_a_default(self, name: str) -> None:
        type_name, _, field = name.partition(".")
        built = BUILT.type_map[type_name]
        assert isinstance(built, GraphQLObjectType)
        first = built.fields[field].args["first"]
        assert str(first.type) == "Int!"
        assert not is_required_argument(first)

    @pytest.mark.parametrize("name", [name for name in paged() if name.startswith("Query.")])
    async def test_in_pages_refuse_other_sizes(self, world, name: str) -> None:
        field = name.partition(".")[2]
        inner = "changes { number }" if field == "statusChanges" else "nodes { __typename }"
        text = f"query($first: Int!) {{ {field}(first: $first) {{ {inner} }} }}"
        callers = {
            Scope.HUB_OPERATE: await world.principal(Role.OPERATOR),
            Scope.MESSAGES_READ: world.institution,
        }
        caller = callers.get(FIELDS[name].metadata["scope"], world.os)
        for first in (-(2**31), -1, 0, 1001, 10**9):
            assert await run(caller, world, text, {"first": first}) == "BAD_USER_INPUT", first
        assert await run(caller, world, text, {"first": 200}) is None

    async def test_of_a_history_refuse_other_sizes(self, world) -> None:
        await world.follow(number := a_personal_number(), "r")
        await world.report(world_factory.a_message(personal_number=number))
        text = (
            "query($first: Int!) { registrations(first: 1) "
            "{ nodes { statusHistory(first: $first) { nodes { status } } } } }"
        )
        for first in (-1, 0, 201, 10**9):
            assert await run(world.os, world, text, {"first": first}) == "BAD_USER_INPUT", first
        assert await run(world.os, world, text, {"first": 200}) is None

    @pytest.mark.parametrize(
        ("name", "items", "at_most"),
        [
            ("Mutation.reportStatuses", ("messages", a_message), 1000),
            ("Mutation.correctRegistrations", ("corrections", a_correction), 100),
            ("Mutation.followStudents", ("students", a_student), 1000),
            ("Mutation.unfollowStudents", ("references", lambda: uuid4().hex), 1000),
            ("Query.messageResults", (None, lambda: str(uuid4())), 1000),
        ],
    )
    async def test_that_are_sent_have_their_bounds(self, world, name, items, at_most) -> None:
        member, make = items
        caller = world.os if "tudents" in name else world.sis

        def wrapped(count: int) -> dict[str, object]:
            many = [make() for _ in range(count)]
            return {"messageIds": many} if member is None else {"input": {member: many}}

        before = await rows(world)
        for count in (0, at_most + 1):
            assert await call(caller, world, name, **wrapped(count)) == "BAD_USER_INPUT"
        assert await rows(world) == before
        assert await call(caller, world, name, **wrapped(at_most)) is None
