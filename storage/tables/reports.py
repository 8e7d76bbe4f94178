"""What users report to the admins: events, rooms and users."""

from dataclasses import dataclass
from typing import Literal

from storage.pool import Database, Row
from storage.tables.events import Direction

__all__ = ["NewReport", "ReportFilter", "ReportKind", "ReportRow", "Reports"]

ReportKind = Literal["event", "room", "user"]

_SELECT = (
    "SELECT report_id, received_ms, reporters.text, targets.text, rooms.room_id, reports.room_nid, event_id,"
    " reason, score"
)
_FROM = (
    " FROM reports JOIN interned_users AS reporters ON reporters.nid = reporter_nid"
    " LEFT JOIN interned_users AS targets ON targets.nid = target_nid"
    " LEFT JOIN rooms ON rooms.room_nid = reports.room_nid"
    " WHERE kind = %b"
)
_ORDER = {"b": " ORDER BY received_ms DESC, report_id DESC", "f": " ORDER BY received_ms, report_id"}


@dataclass(frozen=True, slots=True)
class NewReport:
    """A report as it comes in.

    Attributes:
        kind: of what.
        received_ms: when.
        reporter_nid: by whom.
        target_nid: the sender of the event, or the user.
        room_nid: the room, or the room of the event.
        event_id: the event.
        reason: in the reporter's words.
        score: how bad, as older clients say it.
    """

    kind: ReportKind
    received_ms: int
    reporter_nid: int
    target_nid: int | None = None
    room_nid: int | None = None
    event_id: str | None = None
    reason: str | None = None
    score: int | None = None


@dataclass(frozen=True, slots=True)
class ReportRow:
    """A stored report.

    Attributes:
        report_id: its number.
        received_ms: when it came.
        reporter: user ID of who made it.
        target: user ID of the sender of the event, or of the user.
        room_id: the room, or the room of the event.
        room_nid: its number.
        event_id: the event.
        reason: in the reporter's words.
        score: how bad, as older clients say it.
    """

    report_id: int
    received_ms: int
    reporter: str
    target: str | None
    room_id: str | None
    room_nid: int | None
    event_id: str | None
    reason: str | None
    score: int | None


@dataclass(frozen=True, slots=True)
class ReportFilter:
    """Which reports are wanted; each a part of the ID, None for all.

    Attributes:
        reporter: of who made it.
        target: of whom it is about.
        room: of where.
    """

    reporter: str | None = None
    target: str | None = None
    room: str | None = None

    def condition(self) -> tuple[str, list[object]]:
        """Put the filter as SQL and its parameters."""
        columns = {"reporters.text": self.reporter, "targets.text": self.target, "rooms.room_id": self.room}
        wanted = {column: text for column, text in columns.items() if text}
        sql = "".join([f" AND position(%b IN {column}) > 0" for column in wanted])
        return sql, list(wanted.values())


class Reports:
    """Keeps reports. No sync shows them, so they need not pass the journal.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def insert(self, new: NewReport) -> None:
        """Keep a report."""
        await self._database.execute(
            "INSERT INTO reports (kind, received_ms, reporter_nid, target_nid, room_nid, event_id, reason,"
            " score) VALUES (%b, %b::bigint, %b::bigint, %b::bigint, %b::bigint, %b, %b, %b::integer)",
            new.kind, new.received_ms, new.reporter_nid, new.target_nid, new.room_nid, new.event_id,
            new.reason, new.score,
        )  # fmt: skip

    async def count_of(self, reporter_nid: int) -> int:
        """Count the reports of a user that are kept."""
        rows = await self._database.fetch(
            "SELECT count(*) FROM reports WHERE reporter_nid = %b::bigint", reporter_nid
        )
        return _count(rows)

    async def page(
        self, kind: ReportKind, wanted: ReportFilter, direction: Direction, *, offset: int, limit: int
    ) -> list[ReportRow]:
        """Read reports in the order of their coming, or the newest first."""
        condition, parameters = wanted.condition()
        rows = await self._database.fetch(
            f"{_SELECT}{_FROM}{condition}{_ORDER[direction]} LIMIT %b::bigint OFFSET %b::bigint",
            kind, *parameters, limit, offset,
        )  # fmt: skip
        return [ReportRow(*row) for row in rows]

    async def count(self, kind: ReportKind, wanted: ReportFilter) -> int:
        """Count reports."""
        condition, parameters = wanted.condition()
        return _count(await self._database.fetch(f"SELECT count(*){_FROM}{condition}", kind, *parameters))

    async def find(self, kind: ReportKind, report_id: int) -> ReportRow | None:
        """Find one report."""
        row = await self._database.fetch_one(f"{_SELECT}{_FROM} AND report_id = %b::bigint", kind, report_id)
        return None if row is None else ReportRow(*row)

    async def delete(self, kind: ReportKind, report_id: int) -> bool:
        """Remove a report; false if there was none."""
        removed = await self._database.execute(
            "DELETE FROM reports WHERE kind = %b AND report_id = %b::bigint", kind, report_id
        )
        return removed == 1


def _count(rows: list[Row]) -> int:
    count: int = rows[0][0]
    return count
