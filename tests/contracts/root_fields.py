"""Every root field of the schema, and the least that it can be called with."""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema
from tests.factories.live_hub import a_message
from tests.factories.world import BRIN, World, a_personal_number

if TYPE_CHECKING:
    from collections.abc import Iterator

    from app.domain.access import Principal

BUILT = schema._schema
ROOTS = ("Query", "Mutation", "Subscription")
FILLED_BY_THE_HUB = {
    "completeness",
    "delivery_progress",
    "finished_job",
    "security_record",
    "sender_delivery",
    "statistics_cell",
    "statistics_snapshot",
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
