"""Who applies where, and what is reported about it: a pure function of a seed and a world."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING
from uuid import UUID

from app.domain.codes import LearningPath, Status
from app.simulation.facts import REGISTRATIONS_OF_A_STUDENT, Step
from app.simulation.journeys import journey
from app.simulation.people import Student, students

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Of these no figures are published; the shares are ours.
_TWICE = 0.02  # a message that is sent again, somewhat later
_OVERTAKEN = 0.03  # a message that comes after its successor
_BACKLOG = 0.1  # a registration that is reported days late
_OTHER_DATA = 0.15  # a repeat that changes programme year, learning path or programme
_FOLLOWED_TWICE = 0.1
_NOT_FOLLOWED = 0.05
_BBL = 0.25
_DEMO_WEIGHT = 4  # how much more often the favourite institution is chosen than another

_FEWEST_PROGRAMMES = 8
_PROGRAMMES_SHARE = 60  # an institution offers this fraction of all programmes
_EARLIEST = timedelta(hours=22)
_LATEST = timedelta(hours=12)
_BACKLOG_DAYS = 20
_LONGEST_PAUSE = 1500  # seconds between two messages of a registration
_RUN_OF_REGISTRATION = 0.6  # which part of the whole run a long registration takes


@dataclass(frozen=True, slots=True)
class World:
    """Where traffic happens. `vendors`: who may report for an institution. Names are those of clients."""

    vendors: Mapping[str, tuple[str, ...]]
    cambo: str
    transfer_systems: tuple[str, ...]
    programmes: tuple[str, ...]
    favourite: str | None = None


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """A status message as its sender will send it; `sender` is the name of a client."""

    sender: str
    message_id: str
    application_id: str
    student: Student = field(repr=False)
    brin: str
    programme_code: str
    learning_path: LearningPath
    school_year: int
    programme_year: int
    status: Status
    occurred_at: str

    def variables(self) -> dict[str, object]:
        """Return the `StatusMessageInput` of the API."""
        return {
            "messageId": self.message_id,
            "applicationId": self.application_id,
            "personalNumber": self.student.personal_number,
            "brin": self.brin,
            "programmeCode": self.programme_code,
            "learningPath": self.learning_path.value,
            "schoolYear": self.school_year,
            "programmeYear": self.programme_year,
            "status": self.status.value,
            "occurredAt": self.occurred_at,
        }


@dataclass(frozen=True, slots=True)
class Traffic:
    """All of it. `followers`: students by transfer system; `receivers`: transfer systems by application."""

    messages: tuple[PlannedMessage, ...]
    followers: Mapping[str, tuple[Student, ...]]
    receivers: Mapping[str, tuple[str, ...]]

    @property
    def repeated(self) -> int:
        """How many messages are sent a second time."""
        return len(self.messages) - len({message.message_id for message in self.messages})


def as_text(moment: datetime) -> str:
    """Return a time as the API writes it, in whole seconds."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def generate(seed: int, registrations: int, world: World, *, now: datetime, school_year: int) -> Traffic:
    """Return the traffic of this many registrations, its messages in the order in which they are sent.

    The same seed, world and time give the same traffic. Within a registration `occurredAt` is always
    another, and all of them lie in the past.
    """
    return _Generator(seed, world, now, school_year).traffic(registrations)


@dataclass(frozen=True, slots=True)
class _Application:
    application_id: str
    student: Student
    brin: str
    vendor: str


