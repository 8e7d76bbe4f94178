"""Aliases: names of rooms on this server.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-aliases
"""

from collections.abc import Iterable
from typing import Any

from homeserver.core.errors import AliasInUse, BadAlias, Forbidden, InvalidParam, NotFound
from homeserver.core.identifiers import parse_room_alias
from homeserver.core.requester import Requester
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.sight import Sight
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.tables.aliases import Aliases

__all__ = ["CANONICAL_ALIAS", "Directory", "aliases_in", "named_in"]

ALIASES_OF_ROOM_MAX = 1_000
CANONICAL_ALIAS = "m.room.canonical_alias"


def aliases_in(content: dict[str, Any]) -> list[str]:
    """Read every alias that the content of an `m.room.canonical_alias` names.

    Raises:
        InvalidParam: one of them is no text, or the alternatives are no list.
    """
    alternatives = content.get("alt_aliases")
    if alternatives is not None and not isinstance(alternatives, list):
        raise InvalidParam("alt_aliases must be a list of aliases.")
    aliases: list[Any] = [content.get("alias"), *(alternatives or ())]
    if any(alias is not None and not isinstance(alias, str) for alias in aliases):
        raise InvalidParam("An alias must be a string.")
    return [alias for alias in dict.fromkeys(aliases) if alias]


def named_in(content: dict[str, Any]) -> list[str]:
    """Read the aliases that an `m.room.canonical_alias` in a room names, whatever else it holds."""
    alternatives = content.get("alt_aliases")
    aliases = [content.get("alias"), *(alternatives if isinstance(alternatives, list) else ())]
    return [alias for alias in aliases if isinstance(alias, str)]


class Directory:
    """Makes, finds and removes aliases.

    Args:
        aliases: where they are.
        sight: who may see a room's aliases.
        registry: who may remove those of others.
        interning: numbers of users.
        clock: when they were made.
        server_name: ours.
        everyone_publishes: whether users who are no admins may list rooms in the room directory.
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
        everyone_publishes: bool = True,
    ) -> None:
        self._aliases = aliases
        self._sight = sight
        self._registry = registry
        self._interning = interning
        self._clock = clock
        self._server_name = server_name
        self._everyone_publishes = everyone_publishes

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
            Forbidden: the user is not in the room, or it has very many aliases.
            InvalidParam: it is no alias of this server.
        """
        self.check(alias)
        view = await self._sight.joined(room_id, requester.user_id)
        if len(await self._aliases.of_room(view.room.room_nid)) >= ALIASES_OF_ROOM_MAX:
            raise Forbidden(f"A room has at most {ALIASES_OF_ROOM_MAX} aliases: remove one before.")
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
        if requester.user_id != row.creator_id:
            room = await self._registry.actor(row.room_id, ("m.room.member", requester.user_id))
            self.check_moderator(requester, room)
        await self._aliases.delete(alias)

    async def of_room(self, requester: Requester, room_id: str) -> list[str]:
        """The aliases of a room, for whoever is in it, or may read it all the same.

        Raises:
            Forbidden: the user may not see the room, or has left it.
        """
        view = await self._sight.view(room_id, requester.user_id)
        if view.until is not None:
            raise Forbidden("You are not in this room any more.")
        return [row.alias for row in await self._aliases.of_room(view.room.room_nid)]

    def check_moderator(self, requester: Requester, room: RoomActor) -> None:
        """Refuse whoever is neither an admin nor may change the room's canonical alias.

        Raises:
            Forbidden: neither is so.
        """
        if requester.is_admin:
            return
        levels = room.power_levels
        needed = levels.event_level(CANONICAL_ALIAS, is_state=True)
        in_room = room.membership(requester.user_id) == "join"
        if not in_room or levels.user_level(requester.user_id) < needed:
            raise Forbidden("Only a moderator of the room, who may change its canonical alias, may do this.")

    def check_publisher(self, requester: Requester) -> None:
        """Refuse whoever may not list rooms in the room directory.

        Raises:
            Forbidden: only admins may.
        """
        if not self._everyone_publishes and not requester.is_admin:
            raise Forbidden("Only the admins of this server publish rooms in the directory: ask one.")

    async def check_new_room(
        self, requester: Requester, alias: str | None, canonical: Iterable[dict[str, Any]], *, is_public: bool
    ) -> None:
        """Check what a room that is about to be made wants of the directory.

        Args:
            requester: who makes it.
            alias: the one that it gets, which alone can stand for it.
            canonical: content of every `m.room.canonical_alias` that it begins with.
            is_public: whether the room directory shall list it.

        Raises:
            BadAlias: an alias does not stand for the room.
            Forbidden: the user may not publish rooms.
            InvalidParam: something is no alias.
        """
        if is_public:
            self.check_publisher(requester)
        for content in canonical:
            await self.check_canonical("", content, () if alias is None else (alias,))

    async def check_canonical(self, room_id: str, content: dict[str, Any], known: Iterable[str] = ()) -> None:
        """Check the aliases in a new `m.room.canonical_alias`, but for those that the room named before.

        Raises:
            BadAlias: one does not stand for the room.
            InvalidParam: one is no alias.
        """
        known = set(known)
        for alias in aliases_in(content):
            if alias in known:
                continue
            try:
                parse_room_alias(alias)
            except ValueError as error:
                raise InvalidParam(str(error)) from None
            row = await self._aliases.find(alias)
            if row is None or row.room_id != room_id:
                raise BadAlias(f"The alias {alias} does not stand for this room.")
