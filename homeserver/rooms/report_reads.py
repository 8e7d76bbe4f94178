"""Reading the reports of events, rooms and users, as admins do."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeserver.core.errors import NotFound
from homeserver.rooms.room_summary import RoomSummaries
from storage.tables.events import Direction, Events
from storage.tables.reports import ReportFilter, ReportKind, ReportRow, Reports

__all__ = ["ReportPage", "ReportReads", "ReportsRequest", "Shown"]

Shown = dict[str, Any]
_NONE = "There is no such report."


@dataclass(frozen=True, slots=True)
class ReportsRequest:
    """A page of reports that an admin asks for.

    Attributes:
        kind: of what.
        wanted: which.
        direction: `b` begins with the newest.
        offset: so many are skipped.
        limit: at most so many.
    """

    kind: ReportKind
    wanted: ReportFilter
    direction: Direction
    offset: int
    limit: int


@dataclass(frozen=True, slots=True)
class ReportPage:
    """A page of reports.

    Attributes:
        reports: as admins are shown them.
        total: how many there are.
        next_token: the offset of the page after it, if there is one.
    """

    reports: Sequence[Shown]
    total: int
    next_token: int | None


class ReportReads:
    """Reads and removes reports.

    Args:
        reports: keeps them.
        events: what was reported.
        summaries: names of rooms.
    """

    def __init__(self, *, reports: Reports, events: Events, summaries: RoomSummaries) -> None:
        self._reports = reports
        self._events = events
        self._summaries = summaries

    async def page(self, request: ReportsRequest) -> ReportPage:
        """Read a page of reports."""
        total = await self._reports.count(request.kind, request.wanted)
        rows: list[ReportRow] = []
        if request.limit and request.offset < total:
            rows = await self._reports.page(
                request.kind, request.wanted, request.direction, offset=request.offset, limit=request.limit
            )
        end = request.offset + len(rows)
        return ReportPage(await self._shown(request.kind, rows), total, end if rows and end < total else None)

    async def one(self, kind: ReportKind, report_id: int) -> Shown:
        """Read one report; that of an event has the event with it.

        Raises:
            NotFound: there is none.
        """
        row = await self._reports.find(kind, report_id)
        if row is None:
            raise NotFound(_NONE)
        (shown,) = await self._shown(kind, [row])
        if kind == "event" and row.event_id is not None:
            stored = await self._events.by_id(row.event_id)
            event = None if stored is None else stored.event
            ids = {"event_id": row.event_id, "room_id": row.room_id}
            shown["event_json"] = None if event is None else {**event.pdu, **ids}
        return shown

    async def remove(self, kind: ReportKind, report_id: int) -> None:
        """Remove a report that has been seen to.

        Raises:
            NotFound: there is none.
        """
        if not await self._reports.delete(kind, report_id):
            raise NotFound(_NONE)

    async def _shown(self, kind: ReportKind, rows: Sequence[ReportRow]) -> list[Shown]:
        room_ids = list({row.room_id for row in rows if row.room_id is not None})
        summaries = await self._summaries.known(room_ids) if room_ids else {}
        shown: list[Shown] = []
        for row in rows:
            one: Shown = {
                "id": row.report_id, "received_ts": row.received_ms, "user_id": row.reporter,
                "reason": row.reason,
            }  # fmt: skip
            if kind == "user":
                one["target_user_id"] = row.target
            else:
                summary = summaries.get(row.room_id or "")
                named = {} if summary is None else summary.shown
                one |= {
                    "room_id": row.room_id,
                    "name": named.get("name"),
                    "canonical_alias": named.get("canonical_alias"),
                }
            if kind == "event":
                one |= {"event_id": row.event_id, "sender": row.target, "score": row.score}
            shown.append(one)
        return shown
