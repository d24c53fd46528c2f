"""Messages without whom they are about."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self
from uuid import UUID

import strawberry

from graphql_schema.enums import MessageOutcome, RefusalCode
from graphql_schema.pagination import PageInfo
from graphql_schema.scalars import Brin

if TYPE_CHECKING:
    from app.domain.message_log import LoggedMessageOverview


@strawberry.type(description="A message about a registration at the institution; never about whom.")
class LoggedMessage:
    """One message."""

    brin: Brin
    message_id: UUID
    sender: str = strawberry.field(description="The name of the organisation that sent it.")
    received_at: datetime
    outcome: MessageOutcome = strawberry.field(
        description="ACCEPTED, OUTDATED or REFUSED; a message that came again is not in the log."
    )
    code: RefusalCode | None = strawberry.field(description="Why REFUSED.")

    @classmethod
    def from_domain(cls, message: LoggedMessageOverview) -> Self:
        """Translate."""
        return cls(
            brin=Brin(message.brin),
            message_id=message.message_id,
            sender=message.sender,
            received_at=message.received_at,
            outcome=message.outcome,
            code=message.code,
        )


@strawberry.type
class LoggedMessageEdge:
    """Relay's edge."""

    cursor: str
    node: LoggedMessage


@strawberry.type
class LoggedMessageConnection:
    """A page of messages, the newest first."""

    edges: list[LoggedMessageEdge]
    nodes: list[LoggedMessage]
    page_info: PageInfo
