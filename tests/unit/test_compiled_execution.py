"""What is compiled answers as graphql-core does: the same bytes, whatever resolvers give or raise."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from collections import Counter
from collections.abc import AsyncGenerator, Iterator  # noqa: TC003 - Strawberry reads annotations
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, NewType, TypeVar, cast
from uuid import UUID

import pytest
import strawberry
from graphql import OperationType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from strawberry.schema.config import StrawberryConfig

from app.domain.errors import ForbiddenError, NotFoundError
from graphql_schema.errors import RequestFailedError
from graphql_schema.execution.operations import Operations, encode_errors
from graphql_schema.execution.plans import Plan
from tests.factories.documents import Maker, Request
from tests.factories.equality import answered, comparable

if TYPE_CHECKING:
    from graphql_schema.execution.documents import Prepared

# graphql-core leaves coroutines behind where a field fails beside them; those of plans have other names.
pytestmark = pytest.mark.filterwarnings("ignore:coroutine '(GraphQLCoreConverter|Executor):RuntimeWarning")

Code = NewType("Code", str)
T = TypeVar("T")


@strawberry.enum
class Colour(Enum):
    RED = "red"
    BLUE = strawberry.enum_value("blue", name="BLEU")


@strawberry.enum
class Size(Enum):
    SMALL = 1
    LARGE = 2


@dataclass
class Context:
    """Counts what root resolvers are called with."""

    seed: int
    calls: list[str] = field(default_factory=list)


Info = strawberry.Info[Context, None]


class _Strange:
    def __repr__(self) -> str:
        return "strange"


def _letters() -> Iterator[str]:
    yield from "abc"


async def _awaited() -> object:
    return None


_ODD: tuple[object, ...] = (
    None, "text", 2**31, -(2**31) - 1, 2**70, float("nan"), float("inf"), True, 1.5, 3.0, 7, "",
    [], (), {}, {"a": 1}, [None], ("a", "b"), b"bytes", _Strange(), strawberry.UNSET, Colour.BLUE, Size.LARGE,
    "red", "RED", "\ud800", ValueError("returned"), ForbiddenError(), {1, 2}, datetime(2026, 1, 1),  # noqa: DTZ001
)  # fmt: skip


@strawberry.interface
class Named:
    name: str
    code: Code


@strawberry.type
class Thing(Named):
    """A thing of which an attribute may be anything, whatever the schema says."""

    world: strawberry.Private[random.Random]
    depth: strawberry.Private[int]
    id: strawberry.ID
    number: int
    maybe: int | None
    ratio: float
    flag: bool
    colour: Colour
    colours: list[Colour]
    size: Size | None
    stamp: datetime
    uuid: UUID
    part: Thing | None
    parts: list[Thing]
    maybe_parts: list[Thing | None] | None
    grid: list[list[int | None]]
    tags: list[str]
    cell: Cell

    @strawberry.field
    def plain(self) -> str | None:
        return _maybe_raising(random.Random(self.number_of("plain")), "plain")

    @strawberry.field
    def sure(self) -> Cell:
        return _maybe_raising(random.Random(self.number_of("sure")), Cell.make(random.Random(self.depth)))

    @strawberry.field
    async def later(self, info: Info, first: int = 2, after: str | None = None) -> list[Thing]:
        source = random.Random(f"{info.context.seed} {self.number_of('later')} {first} {after}")
        await asyncio.sleep(0)
        things = [a_thing(source, self.depth - 1) for _ in range(max(0, min(first, 3)))]
        return _maybe_raising(source, things)

    @strawberry.field
    def tied(self, info: Info, times: int | None = None) -> int | None:
        source = random.Random(f"{info.context.seed} {self.number_of('tied')} {times}")
        return _maybe_raising(source, times)

    def number_of(self, purpose: str) -> str:
        return f"{self.depth} {self.name!r} {purpose}"


@strawberry.type
class Cell:
    """A small thing without an interface."""

    value: int
    words: list[str] | None

    @staticmethod
    def make(source: random.Random) -> Cell:
        return Cell(value=_odd(source, 5), words=_odd(source, source.choice((None, [], ["a", "b"]))))


def _odd(source: random.Random, usual: T, share: float = 0.02) -> T:
    """Return what is usual, or now and then something else that no type allows."""
    return cast("T", source.choice(_ODD)) if source.random() < share else usual


def _maybe_raising(source: random.Random, value: T) -> T:
    drawn = source.random()
    if drawn < 0.03:
        raise source.choice((ForbiddenError(), NotFoundError(), ValueError("hidden"), RuntimeError()))
    return _odd(source, value)


def a_thing(source: random.Random, depth: int) -> Thing:
    """Draw a thing; less and less is in it."""
    some = range(source.choice((0, 1, 2)) if depth > 0 else 0)
    values: dict[str, Any] = {
        "name": f"n{source.randrange(1000)}",
        "code": "25604",
        "id": "A-1",
        "number": source.randrange(-5, 5),
        "maybe": source.choice((None, 1)),
        "ratio": source.choice((0.5, -1.0)),
        "flag": source.choice((True, False)),
        "colour": source.choice(list(Colour)),
        "colours": source.choice(([], list(Colour), (Colour.RED,))),
        "size": source.choice((None, *Size)),
        "stamp": datetime(2026, 1, 1, tzinfo=UTC),
        "uuid": UUID(int=source.randrange(10)),
        "part": a_thing(source, depth - 1) if some else None,
        "parts": [a_thing(source, depth - 1) for _ in some],
        "maybe_parts": source.choice((None, [None], [a_thing(source, depth - 1) for _ in some])),
        "grid": source.choice(([], [[1, None], []], ([2], (3,)))),
        "tags": source.choice(([], ["a", "ü☃"])),
        "cell": Cell.make(source),
    }
    values = {name: _odd(source, value, 0.01) for name, value in values.items()}
    return _odd(source, Thing(world=source, depth=depth, **values), 0.01)


@strawberry.input
class Item:
    name: str
    colour: Colour
    sizes: list[Size] | None = None
    count: int = 1
    code: Code | None = None
    note: str | None = strawberry.UNSET


@strawberry.input
class Order:
    items: list[Item]
    first: Item | None = None
    dry_run: bool = False


@strawberry.input
class Chain:
    name: str
    next: Chain | None = None


@strawberry.type
class Stored:
    received: str
    thing: Thing | None


def _heard(info: Info, name: str, *arguments: object) -> random.Random:
    info.context.calls.append(f"{name} {arguments!r}")
    return random.Random(f"{info.context.seed} {name} {arguments!r}")


@strawberry.type
class Query:
    @strawberry.field
    async def thing(self, info: Info) -> Thing | None:
        source = _heard(info, "thing")
        await asyncio.sleep(0)
        return _maybe_raising(source, a_thing(source, 2))

    @strawberry.field
    def certain(self, info: Info) -> Thing:
        source = _heard(info, "certain")
        return _maybe_raising(source, a_thing(source, 2))

    @strawberry.field
    async def things(
        self, info: Info, count: int = 2, colour: Colour | None = None, code: Code | None = None
    ) -> list[Thing] | None:
        source = _heard(info, "things", count, colour, code)
        return _maybe_raising(source, [a_thing(source, 1) for _ in range(max(0, min(count, 4)))])

    @strawberry.field
    def echo(
        self,
        info: Info,
        number: int = 5,
        text: str | None = None,
        ids: list[strawberry.ID] | None = None,
        colours: list[Colour] | None = None,
        size: Size = Size.SMALL,
        at: datetime | None = None,
        item: Item | None = None,
        chain: Chain | None = None,
        flag: bool | None = strawberry.UNSET,
        ratio: float | None = None,
    ) -> str | None:
        values = (number, text, ids, colours, size, at, item, chain, flag, ratio)
        return _maybe_raising(_heard(info, "echo", *values), repr(values))

    @strawberry.field
    def named(self, info: Info) -> Named | None:
        source = _heard(info, "named")
        return _maybe_raising(source, a_thing(source, 1))

    @strawberry.field
    def words(self, info: Info, kind: int = 0) -> list[str] | None:
        _heard(info, "words", kind)
        odd = (["a"], _letters(), "abc", {"a": 1}, ("a", None), {"a"}, ["a", ValueError("in it")])
        return cast("list[str]", _awaited() if kind % 8 == 7 else odd[kind % 8])


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def store(self, info: Info, order: Order) -> Stored:
        source = _heard(info, "store", order)
        return _maybe_raising(source, Stored(received=repr(order), thing=a_thing(source, 1)))

    @strawberry.mutation
    def drop(self, info: Info, key: strawberry.ID, force: bool = False) -> Stored | None:
        source = _heard(info, "drop", key, force)
        return _maybe_raising(source, Stored(received=f"{key} {force}", thing=a_thing(source, 1)))


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def grown(self, info: Info, after: int | None = None) -> AsyncGenerator[Thing, None]:
        source = _heard(info, "grown", after)
        for _ in range(4):
            yield _odd(source, a_thing(source, 2))
        if source.random() < 0.2:
            raise ForbiddenError


SCHEMA = strawberry.Schema(
    Query,
    Mutation,
    Subscription,
    config=StrawberryConfig(
        scalar_map={
            Code: strawberry.scalar(name="Code", parse_value=str, serialize=str, description="a code")
        }
    ),
)
OPERATIONS = Operations(SCHEMA)
_CORE = OPERATIONS._schema
_COUNTS = [200, pytest.param(2_000, marks=[pytest.mark.long, pytest.mark.timeout(600)])]


def several(count: int) -> Any:
    return settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def prepared(request: Request) -> Prepared | None:
    try:
        return OPERATIONS.prepare(request.text, None)
    except RequestFailedError:
        return None  # not valid: nothing to run


async def compare(request: Request, seed: int) -> tuple[Context, Context] | None:
    """Run a request both ways; return both contexts, or None where graphql-core did it in any case."""
    found = prepared(request)
    if found is None:
        return None
    compiled, plain = Context(seed), Context(seed)
    first = await answered(OPERATIONS, found, request.variables, compiled)
    second = await answered(OPERATIONS, dataclasses.replace(found, plan=None), request.variables, plain)
    assert comparable(first) == comparable(second), request
    assert found.plan is not None
    plan = found.plan.choose(request.variables)
    if not isinstance(plan, Plan):
        return None
    assert len(compiled.calls) <= len(plan.roots), request  # none ran twice
    return compiled, plain


@pytest.mark.parametrize("count", _COUNTS)
class TestGenerated:
    @pytest.mark.parametrize("kind", [OperationType.QUERY, OperationType.MUTATION])
    def test_operations_are_answered_alike(self, count, kind):
        tally = Counter[str]()

        @several(count)
        @given(st.integers(0, 2**32), st.integers(0, 2**32))
        def run(document_seed: int, seed: int) -> None:
            request = Maker(_CORE, random.Random(document_seed)).request(kind)
            contexts = asyncio.run(compare(request, seed))
            tally["compiled" if contexts else "not"] += 1
            if contexts and kind is OperationType.MUTATION:
                assert contexts[0].calls == contexts[1].calls

        run()
        assert tally["compiled"] > count / 5, tally

    def test_events_are_answered_alike(self, count):
        @several(count)
        @given(st.integers(0, 2**32), st.integers(0, 2**32))
        def run(document_seed: int, seed: int) -> None:
            request = Maker(_CORE, random.Random(document_seed)).request(OperationType.SUBSCRIPTION)
            if found := prepared(request):
                first = asyncio.run(_events(found, request, seed))
                second = asyncio.run(_events(dataclasses.replace(found, plan=None), request, seed))
                assert list(map(comparable, first)) == list(map(comparable, second)), request

        run()


class TestPlans:
    async def test_fall_with_the_variables_of_skip_and_include(self):
        text = (
            "query ($a: Boolean!, $b: Boolean = false) { certain { id @skip(if: $a) "
            "... @include(if: $b) { cell { value } id } size @include(if: false) } }"
        )
        found = OPERATIONS.prepare(text, None)
        assert found.plan is not None
        plans = set()
        chosen: list[dict[str, object]] = [
            {"a": True},
            {"a": False},
            {"a": True, "b": True},
            {"a": False, "b": False},
        ]
        for variables in chosen:
            for seed in range(20):
                assert await compare(Request(text, variables), seed)
            plans.add(found.plan.choose(variables))
        assert len(plans) == 3
        assert found.plan.choose({"a": True, "b": None}) is None
        assert found.plan.choose({}) is None

    async def test_are_not_made_for_more_variables_than_four(self):
        names = "abcde"
        fields = " ".join(f"{name}: id @skip(if: ${name})" for name in names)
        declared = ", ".join(f"${name}: Boolean!" for name in names)
        found = OPERATIONS.prepare(f"query ({declared}) {{ certain {{ {fields} id }} }}", None)
        assert found.plan is not None
        assert found.plan.choose(dict.fromkeys(names, False)) is None

    async def test_leave_several_mutations_to_run_one_after_another(self):
        found = OPERATIONS.prepare(
            'mutation { a: drop(key: "1") { received } b: drop(key: "2") { received } }', None
        )
        assert found.plan is not None
        assert found.plan.choose({}) is None

    async def test_leave_events_whose_answer_depends_on_arguments(self):
        found = OPERATIONS.prepare("subscription { grown { later(first: 1) { id } } }", None)
        assert found.plan is not None
        assert found.plan.choose({}) is None

    async def test_cover_literals_of_scalars_and_enums(self):
        request = Request('{ things(count: 1, colour: BLEU, code: "25604") { name colour } }', {})
        for seed in range(20):
            assert await compare(request, seed)

    async def test_answer_what_is_no_list_as_graphql_core_does(self):
        for kind in range(8):
            assert await compare(Request("query ($kind: Int!) { words(kind: $kind) }", {"kind": kind}), 1)


async def _events(found: Prepared, request: Request, seed: int) -> list[bytes]:
    heard = []
    try:
        async with aclosing(OPERATIONS.subscribe(found, request.variables, Context(seed))) as events:
            async for event in events:
                heard.append(event.payload)  # noqa: PERF401 - what was heard before an error counts
    except RequestFailedError as refused:
        heard.append(encode_errors(refused.errors))
    return heard
