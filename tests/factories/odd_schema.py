"""A schema of everything that can be compiled and of what cannot, over values that no type allows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Iterator  # noqa: TC003 - Strawberry reads annotations
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NewType, TypeVar, cast
from uuid import UUID

import strawberry
from strawberry.schema.config import StrawberryConfig

from app.domain.errors import ForbiddenError, NotFoundError

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
        return _maybe_raising(random.Random(self.number_of("plain")), "plain", 0.1)

    @strawberry.field
    def sure(self) -> Cell:
        cell = Cell.make(random.Random(self.depth))
        return _maybe_raising(random.Random(self.number_of("sure")), cell, 0.1)

    @strawberry.field
    async def later(self, info: Info, first: int = 2, after: str | None = None) -> list[Thing]:
        source = random.Random(f"{info.context.seed} {self.number_of('later')} {first} {after}")
        await asyncio.sleep(0)
        things = [a_thing(source, self.depth - 1) for _ in range(max(0, min(first, 3)))]
        return _maybe_raising(source, things, 0.1)

    @strawberry.field
    def tied(self, info: Info, times: int | None = None) -> int | None:
        source = random.Random(f"{info.context.seed} {self.number_of('tied')} {times}")
        return _maybe_raising(source, times, 0.1)

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
    """Return what is usual, or now and then something else that no type allows, or that nearly is usual."""
    if source.random() >= share:
        return usual
    near = [one for one in _ODD if type(one) is type(usual)]
    return cast("T", source.choice(near if near and source.random() < 0.5 else _ODD))


def _maybe_raising(source: random.Random, value: T, share: float = 0.03) -> T:
    drawn = source.random()
    if drawn < share:
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
    values = {name: _odd(source, value) for name, value in values.items()}
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
