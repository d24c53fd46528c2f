"""Access tokens of other issuers (RFC 9068), for a hub that is told to take them.

Such a token is judged as strictly as the hub's own. Who its subject is to the hub, an operator has said
before; what that client may do is what its role may, and no more than the token says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.domain.errors import UnauthenticatedError
from app.services.client_keys import algorithms_of, public_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from app.services.foreign_subjects import ForeignSubjectService
    from app.services.issuer_keys import IssuerKeys
    from app.transport.strict_jwt import ReadJwt


@dataclass(frozen=True, slots=True)
class ForeignSubject:
    """A subject of an issuer, and the client that it stands for."""

    issuer: str
    subject: str
    client_id: str


class ExternalIssuers:
    """The issuers whose tokens the hub takes beside its own."""

    def __init__(self, issuers: Iterable[IssuerKeys], subjects: ForeignSubjectService) -> None:
        self._issuers = {one.issuer: one for one in issuers}
        self._subjects = subjects

    def __contains__(self, issuer: object) -> bool:
        """Tell whether tokens of this issuer are taken."""
        return isinstance(issuer, str) and issuer in self._issuers

    async def verify(self, token: ReadJwt) -> ForeignSubject:
        """Check the signature of a token of one of these issuers, and return whose it is.

        Raises JwtError, UnauthenticatedError, and UnavailableError when issuer or database do not answer.
        """
        issuer = self._issuers[token.text("iss")]
        key = await issuer.find(token.key_id)
        if key is None or token.algorithm not in algorithms_of(key):
            raise UnauthenticatedError
        token.verify(public_key(key))
        subject = token.text("sub")
        client_id = await self._subjects.client_of(issuer.issuer, subject)
        if client_id is None:
            raise UnauthenticatedError
        return ForeignSubject(issuer.issuer, subject, client_id)

    async def still_stands(self, whose: ForeignSubject) -> bool:
        """Tell whether a subject still stands for the same client."""
        return await self._subjects.client_of(whose.issuer, whose.subject) == whose.client_id
