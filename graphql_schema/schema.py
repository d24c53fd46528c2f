"""The schema, put together."""

from __future__ import annotations

import strawberry
from strawberry.schema.config import StrawberryConfig

from graphql_schema.deliveries.queries import DeliveryQueries
from graphql_schema.exports.mutations import ExportMutations
from graphql_schema.feed.mutations import FeedMutations
from graphql_schema.feed.queries import FeedQueries
from graphql_schema.feed.subscriptions import FeedSubscriptions
from graphql_schema.following.mutations import FollowingMutations
from graphql_schema.following.queries import FollowingQueries
from graphql_schema.message_log.queries import MessageLogQueries
from graphql_schema.oversight.queries import OversightQueries
from graphql_schema.reconciliation.queries import ReconciliationQueries
from graphql_schema.registrations.queries import RegistrationQueries
from graphql_schema.retention.mutations import RetentionMutations
from graphql_schema.scalars import SCALARS
from graphql_schema.statistics.queries import StatisticsQueries
from graphql_schema.status_messages.mutations import StatusMessageMutations
from graphql_schema.status_messages.queries import StatusMessageQueries
from graphql_schema.vetting.queries import VettingQueries
from graphql_schema.viewer.queries import ViewerQueries
from graphql_schema.webhooks.mutations import WebhookMutations
from graphql_schema.webhooks.queries import WebhookQueries


@strawberry.type(
    description="Root fields are nullable, so that one refusal does not empty the rest of an answer."
)
class Query(
    ViewerQueries,
    RegistrationQueries,
    StatusMessageQueries,
    FollowingQueries,
    FeedQueries,
    WebhookQueries,
    StatisticsQueries,
    MessageLogQueries,
    OversightQueries,
    VettingQueries,
    DeliveryQueries,
    ReconciliationQueries,
):
    """Everything that can be asked."""


@strawberry.type
class Mutation(
    StatusMessageMutations,
    FollowingMutations,
    RetentionMutations,
    FeedMutations,
    WebhookMutations,
    ExportMutations,
):
    """Everything that can be done."""


@strawberry.type
class Subscription(FeedSubscriptions):
    """Everything that can be heard."""


schema = strawberry.Schema(
    query=Query,
    mutation=Mutation,
    subscription=Subscription,
    config=StrawberryConfig(scalar_map=SCALARS),
)
