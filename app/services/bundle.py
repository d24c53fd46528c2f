"""What a context may call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.feed.reader import FeedReader
    from app.feed.subscription import FeedSubscription
    from app.services.catalogue import CatalogueService
    from app.services.clients import ClientService
    from app.services.following import FollowingService
    from app.services.registrations import RegistrationService
    from app.services.statistics import StatisticsService
    from app.services.status_messages import StatusMessageService


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case."""

    catalogue: CatalogueService
    clients: ClientService
    feed: FeedReader
    following: FollowingService
    registrations: RegistrationService
    statistics: StatisticsService
    status_messages: StatusMessageService
    subscription: FeedSubscription
