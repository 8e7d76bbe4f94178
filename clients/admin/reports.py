"""Reports of events, rooms and users, for administrators."""

from typing import Any, cast

from homeserver.core.errors import InvalidParam
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.report_reads import ReportReads, ReportsRequest
from storage.tables.events import Direction
from storage.tables.reports import ReportFilter, ReportKind

__all__ = ["AdminReportsEndpoints"]

_SPEC = "https://element-hq.github.io/synapse/latest/admin_api/event_reports.html"
_SPEC_USERS = "https://element-hq.github.io/synapse/latest/admin_api/user_reports.html"
_EVENTS = "/_synapse/admin/v1/event_reports"
_ROOMS = "/_synapse/admin/v1/room_reports"
_USERS = "/_synapse/admin/v1/user_reports"
REPORTS_OF_PAGE_DEFAULT = 100
REPORTS_OF_PAGE_MAX = 1_000
_OFFSET_MAX = 10**9
_ID_DIGITS_MAX = 18


class AdminReportsEndpoints:
    """`…/event_reports`, `…/user_reports`, and `…/room_reports`, which only this server has."""

    def __init__(self, *, reads: ReportReads) -> None:
        self._reads = reads

    @endpoint("GET", _EVENTS, authentication=Authentication.ADMIN, spec=_SPEC)
    async def get_event_reports(self, request: Request) -> Response:
        """Read a page of the reports of events."""
        return await self._page(request, "event")

    @endpoint("GET", f"{_EVENTS}/{{reportId}}", authentication=Authentication.ADMIN, spec=_SPEC)
    async def get_event_report(self, request: Request) -> Response:
        """Read the report of an event, and the event."""
        return await self._one(request, "event")

    @endpoint("DELETE", f"{_EVENTS}/{{reportId}}", authentication=Authentication.ADMIN, spec=_SPEC)
    async def delete_event_report(self, request: Request) -> Response:
        """Remove the report of an event."""
        return await self._remove(request, "event")

    @endpoint("GET", _ROOMS, authentication=Authentication.ADMIN, spec=_SPEC)
    async def get_room_reports(self, request: Request) -> Response:
        """Read a page of the reports of rooms."""
        return await self._page(request, "room")

    @endpoint("GET", f"{_ROOMS}/{{reportId}}", authentication=Authentication.ADMIN, spec=_SPEC)
    async def get_room_report(self, request: Request) -> Response:
        """Read the report of a room."""
        return await self._one(request, "room")

    @endpoint("DELETE", f"{_ROOMS}/{{reportId}}", authentication=Authentication.ADMIN, spec=_SPEC)
    async def delete_room_report(self, request: Request) -> Response:
        """Remove the report of a room."""
        return await self._remove(request, "room")

    @endpoint("GET", _USERS, authentication=Authentication.ADMIN, spec=_SPEC_USERS)
    async def get_user_reports(self, request: Request) -> Response:
        """Read a page of the reports of users."""
        return await self._page(request, "user")

    @endpoint("GET", f"{_USERS}/{{reportId}}", authentication=Authentication.ADMIN, spec=_SPEC_USERS)
    async def get_user_report(self, request: Request) -> Response:
        """Read the report of a user."""
        return await self._one(request, "user")

    @endpoint("DELETE", f"{_USERS}/{{reportId}}", authentication=Authentication.ADMIN, spec=_SPEC_USERS)
    async def delete_user_report(self, request: Request) -> Response:
        """Remove the report of a user."""
        return await self._remove(request, "user")

    async def _page(self, request: Request, kind: ReportKind) -> Response:
        direction = request.query_text("dir", "b")
        if direction not in {"b", "f"}:
            raise InvalidParam("The query parameter dir must be b or f.")
        target = "target_user_id" if kind == "user" else "event_sender_user_id"
        wanted = ReportFilter(
            reporter=request.query_maybe("user_id"),
            target=request.query_maybe(target),
            room=request.query_maybe("room_id"),
        )
        offset = request.query_integer("from", 0, at_most=_OFFSET_MAX)
        limit = request.query_integer("limit", REPORTS_OF_PAGE_DEFAULT, at_most=REPORTS_OF_PAGE_MAX)
        page = await self._reads.page(
            ReportsRequest(kind, wanted, cast("Direction", direction), offset, limit)
        )
        answer: dict[str, Any] = {f"{kind}_reports": page.reports, "total": page.total}
        if page.next_token is not None:
            answer["next_token"] = page.next_token
        return json_response(answer)

    async def _one(self, request: Request, kind: ReportKind) -> Response:
        return json_response(await self._reads.one(kind, _report_id(request)))

    async def _remove(self, request: Request, kind: ReportKind) -> Response:
        await self._reads.remove(kind, _report_id(request))
        return json_response({})


def _report_id(request: Request) -> int:
    text = request.parameters["reportId"]
    if not text.isascii() or not text.isdigit() or len(text) > _ID_DIGITS_MAX:
        raise InvalidParam("The ID of a report is a number.")
    return int(text)
