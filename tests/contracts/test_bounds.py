"""Walks the schema: each list that leaves or enters the hub has its bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from graphql import GraphQLObjectType, get_named_type, is_list_type, is_non_null_type, is_required_argument

from app.domain.access import Role, Scope
from tests.contracts.root_fields import BUILT, FIELDS, a_correction, a_student, call, rows, run
from tests.factories import world as world_factory
from tests.factories.live_hub import a_message
from tests.factories.world import a_personal_number

if TYPE_CHECKING:
    from collections.abc import Iterator

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
