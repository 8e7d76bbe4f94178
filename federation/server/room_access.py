"""Which servers may ask about a room, or speak in it.

Spec: https://spec.matrix.org/v1.19/server-server-api/#server-access-control-lists-acls
"""

from homeserver.core.content.server_acl import ServerAcl
from homeserver.core.errors import Forbidden, InvalidParam, NotFound
from homeserver.core.identifiers import parse_event_id, parse_room_id
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.room_servers import RoomServers
from storage.tables.rooms import RoomRow

__all__ = ["RoomAccess", "known_event_id"]

_ACL = ("m.room.server_acl", "")


def known_event_id(text: str) -> str:
    """Take what another server says is an event ID.

    Raises:
        InvalidParam: it is none.
    """
    try:
        return str(parse_event_id(text))
    except ValueError as error:
        raise InvalidParam(str(error)) from None


class RoomAccess:
    """Knows who may.

    Args:
        registry: the rooms.
        room_servers: which servers are in them.
    """

    def __init__(self, *, registry: RoomRegistry, room_servers: RoomServers) -> None:
        self._registry = registry
        self._room_servers = room_servers

    async def admit(self, origin: str, room_id: str) -> RoomRow:
        """Let a server that is in a room ask about it.

        Raises:
            InvalidParam: that is no room ID.
            Forbidden: it is not in the room, or the access control list of the room keeps it out.
            NotFound: there is no such room here.
            Unavailable: nobody can say just now.
        """
        try:
            parse_room_id(room_id)
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        room = await self._registry.rooms.find(room_id)
        if room is None:
            raise NotFound("This server knows no such room.")
        if origin not in await self._room_servers.joined(room_id):
            raise Forbidden("Your server is not in the room.")
        if not await self.allows(origin, room_id):
            raise Forbidden("The access control list of the room keeps your server out.")
        return room

    async def allows(self, origin: str, room_id: str) -> bool:
        """Whether the access control list of a room lets a server speak.

        Raises:
            NotFound: there is no such room here.
            Unavailable: nobody can say just now.
        """
        room = await self._registry.actor(room_id)
        return ServerAcl.of(room.state.get(_ACL)).allows(origin)
