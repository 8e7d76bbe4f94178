"""Reporting events, rooms and users.

Spec: https://spec.matrix.org/v1.19/client-server-api/#reporting-content
"""

from typing import Any

import msgspec

from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.reports import Reporting

__all__ = ["EventReportBody", "ReportBody", "ReportsEndpoints"]

_SCORE_MIN, _SCORE_MAX = -100, 0


class EventReportBody(msgspec.Struct):
    """Why an event is reported."""

    reason: str | None = None
    # COMPAT: until v1.17 of the specification, from -100 for the worst to 0; admins are shown it.
    score: Any = None


class ReportBody(msgspec.Struct):
    """Why a room or a user is reported; may be blank."""

    reason: str


class ReportsEndpoints:
    """`…/report`."""

    def __init__(self, *, reporting: Reporting) -> None:
        self._reporting = reporting

    @endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/report/{eventId}",
        rate_limit=RateLimit.REPORT,
        body=EventReportBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreporteventid",
    )
    async def report_event(self, request: Request) -> Response:
        """Report an event."""
        named, body = request.parameters, request.body
        await self._reporting.report_event(
            request.requester, named["roomId"], named["eventId"], body.reason, _score(body.score)
        )
        return json_response({})

    @endpoint(
        "POST",
        "/_matrix/client/v3/rooms/{roomId}/report",
        rate_limit=RateLimit.REPORT,
        body=ReportBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3roomsroomidreport",
    )
    async def report_room(self, request: Request) -> Response:
        """Report a room."""
        await self._reporting.report_room(
            request.requester, request.parameters["roomId"], request.body.reason
        )
        return json_response({})

    @endpoint(
        "POST",
        "/_matrix/client/v3/users/{userId}/report",
        rate_limit=RateLimit.REPORT,
        body=ReportBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3usersuseridreport",
    )
    async def report_user(self, request: Request) -> Response:
        """Report a user."""
        await self._reporting.report_user(
            request.requester, request.parameters["userId"], request.body.reason
        )
        return json_response({})


def _score(value: object) -> int | None:
    # What the specification no longer knows is no reason to refuse a report.
    return value if type(value) is int and _SCORE_MIN <= value <= _SCORE_MAX else None
