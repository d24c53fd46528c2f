"""The hub's own schema over a hub with data: what is compiled answers as graphql-core does."""

import asyncio
import dataclasses
import random
import re
from collections import Counter
from contextlib import aclosing
from uuid import uuid4

import pytest
from graphql import OperationType
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.domain.access import Role, Scope
from app.domain.catalogue import Institution
from app.domain.codes import LearningPath, Status
from app.domain.status_message import Correction, CorrectionKind
from app.services.registrations import RegistrationFilter
from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import Operations, encode_errors
from graphql_schema.execution.plans import EventPlan, Plan
from graphql_schema.schema import schema
from tests.factories.documents import Enum, Maker
from tests.factories.drawn_documents import FEATURES, drawn_requests, features
from tests.factories.equality import answered, comparable
from tests.factories.world import BRIN, OTHER_BRIN, a_message, a_personal_number

# graphql-core leaves coroutines behind where a field fails beside them; those of plans have other names.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:coroutine '(GraphQLCoreConverter|Executor):RuntimeWarning"),
]

OPERATIONS = Operations(schema)
_ROOT = re.compile(r"statusChanged(?!\d)(\([^)]*\))?")
_COUNTS = [200, pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]


@pytest.fixture
def settings(settings):
    """Let a caller be wrong about as many personal numbers as there are cases."""
    return settings.model_copy(update={"failed_numbers_per_hour": 10_000_000})


@pytest.fixture
async def furnished(world):
    """A hub with registrations of several kinds, of which a transfer system follows some students."""
    await world.services.catalogue.put([Institution(OTHER_BRIN, "Het “Ünïcode” ☃ \\ College")], [], [])
    await world.services.catalogue.refresh()
    numbers = [a_personal_number(random.Random(n)) for n in range(4)]
    messages = [
        a_message(
            application_id=f"A-{n}",
            personal_number=numbers[n % 4],
            brin=(BRIN, OTHER_BRIN)[n % 2],
            programme_code=("25604", "99999")[n % 3 == 0],  # of which the catalogue does not know the second
            learning_path=list(LearningPath)[n % 3],
            status=list(Status)[n % 5],
        )
        for n in range(12)
    ]
    await world.report(*messages)
    for n, number in enumerate(numbers[:3]):
        await world.follow(number, f"S-{n}")
    again = [dataclasses.replace(one, message_id=uuid4(), status=Status.ENROLLED) for one in messages[:6]]
    await world.report(*again)
    await world.services.status_messages.correct(
        world.sis, [Correction(uuid4(), "A-1", OTHER_BRIN, CorrectionKind.ANNUL, "a mistake")]
    )
    await world.settled()
    await world.services.statistics.refresh()
    world.told = [*(one.message_id for one in messages[:4]), uuid4()]
    return world


async def values_of(world, principal):
    """Return arguments to which the hub has answers."""
    context = world.hub.context(principal)
    page = []
    if Scope.REGISTRATIONS_READ in principal.scopes:
        page = await context.services.registrations.page(principal, RegistrationFilter(), None, 3)
    ids = [row.id for row in page]
    cursors = [
        context.cursors.seal(
            "registrations", (row.reference or "") if principal.role is Role.OS else row.brin, row.key
        )
        for row in page
    ]
    cursors += [context.cursors.seal(f"history:{one}", 1) for one in ids]
    return {
        "brin": [BRIN, OTHER_BRIN, "01AA"],
        "applicationId": ["A-0", "A-1", "A-2", "none"],
        "id": [*ids, "none"],
        "reference": ["S-0", "S-1", "none"],
        "first": [1, 2, 2, 50, 200, 0, 201],
        "schoolYear": [2026, 2026, 2025],
        "messageIds": [[str(one) for one in world.told], [], ["none"]],
        "personalNumber": ["123456789"],  # none: so no message is accepted, and both runs find the same
        "after": [*cursors, "none", 0, 3],
    }


async def compare(world, request, principal):
    """Answer a request both ways; return its plan, or None when it is not valid."""
    try:
        prepared = OPERATIONS.prepare(request.text, None)
    except RequestFailedError:
        return None
    plain = dataclasses.replace(prepared, plan=None)
    first = await answered(OPERATIONS, prepared, request.variables, world.hub.context(principal))
    second = await answered(OPERATIONS, plain, request.variables, world.hub.context(principal))
    assert comparable(first) == comparable(second), request
    return prepared.plan and prepared.plan.choose(request.variables)


async def heard(prepared, variables, context, count):
    """Return the first payloads of a subscription."""
    payloads = []
    try:
        async with (
            asyncio.timeout(10),
            aclosing(OPERATIONS.subscribe(prepared, variables, context)) as events,
        ):
            async for event in events:
                payloads.append(event.payload)
                if len(payloads) == count:
                    break
    except RequestFailedError as refused:
        payloads.append(encode_errors(refused.errors))
    return list(map(comparable, payloads))


