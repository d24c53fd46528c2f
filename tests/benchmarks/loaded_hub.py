"""A hub in one process with the registrations of the harness's model, and a descriptor of it."""

from __future__ import annotations

import asyncio
import csv
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from types import ModuleType

    from tests.factories.live_hub import LiveClient, LiveHub

_BATCH = 1_000
_AT_ONCE = 4
_LOAD = (
    "mutation ($input: ReportStatusesInput!) { reportStatuses(input: $input) { results { outcome code } } }"
)
_REGISTRATION = (
    "id applicationId institution { brin } programme { code } learningPath schoolYear programmeYear status "
    "statusSince statusSource"
)
_FIELDS = {
    "application_id": "applicationId",
    "brin": "institution.brin",
    "crebo": "programme.code",
    "learning_path": "learningPath",
    "school_year": "schoolYear",
    "programme_year": "programmeYear",
    "status": "status",
    "status_at": "statusSince",
    "source": "statusSource",
}
_MESSAGE = {
    name: f"${name}"
    for name in (
        "messageId",
        "applicationId",
        "personalNumber",
        "brin",
        "programmeCode",
        "learningPath",
        "schoolYear",
        "programmeYear",
        "status",
        "occurredAt",
    )
}
_PAGE = "registrations(brin: $brin, first: 50, after: $after)"


@dataclass(frozen=True)
class Senders:
    """The clients that take part."""

    sis: LiveClient
    receiver: LiveClient


def furnish(hub: LiveHub, model: ModuleType) -> Senders:
    """Fill the catalogue and register a SIS vendor with all mandates and a transfer system."""
    brins, codes, _ = model.reference()
    _write(
        hub.folder / "institutions.csv", ("brin", "name"), [(brin, f"Institution {brin}") for brin in brins]
    )
    _write(hub.folder / "programmes.csv", ("crebo", "name"), [(code, f"Programme {code}") for code in codes])
    ended = hub.run("catalogue", "import", "institutions.csv", "programmes.csv")
    assert ended.returncode == 0, ended.stderr
    mandates = [option for brin in brins for option in ("--brin", brin)]
    return Senders(hub.add_client("sis", *mandates), hub.add_client("os"))


def _write(path: Path, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head, *rows])


async def load(hub: LiveHub, senders: Senders, model: ModuleType, registrations: int) -> list[str]:
    """Report every event of the model through the API, in its order for each registration.

    The SIS vendor reports them all: a sender sees what it has reported, and CAMBO may not withdraw who is
    enrolled, though in the model it does. Return the application ids of which the last one is CAMBO's there.
    """
    relabelled: list[str] = []
    waves: list[list[dict[str, object]]] = [
        [],
        [],
        [],
        [],
    ]  # the first event of each, the second one and so on
    for one in model.registrations(registrations):
        number = model.bsn(one.student)
        for wave, event in zip(waves, one.events, strict=False):
            wave.append(_message(one, event, number))
        if one.source == "CAMBO":
            relabelled.append(one.application_id)
    limit = asyncio.Semaphore(_AT_ONCE)
    async with httpx.AsyncClient(base_url=hub.url, timeout=120) as http:
        for messages in waves:
            batches = [messages[at : at + _BATCH] for at in range(0, len(messages), _BATCH)]
            await asyncio.gather(*(_report(http, limit, senders.sis.headers, batch) for batch in batches))
    return relabelled


async def _report(
    http: httpx.AsyncClient,
    limit: asyncio.Semaphore,
    headers: Mapping[str, str],
    messages: list[dict[str, object]],
) -> None:
    async with limit:
        answer = await http.post(
            "/graphql",
            json={"query": _LOAD, "variables": {"input": {"messages": messages}}},
            headers={**headers, "Accept": "application/graphql-response+json"},
        )
    results = answer.json()["data"]["reportStatuses"]["results"]
    other = Counter((one["outcome"], one["code"]) for one in results if one["outcome"] != "ACCEPTED")
    assert not other, f"of {len(messages)} messages were not accepted: {other}"


def _message(registration: Any, event: Any, personal_number: str) -> dict[str, object]:
    return {
        "messageId": event.message_id,
        "applicationId": registration.application_id,
        "personalNumber": personal_number,
        "brin": registration.brin,
        "programmeCode": registration.crebo,
        "learningPath": registration.learning_path,
        "schoolYear": registration.school_year,
        "programmeYear": registration.programme_year,
        "status": event.status,
        "occurredAt": event.occurred_at.isoformat(),
    }


