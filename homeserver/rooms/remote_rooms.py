"""Rooms that are not here, as what users of ours want of them: to come in, to knock, to leave.

Spec: https://spec.matrix.org/v1.19/server-server-api/#joining-rooms and the sections that follow it
"""

from collections.abc import Sequence
from typing import Any

from homeserver.core.content.member import BAN, INVITE, JOIN, KNOCK
from homeserver.core.errors import Forbidden
from homeserver.rooms.outsiders import Outsiders
from homeserver.rooms.remote_handshake import servers_to_ask
from homeserver.rooms.remote_invite import RemoteInviting
from homeserver.rooms.remote_join import RemoteJoining
from homeserver.rooms.remote_leave import RemoteKnocking, RemoteLeaving
from homeserver.rooms.residency import Residency
from storage.pool import Database
from storage.tables.room_servers import joined_servers
from storage.tables.rooms import Rooms

__all__ = ["RemoteRooms"]


class RemoteRooms:
    """Deals with them. Of a room that is here it says so, and leaves it to others.

    Args:
        residency: knows which rooms are here.
        outsiders: keeps what users are to the others.
        joining: joins them.
        leaving: leaves them.
        knocking: knocks on them.
        inviting: invites their users into rooms that are here.
        database: who was in them when users of ours were.
        server_name: ours.
    """

    def __init__(
        self, *, residency: Residency, outsiders: Outsiders, joining: RemoteJoining, leaving: RemoteLeaving,
        knocking: RemoteKnocking, inviting: RemoteInviting, database: Database, server_name: str,
    ) -> None:  # fmt: skip
        self.residency = residency
        self.outsiders = outsiders
        self.inviting = inviting
        self.joining = joining
        self._leaving = leaving
        self._knocking = knocking
        self._database = database
        self._rooms = Rooms(database)
        self._server_name = server_name

    async def join(
        self, user_id: str, room_id: str, via: Sequence[str], content: dict[str, Any]
    ) -> str | None:
        """Join a room that is not here; returns the ID of the member event; None if it is here.

        Raises:
            Forbidden: what the servers tell of the room does not let the user in.
            NotFound: no server is known.
            RemoteRefused: the servers say no.
            Unavailable: no server answers.
            UnsupportedRoomVersion: the room has a version that is not known here.
        """
        if await self.residency.is_resident(room_id):
            return None
        servers = await self._servers(user_id, room_id, via)
        return await self.joining.join(user_id, room_id, servers, content)

    async def join_by_others(
        self, user_id: str, room_id: str, via: Sequence[str], content: dict[str, Any]
    ) -> str | None:
        """Join a room that is here by way of a server that may let the user in; None if there is none.

        Raises:
            As `join`.
        """
        servers = await self._servers(user_id, room_id, via)
        if not servers:
            return None
        return await self.joining.join(user_id, room_id, servers, content, is_resident=True)

    async def knock(
        self, user_id: str, room_id: str, via: Sequence[str], content: dict[str, Any]
    ) -> str | None:
        """Knock on a room that is not here; returns the ID of the member event; None if it is here.

        Raises:
            As `join`.
        """
        if await self.residency.is_resident(room_id):
            return None
        standing = await self.outsiders.standing(room_id, user_id)
        if standing is not None and standing.membership == KNOCK:
            return standing.event.event_id
        servers = await self._servers(user_id, room_id, via)
        return await self._knocking.knock(user_id, room_id, servers, content)

    async def leave(self, user_id: str, room_id: str, content: dict[str, Any]) -> str | None:
        """Refuse an invitation to a room that is not here, or take back a knock; None if it is here.

        Returns:
            The ID of the member event; of one who has left already, of the event by which they did.

        Raises:
            Forbidden: the user was never in the room, or is banned from it.
            Unavailable: it was not stored; the same may be tried again.
        """
        if await self.residency.is_resident(room_id):
            return None
        standing = await self.outsiders.standing(room_id, user_id)
        if standing is None or standing.membership == BAN:
            raise Forbidden("You are not in this room, or it does not exist.")
        if standing.membership not in {INVITE, JOIN, KNOCK}:
            return standing.event.event_id
        return await self._leaving.leave(user_id, room_id, standing, content)

    async def _servers(self, user_id: str, room_id: str, via: Sequence[str]) -> list[str]:
        standing = await self.outsiders.standing(room_id, user_id)
        invited_by = () if standing is None or standing.membership != INVITE else standing.servers
        row = await self._rooms.find(room_id)
        known = set() if row is None else await joined_servers(self._database, row.room_nid)
        return servers_to_ask(self._server_name, room_id, invited_by, via, sorted(known))
