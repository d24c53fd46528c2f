"""A sender compares its list with the hub, finds every difference in few exchanges, and changes nothing."""

from __future__ import annotations

import random
import re
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest

from app.cli.comparison import Comparison, Item
from app.domain.codes import LearningPath, Status
from app.domain.errors import BadUserInputError, ForbiddenError
from app.domain.reconciliation import (
    Difference,
    ListedRegistration,
    Part,
    application_hash,
    digest_of,
)
from app.domain.status_message import Correction, CorrectionKind
from app.services.reconciliation import TooManyBelowPrefixError
from graphql_schema.schema import schema
from tests.factories.world import BRIN, FOREIGN_BRIN, OTHER_BRIN, a_message

pytestmark = pytest.mark.slow

WHOLE = Part(BRIN, 2026, "")
# By its jobs and its logs, whenever it likes.
WRITTEN_BY_THE_HUB = {
    "completeness", "delivery_day", "delivery_progress", "delivery_refusal", "finished_job",
    "processing_record", "rate_bucket", "sender_delivery", "statistics_cell", "statistics_snapshot",
    "statistics_table",
}  # fmt: skip
ODD_IDS = ["A-1", r"back\slash", r"\x41", "it's", '"quoted"', "ünïcödé", "全角", "a b", "%_", "A-1 "]


def listed(messages) -> list[ListedRegistration]:
    return [ListedRegistration(one.application_id, one.status) for one in messages]


def asking(world, by, answers: list[str] | None = None):
    async def ask(document, variables):
        result = await schema.execute(
            document, variable_values=dict(variables), context_value=world.hub.context(by)
        )
        assert result.errors is None, result.errors
        if answers is not None:
            answers.append(str(result.data))
        return result.data

    return ask


def items(statuses: dict[str, str]) -> list[Item]:
    made = [
        Item(application_hash(one), line, {"applicationId": one, "status": status})
        for line, (one, status) in enumerate(statuses.items(), start=2)
    ]
    return sorted(made, key=lambda item: item.hash)


async def compared(world, by, statuses, *, full=False) -> tuple[list[dict[str, object]], int]:
    comparison = Comparison(asking(world, by), items(statuses), BRIN, 2026, full=full)
    return [one async for one in comparison.differences()], comparison.exchanges


async def content(world) -> dict[str, str]:
    """Return a digest of every table but the log of who read what."""
    async with world.hub.database.connection() as connection:
        tables = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        found = {}
        for name in (row["tablename"] for row in tables):
            if name not in WRITTEN_BY_THE_HUB:
                every = f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {name} t"  # noqa: S608 - a test's own words
                found[name] = await connection.fetchval(every)
        return found


