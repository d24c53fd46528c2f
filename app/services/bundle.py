"""What a context may call."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from app.feed.reader import FeedReader
    from app.feed.subscription import FeedSubscription
    from app.services.annual_overview import AnnualOverviewService
    from app.services.catalogue import CatalogueService
    from app.services.clients import ClientService
    from app.services.deliveries import DeliveryService
    from app.services.exports import ExportService
    from app.services.following import FollowingService
    from app.services.foreign_subjects import ForeignSubjectService
    from app.services.message_log import MessageLogService
    from app.services.oversight import OversightService
    from app.services.reconciliation import ReconciliationService
    from app.services.registrations import RegistrationService
    from app.services.retention import RetentionService
    from app.services.statistics import StatisticsService
    from app.services.status_messages import StatusMessageService
    from app.services.trusted_documents import TrustedDocumentService
    from app.services.vetting import VettingService
    from app.services.webhooks import WebhookService


@dataclass(frozen=True, slots=True)
class Services:
    """Every use case."""

    annual_overview: AnnualOverviewService
    catalogue: CatalogueService
    clients: ClientService
    deliveries: DeliveryService
    documents: TrustedDocumentService
    feed: FeedReader
    exports: ExportService
    following: FollowingService
    foreign_subjects: ForeignSubjectService
    message_log: MessageLogService
    oversight: OversightService
    reconciliation: ReconciliationService
    registrations: RegistrationService
    retention: RetentionService
    statistics: StatisticsService
    status_messages: StatusMessageService
    subscription: FeedSubscription
    vetting: VettingService
    webhooks: WebhookService
