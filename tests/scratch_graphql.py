"""A small schema, callers and a live server, to test the edges of GraphQL without the hub behind them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, AsyncIterator  # noqa: TC003 - Strawberry reads annotations
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, NewType, Self, cast

import strawberry
import uvicorn
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from strawberry.schema.config import StrawberryConfig

from app.domain.access import Principal, Role
from app.domain.errors import ForbiddenError, UnauthenticatedError, UnavailableError
from app.transport.application import HubApplication
from app.transport.graphql_endpoint import GraphQLEndpoint, Limits
from app.transport.http_protocol import HubHttpProtocol
from app.transport.middleware import AccessLogMiddleware, SecurityHeadersMiddleware
from app.transport.websocket_protocol import HubProtocol
from graphql_schema.execution.operations import Operations

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from app.feed.outlet import Outlet

NUMBER = "999990342"  # a published test number

PersonalNumber = NewType("PersonalNumber", str)


@strawberry.enum
class Colour(Enum):
    RED = "red"


@strawberry.input
class MessageInput:
    brin: str
    colour: Colour
    year: int
    number: PersonalNumber | None = None


@strawberry.type
class Change:
    number: int
    text: str


@dataclass
class Context:
    """What the resolvers of these tests see, and leave behind."""

    principal: Principal | None = None
    last_event_id: int | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)
    closed: asyncio.Event = field(default_factory=asyncio.Event)


Info = strawberry.Info[Context, None]


@strawberry.type
class Node:
    name: str = "node"

    @strawberry.field
    def child(self) -> Node:
        return Node()


@strawberry.type
class Query:
    @strawberry.field
    def hello(self) -> str:
        return "world"

    @strawberry.field
    def node(self) -> Node:
        return Node()

    @strawberry.field
    def echo(self, text: str) -> str:
        return text

    @strawberry.field
    def follow(self, number: PersonalNumber | None = None) -> str:
        return "followed" if number else "nobody"

    @strawberry.field
    def report(self, messages: list[MessageInput]) -> int:
        return len(messages)

    @strawberry.field
    def bare(self, value: int = 5) -> int:
        return value

    @strawberry.field
    async def broken(self) -> str | None:
        raise ValueError(f"cannot find {NUMBER}")

    @strawberry.field
    def refused(self) -> str | None:
        raise ForbiddenError

    @strawberry.field
    def missing(self) -> str:
        return None  # type: ignore[return-value]


@strawberry.type
class Mutation:
    @strawberry.mutation
    def break_it(self) -> str:
        raise RuntimeError(NUMBER)


class PushedChanges:
    """Changes of which all but the last leave by the outlet, if there is one."""

    def __init__(self, up_to: int) -> None:
        self._numbers = iter(range(1, up_to + 1))
        self._up_to = up_to
        self._outlet: Outlet[Change] | None = None

    def leave_by(self, outlet: Outlet[Change]) -> None:
        self._outlet = outlet

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Change:
        for number in self._numbers:
            change = Change(number=number, text="é" * 40_000 if number == 2 else "short")
            if self._outlet is None or number == self._up_to:
                return change
            assert self._outlet.line.write(self._outlet.frame(self._outlet.share(change)))
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._numbers = iter(())


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def pushed(self, up_to: int = 3) -> AsyncGenerator[Change, None]:
        return cast("AsyncGenerator[Change, None]", PushedChanges(up_to))

    @strawberry.subscription
    async def changes(self, up_to: int = 3) -> AsyncGenerator[Change, None]:
        for number in range(1, up_to + 1):
            yield Change(number=number, text=f"change {number}")

    @strawberry.subscription
    async def resumed(self, info: Info) -> AsyncGenerator[int, None]:
        yield info.context.last_event_id or 0

    @strawberry.subscription
    async def forever(self, info: Info) -> AsyncGenerator[int, None]:
        try:
            yield 1
            info.context.started.set()
            await asyncio.Event().wait()
        finally:
            info.context.closed.set()

    @strawberry.subscription
    async def refused(self, first: bool = True) -> AsyncGenerator[int, None]:
        if first:
            raise ForbiddenError
        yield 0

    @strawberry.subscription
    async def broken_at_first(self, first: bool = True) -> AsyncGenerator[int, None]:
        if first:
            raise ValueError(NUMBER)
        yield 0

    @strawberry.subscription
    async def broken_midway(self) -> AsyncGenerator[int, None]:
        yield 1
        raise ValueError(NUMBER)

    @strawberry.subscription
    async def flood(self, kilobytes: int) -> AsyncGenerator[str, None]:
        while True:
            yield "x" * 1024 * kilobytes
            await asyncio.sleep(0)


SCHEMA = strawberry.Schema(
    Query,
    Mutation,
    Subscription,
    config=StrawberryConfig(
        scalar_map={
            PersonalNumber: strawberry.scalar(
                name="PersonalNumber", parse_value=str, serialize=str, description="BSN"
            )
        }
    ),
)


def a_principal(client_id: str = "client", *, lives: float = 900) -> Principal:
    return Principal(
        client_id, 1, "00000001", "Organisation", Role.OS, frozenset(), expires_at=time.time() + lives
    )


class KnownTokens:
    """An authenticator of which a test says who is who."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.principals: dict[str, Principal] = {"Bearer good": a_principal()}
        self.revoked: set[str] = set()
        self.hangs = False
        self.unavailable = False
        self.broken = False

    async def authenticate(self, authorization: str | None, scope: object = None) -> Principal:
        if self.hangs:
            await asyncio.Event().wait()
        if self.unavailable:
            raise UnavailableError
        if self.broken:
            raise RuntimeError
        try:
            return self.principals[authorization or ""]
        except KeyError:
            raise UnauthenticatedError from None

    async def still_valid(self, principal: Principal) -> bool:
        return principal.client_id not in self.revoked


