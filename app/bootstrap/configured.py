"""What follows from the settings: places of files, rules, and parts that only settings decide about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from broadcaster import Broadcast
from cryptography.x509 import load_pem_x509_certificates

from app.domain.errors import BadUserInputError
from app.domain.rates import Rate, RateKind
from app.domain.record_export import RecordLog
from app.domain.retention import RetentionRule
from app.domain.vetting import VettingRule
from app.feed.webhook_sender import WebhookSender, trusted
from app.persistence.listening import PostgresBackend
from app.services.housekeeping import Job
from app.services.issuer_keys import IssuerKeys, source_of_keys
from app.services.key_files import KeyFile
from app.services.keys import SigningKeys, load_pseudonym_keys, load_signing_keys
from app.services.record_export import RecordExport
from app.services.record_removal import RecordRemovalService
from app.services.subjects import SubjectIds
from app.settings import Settings, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AsyncExitStack
    from pathlib import Path

    from app.domain.personal_number import KeyChain
    from app.persistence.database import Database

_PSEUDONYM_KEYS = "pseudonym-keys.json"
_SIGNING_KEYS = "signing-keys.json"
_SOON = timedelta(seconds=2)


def clock() -> datetime:
    """Return the present moment in UTC."""
    return datetime.now(UTC)


def load_keys(settings: Settings) -> tuple[KeyFile[KeyChain], KeyFile[SigningKeys]]:
    """Read the key files; in the embedded mode they are made on first start, otherwise demanded."""
    embedded = settings.database_url is None
    return (
        KeyFile(pseudonym_key_file(settings), load_pseudonym_keys, create=embedded),
        KeyFile(signing_keys_file(settings), load_signing_keys, create=embedded),
    )


def pseudonym_key_file(settings: Settings) -> Path:
    """Return where the keys behind pseudonyms are."""
    return _key_file(settings.pseudonym_key_file, settings, _PSEUDONYM_KEYS)


def signing_keys_file(settings: Settings) -> Path:
    """Return where the keys of access tokens are."""
    return _key_file(settings.signing_keys_file, settings, _SIGNING_KEYS)


def removal_ledger(settings: Settings) -> Path:
    """Return where it is written who was removed."""
    return settings.removal_ledger_file or settings.data_dir / "removals.jsonl"


def retention_rule(settings: Settings) -> RetentionRule:
    """Return for how long this hub keeps students."""
    return RetentionRule(
        timedelta(days=settings.retention_days), timedelta(days=settings.removal_notice_days)
    )


def _key_file(path: Path | None, settings: Settings, name: str) -> Path:
    if path is not None:
        return path
    if settings.database_url is not None:
        setting = (
            "KOPPELPUNT_PSEUDONYM_KEY_FILE" if name == _PSEUDONYM_KEYS else "KOPPELPUNT_SIGNING_KEYS_FILE"
        )
        message = f"{setting} is needed when KOPPELPUNT_DATABASE_URL is set"
        raise SettingsError(message)
    return settings.data_dir / name


def broadcast_of(settings: Settings, database: Database) -> Broadcast:
    """Return what carries the doorbell: the database itself unless told otherwise."""
    url = settings.broadcast_url
    if url is None:
        return Broadcast(backend=PostgresBackend(database))
    return Broadcast(url)


def issuer_keys(settings: Settings) -> list[IssuerKeys]:
    """Return where the keys of other issuers come from; raise SettingsError for an address that is none."""
    private, tls = settings.external_issuers_allow_private, trusted(None)
    try:
        return [
            IssuerKeys(issuer, source_of_keys(place, tls, allow_private=private))
            for issuer, place in settings.external_issuers.items()
        ]
    except BadUserInputError as error:
        message = "KOPPELPUNT_EXTERNAL_ISSUERS: the address of keys cannot be used"
        raise SettingsError(message) from error


def vetting_rule(settings: Settings) -> VettingRule:
    """Return what this hub demands of its clients."""
    return VettingRule(settings.clients_must_be_vetted, settings.penetration_test_days)


def hub_certificate_ends(settings: Settings) -> datetime | None:
    """Return when the certificate runs out that the hub speaks TLS with; None where a proxy does."""
    if settings.ssl_certfile is None:
        return None
    try:
        own, *_ = load_pem_x509_certificates(settings.ssl_certfile.read_bytes())
    except (OSError, ValueError) as error:
        message = "KOPPELPUNT_SSL_CERTFILE: the file cannot be used"
        raise SettingsError(message) from error
    return own.not_valid_after_utc


def rates_of(settings: Settings) -> dict[RateKind, Rate]:
    """Return what each client may spend."""
    return {
        RateKind.REQUESTS: Rate(settings.rate_requests, settings.rate_requests * 10),
        RateKind.COST: Rate(settings.rate_cost, settings.rate_cost * 10),
        RateKind.TOKENS: Rate(settings.rate_tokens / 60, settings.rate_tokens),
    }


def record_export_jobs(
    settings: Settings, database: Database, chain: KeyChain, stack: AsyncExitStack
) -> list[Job]:
    """Return the job that sends both logs to their keeper, if there is one; the stack closes its sink."""
    if settings.records_otlp_endpoint is None:
        return []
    from app.otlp.records import OtlpRecords  # noqa: PLC0415 - not loaded where it is off

    sink = OtlpRecords(settings.records_otlp_endpoint, settings.base_url)
    stack.callback(sink.close)
    ids = SubjectIds(chain.subject_key)
    export = RecordExport(database, sink, ids, clock, settings.processing_register)
    return [Job("record-export", _SOON, export.export)]


def record_removal_of(
    settings: Settings, database: Database, clock: Callable[[], datetime]
) -> RecordRemovalService:
    """Return what removes records that were kept for long enough."""
    days = {
        RecordLog.PROCESSING: settings.processing_log_days,
        RecordLog.SECURITY: settings.security_log_days,
    }
    return RecordRemovalService(database, clock, days, exported=settings.records_otlp_endpoint is not None)


def webhook_sender_of(settings: Settings) -> WebhookSender:
    """Return what sends notifications; raise SettingsError for a file of authorities that is none."""
    try:
        return WebhookSender(trusted(settings.webhook_ca_file), allow_private=settings.webhook_allow_private)
    except OSError as error:
        message = "KOPPELPUNT_WEBHOOK_CA_FILE: the file cannot be used"
        raise SettingsError(message) from error
