"""Reports of events, rooms and users: taken from those who make them, kept for the admins.

Spec: https://spec.matrix.org/v1.19/client-server-api/#reporting-content
"""

from homeserver.core.content.member import JOIN
from homeserver.core.errors import BadJson, Forbidden, InvalidParam, LimitExceeded, NotFound
from homeserver.core.identifiers import parse_user_id
from homeserver.core.requester import Requester
from homeserver.rooms.sight import Sight
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.pool import Database
from storage.tables import accounts
from storage.tables.events import Events
from storage.tables.reports import NewReport, Reports
from storage.tables.rooms import Rooms

__all__ = ["REASON_CHARACTERS_MAX", "Reporting"]

REASON_CHARACTERS_MAX = 1_000
REPORTS_OF_USER_MAX = 1_000
_RETRY_AFTER_MS = 3_600_000
_NO_EVENT = "There is no such event, or you are not in its room."


class Reporting:
    """Takes reports.

    Args:
        reports: keeps them.
        sight: who may see what is reported.
        events: what is reported.
        rooms: likewise.
        database: where the accounts are.
        interning: numbers of users.
        clock: when.
        server_name: ours.
    """

    def __init__(
        self, *, reports: Reports, sight: Sight, events: Events, rooms: Rooms, database: Database,
        interning: Interning, clock: Clock, server_name: str,
    ) -> None:  # fmt: skip
        self._reports = reports
        self._sight = sight
        self._events = events
        self._rooms = rooms
        self._database = database
        self._interning = interning
        self._clock = clock
        self._server_name = server_name

    async def report_event(
        self, requester: Requester, room_id: str, event_id: str, reason: str | None, score: int | None
    ) -> None:
        """Report an event in a room that the user is in.

        Raises:
            BadJson: the reason is too long.
            LimitExceeded: the user has made too many reports.
            NotFound: there is no such event, or the user is not in the room, or may not see it.
        """
        _check(reason)
        try:
            view = await self._sight.view(room_id, requester.user_id)
        except Forbidden:
            raise NotFound(_NO_EVENT) from None
        stored = await self._events.by_id(event_id)
        if view.membership != JOIN or stored is None or stored.event.room_id != room_id:
            raise NotFound(_NO_EVENT)
        history = await self._sight.visible_history(view.room, requester.user_id)
        if not await self._sight.visible(history, [stored]):
            raise NotFound(_NO_EVENT)
        sender_nid = await self._interning.nid("user", stored.event.sender)
        await self._keep(
            NewReport(
                "event", self._clock.now_ms(), await self._reporter_nid(requester), sender_nid,
                view.room.room_nid, event_id, _storable(reason), score,
            )
        )  # fmt: skip

    async def report_room(self, requester: Requester, room_id: str, reason: str) -> None:
        """Report a room, in which the user need not be.

        Raises:
            BadJson: the reason is too long.
            LimitExceeded: the user has made too many reports.
            NotFound: there is no such room here.
        """
        _check(reason)
        room = await self._rooms.find(room_id)
        if room is None:
            raise NotFound("There is no such room on this server.")
        await self._keep(
            NewReport(
                "room", self._clock.now_ms(), await self._reporter_nid(requester),
                room_nid=room.room_nid, reason=_storable(reason),
            )
        )  # fmt: skip

    async def report_user(self, requester: Requester, user_id: str, reason: str) -> None:
        """Report a user, with whom the reporter need not share a room.

        Raises:
            BadJson: the reason is too long.
            InvalidParam: it is no user ID.
            LimitExceeded: the user has made too many reports.
            NotFound: there is no such user, or none of another server that was ever seen here.
        """
        _check(reason)
        try:
            server_name = parse_user_id(user_id).server_name
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if server_name == self._server_name:
            is_known = await accounts.exists(self._database, user_id)
        else:
            is_known = bool(await self._interning.existing("user", (user_id,)))
        if not is_known:
            raise NotFound("There is no such user on this server.")
        target_nid = await self._interning.nid("user", user_id)
        await self._keep(
            NewReport(
                "user", self._clock.now_ms(), await self._reporter_nid(requester), target_nid,
                reason=_storable(reason),
            )
        )  # fmt: skip

    async def _reporter_nid(self, requester: Requester) -> int:
        return await self._interning.nid("user", requester.user_id)

    async def _keep(self, report: NewReport) -> None:
        if await self._reports.count_of(report.reporter_nid) >= REPORTS_OF_USER_MAX:
            raise LimitExceeded(
                "You have made very many reports: wait until the admins have seen to them.",
                retry_after_ms=_RETRY_AFTER_MS,
            )
        await self._reports.insert(report)


def _check(reason: str | None) -> None:
    if reason is not None and len(reason) > REASON_CHARACTERS_MAX:
        raise BadJson(f"The reason must have at most {REASON_CHARACTERS_MAX} characters.")


def _storable(reason: str | None) -> str | None:
    # PostgreSQL has no text with NUL, and a report must not fail because of what somebody pasted.
    return None if reason is None else reason.replace("\0", "\ufffd")