class Server(uvicorn.Server):
    """uvicorn inside the test, which keeps its signals to itself."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    async def startup(self, sockets: list[Any] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@dataclass
class Live:
    """A running endpoint."""

    port: int
    endpoint: GraphQLEndpoint
    tokens: KnownTokens
    contexts: list[Context]

    async def reset(self) -> None:
        """Wait until nobody is connected, and forget what a test did."""
        async with asyncio.timeout(10):
            await self.endpoint.connections.wait_until_empty()
        self.tokens.reset()
        self.contexts.clear()

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}/graphql"

    @property
    def ws(self) -> str:
        return f"ws://127.0.0.1:{self.port}/graphql"


def wanting_events(query: str) -> bytes:
    """Return a whole request for a stream of events."""
    content = json.dumps({"query": query}).encode()
    return (
        b"POST /graphql HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer good\r\n"
        b"Accept: text/event-stream\r\nContent-Type: application/json\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (len(content), content)
    )


def at_work(name: str) -> int:
    """Return how many tasks run a coroutine function of this name."""
    names = (getattr(task.get_coro(), "__name__", "") for task in asyncio.all_tasks())
    return sum(one == name for one in names)


async def greet(principal: Principal) -> Mapping[str, object] | None:
    return {"feed": {"lastNumber": 7}} if principal.role is Role.OS else None


@asynccontextmanager
async def live(limits: Limits | None = None, **options: Any) -> AsyncIterator[Live]:
    """Serve the schema on a free port."""
    tokens = KnownTokens()
    contexts: list[Context] = []

    def make_context(principal: Principal, last_event_id: int | None = None) -> Context:
        contexts.append(Context(principal, last_event_id))
        return contexts[-1]

    endpoint = GraphQLEndpoint(
        Operations(SCHEMA), tokens, make_context, greeting=greet, limits=limits, **options
    )
    app = HubApplication(
        routes=[WebSocketRoute("/graphql", endpoint.websocket)],
        middleware=[Middleware(AccessLogMiddleware), Middleware(SecurityHeadersMiddleware)],
    )
    app.graphql = endpoint.http
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=HubHttpProtocol,
        ws=HubProtocol,
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    server = Server(config)
    serving = asyncio.create_task(server.serve())
    await server.ready.wait()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Live(port, endpoint, tokens, contexts)
    finally:
        await endpoint.connections.close_all()
        server.should_exit = True
        await serving
