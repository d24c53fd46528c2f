"""What a resolver can reach: the caller, the use cases, and loaders. No session."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import strawberry
from strawberry.dataloader import DataLoader

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from app.domain.access import Principal
    from app.services.bundle import Services
    from graphql_schema.pagination import Cursors

_Answer = TypeVar("_Answer")


@dataclass(slots=True)
class Context:
    """The context of one operation.

    `last_event_id` is the number in the `Last-Event-ID` of a client that comes back over server-sent events.
    """

    principal: Principal
    services: Services
    cursors: Cursors
    last_event_id: int | None = None
    _loaders: dict[tuple[object, ...], DataLoader[object, object]] = field(default_factory=dict, repr=False)

    async def together(
        self,
        answer: Callable[..., Awaitable[list[_Answer | BaseException]]],
        source: object,
        info: object,
        *arguments: object,
    ) -> _Answer:
        """Return what `answer` gives for one object; what is asked for together is answered together."""
        key = (answer, *arguments)
        if key not in self._loaders:
            self._loaders[key] = DataLoader(
                load_fn=lambda sources: answer(sources, info, *arguments), cache=False
            )
        return cast("_Answer", await self._loaders[key].load(source))


Info: TypeAlias = strawberry.Info[Context, None]
