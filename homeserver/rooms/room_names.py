"""What a client calls a room: its ID, or an alias, of this server or another.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-aliases
"""

from collections.abc import Sequence

from homeserver.core.errors import InvalidParam, NotFound
from homeserver.core.identifiers import parse_room_alias
from homeserver.rooms.aliases import Directory
from homeserver.rooms.ports import RemoteDirectory

__all__ = ["VIA_MAX", "RoomNames"]

VIA_MAX = 20
"""Servers that a client names beyond that are not asked."""


class RoomNames:
    """Finds rooms.

    Args:
        directory: aliases of this server.
        remote: those of others.
        server_name: ours.
        regions: the organisation's other servers, whose rooms the directory lists, too.
    """

    def __init__(
        self, *, directory: Directory, remote: RemoteDirectory, server_name: str, regions: Sequence[str] = ()
    ) -> None:
        self._regions = regions
        self._directory = directory
        self._remote = remote
        self._server_name = server_name

    async def find(self, room: str, via: Sequence[str] = ()) -> tuple[str, list[str]]:
        """Find the room that a room ID or an alias means, and servers that may be in it, the best first.

        Args:
            room: room ID or alias.
            via: servers that the client names.

        Raises:
            InvalidParam: it is neither.
            NotFound, RemoteRefused: the alias stands for no room.
            Unavailable: the server of the alias does not answer.
        """
        servers = list(via[:VIA_MAX])
        if room.startswith("!"):
            return room, servers or list(self._regions[:VIA_MAX])
        if not room.startswith("#"):
            raise InvalidParam("Give a room ID, which begins with !, or an alias, which begins with #.")
        try:
            server_name = parse_room_alias(room).server_name
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if server_name == self._server_name:
            return await self._directory.find(room), servers
        room_id, others = await self._remote.find_alias(room)
        if not room_id.startswith("!"):
            raise NotFound(f"The alias {room} stands for no room.")
        return room_id, [*servers, *others, server_name]
