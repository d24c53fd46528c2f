"""Every setting with its default: environment variables `KOPPELPUNT_…`."""

from __future__ import annotations

import json
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

_POSTGRESQL = ("postgresql://", "postgresql+asyncpg://", "postgres://")
LONGEST_TOKEN_SECONDS = 900  # NL GOV OAuth profile 1.1: short-lived
_BROADCAST = ("redis://", "rediss://", "memory://")


class SettingsError(Exception):
    """A setting is wrong; the message names it and never shows its value."""


class Settings(BaseSettings):
    """How this hub runs. Frozen; a wrong value stops the start with one line."""

    model_config = SettingsConfigDict(env_prefix="KOPPELPUNT_", frozen=True, extra="ignore")

    database_url: str | None = Field(
        default=None, description="PostgreSQL (`postgresql://…`); without it the hub brings its own server"
    )
    broadcast_url: str | None = Field(
        default=None,
        description="Doorbell: the database if left out, `redis://…`, or `memory://` for one process",
    )
    data_dir: Path = Field(default=Path(".koppelpunt"), description="Where the embedded server and keys live")
    issuer: str | None = Field(
        default=None, description="The address that clients use; from host and port if left out"
    )
    host: str = Field(default="127.0.0.1", description="Where the hub listens")
    port: int = Field(default=8000, ge=0, le=65535, description="Where the hub listens")
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Origins of browsers that may use the API, with commas; its own always may"
    )
    pseudonym_key_file: Path | None = Field(
        default=None, description="Keys for pseudonyms; made in the embedded mode, demanded otherwise"
    )
    signing_keys_file: Path | None = Field(
        default=None, description="Keys for access tokens; made in the embedded mode, demanded otherwise"
    )
    proxy_addresses: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Addresses or networks (CIDR), with commas, of proxies whose `Client-Cert` header counts",
    )
    ssl_certfile: Path | None = Field(
        default=None, description="The hub's certificate and its chain (PEM), where it speaks TLS itself"
    )
    ssl_keyfile: Path | None = Field(default=None, description="The key of that certificate (PEM)")
    ssl_ca_certs: Path | None = Field(
        default=None,
        description="Authorities (PEM) whose certificates clients may show where the hub speaks TLS",
    )
    clients_must_be_vetted: bool = Field(
        default=False,
        description="Whether clients get in only with certificate, second factor and penetration test",
    )
    penetration_test_days: int = Field(
        default=365, ge=1, description="How long the penetration test of a client is good"
    )
    external_issuers: Annotated[dict[str, str], NoDecode] = Field(
        default={}, description="Other issuers whose access tokens are taken, each with its keys (JSON)"
    )
    external_issuers_allow_private: bool = Field(
        default=False,
        description="Whether their keys may be fetched from private addresses, and without TLS",
    )
    access_token_seconds: int = Field(
        default=900,
        ge=10,
        le=3600,
        description="Life of an access token; above 900 beside `KOPPELPUNT_MEASURING` only",
    )
    measuring: bool = Field(
        default=False,
        description="A hub for measurements: tokens may live for an hour; never in production",
    )
    introspection: bool = Field(default=False, description="Whether callers may introspect the schema")
    demo: bool = Field(
        default=False, description="Demo mode: GraphiQL and tokens for the page; never in production"
    )
    database_pool: int = Field(default=10, ge=1, le=100, description="Connections for requests, a process")
    feed_days: int = Field(default=90, ge=1, description="How long entries of feeds are kept")
    retention_days: int = Field(
        default=365, ge=1, description="How long a student is kept after the last change of a registration"
    )
    removal_notice_days: int = Field(
        default=28, ge=0, description="How long before a student is removed CAMBO is told"
    )
    removal_ledger_file: Path | None = Field(
        default=None,
        description="Who was removed, for after the restore of a backup; `removals.jsonl` in the data folder",
    )
    vavo_to_transfer_systems: bool = Field(
        default=False, description="Whether transfer systems see registrations with the learning path VAVO"
    )
    statistics_threshold: int = Field(default=5, ge=2, description="Counts below this are suppressed")
    max_connections_per_client: int = Field(
        default=1000, ge=1, description="Websockets of one client, a process"
    )
    max_subscriptions_per_connection: int = Field(
        default=20, ge=1, description="Subscriptions on one websocket"
    )
    max_cost: int = Field(default=60_000, ge=100, description="What one operation may cost")
    rate_requests: int = Field(
        default=20_000, ge=1, description="Requests a second of one client; ten seconds' worth at once"
    )
    rate_cost: int = Field(
        default=10_000_000, ge=1, description="Cost a second of one client; ten seconds' worth at once"
    )
    rate_tokens: int = Field(default=600, ge=1, description="Access tokens a minute of one client")
    follows_per_day: int = Field(default=250_000, ge=1, description="New follows of one client, a day (UTC)")
    failed_numbers_per_hour: int = Field(
        default=5000, ge=1, description="Personal numbers that are none, of one client, an hour"
    )
    hub_oin: str = Field(
        default="00000099000000000000",
        pattern=r"^[0-9]{8}[0-9A-Z]{12}$",
        description="OIN of the organisation that runs the hub; the source of webhook notifications",
    )
    webhook_allow_private: bool = Field(
        default=False,
        description="Whether webhooks may go to private addresses, and without TLS; never in production",
    )
    webhook_ca_file: Path | None = Field(
        default=None, description="Authorities (PEM) that webhooks are trusted by beside the public ones"
    )
    otlp_endpoint: str | None = Field(
        default=None,
        description="Collector (`http://…:4318`) of traces and metrics over OTLP; none are sent without",
    )
    otlp_trace_share: float = Field(default=1.0, ge=0, le=1, description="Which share of traces is sent")
    records_otlp_endpoint: str | None = Field(
        default=None,
        description="Who keeps the processing and the security log (`http://…:4318`, OTLP); none if left out",
    )
    processing_log_days: int = Field(
        default=730,
        ge=30,
        description="How long the processing log is kept",
    )
    security_log_days: int = Field(default=730, ge=30, description="How long the security log is kept")
    processing_register: str = Field(
        default="urn:mbo-koppelpunt:processing:",
        pattern=r"^[a-z][a-z0-9+.-]*:\S*$",
        description="What the addresses of processing activities begin with in the register of processings",
    )
    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="What is logged"
    )

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(_POSTGRESQL):
            message = "must be a postgresql:// address"
            raise ValueError(message)
        return url

    @field_validator("broadcast_url")
    @classmethod
    def _is_broadcast(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(_BROADCAST):
            message = "must be a redis:// or memory:// address; left out, the bell goes through the database"
            raise ValueError(message)
        try:
            _ = urlsplit(url or "").port
        except ValueError:
            message = "must be an address"  # what is wrong with it might quote a password
            raise ValueError(message) from None
        return url

    @field_validator("allowed_origins", "proxy_addresses", mode="before")
    @classmethod
    def _split(cls, listed: object) -> object:
        if isinstance(listed, str):
            return tuple(one.strip() for one in listed.split(",") if one.strip())
        return listed

    @field_validator("external_issuers", mode="before")
    @classmethod
    def _parse(cls, given: object) -> object:
        if not isinstance(given, str):
            return given
        try:
            issuers = json.loads(given)
        except ValueError:
            issuers = None
        if not isinstance(issuers, dict) or not all(isinstance(place, str) for place in issuers.values()):
            message = 'must be JSON, such as {"https://idp.example": "https://idp.example/jwks"}'
            raise ValueError(message)
        return issuers

    @field_validator("proxy_addresses")
    @classmethod
    def _are_networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        try:
            for network in networks:
                ip_network(network)
        except ValueError:
            message = "must be addresses or networks, such as 10.0.0.5 or 10.0.1.0/24"
            raise ValueError(message) from None
        return networks

    @model_validator(mode="after")
    def _speaks_tls_wholly(self) -> Self:
        if (self.ssl_certfile is None) is not (self.ssl_keyfile is None):
            message = "KOPPELPUNT_SSL_CERTFILE and KOPPELPUNT_SSL_KEYFILE need each other"
            raise ValueError(message)
        if self.ssl_ca_certs is not None and self.ssl_certfile is None:
            message = (
                "KOPPELPUNT_SSL_CA_CERTS is for a hub that speaks TLS itself: set KOPPELPUNT_SSL_CERTFILE"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _measures_nothing_in_production(self) -> Self:
        if self.access_token_seconds > LONGEST_TOKEN_SECONDS and not self.measuring:
            message = (
                f"KOPPELPUNT_ACCESS_TOKEN_SECONDS: at most {LONGEST_TOKEN_SECONDS}, unless "
                "KOPPELPUNT_MEASURING says that the hub is there to be measured"
            )
            raise ValueError(message)
        if self.measuring and self.clients_must_be_vetted:
            message = (
                "KOPPELPUNT_MEASURING: not beside KOPPELPUNT_CLIENTS_MUST_BE_VETTED, which is for production"
            )
            raise ValueError(message)
        return self

    @field_validator("otlp_endpoint", "records_otlp_endpoint")
    @classmethod
    def _is_collector(cls, url: str | None) -> str | None:
        if url is not None and not url.startswith(("http://", "https://")):
            message = "must be an http:// or https:// address"
            raise ValueError(message)
        return url

    @property
    def base_url(self) -> str:
        """The address that clients use, without a slash at the end."""
        if self.issuer is not None:
            return self.issuer.rstrip("/")
        scheme = "http" if self.ssl_certfile is None else "https"
        return f"{scheme}://{self.host}:{self.port}"


def load_settings(**overrides: object) -> Settings:
    """Read the environment; `overrides` win. Raise SettingsError with one line for the first wrong one."""
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["loc"]:  # else it is about several, which the message names
            message = f"KOPPELPUNT_{str(first['loc'][0]).upper()}: {message}"
        raise SettingsError(message) from None
