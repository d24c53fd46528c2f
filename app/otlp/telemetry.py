"""Traces and metrics of one process, from its start to its end."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from app.otlp.collector import resource
from app.otlp.metrics import OtlpMetrics
from app.otlp.traces import OtlpTracing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class OtlpTelemetry:
    """What is sent to the collector of the settings."""

    def __init__(self, endpoint: str, hub_address: str, trace_share: float) -> None:
        sender = resource(hub_address)
        self.tracing = OtlpTracing(endpoint, sender, trace_share)
        self._metrics = OtlpMetrics(endpoint, sender)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Send while the block lasts; what waits at its end is sent too, if the collector answers."""
        metrics = asyncio.create_task(self._metrics.run(), name="metrics")
        try:
            yield
        finally:
            metrics.cancel()
            await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._metrics.close()
        self.tracing.close()