class _Generator:
    def __init__(self, seed: int, world: World, now: datetime, school_year: int) -> None:
        self._random = Random(seed)
        self._seed = seed
        self._world = world
        self._now = now
        self._school_year = school_year
        self._brins = sorted(world.vendors)
        self._weights = [_DEMO_WEIGHT if brin == world.favourite else 1 for brin in self._brins]
        self._offered = {brin: _offered(brin, world.programmes) for brin in self._brins}

    def traffic(self, registrations: int) -> Traffic:
        timeline: list[tuple[float, PlannedMessage]] = []
        followers: dict[str, list[Student]] = {name: [] for name in self._world.transfer_systems}
        receivers: dict[str, tuple[str, ...]] = {}
        for student, applications in self._students(registrations):
            following = self._following()
            for name in following:
                followers[name].append(student)
            for application in applications:
                receivers[application.application_id] = following
                timeline += self._timed(self._messages(application))
        timeline.sort(key=lambda timed: timed[0])
        return Traffic(
            tuple(message for _, message in timeline),
            {name: tuple(followed) for name, followed in followers.items()},
            receivers,
        )

    def _students(self, registrations: int) -> Iterator[tuple[Student, list[_Application]]]:
        random = self._random
        made = 0
        many = range(1, len(REGISTRATIONS_OF_A_STUDENT) + 1)
        for student in students(random.randrange(900_000)):
            count = min(random.choices(many, REGISTRATIONS_OF_A_STUDENT)[0], registrations - made)
            applications = []
            for brin in random.choices(self._brins, self._weights, k=count):
                made += 1
                vendor = random.choice(self._world.vendors[brin])
                name = f"A{self._seed}-{made:06d}"
                applications.append(_Application(name, student, brin, vendor))
            if not applications:
                return
            yield student, applications

    def _following(self) -> tuple[str, ...]:
        names = self._world.transfer_systems
        share = self._random.random()
        if share < _NOT_FOLLOWED or not names:
            return ()
        count = 2 if share > 1 - _FOLLOWED_TWICE else 1
        return tuple(self._random.sample(names, min(count, len(names))))

    def _messages(self, application: _Application) -> list[PlannedMessage]:
        """Return what is reported about a registration, in the order in which it happened."""
        random = self._random
        steps: tuple[Step, ...] = ()
        while not _reported(steps):
            steps = journey(random)
        through_cambo = Step.SUBMITTED in steps
        happened = self._beginning()
        data = (
            random.choice(self._offered[application.brin]),
            LearningPath.BBL if random.random() < _BBL else LearningPath.BOL,
            random.choices((1, 2, 3), (90, 7, 3))[0],
        )
        messages: list[PlannedMessage] = []
        before: Step | None = None
        for step in _reported(steps):
            if step is before and random.random() < _OTHER_DATA:
                data = self._other_data(application.brin, data)
            # A student withdraws in CAMBO; once enrolled only the institution can do it.
            in_cambo = through_cambo and step is Step.WITHDRAWN and before is not Step.ENROLLED
            messages.append(
                PlannedMessage(
                    self._world.cambo if in_cambo else application.vendor,
                    str(UUID(int=random.getrandbits(128), version=4)),
                    application.application_id,
                    application.student,
                    application.brin,
                    *data[:2],
                    self._school_year,
                    data[2],
                    Status(step.value),
                    as_text(happened),
                )
            )
            before = step
            happened += timedelta(seconds=random.randint(60, _LONGEST_PAUSE))
        return messages

    def _beginning(self) -> datetime:
        ago = timedelta(seconds=self._random.uniform(_LATEST.total_seconds(), _EARLIEST.total_seconds()))
        if self._random.random() < _BACKLOG:
            ago += timedelta(days=self._random.uniform(1, _BACKLOG_DAYS))
        return self._now - ago

    def _other_data(self, brin: str, data: tuple[str, LearningPath, int]) -> tuple[str, LearningPath, int]:
        programme, path, year = data
        match self._random.randrange(3):
            case 0:
                return self._random.choice(self._offered[brin]), path, year
            case 1:
                return programme, LearningPath.BOL if path is LearningPath.BBL else LearningPath.BBL, year
            case _:
                return programme, path, year % 3 + 1

    def _timed(self, messages: list[PlannedMessage]) -> Iterator[tuple[float, PlannedMessage]]:
        """Yield when each message is sent, as a part of the whole run; some overtake, some come twice."""
        random = self._random
        moments = [random.random()]
        for _ in messages[1:]:
            moments.append(moments[-1] + random.expovariate(len(messages) / _RUN_OF_REGISTRATION))
        for position in range(len(messages) - 1):
            if random.random() < _OVERTAKEN:
                moments[position : position + 2] = reversed(moments[position : position + 2])
        for moment, message in zip(moments, messages, strict=True):
            yield moment, message
            if random.random() < _TWICE:
                yield moment + random.uniform(0, 0.1), message


def _offered(brin: str, programmes: Sequence[str]) -> list[str]:
    count = max(_FEWEST_PROGRAMMES, len(programmes) // _PROGRAMMES_SHARE)
    return Random(brin).sample(programmes, min(count, len(programmes)))


def _reported(steps: Sequence[Step]) -> list[Step]:
    """Leave out what happens inside CAMBO: RECEIVED, SUBMITTED, RECEIVED becomes a repeat."""
    return [step for step in steps if step is not Step.SUBMITTED]


def restamped(message: PlannedMessage, occurred_at: datetime) -> PlannedMessage:
    """Return the message as of another moment."""
    return replace(message, occurred_at=as_text(occurred_at))


def vendors_by_institution(vendors: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Turn the institutions of each vendor into the vendors of each institution."""
    found: dict[str, tuple[str, ...]] = {}
    for name, brins in vendors.items():
        for brin in brins:
            found[brin] = (*found.get(brin, ()), name)
    return found
