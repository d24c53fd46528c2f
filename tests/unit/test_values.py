"""What the hot paths are made of: values, closed lists, and statements put together from parts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.access import Role
from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.personal_number import KeyChain
from app.domain.registration import ChangeKind
from app.domain.status_message import Finding, Outcome, Refusal, spelled
from app.domain.value import value
from app.persistence.parts import Part, write
from app.services.candidates import examine
from app.services.keys import hmac_sha256
from tests.factories.world import a_message

_KEYS = KeyChain((b"p" * 32,), b"d" * 32, b"s" * 32, b"i" * 32, hmac_sha256)


@value
class _Pair:
    first: int
    second: str = "b"


class TestValue:
    def test_is_compared_and_hashed_by_its_fields(self):
        assert _Pair(1) == _Pair(1, "b") != _Pair(2)
        assert len({_Pair(1), _Pair(1), _Pair(1, "c")}) == 2
        assert replace(_Pair(1), second="c") == _Pair(1, "c")

    def test_has_no_other_attributes(self):
        with pytest.raises(AttributeError):
            _Pair(1).third = 3  # type: ignore[attr-defined]


class TestClosedLists:
    @pytest.mark.parametrize(
        "kind", [Status, StatusSource, LearningPath, ChangeKind, Finding, Outcome, Refusal]
    )
    def test_hash_as_their_texts(self, kind):
        assert {member: member for member in kind} == {member.value: member for member in kind}

    def test_of_roles_are_looked_up_by_member(self):
        assert {Role.SIS: 1}[Role("sis")] == 1


class TestContent:
    def test_is_spelled_as_ever(self):
        """The digests of all messages depend on it: another spelling would know no old one again."""
        message = a_message(application_id="A-1", occurred_at=_moment(), leaving_school="00AH00")
        assert message.content("123456782", spelled(message.occurred_at)).split("\x1f") == [
            "status",
            "A-1",
            "123456782",
            "25LH",
            "25604",
            "BOL",
            "2026",
            "1",
            "RECEIVED",
            "2026-01-02T02:04:05.600000+00:00",
            "00AH00",
        ]

    @given(st.lists(st.datetimes(timezones=st.timezones() | st.just(UTC)), max_size=3))
    def test_holds_the_same_time_where_it_is_spelled_for_all_at_once(self, moments):
        messages = [a_message(occurred_at=moment) for moment in moments if _has_utc(moment)]
        found = examine(messages, _KEYS, datetime.now(UTC), organisation_id=1, source=StatusSource.SIS)
        assert [one.at for one in found] == [spelled(message.occurred_at) for message in messages]


def _has_utc(moment):
    try:
        moment.astimezone(UTC)
    except OverflowError:
        return False
    return True


def _moment():
    return datetime(2026, 1, 2, 3, 4, 5, 600_000, tzinfo=timezone(timedelta(hours=1)))


class _Connection:
    """Keeps what it is asked to execute."""

    def __init__(self):
        self.executed = []

    async def execute(self, text, *arguments):
        self.executed.append((text, arguments))


class TestParts:
    async def test_are_numbered_one_after_the_other(self):
        connection = _Connection()
        parts = [
            Part("a as (insert into one select $1, $2, $1)", (1, 2)),
            Part("b as (insert into two select $1)", (3,)),
        ]
        await write(connection, parts)  # type: ignore[arg-type] # it has what is asked of it
        assert connection.executed == [
            (
                "with a as (insert into one select $1, $2, $1), b as (insert into two select $3) select",
                (1, 2, 3),
            )
        ]

    async def test_are_no_statement_when_there_is_none(self):
        connection = _Connection()
        await write(connection, [])  # type: ignore[arg-type] # likewise
        assert connection.executed == []
