"""What follows a room that was replaced: its aliases, its place in the directory and in spaces; and its rest.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-upgrades

Every step looks at what is there, so that to do all of it twice does no more than to do it once.
"""

from contextlib import suppress
from typing import Any

from homeserver.core.content.create import predecessor_of
from homeserver.core.content.power_levels import DEFAULTS, read_level
from homeserver.core.content.space import CHILD, is_child
from homeserver.core.errors import Forbidden, MatrixError
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.ports import PersonalSettings
from homeserver.rooms.registry import RoomRegistry
from storage.interning import Interning
from storage.tables.aliases import Aliases
from storage.tables.memberships import Memberships

__all__ = ["PARENT_SPACES_MAX", "RESTRICTED_LEVEL_MIN", "Succession"]

PARENT_SPACES_MAX = 100
RESTRICTED_LEVEL_MIN = 50
_CANONICAL_ALIAS = "m.room.canonical_alias"
_POWER_LEVELS = "m.room.power_levels"


class Succession:
    """Moves what points to a room that was replaced.

    Args:
        registry: the rooms.
        aliases: their names.
        memberships: the spaces that a user is in.
        interning: numbers of users.
        personal_settings: what users set for rooms.
    """

    def __init__(
        self, *, registry: RoomRegistry, aliases: Aliases, memberships: Memberships, interning: Interning,
        personal_settings: PersonalSettings,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._aliases = aliases
        self._memberships = memberships
        self._interning = interning
        self._personal_settings = personal_settings

    async def move(self, user_id: str, old_room_id: str, new_room_id: str) -> None:
        """Move all that can be moved on this user's authority; what they may not do is left as it is.

        Args:
            user_id: who replaced the room.
            old_room_id: the room that was replaced.
            new_room_id: the room that replaces it.
        """
        await self._move_aliases(user_id, old_room_id, new_room_id)
        await self._move_listing(old_room_id, new_room_id)
        await self._move_links(user_id, old_room_id, new_room_id)
        await self._quieten(user_id, old_room_id)
        await self.take_along(user_id, new_room_id)

    async def take_along(self, user_id: str, room_id: str) -> None:
        """Give a user who has come into a room what they had set for the room that it replaces, if any.

        Only where that room says so too: anybody can claim to replace a room.
        """
        create = (await self._registry.actor(room_id)).create
        old_room_id = None if create is None else predecessor_of(create)
        if old_room_id is None:
            return
        # The user is in the room, whatever comes of this: it is a convenience.
        with suppress(MatrixError):
            old = await self._registry.actor(old_room_id)
            tombstone = old.state.get(("m.room.tombstone", ""))
            if tombstone is not None and tombstone.content.get("replacement_room") == room_id:
                await self._personal_settings.carry_over(user_id, old_room_id, room_id)

    async def _move_aliases(self, user_id: str, old_room_id: str, new_room_id: str) -> None:
        new_room_nid = (await self._registry.actor(new_room_id)).room_nid
        old_room_nid = (await self._registry.actor(old_room_id)).room_nid
        await self._aliases.move(old_room_nid, new_room_nid)
        moved = {row.alias for row in await self._aliases.of_room(new_room_nid)}

        def decide(now: RoomActor) -> Draft | None:
            present = now.state.get((_CANONICAL_ALIAS, ""))
            content = {} if present is None else _without_aliases(present.content, moved)
            same = present is None or content == present.content
            return None if same else Draft(_CANONICAL_ALIAS, user_id, content, "")

        with suppress(Forbidden):
            await self._registry.send(old_room_id, Draft(_CANONICAL_ALIAS, user_id, {}, ""), decide=decide)

    async def _move_listing(self, old_room_id: str, new_room_id: str) -> None:
        rooms = self._registry.rooms
        old = await rooms.find(old_room_id)
        if old is not None and old.is_public:
            await rooms.set_public(new_room_id, is_public=True)
            await rooms.set_public(old_room_id, is_public=False)

    async def _move_links(self, user_id: str, old_room_id: str, new_room_id: str) -> None:
        """Put the new room in the place of the old one in the spaces that the user may change."""
        user_nid = await self._interning.nid("user", user_id)
        spaces = await self._memberships.joined_with_state(
            user_nid, CHILD, old_room_id, limit=PARENT_SPACES_MAX
        )
        for space_id in spaces:
            space = await self._registry.actor(space_id, (CHILD, old_room_id))
            link = space.state.get((CHILD, old_room_id))
            if link is None or not is_child(link):
                continue
            draft = Draft(CHILD, user_id, link.content, new_room_id)

            def decide(now: RoomActor, draft: Draft = draft) -> Draft | None:
                there = now.state.get((CHILD, draft.state_key or ""))
                return None if there is not None and is_child(there) else draft

            with suppress(Forbidden):
                await self._registry.send(space_id, draft, decide=decide)
                await self._registry.send(space_id, Draft(CHILD, user_id, {}, old_room_id))

    async def _quieten(self, user_id: str, old_room_id: str) -> None:
        """Let only moderators talk in the old room, and invite to it."""

        def decide(now: RoomActor) -> Draft | None:
            present = now.state.get((_POWER_LEVELS, ""))
            if present is None:
                return None  # without levels a room has others than with these alone
            content = _quiet(present.content, now)
            return None if content == present.content else Draft(_POWER_LEVELS, user_id, content, "")

        with suppress(Forbidden):
            await self._registry.send(old_room_id, Draft(_POWER_LEVELS, user_id, {}, ""), decide=decide)


def _quiet(content: dict[str, Any], room: RoomActor) -> dict[str, Any]:
    def level(name: str) -> int:
        read = read_level(content[name], room.rules) if name in content else None
        return DEFAULTS[name] if read is None else read

    least = max(level("users_default") + 1, RESTRICTED_LEVEL_MIN)
    raised = {name: least for name in ("events_default", "invite") if level(name) < least}
    return {**content, **raised}


def _without_aliases(content: dict[str, Any], moved: set[str]) -> dict[str, Any]:
    kept = {key: value for key, value in content.items() if key != "alias" or value not in moved}
    alternatives = content.get("alt_aliases")
    if isinstance(alternatives, list):
        kept["alt_aliases"] = [alias for alias in alternatives if alias not in moved]
        if not kept["alt_aliases"]:
            del kept["alt_aliases"]
    return kept
