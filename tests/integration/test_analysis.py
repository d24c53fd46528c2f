"""The export for those who model the intake."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from app.domain.analysis import FIELDS, STILL
from app.domain.codes import Status
from app.domain.errors import BadUserInputError
from app.services.analysis_export import AnalysisExport
from tests.factories.world import a_message, a_personal_number

HOUR = timedelta(hours=1)


def now():
    return datetime.now(UTC)


@pytest.fixture
def export(world):
    async def exported(school_year: int | None = None) -> list[dict[str, str]]:
        chunks = AnalysisExport(world.hub.database, now).rows(school_year)
        return [dict(zip(FIELDS, row, strict=True)) async for chunk in chunks for row in chunk]

    return exported


class TestAnalysisExport:
    async def test_has_a_row_for_each_status_with_its_beginning_and_end(self, world, export):
        number = a_personal_number()
        first = a_message(personal_number=number, occurred_at=now() - 3 * HOUR)
        same = {"personal_number": number, "application_id": first.application_id}
        await world.report(
            first,
            a_message(**same, status=Status.OFFERED, occurred_at=now() - 2 * HOUR),
            a_message(**same, status=Status.OFFERED, occurred_at=now() - HOUR),
            a_message(**same, status=Status.REJECTED, occurred_at=now() - 9 * HOUR),
        )
        received, offered = await export()
        assert [one["status"] for one in (received, offered)] == ["AO", "OA"]
        assert received["einddatum"] == offered["begindatum"]
        assert offered["einddatum"] == STILL
        assert received["begindatum"] == first.occurred_at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        assert received["ketenid"] == world.sis.oin
        assert (received["schooljaar"], received["statussource"]) == ("2026-2027", "SIS")
        assert {name for name, value in received.items() if not value} == {
            "leeftijdscategorie",
            "postcodecijfers",
            "onderwijsaanbiedercode",
            "onderwijslocatiecode",
            "startmoment",
        }

    async def test_joins_what_is_of_one_student_and_no_two_exports(self, world, export):
        number = a_personal_number()
        await world.report(a_message(personal_number=number), a_message(personal_number=number), a_message())
        keys, others = [[row["bsnhash"] for row in await export()] for _ in range(2)]
        assert sorted(Counter(keys).values()) == [1, 2]
        assert not set(keys) & set(others)

    async def test_can_be_of_one_school_year(self, world, export):
        await world.report(a_message(), a_message(school_year=2025))
        assert [row["schooljaar"] for row in await export(2025)] == ["2025-2026"]
        assert await export(2017) == []
        with pytest.raises(BadUserInputError):
            await export(1999)
