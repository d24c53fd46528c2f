"""The executor of the hub: Strawberry's, without the leak that graphql-core 3.3.2 has in subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphql import GraphQLFieldResolver, GraphQLResolveInfo
    from graphql.execution import Executor


class HubExecutionContext(StrawberryGraphQLCoreExecutionContext):
    """Executes one operation, or one event of a subscription."""

    def build_per_event_executor(self, payload: object) -> Executor[Any]:
        """Return the executor of one event, with a cache of sub-selections of its own.

        graphql-core copies the executor but shares that cache, which keeps the selections of every event:
        about 2.5 KB an event stayed behind for as long as the subscription lived.
        """
        executor = super().build_per_event_executor(payload)
        executor._relevant_sub_fields = {}  # noqa: SLF001 - there is no public way
        return executor


class Resolved:
    """Stands between an executor and the root resolvers: these have been called, and gave this.

    graphql-core asks its middleware for the resolver of each field. So it completes the very values that a
    plan got, and finds nulls, errors and paths in its own way.
    """

    def __init__(self, values: Mapping[str, object]) -> None:
        self._values = values

    def get_field_resolver(self, resolver: GraphQLFieldResolver) -> GraphQLFieldResolver:
        """Return what answers a field."""

        def resolve(source: object, info: GraphQLResolveInfo[object], **arguments: object) -> object:
            if info.path.prev is not None:
                return resolver(source, info, **arguments)
            value = self._values[str(info.path.key)]
            if isinstance(value, Exception):
                raise value
            return value

        return resolve
