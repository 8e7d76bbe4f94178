"""Snapshots of rooms, as clients asked for them before there was `/sync`, and still do to look into a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidinitialsync
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeserver.core.content.member import BAN, INVITE, JOIN, LEAVE
from homeserver.core.errors import Forbidden, NotFound
from homeserver.core.event.format import client_event
from homeserver.core.filters import RoomEventFilter
from homeserver.core.requester import Requester
from homeserver.rooms.history import History, Page, PageRequest
from homeserver.rooms.sight import Sight
from homeserver.rooms.state_reads import StateReads
from storage.interning import Interning
from storage.tables.events import Events, StoredEvent
from storage.tables.memberships import MembershipRow, Memberships

__all__ = ["MESSAGES_MAX", "InitialSync", "RoomSnapshot"]

MESSAGES_MAX = 100
"""Of one room."""


@dataclass(frozen=True, slots=True)
class RoomSnapshot:
    """A room as one user may see it.

    Attributes:
        room_id: the room.
        membership: the user's; None for one who never had any.
        is_public: whether the room directory lists it.
        state: its state, encoded.
        messages: the last of its timeline, newest first; None where there is nothing to be seen of it yet.
        invite: the member event of one who is invited, encoded.
    """

    room_id: str
    membership: str | None
    is_public: bool
    state: Sequence[bytes] = ()
    messages: Page | None = None
    invite: bytes | None = None


class InitialSync:
    """Takes snapshots.

    Args:
        sight: who may see what.
        state_reads: reads state.
        history: reads timelines.
        events: reads single events.
        memberships: the rooms of a user.
        interning: numbers of users.
    """

    def __init__(
        self, *, sight: Sight, state_reads: StateReads, history: History, events: Events,
        memberships: Memberships, interning: Interning,
    ) -> None:  # fmt: skip
        self._sight = sight
        self._state_reads = state_reads
        self._history = history
        self._events = events
        self._memberships = memberships
        self._interning = interning

    async def of_room(self, requester: Requester, room_id: str, limit: int) -> RoomSnapshot:
        """One room, for who is or was in it, or anybody if it is readable by the world.

        Raises:
            Forbidden: neither is so, or there is no such room.
        """
        view = await self._sight.view(room_id, requester.user_id)
        page = PageRequest(
            direction="b", start=None, stop=None, limit=min(limit, MESSAGES_MAX), wanted=RoomEventFilter()
        )
        return RoomSnapshot(
            room_id,
            view.membership,
            view.room.is_public,
            await self._state_reads.all_of(requester, room_id),
            await self._history.page(requester, room_id, page) if limit else None,
        )

    async def of_user(
        self, requester: Requester, limit: int, *, with_left: bool, wants_invite_by: Callable[[str], bool]
    ) -> Sequence[RoomSnapshot]:
        """Every room that the user is in or invited to; where asked for, those that they left as well.

        Args:
            requester: who asks.
            limit: of the messages of each room.
            with_left: also those that were left.
            wants_invite_by: whether the user wants to hear of the invites of somebody.
        """
        users = await self._interning.existing("user", (requester.user_id,))
        if requester.user_id not in users:
            return ()
        wanted = (JOIN, INVITE, LEAVE, BAN) if with_left else (JOIN, INVITE)
        snapshots = []
        for row in await self._memberships.of_user(users[requester.user_id], wanted):
            if row.is_forgotten:
                continue
            if row.membership == INVITE:
                stored = await self._events.by_id(row.event_id)
                if stored is None or wants_invite_by(stored.event.sender):
                    snapshots.append(_invited(row, stored))
                continue
            try:
                snapshots.append(await self.of_room(requester, row.room_id, limit))
            except Forbidden:
                continue  # was invited only, or is out by now
        return snapshots

    async def event(self, requester: Requester, event_id: str) -> bytes:
        """One event, whatever room it is in.

        Raises:
            NotFound: there is no such event, or the user may not see it.
        """
        stored = await self._events.by_id(event_id)
        if stored is None:
            raise NotFound("There is no such event, or you may not see it.")
        return await self._history.event(requester, stored.event.room_id, event_id)

    async def check_visible(self, requester: Requester, room_id: str) -> None:
        """Refuse who may not see a room.

        Raises:
            Forbidden: the user may not, or there is no such room.
        """
        await self._sight.view(room_id, requester.user_id)


def _invited(row: MembershipRow, stored: StoredEvent | None) -> RoomSnapshot:
    invite = None if stored is None else client_event(stored.event)
    return RoomSnapshot(row.room_id, INVITE, is_public=False, invite=invite)
