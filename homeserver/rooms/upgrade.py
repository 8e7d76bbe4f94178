"""Upgrading a room: another one, of another version, takes its place.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-upgrades

The new room is made whole before the old one points to it. What moves after that can be moved again: asked
once more, the server goes on where it was interrupted.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakValueDictionary

from homeserver.core.content.create import predecessor_of
from homeserver.core.content.member import BAN, JOIN
from homeserver.core.content.space import CHILD, is_child
from homeserver.core.errors import Forbidden, NotFound, UnsupportedRoomVersion
from homeserver.core.requester import Requester
from homeserver.core.room_versions import ROOM_VERSIONS, RoomVersionRules, rules_for
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.create_room import RoomCreation
from homeserver.rooms.member_content import member_content
from homeserver.rooms.new_room import RoomWishes
from homeserver.rooms.outcomes import Sent
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.replica import POWER_LEVELS, creation_content_of, is_copiable, levels_of, replica_of
from homeserver.rooms.succession import Succession
from storage.tables.memberships import Memberships
from storage.tables.state import State

__all__ = ["BANS_MAX", "SPACE_CHILDREN_MAX", "TOMBSTONE", "RoomUpgrades"]

TOMBSTONE = "m.room.tombstone"
BANS_MAX = 10_000
SPACE_CHILDREN_MAX = 5_000
_MEMBER = "m.room.member"
_AT_ONCE = 50
"""Events handed to the journal before waiting for them."""


class RoomUpgrades:
    """Replaces rooms.

    Args:
        registry: the rooms.
        creation: makes the new one.
        succession: moves what points to the old one.
        memberships: who is banned.
        state: what is too much to be kept in memory.
    """

    def __init__(
        self, *, registry: RoomRegistry, creation: RoomCreation, succession: Succession,
        memberships: Memberships, state: State,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._creation = creation
        self._succession = succession
        self._memberships = memberships
        self._state = state
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def upgrade(
        self, requester: Requester, room_id: str, version: str, additional_creators: Sequence[str] = ()
    ) -> str:
        """Replace a room by one of another version; returns the new room's ID.

        Where the old room points already to such a room, that the user is in, that one is it.

        Args:
            requester: who asks; the creator of the new room.
            room_id: the room.
            version: of the new room.
            additional_creators: where the version knows them, else of no effect.

        Raises:
            Forbidden: the user may not send a tombstone to the room, or there is no such room.
            InvalidParam: an additional creator is no user.
            LimitExceeded: the user makes too many rooms.
            UnsupportedRoomVersion: no such room version.
        """
        rules = rules_for(version)
        if rules is None:
            raise UnsupportedRoomVersion(f"The room version is one of {', '.join(ROOM_VERSIONS)}.")
        lock = self._locks.get(room_id)
        if lock is None:
            lock = self._locks[room_id] = asyncio.Lock()
        async with lock:
            old = await self._upgradable(room_id, requester.user_id)
            new_room_id = await self._present(old, requester.user_id, rules)
            if new_room_id is None:
                new_room_id = await self._replace(requester, room_id, rules, additional_creators)
            await self._succession.move(requester.user_id, room_id, new_room_id)
            return new_room_id

    async def _upgradable(self, room_id: str, user_id: str) -> RoomActor:
        try:
            old = await self._registry.actor(room_id, (_MEMBER, user_id))
        except NotFound:
            raise Forbidden("You are not in this room, or it does not exist.") from None
        if old.membership(user_id) != JOIN:
            raise Forbidden("You are not in this room, or it does not exist.")
        needed = old.power_levels.event_level(TOMBSTONE, is_state=True)
        if old.power_levels.user_level(user_id) < needed:
            raise Forbidden(f"It takes a power level of {needed} to upgrade this room.")
        return old

    async def _present(self, old: RoomActor, user_id: str, rules: RoomVersionRules) -> str | None:
        """The replacement that the room has already, if it is what is asked for."""
        tombstone = old.state.get((TOMBSTONE, ""))
        named = None if tombstone is None else tombstone.content.get("replacement_room")
        if not isinstance(named, str):
            return None
        try:
            new = await self._registry.actor(named, (_MEMBER, user_id))
        except NotFound:
            return None
        follows = new.create is not None and predecessor_of(new.create) == old.room_id
        return named if follows and new.rules is rules and new.membership(user_id) == JOIN else None

    async def _replace(
        self, requester: Requester, room_id: str, rules: RoomVersionRules, additional_creators: Sequence[str]
    ) -> str:
        user_id = requester.user_id
        old = await self._upgradable(room_id, user_id)
        banned = [row.user_id for row in await self._memberships.of_room(old.room_nid, (BAN,))][:BANS_MAX]
        old = await self._upgradable(room_id, user_id)  # it is ours until the next await
        levels = levels_of(old, rules, (user_id, *additional_creators), set(banned))
        wishes = RoomWishes(
            room_version=rules.version,
            creation_content=creation_content_of(old, rules, additional_creators),
            replica=replica_of(old, rules, levels.first),
        )
        new_room_id = await self._creation.create(requester, wishes)
        await self._send_all(new_room_id, await self._children(old.room_nid, user_id))
        await self._send_all(new_room_id, await self._bans(old.room_nid, user_id, banned))
        if levels.final != levels.first:
            await self._registry.send(new_room_id, Draft(POWER_LEVELS, user_id, levels.final, ""))
        content = {"body": "This room has been replaced.", "replacement_room": new_room_id}
        await self._registry.send(room_id, Draft(TOMBSTONE, user_id, content, ""))
        return new_room_id

    async def _children(self, room_nid: int, user_id: str) -> list[Draft]:
        """The rooms that a space holds."""
        stored = await self._state.current(room_nid, (CHILD,))
        children = [one.event for one in stored if is_child(one.event) and is_copiable(one.event.content)]
        return [
            Draft(CHILD, user_id, event.content, event.state_key) for event in children[:SPACE_CHILDREN_MAX]
        ]

    async def _bans(self, room_nid: int, user_id: str, banned: Sequence[str]) -> list[Draft]:
        keys = [(_MEMBER, one) for one in banned]
        drafts = []
        for stored in await self._state.current_of_keys(room_nid, keys):
            reason = stored.event.content.get("reason")
            content: dict[str, Any] = member_content(BAN, reason=reason if isinstance(reason, str) else None)
            drafts.append(Draft(_MEMBER, user_id, content, stored.event.state_key))
        return drafts

    async def _send_all(self, room_id: str, drafts: Iterable[Draft]) -> None:
        """Send events, a few at once; those that the room does not allow are left out."""
        sent: Sent | None = None
        for index, draft in enumerate(drafts, start=1):
            with suppress(Forbidden):
                sent = await self._registry.submit(room_id, draft)
            if index % _AT_ONCE == 0 and sent is not None:
                await sent.durable()
        if sent is not None:
            await sent.durable()
