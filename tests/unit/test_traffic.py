from __future__ import annotations

from collections import Counter, defaultdict
from datetime import UTC, datetime
from itertools import islice, pairwise
from random import Random
from uuid import UUID

import pytest

from app.domain import codes
from app.domain.personal_number import PersonalNumber
from app.simulation.catalogue import INSTITUTIONS, PROGRAMMES
from app.simulation.facts import REACHED, REGISTRATIONS_OF_A_STUDENT, TRANSITIONS, Step
from app.simulation.journeys import journey
from app.simulation.people import students
from app.simulation.traffic import Traffic, World, generate

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
MANY = 20_000
WORLD = World(
    vendors={
        one.brin: (f"vendor {number % 2}",) if number else ("vendor 0", "vendor 1")
        for number, one in enumerate(INSTITUTIONS)
    },
    cambo="cambo",
    transfer_systems=("first", "second", "third"),
    programmes=tuple(one.code for one in PROGRAMMES),
)


def a_run(seed: int = 7, registrations: int = 2000) -> Traffic:
    return generate(seed, registrations, WORLD, now=NOW, school_year=2027)


@pytest.fixture(scope="module")
def traffic() -> Traffic:
    return a_run()


@pytest.fixture(scope="module")
def journeys() -> list[tuple[Step, ...]]:
    random = Random(1)
    return [journey(random) for _ in range(MANY)]


class TestJourney:
    def test_makes_each_transition_as_often_as_real_registrations_do(self, journeys):
        seen: Counter[tuple[Step, Step]] = Counter()
        for steps in journeys:
            seen.update(set(pairwise((Step.START, *steps, Step.END))))
        for transition, share in TRANSITIONS.items():
            assert 100 * seen[transition] / MANY == pytest.approx(share, abs=3), transition

    def test_reaches_each_status_as_often_as_real_registrations_do(self, journeys):
        seen = Counter(step for steps in journeys for step in set(steps))
        for step, share in REACHED.items():
            assert 100 * seen[step] / MANY == pytest.approx(share, abs=5), step


class TestStudents:
    def test_have_different_personal_numbers_that_pass_the_check(self):
        numbers = [one.personal_number for one in islice(students(0), MANY)]
        assert len(set(numbers)) == MANY
        assert all(PersonalNumber(number).digits() == number for number in numbers)

    def test_stay_clear_of_the_numbers_that_are_published_for_tests(self):
        assert max(one.personal_number for one in islice(students(0), 100)) < "999990000"
        assert min(one.personal_number for one in islice(students(998_900), 10)) >= "990000000"

    def test_do_not_show_their_personal_numbers(self):
        one = next(students(5))
        assert one.personal_number not in repr(one)
        assert one.personal_number[:-1] not in one.reference

    def test_are_the_same_for_the_same_start(self):
        assert list(islice(students(123), 50)) == list(islice(students(123), 50))


class TestTraffic:
    def test_is_the_same_for_the_same_seed(self, traffic):
        assert a_run() == traffic
        assert a_run(seed=8) != traffic

    def test_has_as_many_registrations_as_asked_for(self, traffic):
        assert len({message.application_id for message in traffic.messages}) == 2000

    def test_gives_students_as_many_registrations_as_real_ones_have(self):
        applications: defaultdict[str, set[str]] = defaultdict(set)
        for message in a_run(registrations=8000).messages:
            applications[message.student.reference].add(message.application_id)
        counts = Counter(map(len, applications.values()))
        for count, share in enumerate(REGISTRATIONS_OF_A_STUDENT, 1):
            assert 100 * counts[count] / len(applications) == pytest.approx(share, abs=2)

    def test_holds_only_what_the_hub_can_accept(self, traffic):
        for message in traffic.messages:
            assert UUID(message.message_id).version == 4
            assert codes.is_identifier(message.application_id)
            assert codes.is_programme_code(message.programme_code)
            assert codes.is_programme_year(message.programme_year)
            assert codes.is_school_year(message.school_year, NOW)
            assert PersonalNumber(message.student.personal_number).digits() is not None
            assert datetime.fromisoformat(message.occurred_at) < NOW

    def test_is_sent_by_a_vendor_with_a_mandate_or_by_cambo(self, traffic):
        senders = Counter(message.sender for message in traffic.messages)
        assert set(senders) == {"vendor 0", "vendor 1", "cambo"}
        for message in traffic.messages:
            assert message.sender == "cambo" or message.sender in WORLD.vendors[message.brin]
            assert message.sender != "cambo" or message.status is codes.Status.WITHDRAWN

    def test_never_gives_two_messages_of_a_registration_the_same_time(self, traffic):
        times: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for message in traffic.messages:
            times[message.application_id, message.occurred_at].add(message.message_id)
        assert all(len(ids) == 1 for ids in times.values())

    def test_repeats_some_messages_word_for_word(self, traffic):
        assert traffic.repeated == pytest.approx(0.02 * len(traffic.messages), rel=0.4)
        assert len(set(traffic.messages)) == len(traffic.messages) - traffic.repeated

    def test_lets_some_messages_overtake_others(self, traffic):
        latest: dict[str, str] = {}
        overtaken = 0
        for message in traffic.messages:
            overtaken += message.occurred_at < latest.get(message.application_id, "")
            latest[message.application_id] = max(message.occurred_at, latest.get(message.application_id, ""))
        assert 0.01 < overtaken / len(traffic.messages) < 0.08

    def test_has_each_student_followed_by_nobody_one_or_two(self, traffic):
        followed = Counter(student.reference for many in traffic.followers.values() for student in many)
        applicants = {message.student.reference for message in traffic.messages}
        assert set(followed) < applicants
        assert set(followed.values()) == {1, 2}
