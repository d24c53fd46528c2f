"""What every export has alike: its address, what it says of the sender, and how long it may take."""

from __future__ import annotations

from importlib.metadata import version
from uuid import uuid4

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

SECONDS = 10.0
_NAME = "mbo-koppelpunt"
SCOPE = InstrumentationScope(_NAME)


def address(endpoint: str, signal: str) -> str:
    """Return where a signal goes: `traces`, `metrics` or `logs`."""
    return f"{endpoint.rstrip('/')}/v1/{signal}"


def resource(environment: str) -> Resource:
    """Return what is told of the sender: the hub, its version, its address, and one id per process."""
    return Resource.create(
        {
            "service.name": _NAME,
            "service.version": version(_NAME),
            "service.instance.id": str(uuid4()),
            "koppelpunt.address": environment,
        }
    )
