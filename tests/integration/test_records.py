"""What is on record: processings with their students, who did what, and what an institution sees."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import asyncpg
import pytest

from app.domain.access import Principal, Role
from app.domain.codes import Status
from app.domain.errors import BadUserInputError, ForbiddenError, UnavailableError
from app.domain.personal_number import PersonalNumber
from app.persistence.unit_of_work import reading
from app.request_log import REQUEST, RequestFacts
from app.services.registrations import RegistrationFilter
from app.services.security_log import REFUSALS, note_refusal
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema
from tests.factories.world import BRIN, FOREIGN_BRIN, World, a_message, a_personal_number

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.slow


async def processings(world: World) -> list[asyncpg.Record]:
    async with world.hub.database.connection() as connection:
        return await connection.fetch("select * from processing_record order by id")


async def activities(world: World) -> list[tuple[str, int, int]]:
    """Return activity, organisation and number of students of each row."""
    return [
        (row["activity"], row["organisation_id"], len(row["student_ids"])) for row in await processings(world)
    ]


async def security(world: World) -> list[tuple[str, str, str | None, str | None, int]]:
    async with world.hub.database.connection() as connection:
        rows = await connection.fetch("select * from security_record order by id")
    return [(row["event"], row["outcome"], row["actor"], row["detail"], row["count"]) for row in rows]


class TestProcessingLog:
    async def test_has_a_row_for_each_write_with_its_students_in_the_same_transaction(self, world) -> None:
        number = a_personal_number()
        await world.report(a_message(personal_number=number), a_message(personal_number=number), a_message())
        await world.follow(number, "r")
        assert await activities(world) == [
            ("report-statuses", world.sis.organisation_id, 2),
            ("follow-students", world.os.organisation_id, 1),
        ]
        reported, followed = await processings(world)
        assert set(followed["student_ids"]) < set(reported["student_ids"])
        assert reported["started_at"] <= reported["ended_at"]
        assert len(reported["trace_id"]) == 32
        assert len(reported["span_id"]) == 16
        assert reported["client_id"] == world.sis.client_id

    async def test_has_a_row_for_each_of_those_who_shared_a_transaction(self, world) -> None:
        await asyncio.gather(*(world.report(a_message()) for _ in range(30)))
        rows = await processings(world)
        assert [len(row["student_ids"]) for row in rows] == [1] * 30
        assert len({row["student_ids"][0] for row in rows}) == 30
        assert len({row["span_id"] for row in rows}) == 30

    async def test_has_a_row_for_each_read_before_it_is_answered(self, world) -> None:
        number = a_personal_number()
        message = a_message(personal_number=number)
        await world.follow(number, "r")
        told = (await world.report(message))[0].registration
        await world.settled()
        before = len(await processings(world))
        services, os_ = world.services, world.os
        assert await services.registrations.by_public_id(os_, told.public_id)
        assert await services.registrations.by_application_id(os_, BRIN, message.application_id)
        assert await services.registrations.page(os_, _everything(), None, 10)
        assert await services.following.followed_student(os_, "r")
        assert await services.following.followed_students(os_, "", 10)
        assert (await services.feed.page(os_, 0, 10)).changes
        assert await services.status_messages.results(world.sis, [message.message_id])
        assert [row["activity"] for row in (await processings(world))[before:]] == [
            *["read-registrations"] * 3,
            *["read-followed-students"] * 2,
            "read-status-changes",
            "read-message-results",
        ]
        assert {tuple(row["student_ids"]) for row in (await processings(world))[before:]} == {
            (told.student_id,)
        }

    async def test_has_no_row_for_what_was_not_found_or_not_to_be_seen(self, world) -> None:
        told = (await world.report(message := a_message()))[0].registration
        before = await activities(world)
        assert await world.services.registrations.by_public_id(world.os, told.public_id) is None
        by_application_id = world.services.registrations.by_application_id
        assert await by_application_id(world.sis, FOREIGN_BRIN, message.application_id) is None
        assert await activities(world) == before

    async def test_stands_in_the_trace_of_the_request(self, world) -> None:
        before = REQUEST.set(RequestFacts("the request", "4bf92f3577b34da6a3ce929d0e0e4736"))
        try:
            await world.report(a_message())
        finally:
            REQUEST.reset(before)
        assert (await processings(world))[0]["trace_id"] == "4bf92f3577b34da6a3ce929d0e0e4736"

    async def test_lets_no_read_be_answered_that_cannot_be_recorded(self, world) -> None:
        told = (await world.report(a_message()))[0].registration
        async with world.hub.database.connection() as connection:
            await connection.execute("alter table processing_record rename to elsewhere")
        with pytest.raises((asyncpg.PostgresError, UnavailableError)):
            await world.services.registrations.by_public_id(world.sis, told.public_id)
        with pytest.raises((asyncpg.PostgresError, UnavailableError)):
            await world.report(a_message())
        assert await world.count("registration") == 1

    async def test_knows_which_numbers_a_subscription_delivered(self, world) -> None:
        number = a_personal_number()
        await world.follow(number, "r")
        message = a_message(personal_number=number)
        await world.report(message)
        await world.report(a_message(personal_number=number))
        await world.hear(2)
        async with asyncio.timeout(10):
            while not (rows := [r for r in await processings(world) if r["first_number"]]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert [(r["activity"], r["first_number"], r["last_number"]) for r in rows] == [
            ("deliver-status-changes", 1, 2)
        ]

    async def test_cannot_be_changed(self, world) -> None:
        await world.report(a_message())
        async with world.hub.database.connection() as connection:
            for table, column in (("processing_record", "client_id"), ("security_record", "actor")):
                with pytest.raises(asyncpg.RaiseError):
                    await connection.execute(f"update {table} set {column} = ''")  # noqa: S608 - names from here
                with pytest.raises(asyncpg.RaiseError):
                    await connection.execute(f"truncate {table}")


def _everything() -> RegistrationFilter:
    return RegistrationFilter()


class TestSecurityLog:
    async def test_knows_what_the_operator_did(self, world) -> None:
        clients = world.services.clients
        client_id = world.sis.client_id
        await clients.remove_mandate(client_id, BRIN)
        await clients.revoke_client(client_id)
        async with world.hub.database.connection() as connection:
            rows = await connection.fetch(
                "select event, actor, subject, on_behalf_of from security_record order by id desc limit 2"
            )
        assert [tuple(row) for row in rows] == [
            ("CLIENT_REVOKED", "operator", client_id, None),
            ("MANDATE_REMOVED", "operator", client_id, BRIN),
        ]

    async def test_counts_refusals_in_groups(self, world) -> None:
        REFUSALS.take()
        before = REQUEST.set(RequestFacts("the request", client_id=world.os.client_id))
        for _ in range(5):
            note_refusal("FORBIDDEN")
        note_refusal("BAD_USER_INPUT")
        REQUEST.reset(before)
        note_refusal("UNAUTHENTICATED")
        await world.hub.security_log.flush()
        rows = [row for row in await security(world) if row[0] == "ACCESS_REFUSED"]
        assert rows == [
            ("ACCESS_REFUSED", "REFUSED", world.os.client_id, "FORBIDDEN", 5),
            ("ACCESS_REFUSED", "REFUSED", None, "UNAUTHENTICATED", 1),
        ]

    async def test_loses_no_count_while_the_database_is_away(self, world) -> None:
        REFUSALS.take()
        note_refusal("UNAUTHENTICATED")
        async with world.hub.database.connection() as connection:
            await connection.execute("alter table security_record rename to elsewhere")
            with pytest.raises(asyncpg.PostgresError):
                await world.hub.security_log.flush()
            await connection.execute("alter table elsewhere rename to security_record")
        note_refusal("UNAUTHENTICATED")
        await world.hub.security_log.flush()
        assert sum(row[4] for row in await security(world) if row[0] == "ACCESS_REFUSED") == 2


async def _ask(world: World, principal: Principal, **variables: object) -> dict[str, Any]:
    operations = Operations(schema)
    text = (
        "query($brin: BRIN, $first: Int! = 50, $after: String) { messageLog(brin: $brin, first: $first, "
        "after: $after) { nodes { brin messageId sender receivedAt outcome code } "
        "pageInfo { hasNextPage endCursor } } }"
    )
    prepared = operations.prepare(text, None)
    answer: dict[str, Any] = json.loads(
        await operations.execute(prepared, variables, world.hub.context(principal))
    )
    return answer


class TestMessageLog:
    async def test_shows_an_institution_its_own_messages_and_no_person(self, world) -> None:
        bad = a_message(personal_number="123456789")
        accepted = [a_message() for _ in range(3)]
        await world.report(*accepted, bad, a_message(brin="25GV"))
        answer = await _ask(world, world.institution)
        nodes = answer["data"]["messageLog"]["nodes"]
        assert {node["messageId"] for node in nodes} == {
            str(message.message_id) for message in (*accepted, bad)
        }
        assert {(node["outcome"], node["code"]) for node in nodes} == {
            ("ACCEPTED", None),
            ("REFUSED", "PERSONAL_NUMBER_INVALID"),
        }
        assert {node["sender"] for node in nodes} == {world.sis.organisation_name}
        shown = json.dumps(answer)
        for message in accepted:
            assert message.application_id not in shown

    async def test_turns_pages_without_loss_although_a_batch_has_one_moment(self, world) -> None:
        sent = [a_message() for _ in range(11)]
        refused = [a_message(personal_number="1") for _ in range(4)]
        await world.report(*sent, *refused)
        await world.report(newest := a_message())
        found: list[str] = []
        after = None
        while True:
            log = (await _ask(world, world.institution, first=4, after=after))["data"]["messageLog"]
            found += [node["messageId"] for node in log["nodes"]]
            after = log["pageInfo"]["endCursor"]
            if not log["pageInfo"]["hasNextPage"]:
                break
        assert found[0] == str(newest.message_id)
        assert len(found) == len(set(found)) == 16

    async def test_is_closed_to_others(self, world) -> None:
        log = world.services.message_log
        with pytest.raises(ForbiddenError):
            await log.page(world.institution, FOREIGN_BRIN, None, 10)
        operator = await world.principal(Role.OPERATOR)
        for other in (world.sis, world.os, world.cambo, operator):
            with pytest.raises(ForbiddenError):
                await log.page(other, None, None, 10)
        with pytest.raises(BadUserInputError):
            await log.page(world.institution, "x", None, 10)

    async def test_takes_no_cursor_of_another_institution(self, world) -> None:
        await world.report(a_message(), a_message())
        log = (await _ask(world, world.institution, first=1))["data"]["messageLog"]
        cursor = log["pageInfo"]["endCursor"]
        other = await world.principal(Role.INSTITUTION, brins=(FOREIGN_BRIN,))
        errors = (await _ask(world, other, after=cursor))["errors"]
        assert errors[0]["extensions"]["code"] == "BAD_USER_INPUT"


class TestCanaries:
    async def test_no_table_and_no_log_line_holds_a_personal_number(self, world, caplog, capsys) -> None:
        caplog.set_level(0)
        canaries = [a_personal_number() for _ in range(20)]
        messages = [a_message(personal_number=number) for number in canaries]
        await world.report(*messages)
        await world.report(a_message(application_id=messages[0].application_id, personal_number=canaries[1]))
        for reference, number in enumerate(canaries):
            await world.follow(number, f"r{reference}")
        await world.report(*(a_message(personal_number=number, status=Status.OFFERED) for number in canaries))
        await world.services.status_messages.report(
            world.sis, [a_message(personal_number=canaries[0], message_id=uuid4())], dry_run=True
        )
        await world.settled()
        await world.hear(20)
        await world.services.following.followed_students(world.os, "", 50)
        await world.hub.security_log.flush()
        assert canaries[0] not in str(PersonalNumber(canaries[0]))
        held = await _whole_database(world)
        told = caplog.text + "".join(capsys.readouterr())
        for number in canaries:
            assert number not in held
            assert number.encode().hex() not in held
            assert number not in told


async def _whole_database(world: World) -> str:
    texts: list[str] = []
    async with reading(world.hub.database) as unit:
        connection = unit._connection
        tables: Sequence[asyncpg.Record] = await connection.fetch(
            "select tablename from pg_tables where schemaname = 'public'"
        )
        for table in tables:
            rows = await connection.fetch(f"select t::text as row from {table['tablename']} t")  # noqa: S608
            texts.extend(row["row"] for row in rows)
    return "\n".join(texts)
