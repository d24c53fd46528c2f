"""The closed lists of the domain, under their names in the API."""

from __future__ import annotations

from typing import TypeAlias

import strawberry

from app.domain.access import Role, Scope
from app.domain.codes import LearningPath, Status, StatusSource
from app.domain.delivery import DeliveryFinding, SenderState
from app.domain.export import ExportFormat
from app.domain.following import FollowOutcome
from app.domain.reconciliation import Difference
from app.domain.registration import ChangeKind
from app.domain.status_message import CorrectionKind, Finding, Outcome, Refusal
from app.domain.vetting import Lack
from app.domain.webhook import WebhookProblem, WebhookState

RegistrationStatus: TypeAlias = Status
MessageOutcome: TypeAlias = Outcome
RefusalCode: TypeAlias = Refusal
RegistrationDifference: TypeAlias = Difference
ClientLack: TypeAlias = Lack

for _values, _name, _description in (
    (Status, "RegistrationStatus", "AO, OA, LI, AI and LNI of the older exchange."),
    (StatusSource, "StatusSource", "Where a status came from; follows from the sender's role."),
    (LearningPath, "LearningPath", "Leertraject."),
    (Outcome, "MessageOutcome", "What became of a message."),
    (Refusal, "RefusalCode", "Why an item of a batch was refused."),
    (Finding, "Finding", "What is remarkable about a message that was accepted all the same."),
    (CorrectionKind, "CorrectionKind", "What a correction does."),
    (Lack, "ClientLack", "What keeps a client out where clients must be vetted."),
    (FollowOutcome, "FollowOutcome", "What became of a wish to follow."),
    (
        ChangeKind,
        "ChangeKind",
        (
            "HIDDEN: the right to see it has ended. OUTDATED: in the history only, without effect. "
            "REMOVAL_ANNOUNCED, for CAMBO: everything about the student will be removed at `occurredAt`."
        ),
    ),
    (
        Difference,
        "RegistrationDifference",
        "MISSING_AT_HUB: not among what you reported. REPEATED, OUTSIDE_PREFIX, INVALID: not compared.",
    ),
    (SenderState, "SenderState", "NEW: no rhythm yet. NEVER_HEARD: a mandate, and no message."),
    (DeliveryFinding, "DeliveryFinding", "What is remarkable about how an institution is reported about."),
    (ExportFormat, "ExportFormat", "How an export is written."),
    (Role, "Role", "What an organisation is to the hub."),
    (Scope, "Scope", "What an access token allows."),
    (WebhookState, "WebhookState", "STOPPED: three days of failures, or 410; only a reset starts it again."),
    (
        WebhookProblem,
        "WebhookError",
        "Why a notification was not taken. REFUSED is 4xx, FAILED 5xx, NOT_HTTP a broken answer.",
    ),
):
    strawberry.enum(_values, name=_name, description=_description)

__all__ = [
    "ChangeKind",
    "CorrectionKind",
    "DeliveryFinding",
    "ExportFormat",
    "Finding",
    "FollowOutcome",
    "LearningPath",
    "MessageOutcome",
    "RefusalCode",
    "RegistrationDifference",
    "RegistrationStatus",
    "Role",
    "Scope",
    "SenderState",
    "StatusSource",
    "WebhookProblem",
    "WebhookState",
]