def descriptor(hub: LiveHub, senders: Senders, postgresql: Path) -> dict[str, object]:
    """Return what the harness must know of the hub. Tokens are of the moment; they hold for an hour."""
    assert hub.process is not None
    subscriber = senders.receiver.headers
    return {
        "name": "koppelpunt",
        "about": "The hub, one process, with its rights, log and numbered feeds.",
        "url": f"{hub.url}/graphql",
        "wsUrl": hub.websocket_url,
        "headers": senders.sis.headers,
        "subscriberHeaders": subscriber,
        "subscriberConnectionParams": {"authorization": subscriber["Authorization"]},
        "pid": hub.process.pid,
        "postgresPidFile": str(postgresql),
        "truth": "model",
        "prepare": [
            {
                "document": "mutation Follow($input: FollowStudentsInput!) "
                "{ followStudents(input: $input) { results { reference outcome } } }",
                "variables": {
                    "input": {
                        "students": {
                            "$eachStudent": {"personalNumber": "$personalNumber", "reference": "$reference"}
                        }
                    }
                },
            }
        ],
        "operations": dict(_operations()),
    }


def _operations() -> Iterator[tuple[str, dict[str, object] | None]]:
    yield (
        "Q1",
        {
            "document": "query Q1($brin: BRIN!, $applicationId: ID!) { registrationByApplicationId"
            f"(brin: $brin, applicationId: $applicationId) {{ {_REGISTRATION} }} }}",
            "variables": {"brin": "$brin", "applicationId": "$applicationId"},
            "result": "data.registrationByApplicationId",
            "needle": {"$applicationId": 1},
            "fields": _FIELDS,
        },
    )
    yield (
        "Q2",
        {
            "document": f"query Q2($brin: BRIN!, $after: String) {{ {_PAGE} "
            f"{{ nodes {{ {_REGISTRATION} }} pageInfo {{ hasNextPage endCursor }} }} }}",
            "result": "data.registrations.nodes",
            "hasNextPage": "data.registrations.pageInfo.hasNextPage",
            "endCursor": "data.registrations.pageInfo.endCursor",
            "order": "own",
            "fields": _FIELDS,
        },
    )
    yield (
        "Q2E",
        {
            "document": f"query Q2E($brin: BRIN!, $after: String) {{ {_PAGE} {{ nodes {{ applicationId "
            "status statusHistory(first: 20) { nodes { status occurredAt } } } } }",
            "result": "data.registrations.nodes",
            "fields": {"application_id": "applicationId", "status": "status"},
            "events": "statusHistory.nodes",
            "eventFields": {"status": "status", "occurred_at": "occurredAt"},
        },
    )
    yield ("Q3", None)  # the hub has frozen and disclosed figures: another question
    yield (
        "M1",
        {
            "document": "mutation M1($input: ReportStatusesInput!) { reportStatuses(input: $input) "
            "{ results { messageId outcome registration { applicationId status } } } }",
            "variables": {"input": {"messages": [_MESSAGE]}},
            "result": "data.reportStatuses.results.0",
            "needle": {"$messageId": 1, '"ACCEPTED"': 1},
            "fields": {
                "message_id": "messageId",
                "application_id": "registration.applicationId",
                "status": "registration.status",
                "accepted": {"path": "outcome", "equals": "ACCEPTED"},
                "duplicate": {"path": "outcome", "equals": "DUPLICATE"},
            },
            "refuse": {"set": {"personalNumber": "123456789"}, "path": "outcome", "equals": "REFUSED"},
        },
    )
    yield (
        "M2",
        {
            "document": "mutation M2($input: ReportStatusesInput!) "
            "{ reportStatuses(input: $input) { results { messageId outcome } } }",
            "variables": {"input": {"messages": {"$each": _MESSAGE}}},
            "result": "data.reportStatuses",
            "needle": {'"ACCEPTED"': 500},
            "fields": {
                "accepted": {"path": "results", "count": {"outcome": "ACCEPTED"}},
                "duplicates": {"path": "results", "count": {"outcome": "DUPLICATE"}},
            },
        },
    )
    yield (
        "S1",
        {
            "document": "subscription S1 { statusChanged { number status registration { applicationId } } }",
            "result": "data.statusChanged",
            "fields": {"application_id": "registration.applicationId", "status": "status"},
            "registrations": 1000,
        },
    )
