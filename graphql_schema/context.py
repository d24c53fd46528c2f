"""What a resolver can reach: the caller, the use cases, and loaders. No session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

import strawberry

from graphql_schema.registrations.loaders import HistoryLoader

if TYPE_CHECKING:
    from app.domain.access import Principal
    from app.services.bundle import Services
    from graphql_schema.pagination import Cursors


@dataclass(slots=True)
class Context:
    """The context of one operation.

    `last_event_id` is the number in the `Last-Event-ID` of a client that comes back over server-sent events.
    """

    principal: Principal
    services: Services
    cursors: Cursors
    last_event_id: int | None = None
    _histories: HistoryLoader | None = field(default=None, repr=False)

    @property
    def histories(self) -> HistoryLoader:
        """The loader of histories of this operation."""
        if self._histories is None:
            self._histories = HistoryLoader(self.services.registrations)
        return self._histories


Info: TypeAlias = strawberry.Info[Context, None]
