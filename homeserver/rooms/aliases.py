"""Aliases: names of rooms on this server.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-aliases
"""

from homeserver.core.errors import AliasInUse, Forbidden, InvalidParam, NotFound
from homeserver.core.identifiers import parse_room_alias
from homeserver.core.requester import Requester
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.sight import Sight
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.tables.aliases import Aliases

__all__ = ["Directory"]

_CANONICAL_ALIAS = "m.room.canonical_alias"


class Directory:
    """Makes, finds and removes aliases.

    Args:
        aliases: where they are.
        sight: who may see a room's aliases.
        registry: who may remove those of others.
        interning: numbers of users.
        clock: when they were made.
        server_name: ours.
    """

    def __init__(
        self,
        *,
        aliases: Aliases,
        sight: Sight,
        registry: RoomRegistry,
        interning: Interning,
        clock: Clock,
        server_name: str,
    ) -> None:
        self._aliases = aliases
        self._sight = sight
        self._registry = registry
        self._interning = interning
        self._clock = clock
        self._server_name = server_name

    def check(self, alias: str) -> None:
        """Refuse what is no alias of this server.

        Raises:
            InvalidParam: it is not.
        """
        try:
            parsed = parse_room_alias(alias)
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        if parsed.server_name != self._server_name:
            raise InvalidParam(f"An alias made here ends with :{self._server_name}")

    async def find(self, alias: str) -> str:
        """The ID of the room that an alias stands for.

        Raises:
            InvalidParam: it is no alias.
            NotFound: it stands for no room that is known here.
        """
        try:
            parse_room_alias(alias)
        except ValueError as error:
            raise InvalidParam(str(error)) from None
        row = await self._aliases.find(alias)
        if row is None:
            raise NotFound(f"The alias {alias} stands for no room.")
        return row.room_id

    async def create(self, requester: Requester, alias: str, room_id: str) -> None:
        """Let an alias stand for a room that the user is in.

        Raises:
            AliasInUse: it stands for a room already.
            Forbidden: the user is not in the room.
            InvalidParam: it is no alias of this server.
        """
        self.check(alias)
        view = await self._sight.joined(room_id, requester.user_id)
        creator_nid = await self._interning.nid("user", requester.user_id)
        if not await self._aliases.insert(alias, view.room.room_nid, creator_nid, self._clock.now_ms()):
            raise AliasInUse(f"The alias {alias} is taken.")

    async def is_taken(self, alias: str) -> bool:
        """Whether an alias stands for a room already."""
        return await self._aliases.find(alias) is not None

    async def delete(self, requester: Requester, alias: str) -> None:
        """Remove an alias: its maker may, an admin, and whoever may change the room's canonical alias.

        Raises:
            Forbidden: none of them is asking.
            InvalidParam: it is no alias of this server.
            NotFound: there is no such alias.
        """
        self.check(alias)
        row = await self._aliases.find(alias)
        if row is None:
            raise NotFound(f"The alias {alias} stands for no room.")
        if requester.user_id != row.creator_id and not requester.is_admin:
            room = await self._registry.actor(row.room_id)
            levels = room.power_levels
            needed = levels.event_level(_CANONICAL_ALIAS, is_state=True)
            in_room = room.membership(requester.user_id) == "join"
            if not in_room or levels.user_level(requester.user_id) < needed:
                raise Forbidden("Only its maker, or a moderator of its room, may remove an alias.")
        await self._aliases.delete(alias)

    async def of_room(self, requester: Requester, room_id: str) -> list[str]:
        """The aliases of a room.

        Raises:
            Forbidden: the user may not see the room.
        """
        view = await self._sight.view(room_id, requester.user_id)
        return [row.alias for row in await self._aliases.of_room(view.room.room_nid)]
