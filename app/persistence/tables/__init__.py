"""The tables, one file per noun. Importing this package makes `SQLModel.metadata` complete."""

from app.persistence.tables.catalogue import InstitutionRow, ProgrammeRow, SchoolRow
from app.persistence.tables.delivery import (
    CompletenessRow,
    DeliveryDayRow,
    DeliveryProgressRow,
    DeliveryRefusalRow,
    SenderDeliveryRow,
)
from app.persistence.tables.export_link import ExportLinkRow
from app.persistence.tables.feed import FeedEntryRow, FeedRow, PendingEventRow
from app.persistence.tables.follow import FollowRow
from app.persistence.tables.foreign_subject import ForeignSubjectRow
from app.persistence.tables.job import FinishedJobRow
from app.persistence.tables.organisation import (
    ClientAssertionRow,
    ClientCertificateRow,
    ClientRow,
    MandateRow,
    OrganisationRow,
    OwnInstitutionRow,
)
from app.persistence.tables.rate import QuotaUseRow, RateBucketRow
from app.persistence.tables.record import ProcessingRecordRow, RecordExportRow, SecurityRecordRow
from app.persistence.tables.registration import (
    PseudonymKeyRow,
    RegistrationRow,
    StatusEventRow,
    StudentRow,
)
from app.persistence.tables.statistics import (
    AnnualOverviewTableRow,
    StatisticsCarriedCellRow,
    StatisticsCarriedHistoryRow,
    StatisticsCarriedMixRow,
    StatisticsCellRow,
    StatisticsHistoryRow,
    StatisticsSnapshotRow,
    StatisticsTableRow,
)
from app.persistence.tables.status_message import RefusedMessageRow, StatusMessageRow
from app.persistence.tables.trusted_document import TrustedDocumentRow
from app.persistence.tables.webhook import WebhookRow

__all__ = [
    "AnnualOverviewTableRow",
    "ClientAssertionRow",
    "ClientCertificateRow",
    "ClientRow",
    "CompletenessRow",
    "DeliveryDayRow",
    "DeliveryProgressRow",
    "DeliveryRefusalRow",
    "ExportLinkRow",
    "FeedEntryRow",
    "FeedRow",
    "FinishedJobRow",
    "FollowRow",
    "ForeignSubjectRow",
    "InstitutionRow",
    "MandateRow",
    "OrganisationRow",
    "OwnInstitutionRow",
    "PendingEventRow",
    "ProcessingRecordRow",
    "ProgrammeRow",
    "PseudonymKeyRow",
    "QuotaUseRow",
    "RateBucketRow",
    "RecordExportRow",
    "RefusedMessageRow",
    "RegistrationRow",
    "SchoolRow",
    "SecurityRecordRow",
    "SenderDeliveryRow",
    "StatisticsCarriedCellRow",
    "StatisticsCarriedHistoryRow",
    "StatisticsCarriedMixRow",
    "StatisticsCellRow",
    "StatisticsHistoryRow",
    "StatisticsSnapshotRow",
    "StatisticsTableRow",
    "StatusEventRow",
    "StatusMessageRow",
    "StudentRow",
    "TrustedDocumentRow",
    "WebhookRow",
]