class TestDigest:
    async def test_is_what_its_definition_says_whatever_the_application_ids_are(self, world) -> None:
        statuses = dict(zip(ODD_IDS, list(Status) * 2, strict=True))
        await world.report(
            *(a_message(application_id=one, status=status) for one, status in statuses.items())
        )
        found = await world.services.reconciliation.digest(world.sis, WHOLE)
        assert (found.whole.count, found.whole.digest) == (len(ODD_IDS), digest_of(statuses.items()))
        assert [child.prefix for child in found.children] == sorted(
            {application_hash(one)[:2] for one in ODD_IDS}
        )
        for child in found.children:
            below = [one for one in statuses.items() if application_hash(one[0]).startswith(child.prefix)]
            assert (child.count, child.digest) == (len(below), digest_of(below))

    async def test_of_a_prefix_is_that_of_what_falls_below_it(self, world) -> None:
        messages = [a_message() for _ in range(60)]
        await world.report(*messages)
        prefix = application_hash(messages[0].application_id)[:3]
        found = await world.services.reconciliation.digest(world.sis, replace(WHOLE, prefix=prefix))
        below = [one for one in messages if application_hash(one.application_id).startswith(prefix)]
        assert found.whole.count == len(below)
        assert found.whole.digest == digest_of((one.application_id, one.status) for one in below)
        assert all(len(child.prefix) == 5 for child in found.children)

    async def test_of_nothing_is_that_of_no_lines(self, world) -> None:
        found = await world.services.reconciliation.digest(world.sis, WHOLE)
        assert (found.whole.count, found.whole.digest, found.children) == (0, digest_of([]), ())

    async def test_holds_what_the_sender_reported_and_nobody_else_did(self, world, open_world) -> None:
        mine = a_message()
        await world.report(mine, a_message(school_year=2025), a_message(brin=OTHER_BRIN))
        await world.report(a_message(), by=world.cambo)
        other = await world.principal(world.sis.role, brins=(BRIN,))
        await world.report(a_message(), by=other)
        found = await world.services.reconciliation.digest(world.sis, WHOLE)
        assert found.whole.digest == digest_of([(mine.application_id, mine.status)])
        everything = await world.services.reconciliation.digest(world.cambo, WHOLE)
        assert everything.whole.count == 3

    async def test_leaves_out_what_is_annulled(self, world) -> None:
        message = a_message()
        await world.report(message)
        annulment = Correction(uuid4(), message.application_id, BRIN, CorrectionKind.ANNUL, "typing error")
        await world.services.status_messages.correct(world.sis, [annulment])
        assert (await world.services.reconciliation.digest(world.sis, WHOLE)).whole.count == 0

    async def test_is_read_from_the_index(self, world) -> None:
        from app.persistence import reconciliation  # noqa: PLC0415 - its statement alone

        low, high = bytes(32), b"\xff" * 32
        async with world.hub.database.connection() as connection, connection.transaction():
            await connection.execute("set local enable_seqscan = off")
            for statement in (*reconciliation._DIGEST.values(), *reconciliation._HELD.values()):
                plan = await connection.fetch(f"explain {statement}", 1, BRIN, 2026, low, high, 2)
                assert "registration_digest_idx" in str(plan)


