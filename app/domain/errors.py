"""The one family of errors that a caller may see. The docstring of each is its message."""

from __future__ import annotations

from typing import ClassVar


class HubError(Exception):
    """The hub refuses this request."""

    code: ClassVar[str]

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())

    @property
    def extensions(self) -> dict[str, object]:
        """What goes into `extensions` of the GraphQL error; always has `code`."""
        return {"code": self.code}


class UnauthenticatedError(HubError):
    """A valid access token is needed."""

    code = "UNAUTHENTICATED"


class ForbiddenError(HubError):
    """Your role does not allow this."""

    code = "FORBIDDEN"


class NotFoundError(HubError):
    """There is no such thing, or you may not see it."""

    code = "NOT_FOUND"


class BadUserInputError(HubError):
    """A value is not acceptable."""

    code = "BAD_USER_INPUT"

    def __init__(self, field: str, message: str | None = None) -> None:
        super().__init__(message)
        self.field = field

    @property
    def extensions(self) -> dict[str, object]:
        """The code and the path of the field; never the value."""
        return {"code": self.code, "field": self.field}


class LimitExceededError(HubError):
    """The request is larger than the hub takes."""

    code = "LIMIT_EXCEEDED"


class RateLimitedError(HubError):
    """Too many requests; try again later."""

    code = "RATE_LIMITED"

    def __init__(self, retry_after: float) -> None:
        super().__init__()
        self.retry_after = retry_after

    @property
    def extensions(self) -> dict[str, object]:
        """The code and the seconds to wait."""
        return {"code": self.code, "retryAfter": self.retry_after}


class CursorExpiredError(HubError):
    """What comes after this number is no longer kept; take the current state and go on from there."""

    code = "CURSOR_EXPIRED"

    def __init__(self, earliest: int) -> None:
        super().__init__()
        self.earliest = earliest

    @property
    def extensions(self) -> dict[str, object]:
        """The code and the earliest number that is left."""
        return {"code": self.code, "earliest": self.earliest}


class CursorAheadError(HubError):
    """This number has not been given yet."""

    code = "CURSOR_AHEAD"


class OperationNotAllowedError(HubError):
    """This operation is not allowed here."""

    code = "OPERATION_NOT_ALLOWED"


class ConflictError(HubError):
    """This contradicts what the hub already has."""

    code = "CONFLICT"


class UnavailableError(HubError):
    """The hub cannot answer now; try again shortly."""

    code = "UNAVAILABLE"