def scalars_of(values):
    """Return what draws values of scalars, by name: mostly such to which the hub has answers."""
    return {
        "BRIN": st.sampled_from(values["brin"]),
        "ID": st.sampled_from([*values["applicationId"], *values["id"], *values["reference"]]),
        "Int": st.sampled_from([*values["first"], *values["schoolYear"]]),
        "String": st.sampled_from([*(one for one in values["after"] if isinstance(one, str)), "", "0"]),
        "UUID": st.sampled_from(values["messageIds"][0]),
        "Date": st.dates().map(str),
        "DateTime": st.datetimes().map(lambda moment: f"{moment.isoformat()}Z"),
        "ProgrammeCode": st.sampled_from(["25604", "99999", ""]),
        "PersonalNumber": st.just(
            "123456789"
        ),  # none: so no message is accepted, and both runs find the same
    }


async def drawn(world, count, kind, values, callers, roots=None):
    """Answer drawn requests both ways; return a tally of plans and of what was compiled."""
    loop, tally = asyncio.get_running_loop(), Counter[object]()

    @hypothesis_settings(
        max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(
        drawn_requests(OPERATIONS._schema, kind, scalars_of(values), roots),
        st.sampled_from(callers),
    )
    def run(request, caller):
        compared = asyncio.run_coroutine_threadsafe(compare(world, request, caller), loop)
        plan = compared.result(60)
        tally[type(plan)] += 1
        tally.update(features(request) if isinstance(plan, Plan) else ())

    await asyncio.to_thread(run)
    return tally


@pytest.mark.parametrize("count", _COUNTS)
class TestDrawn:
    async def test_queries_are_answered_alike(self, furnished, count):
        callers = [furnished.os, furnished.sis, furnished.cambo, furnished.institution]
        callers.append(await furnished.principal(Role.OPERATOR))
        some = [await values_of(furnished, caller) for caller in callers]
        values = {name: [one for values in some for one in values[name]] for name in some[0]}
        tally = await drawn(furnished, count, OperationType.QUERY, values, callers)
        assert tally[Plan] > count / 3, tally
        assert all(tally[feature] for feature in FEATURES), tally

    async def test_mutations_that_change_nothing_are_answered_alike(self, furnished, count):
        values = await values_of(furnished, furnished.sis)
        before = await furnished.count("status_event")
        tally = await drawn(
            furnished, count, OperationType.MUTATION, values, [furnished.sis], ["reportStatuses"]
        )
        assert tally[Plan] > count / 10, tally
        assert await furnished.count("status_event") == before


@pytest.mark.parametrize("count", _COUNTS)
class TestGenerated:
    async def test_queries_are_answered_alike(self, furnished, count):
        callers = [furnished.os, furnished.sis, furnished.cambo, furnished.institution]
        callers.append(await furnished.principal(Role.OPERATOR))
        values = [await values_of(furnished, caller) for caller in callers]
        tally = Counter[type]()
        for seed in range(count):
            source = random.Random(seed)
            caller = seed % len(callers)
            request = Maker(OPERATIONS._schema, source, values[caller]).request(OperationType.QUERY)
            tally[type(await compare(furnished, request, callers[caller]))] += 1
        assert tally[Plan] > count / 3, tally

    async def test_mutations_that_change_nothing_are_answered_alike(self, furnished, count):
        # With no valid personal number, none of these is accepted.
        values = {**await values_of(furnished, furnished.sis), "kind": [Enum("REPLACE_STUDENT")]}
        before = await furnished.count("status_event")
        tally = Counter[type]()
        for seed in range(count):
            maker = Maker(OPERATIONS._schema, random.Random(seed), values)
            request = maker.request(OperationType.MUTATION, ["reportStatuses", "correctRegistrations"])
            tally[type(await compare(furnished, request, furnished.sis))] += 1
        assert tally[Plan] > count / 10, tally
        assert await furnished.count("status_event") == before

    async def test_events_are_answered_alike(self, furnished, count):
        tally = Counter[type]()
        for seed in range(count // 4):
            maker = Maker(OPERATIONS._schema, random.Random(seed), {"first": [1, 2]})
            request = maker.request(OperationType.SUBSCRIPTION)
            request = request._replace(text=_ROOT.sub("statusChanged(after: 0)", request.text, count=1))
            try:
                prepared = OPERATIONS.prepare(request.text, None)
            except RequestFailedError:
                continue
            tally[type(prepared.plan and prepared.plan.choose(request.variables))] += 1
            context = furnished.hub.context(furnished.os)
            plain = dataclasses.replace(prepared, plan=None)
            first = await heard(prepared, request.variables, context, 3)
            assert first == await heard(plain, request.variables, context, 3), request
        assert tally[EventPlan] > count / 40, tally