class TestComparison:
    async def test_tells_every_kind_of_difference_item_by_item(self, world) -> None:
        same, other_status, other_data, other_year, elsewhere, annulled, lacking = (
            a_message(application_id=f"A-{number}") for number in range(7)
        )
        await world.report(
            same,
            other_status,
            other_data,
            replace(other_year, school_year=2025),
            replace(elsewhere, brin=OTHER_BRIN),
            annulled,
            lacking,
        )
        annulment = Correction(uuid4(), annulled.application_id, BRIN, CorrectionKind.ANNUL, "typing error")
        await world.services.status_messages.correct(world.sis, [annulment])
        items = [
            ListedRegistration("A-0", "AO", "25604", "BOL", 1),
            ListedRegistration("A-1", "ENROLLED"),
            ListedRegistration("A-2", "RECEIVED", "12345"),
            ListedRegistration("A-3", "RECEIVED"),
            ListedRegistration("A-4", "RECEIVED"),
            ListedRegistration("A-5", "RECEIVED"),
            ListedRegistration("unknown", "RECEIVED"),
            ListedRegistration("A-0", "RECEIVED"),
            ListedRegistration("bad-status", "SUBMITTED"),
            ListedRegistration("bad-path", "RECEIVED", learning_path="bol"),
            ListedRegistration("bad-code", "RECEIVED", programme_code="1234567890"),
            ListedRegistration("bad-year", "RECEIVED", programme_year=4),
            ListedRegistration("a\x00b", "RECEIVED"),
            ListedRegistration("x" * 101, "RECEIVED"),
        ]
        found = await world.services.reconciliation.compare(world.sis, WHOLE, items)
        assert found.equal == 1
        told = [(one.position, one.application_id, one.difference, one.field) for one in found.differences]
        assert told == [
            (1, "A-1", Difference.OTHER_STATUS, None),
            (2, "A-2", Difference.OTHER_DATA, "programmeCode"),
            (3, "A-3", Difference.OTHER_SCHOOL_YEAR, None),
            (4, "A-4", Difference.OTHER_INSTITUTION, None),
            (5, "A-5", Difference.ANNULLED, None),
            (6, "unknown", Difference.MISSING_AT_HUB, None),
            (7, "A-0", Difference.REPEATED, None),
            (8, "bad-status", Difference.INVALID, "status"),
            (9, "bad-path", Difference.INVALID, "learningPath"),
            (10, "bad-code", Difference.INVALID, "programmeCode"),
            (11, "bad-year", Difference.INVALID, "programmeYear"),
            (12, "a\x00b", Difference.INVALID, "applicationId"),
            (13, "x" * 101, Difference.INVALID, "applicationId"),
            (None, "A-6", Difference.MISSING_AT_SENDER, None),
        ]
        assert found.differences[0].status is Status.RECEIVED

    async def test_names_what_lies_outside_the_prefix(self, world) -> None:
        message = a_message()
        await world.report(message)
        hashed = application_hash(message.application_id)
        other = "0" if hashed[0] != "0" else "1"
        found = await world.services.reconciliation.compare(
            world.sis, replace(WHOLE, prefix=other), listed([message])
        )
        assert [one.difference for one in found.differences] == [Difference.OUTSIDE_PREFIX]

    async def test_changes_nothing(self, world) -> None:
        messages = [a_message() for _ in range(5)]
        await world.report(*messages[:4])
        await world.settled()
        before = await content(world)
        await world.services.reconciliation.digest(world.sis, WHOLE)
        found = await world.services.reconciliation.compare(world.sis, WHOLE, listed(messages[1:]))
        assert len(found.differences) == 2
        assert await content(world) == before

    async def test_is_on_record_with_those_of_whom_it_told(self, world) -> None:
        messages = [a_message() for _ in range(3)]
        await world.report(*messages)
        await world.services.reconciliation.compare(world.sis, WHOLE, listed(messages[:1]))
        async with world.hub.database.connection() as connection:
            row = await connection.fetchrow(
                "select * from processing_record where activity = 'compare-registrations'"
            )
        assert len(row["student_ids"]) == 3
        assert row["client_id"] == world.sis.client_id

    async def test_tells_a_vendor_nothing_of_what_others_reported(self, world) -> None:
        theirs, cambos = a_message(), a_message(status=Status.ENROLLED)
        other = await world.principal(world.sis.role, brins=(BRIN,))
        await world.report(theirs, by=other)
        await world.report(cambos, by=world.cambo)
        asked = [*listed([theirs, cambos]), ListedRegistration("nowhere", "RECEIVED")]
        found = await world.services.reconciliation.compare(world.sis, WHOLE, asked)
        # All three alike: to be sent, as far as this vendor may know.
        assert {(one.difference, one.status, one.field) for one in found.differences} == {
            (Difference.MISSING_AT_HUB, None, None)
        }
        assert len(found.differences) == 3
        nothing = await world.services.reconciliation.compare(world.sis, WHOLE, [])
        assert nothing.differences == ()
        # Once it has reported about them, it sees them, and CAMBO saw them all the time.
        await world.report(replace(cambos, message_id=uuid4()))
        again = await world.services.reconciliation.compare(world.sis, WHOLE, listed([cambos]))
        assert (again.equal, again.differences) == (1, ())
        lacking = await world.services.reconciliation.compare(world.cambo, WHOLE, [])
        assert {one.application_id for one in lacking.differences} == {
            theirs.application_id,
            cambos.application_id,
        }

    async def test_is_refused_without_a_mandate_for_the_institution(self, world) -> None:
        for brin in (FOREIGN_BRIN, "99ZZ"):
            with pytest.raises(ForbiddenError):
                await world.services.reconciliation.digest(world.sis, Part(brin, 2026, ""))
            with pytest.raises(ForbiddenError):
                await world.services.reconciliation.compare(world.sis, Part(brin, 2026, ""), [])

    @pytest.mark.parametrize(
        ("part", "field"),
        [
            (Part("25lh", 2026, ""), "brin"),
            (Part(BRIN, 1999, ""), "schoolYear"),
            (Part(BRIN, 2**31 - 1, ""), "schoolYear"),
            (Part(BRIN, 2026, "F0"), "prefix"),
            (Part(BRIN, 2026, "0" * 9), "prefix"),
            (Part(BRIN, 2026, "٣"), "prefix"),
        ],
    )
    async def test_refuses_what_is_no_part(self, world, part: Part, field: str) -> None:
        with pytest.raises(BadUserInputError) as refused:
            await world.services.reconciliation.digest(world.sis, part)
        assert refused.value.field == field
        with pytest.raises(BadUserInputError) as refused:
            await world.services.reconciliation.compare(world.sis, part, [])
        assert refused.value.field == f"input.{field}"

    async def test_takes_and_tells_a_thousand_at_most(self, world) -> None:
        many = [ListedRegistration(f"A-{number}", "RECEIVED") for number in range(1001)]
        with pytest.raises(BadUserInputError):
            await world.services.reconciliation.compare(world.sis, WHOLE, many)
        await world.report(*(a_message() for _ in range(1000)))
        await world.report(a_message())
        with pytest.raises(TooManyBelowPrefixError):
            await world.services.reconciliation.compare(world.sis, WHOLE, [])


