"""Leaving rooms that are not here: invitations are refused and knocks taken back; and knocking on them.

Spec: https://spec.matrix.org/v1.19/server-server-api/#leaving-rooms-rejecting-invites
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from homeserver.core.errors import MatrixError
from homeserver.core.event.stripped import stripped_entries
from homeserver.rooms.outsiders import Outsiders, Standing
from homeserver.rooms.remote_handshake import Handshakes, Refusals, servers_to_ask

__all__ = ["RemoteKnocking", "RemoteLeaving"]

LEAVE_TIMEOUT_S = 20.0
"""Then the user leaves as far as this server is concerned: nobody has to stay invited."""
KNOCK_TIMEOUT_S = 120.0


class RemoteLeaving:
    """Leaves them.

    Args:
        handshakes: with servers that are in the room.
        outsiders: keeps what users are to it.
    """

    def __init__(self, *, handshakes: Handshakes, outsiders: Outsiders) -> None:
        self._handshakes = handshakes
        self._outsiders = outsiders

    async def leave(self, user_id: str, room_id: str, standing: Standing, content: dict[str, Any]) -> str:
        """Leave a room; returns the ID of the member event. If no server takes it, the room does not hear.

        Args:
            user_id: who.
            room_id: the room.
            standing: what they are to it.
            content: of the member event.

        Raises:
            BadJson, TooLarge: the content has no canonical JSON, or is too large.
            Unavailable: it was not stored; the same may be tried again.
        """
        event = self._handshakes.after(standing.event, user_id, content)
        servers = servers_to_ask(self._handshakes.server_name, room_id, standing.servers)
        try:
            async with asyncio.timeout(LEAVE_TIMEOUT_S):
                for server in servers:
                    try:
                        shaken = await self._handshakes.shake(server, "leave", room_id, user_id, content)
                    except MatrixError:
                        continue
                    event = shaken.event
                    break
        except TimeoutError:
            pass  # they leave all the same
        await self._outsiders.note(event)
        return event.event_id


class RemoteKnocking:
    """Knocks on them.

    Args:
        handshakes: with servers that are in the room.
        outsiders: keeps what users are to it.
    """

    def __init__(self, *, handshakes: Handshakes, outsiders: Outsiders) -> None:
        self._handshakes = handshakes
        self._outsiders = outsiders

    async def knock(
        self, user_id: str, room_id: str, servers: Sequence[str], content: dict[str, Any]
    ) -> str:
        """Knock; returns the ID of the member event.

        Args:
            user_id: who.
            room_id: the room.
            servers: that may be in it, the best first.
            content: of the member event.

        Raises:
            BadJson, TooLarge: the content has no canonical JSON, or is too large.
            NotFound: no server is known.
            RemoteRefused: the servers say no.
            Unavailable: no server answers, or it was not stored.
            UnsupportedRoomVersion: the room has a version that is not known here.
        """
        refusals = Refusals()
        try:
            async with asyncio.timeout(KNOCK_TIMEOUT_S):
                for server in servers:
                    try:
                        shaken = await self._handshakes.shake(server, "knock", room_id, user_id, content)
                    except MatrixError as error:
                        refusals.note(error)
                        continue
                    told = stripped_entries(shaken.answer.get("knock_room_state"))
                    await self._outsiders.note(shaken.event, told)
                    return shaken.event.event_id
        except TimeoutError:
            pass  # what was said before is said
        raise refusals.error
