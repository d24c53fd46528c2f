"""`GET /exports/{secret}`: an export by its link, for the client that made it, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from app.domain.errors import HubError
from app.domain.export import ExportFormat
from app.domain.rates import RateKind
from app.request_log import identify
from app.transport.surroundings import SECRETS_BEHIND
from graphql_schema.errors import format_hub_error
from graphql_schema.execution.operations import encode_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from app.services.exports import ExportService
    from app.transport.authentication import Authenticator

_STATUS = {
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "RATE_LIMITED": 429,
    "UNAVAILABLE": 503,
}
_TYPES = {
    ExportFormat.CSV: "text/csv; charset=utf-8; header=present",
    ExportFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def export_routes(
    authenticator: Authenticator, exports: ExportService, spend: Callable[[str, RateKind], None]
) -> list[Route]:
    """Return the route of exports."""

    async def download(request: Request) -> Response:
        try:
            principal = await authenticator.authenticate(request.headers.get("authorization"), request.scope)
            identify(principal.client_id)
            spend(principal.client_id, RateKind.REQUESTS)
            wanted = await exports.take(principal, request.path_params["secret"])
        except HubError as error:
            return _refusal(error)
        return StreamingResponse(
            exports.write(principal, wanted),
            headers={
                "Content-Disposition": f'attachment; filename="{wanted.file_name}"',
                "Cache-Control": "no-store",
            },
            media_type=_TYPES[wanted.format],
        )

    return [Route(SECRETS_BEHIND + "{secret}", download, methods=["GET"])]


def _refusal(error: HubError) -> Response:
    headers = {"Cache-Control": "no-store"}
    if error.code == "UNAUTHENTICATED":
        headers["WWW-Authenticate"] = "Bearer"
    if error.code in {"RATE_LIMITED", "UNAVAILABLE"}:
        headers["Retry-After"] = "1"
    content = encode_errors([format_hub_error(error)])
    return Response(content, _STATUS.get(error.code, 400), headers, media_type="application/json")
