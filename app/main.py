"""The application that uvicorn serves."""

from __future__ import annotations

import gc
from contextlib import asynccontextmanager, nullcontext, suppress
from typing import TYPE_CHECKING

from starlette.middleware import Middleware

from app.bootstrap import Hub, issuer_keys
from app.domain.errors import UnavailableError
from app.domain.rates import RateKind
from app.persistence.migrations import at_head
from app.settings import Settings, load_settings
from app.telemetry import configure_logging, log
from app.transport.application import HubApplication
from app.transport.authentication import LONGEST_LIFE, Authenticator
from app.transport.client_certificate import CertificateReader
from app.transport.demo import demo_routes
from app.transport.exports import export_routes
from app.transport.external_issuers import ExternalIssuers
from app.transport.graphql_endpoint import GraphQLEndpoint, Limits
from app.transport.middleware import AccessLogMiddleware, SecurityHeadersMiddleware
from app.transport.page import graphiql_routes
from app.transport.routes import all_routes
from app.transport.surroundings import MEASURED_PATHS
from app.transport.token_endpoint import token_routes
from app.transport.tracing import TracingMiddleware
from graphql_schema.execution.operations import Operations
from graphql_schema.schema import schema

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.routing import BaseRoute

    from app.otlp.telemetry import OtlpTelemetry

# A worker that is replaced while the database is away waits for it: uvicorn would end the whole hub if its
# start failed.
_PATIENCE_SECONDS = 300
_CLOSE_SECONDS = 2  # for who has not ended in all the time that uvicorn waited
# When the garbage collector looks for cycles: a batch makes thousands of objects that are gone by themselves
# when it is answered, and with Python's own 700 it looks at them again and again meanwhile.
_COLLECTIONS = (20_000, 5, 5)


def create_app(settings: Settings) -> HubApplication:
    """Return the application; its lifespan opens and closes the hub."""
    telemetry = _telemetry(settings)
    tracing = None if telemetry is None else telemetry.tracing

    @asynccontextmanager
    async def lifespan(app: HubApplication) -> AsyncIterator[None]:
        sending = nullcontext() if telemetry is None else telemetry.running()
        async with sending, Hub.open(settings, patience=_PATIENCE_SECONDS, tracing=tracing) as hub:
            with suppress(UnavailableError):  # the catalogue is kept fresh later on
                if await at_head(hub.database):
                    await hub.services.catalogue.refresh()
            authenticator = _authenticator(hub)
            endpoint = _endpoint(hub, authenticator)
            exports = export_routes(authenticator, hub.services.exports, hub.rates.spend)
            tokens = token_routes(
                settings.base_url,
                hub.signing_keys,
                hub.services.clients,
                security_log=hub.security_log,
                token_seconds=settings.access_token_seconds,
                certificates=CertificateReader(settings.proxy_addresses),
                rule=hub.services.vetting.rule,
                spend=lambda client_id, amount: hub.rates.spend(client_id, RateKind.TOKENS, amount),
            )
            app.router.routes.extend(all_routes(endpoint, [*tokens, *exports], hub.database, _demo(settings)))
            app.graphql = (
                endpoint.http
                if tracing is None
                else TracingMiddleware(endpoint.http, tracing, MEASURED_PATHS)
            )
            app.state.end_streams = endpoint.connections.begin_to_close
            if settings.database_url is not None and not settings.clients_must_be_vetted:
                log.warning("clients_unvetted")
            if settings.measuring:
                log.warning("measuring")
            log.info("hub_ready", address=settings.base_url)
            yield
            await endpoint.connections.close_all(_CLOSE_SECONDS)
        log.info("hub_stopped")

    return HubApplication(
        lifespan=lifespan,
        middleware=[
            *([] if tracing is None else [Middleware(TracingMiddleware, tracing, MEASURED_PATHS)]),
            Middleware(AccessLogMiddleware),
            Middleware(SecurityHeadersMiddleware),
        ],
    )


def _telemetry(settings: Settings) -> OtlpTelemetry | None:
    if settings.otlp_endpoint is None:
        return None
    from app.otlp.telemetry import OtlpTelemetry  # noqa: PLC0415 - not loaded where it is off

    return OtlpTelemetry(settings.otlp_endpoint, settings.base_url, settings.otlp_trace_share)


def _demo(settings: Settings) -> list[BaseRoute]:
    if not settings.demo:
        return []
    from app.simulation.credentials import FILE_NAME  # noqa: PLC0415 - never loaded in production
    from app.simulation.session import DemoSession  # noqa: PLC0415 - likewise

    session = DemoSession(settings.base_url, settings.data_dir / FILE_NAME)
    return [*demo_routes(session), *graphiql_routes()]


def _authenticator(hub: Hub) -> Authenticator:
    return Authenticator(
        hub.settings.base_url,
        hub.signing_keys,
        hub.services.clients,
        certificates=CertificateReader(hub.settings.proxy_addresses),
        rule=hub.services.vetting.rule,
        longest_life=max(LONGEST_LIFE, hub.settings.access_token_seconds),
        external=_external(hub),
    )


def _endpoint(hub: Hub, authenticator: Authenticator) -> GraphQLEndpoint:
    settings = hub.settings
    return GraphQLEndpoint(
        Operations(schema, introspection=settings.introspection, max_cost=settings.max_cost),
        authenticator,
        hub.context,
        greeting=hub.greeting,
        limits=Limits(
            connections_per_client=settings.max_connections_per_client,
            subscriptions_per_connection=settings.max_subscriptions_per_connection,
        ),
        allowed_origins=settings.allowed_origins,
        rates=hub.rates,
        documents=hub.services.documents,
    )


def _external(hub: Hub) -> ExternalIssuers | None:
    issuers = issuer_keys(hub.settings)
    return ExternalIssuers(issuers, hub.services.foreign_subjects) if issuers else None


def app() -> HubApplication:
    """Return the application with the settings of the environment (uvicorn's `--factory`).

    What was loaded up to here stays as long as the process: the garbage collector need not look at it again.
    """
    settings = load_settings()
    configure_logging(settings.log_level)
    made = create_app(settings)
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_COLLECTIONS)
    return made