class TestWay:
    async def test_finds_one_difference_among_many_in_three_exchanges(self, world) -> None:
        messages = [a_message() for _ in range(1500)]
        for first in (0, 1000):
            await world.report(*messages[first : first + 1000])
        statuses = {one.application_id: str(one.status) for one in messages}
        assert await compared(world, world.sis, statuses) == ([], 1)
        changed = random.Random(1).choice(messages).application_id
        found, exchanges = await compared(world, world.sis, {**statuses, changed: "ENROLLED"})
        assert [(one["applicationId"], one["difference"]) for one in found] == [(changed, "OTHER_STATUS")]
        assert exchanges == 2

    async def test_finds_all_differences_and_what_is_sent_then_settles_them(self, world) -> None:
        source = random.Random(2)
        messages = [a_message(application_id=f"B-{number}") for number in range(1200)]
        for first in (0, 1000):
            await world.report(*messages[first : first + 1000])
        statuses = {one.application_id: str(one.status) for one in messages}
        lost = source.sample(sorted(statuses), 20)
        for application_id in lost[:10]:
            statuses[application_id] = "ENROLLED"  # changed inside the SIS, and never sent
        for application_id in lost[10:15]:
            del statuses[application_id]
        new = [a_message(application_id=f"C-{number}") for number in range(5)]
        statuses |= {one.application_id: str(one.status) for one in new}
        found, _ = await compared(world, world.sis, statuses)
        kinds = {str(one["applicationId"]): one["difference"] for one in found}
        assert kinds == {
            **dict.fromkeys(lost[:10], "OTHER_STATUS"),
            **dict.fromkeys(lost[10:15], "MISSING_AT_SENDER"),
            **dict.fromkeys((one.application_id for one in new), "MISSING_AT_HUB"),
        }
        by_id = {one.application_id: one for one in messages}
        await world.report(
            *(
                replace(by_id[one], message_id=uuid4(), status=Status.ENROLLED)
                for one, kind in kinds.items()
                if kind == "OTHER_STATUS"
            ),
            *new,
        )
        left, _ = await compared(world, world.sis, statuses)
        assert {one["difference"] for one in left} == {"MISSING_AT_SENDER"}

    async def test_compares_every_line_when_asked_to(self, world) -> None:
        message = a_message(learning_path=LearningPath.BBL)
        await world.report(message)
        one = items({message.application_id: "RECEIVED"})[0]
        one.content["learningPath"] = "BOL"
        for full, expected in ((False, []), (True, ["learningPath"])):
            comparison = Comparison(asking(world, world.sis), [one], BRIN, 2026, full=full)
            assert [found["field"] async for found in comparison.differences()] == expected


class TestPageForVendors:
    def test_gives_an_example_that_is_right(self) -> None:
        page = (Path(__file__).parents[2] / "docs" / "for-vendors.md").read_text(encoding="utf-8")
        example = page.split("Of the two registrations `A-1`")[1].split("Ask with")[0]
        told = re.findall(r"`([0-9a-f]{64})`", example)
        digest = digest_of([("A-1", Status.ENROLLED), ("A-2", Status.RECEIVED)])
        assert told == [application_hash("A-1"), application_hash("A-2"), digest]
