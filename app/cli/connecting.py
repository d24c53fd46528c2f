"""Options of commands that are clients of a hub: which certificate they show, and whom they trust."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

Certificate = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        dir_okay=False,
        exists=True,
        help="Certificate that the hub knows the client by (PEM).",
    ),
]
CertificateKey = Annotated[
    Path | None,
    typer.Option(
        "--certificate-key", dir_okay=False, exists=True, help="Its key (PEM), if in a file of its own."
    ),
]
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca", dir_okay=False, exists=True, help="Authorities (PEM) to be trusted, if not the usual ones."
    ),
]


@dataclass(frozen=True, slots=True)
class Way:
    """How a command gets to the hub; `url` is that of the settings unless told."""

    url: str | None
    certificate: Path | None
    certificate_key: Path | None
    ca: Path | None
