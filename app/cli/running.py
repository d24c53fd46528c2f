"""How every command ends: 0, or 1 with one line on standard error."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

from app.domain.errors import HubError
from app.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Coroutine

Result = TypeVar("Result")


def run(work: Coroutine[object, object, Result]) -> Result:
    """Run a command's work; an anticipated error becomes one line and exit status 1."""
    try:
        return asyncio.run(work)
    except (HubError, SettingsError) as error:
        fail(str(error))


def fail(message: str) -> NoReturn:
    """Print one line on standard error and end with status 1."""
    typer.echo(" ".join(message.split()), err=True)
    raise typer.Exit(1)
