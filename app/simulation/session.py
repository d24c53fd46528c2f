"""What the page of a demo needs: tokens of the demo's transfer system and institution."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from app.domain.access import Role
from app.simulation.client import HubClient, http_client
from app.simulation.credentials import CredentialsError, read_credentials
from app.simulation.run import school_year

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from app.simulation.credentials import Credentials


class DemoSession:
    """Gets tokens as any client does: from the token endpoint of `url`, with the keys in `path`."""

    def __init__(self, url: str, path: Path) -> None:
        self._url = url
        self._path = path

    async def __call__(self) -> dict[str, object]:
        """Return the session. Raises CredentialsError and HubError."""
        clients = await asyncio.to_thread(read_credentials, self._path)
        transfer_system = _first(clients, Role.OS)
        institution = _first(clients, Role.INSTITUTION)
        async with http_client(self._url) as http:
            tokens = [await HubClient(http, one).new_token() for one in (transfer_system, institution)]
        return {
            "transferSystem": {"token": tokens[0][0], "name": transfer_system.name},
            "institution": {
                "token": tokens[1][0],
                "name": institution.name,
                "brin": institution.brins[0],
                "schoolYear": school_year(),
            },
            "expiresIn": min(seconds for _, seconds in tokens),
        }


def _first(clients: Sequence[Credentials], role: Role) -> Credentials:
    for one in clients:
        if one.role is role:
            return one
    raise CredentialsError(f"the demo has no client with the role {role}")
