"""What the endpoint is made of: what is handed in, its limits, and the members of a GraphQL request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol
from urllib.parse import urlsplit

from app.domain.errors import BadUserInputError
from app.transport.graphql_endpoint.connections import Connections
from app.transport.graphql_endpoint.frames import keep_alive, ping_frame
from app.transport.graphql_endpoint.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from app.domain.access import Principal
    from app.domain.rates import RateKind
    from graphql_schema.execution.documents import Prepared
    from graphql_schema.execution.operations import Operations


class Authenticator(Protocol):
    """Knows callers by their tokens."""

    async def authenticate(
        self, authorization: str | None, scope: Mapping[str, Any] | None = None
    ) -> Principal:
        """Return the caller of an `Authorization` header that came over a connection with this scope.

        Raises UnauthenticatedError when there is none.
        """
        ...

    async def still_valid(self, principal: Principal) -> bool:
        """Tell whether the client is not revoked and its rights are what they were."""
        ...


class ContextFactory(Protocol):
    """Makes the context that resolvers get."""

    def __call__(self, principal: Principal, last_event_id: int | None = None) -> object:
        """Return the context of one operation; `last_event_id` is where a stream of events is resumed."""
        ...


class GreetingFactory(Protocol):
    """Makes the payload of `connection_ack` and of the server's pings: the position of the caller's feed."""

    async def __call__(self, principal: Principal) -> Mapping[str, object] | None:
        """Return the payload, or None for a caller without a feed."""
        ...


class Spender(Protocol):
    """Knows the rates of clients."""

    def spend(self, client_id: str, kind: RateKind, amount: float = 1) -> None:
        """Raise RateLimitedError when the client has used up what it may."""
        ...


class DocumentSource(Protocol):
    """Knows the documents that clients have registered."""

    async def text(self, principal: Principal, query: str | None, document_id: str | None) -> str:
        """Return the document that a request runs; raise BadUserInputError or OperationNotAllowedError."""
        ...


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    body_bytes: int = 1_048_576
    frame_bytes: int = 65_536
    init_seconds: float = 10
    ping_seconds: float = 15
    silence_seconds: float = 60  # a peer that says nothing, not even pong
    stall_seconds: float = 60  # a peer that reads nothing
    keep_alive_seconds: float = 12  # comments in a stream of events; some proxies cut after 15
    close_seconds: float = 2  # to hand a close frame to the transport
    connections: int = 10_000
    connections_per_client: int = 1_000
    subscriptions_per_connection: int = 20


class Edge:
    """What all three ways in share."""

    def __init__(  # noqa: PLR0913 - what the endpoint is made of
        self,
        operations: Operations,
        authenticator: Authenticator,
        make_context: ContextFactory,
        *,
        greeting: GreetingFactory | None,
        limits: Limits,
        allowed_origins: tuple[str, ...],
        rates: Spender | None = None,
        documents: DocumentSource | None = None,
    ) -> None:
        self.operations = operations
        self.authenticator = authenticator
        self.make_context = make_context
        self.greeting = greeting
        self.limits = limits
        self._rates = rates
        self._documents = documents
        self.connections = Connections(limits.connections, limits.connections_per_client)
        valid, stall = authenticator.still_valid, limits.stall_seconds
        self.rounds = Rounds(valid, greeting, ping_frame, seconds=limits.ping_seconds, stall_seconds=stall)
        self.rounds_of_streams = Rounds(
            valid, None, keep_alive, seconds=limits.keep_alive_seconds, stall_seconds=stall
        )
        self._allowed_origins = frozenset(origin.rstrip("/").lower() for origin in allowed_origins)

    def spend(self, principal: Principal, kind: RateKind, amount: float = 1) -> None:
        """Raise RateLimitedError when the caller has used up what it may."""
        if self._rates is not None:
            self._rates.spend(principal.client_id, kind, amount)

    async def prepare(self, principal: Principal, asked: GraphQLRequest) -> Prepared:
        """Return the document that the request runs; raise HubError or RequestFailedError if it may not."""
        if self._documents is None:
            if asked.query is None:
                raise BadUserInputError("documentId", "No documents are registered here.")
            text = asked.query
        elif asked.document_id is None and asked.query is not None and not principal.trusted_only:
            text = asked.query
        else:
            text = await self._documents.text(principal, asked.query, asked.document_id)
        return self.operations.prepare(text, asked.operation_name)

    def trusts_origin(self, origin: str, host: str | None) -> bool:
        """Tell whether a browser's request comes from the hub's own page or an allowed origin."""
        if origin.rstrip("/").lower() in self._allowed_origins:
            return True
        return urlsplit(origin).netloc.lower() == (host or "").lower() != ""


@dataclass(slots=True)  # not frozen, which would cost a microsecond
class GraphQLRequest:
    """The members of a GraphQL request: the document itself, or the id of a registered one."""

    query: str | None
    operation_name: str | None
    variables: dict[str, object] | None
    document_id: str | None = None

    @classmethod
    def read(cls, members: Mapping[str, object]) -> GraphQLRequest:
        """Return the request; raise BadUserInputError for a member that is missing or of the wrong type."""
        query, document_id = members.get("query"), members.get("documentId")
        if document_id is not None and not isinstance(document_id, str):
            raise BadUserInputError("documentId", "`documentId` is a text or null.")
        if document_id is not None and query is not None:
            raise BadUserInputError("documentId", "A request has a `query` or a `documentId`, not both.")
        if document_id is None and (not isinstance(query, str) or not query.strip()):
            raise BadUserInputError("query", "A request has a text `query`.")
        operation_name = members.get("operationName")
        if operation_name is not None and not isinstance(operation_name, str):
            raise BadUserInputError("operationName", "`operationName` is a text or null.")
        variables = members.get("variables")
        if variables is not None and not isinstance(variables, dict):
            raise BadUserInputError("variables", "`variables` is an object or null.")
        extensions = members.get("extensions")
        if extensions is not None and not isinstance(extensions, dict):
            raise BadUserInputError("extensions", "`extensions` is an object or null.")
        text = query if isinstance(query, str) else None
        return cls(text, operation_name, variables, document_id)
