"""Creating a room: all of its first events in one commit, or none of them.

Spec: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3createroom
"""

import asyncio
from contextlib import suppress

from homeserver.core.content.member import INVITE
from homeserver.core.errors import (
    Forbidden,
    InvalidRoomState,
    MatrixError,
    RoomInUse,
    UnsupportedRoomVersion,
)
from homeserver.core.requester import Requester
from homeserver.core.room_versions import ROOM_VERSIONS, RoomVersionRules, rules_for
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.aliases import CANONICAL_ALIAS, Directory
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import add_step, intern
from homeserver.rooms.invitees import Invitees
from homeserver.rooms.new_room import RoomWishes, first_drafts
from homeserver.rooms.ports import ProfileReader
from homeserver.rooms.registry import UNIQUE_VIOLATION, RoomRegistry
from homeserver.rooms.remote_invite import RemoteInviting
from homeserver.rooms.spam_limits import SpamLimits
from homeserver.runtime.randomness import Randomness
from storage.journal import WriteRefused
from storage.tables.aliases import ALIAS_INSERT
from storage.tables.events import EventNumbers
from storage.tables.rooms import ROOM_INSERT, add_room_tip
from storage.write import Write

__all__ = ["RoomCreation"]

_MEMBER = "m.room.member"
_NONCE = "org.isthmus.nonce"
_OPAQUE_ID_LENGTH = 18
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class RoomCreation:
    """Makes rooms.

    Args:
        registry: takes in the new room.
        directory: takes its alias.
        invitees: says who can be invited.
        remote_inviting: invites users of other servers.
        profiles: names and avatars.
        randomness: for room IDs of older room versions.
        spam_limits: counts rooms and invitations.
        default_room_version: where the client wants none.
    """

    def __init__(
        self,
        *,
        registry: RoomRegistry,
        directory: Directory,
        invitees: Invitees,
        remote_inviting: RemoteInviting,
        profiles: ProfileReader,
        randomness: Randomness,
        spam_limits: SpamLimits,
        default_room_version: str,
    ) -> None:
        self._registry = registry
        self._directory = directory
        self._invitees = invitees
        self._remote_inviting = remote_inviting
        self._profiles = profiles
        self._randomness = randomness
        self._spam_limits = spam_limits
        self._default_room_version = default_room_version

    async def create(self, requester: Requester, wishes: RoomWishes) -> str:
        """Make a room; returns its ID.

        Raises:
            BadJson: some content has no canonical JSON.
            Forbidden: somebody is invited who cannot be.
            InvalidParam: the wishes contradict each other or the room version.
            InviteBlocked: somebody is invited who does not want to be.
            InvalidRoomState: the room's own rules refuse one of its first events.
            LimitExceeded: the user makes too many rooms, or invites too many.
            RoomInUse: the alias is taken.
            TooLarge: one of its first events is over a size limit.
            UnsupportedRoomVersion: no such room version.
        """
        rules = self._rules(wishes)
        for user_id in wishes.invite:
            await self._invitees.check(user_id)
        alias = None
        if wishes.room_alias_name is not None:
            alias = f"#{wishes.room_alias_name}:{self._registry.composer.server_name}"
            self._directory.check(alias)
        canonical = [one.content for one in wishes.initial_state if one.type == CANONICAL_ALIAS]
        is_public = wishes.visibility == "public"
        await self._directory.check_new_room(requester, alias, canonical, is_public=is_public)
        self._spam_limits.count_new_room(requester, wishes.invite)
        creator = requester.user_id
        profiles = {
            user_id: await self._profiles.profile_of(user_id) for user_id in {creator, *wishes.invite}
        }
        drafts = first_drafts(wishes, rules, creator, alias, profiles)
        # Those of other servers are invited once the room is there: their servers are to sign that.
        later = [one for one in drafts if self._is_of_other_server(one)]
        drafts = [one for one in drafts if one not in later]
        if rules.room_id_is_create_event_id:
            # Two rooms that a user makes in one millisecond would be the same room.
            drafts[0].content[_NONCE] = self._randomness.letters(_OPAQUE_ID_LENGTH, _LETTERS)
        room_nid = await self._registry.rooms.new_room_nid()
        if alias is not None and await self._directory.is_taken(alias):
            raise RoomInUse(f"The alias {alias} is taken.")
        try:
            room_id = await self._write(rules, room_nid, drafts, alias, is_public=is_public)
        except WriteRefused as error:
            if alias is not None and error.sqlstate == UNIQUE_VIOLATION:
                raise RoomInUse(f"The alias {alias} is taken.") from None
            raise
        for draft in later:
            with suppress(MatrixError):  # the room is there, whoever comes into it
                await self._remote_inviting.invite(draft, room_id)
        return room_id

    def _is_of_other_server(self, draft: Draft) -> bool:
        """Whether the draft invites a user of another server."""
        if draft.type != _MEMBER or draft.content.get("membership") != INVITE:
            return False
        return draft.state_key is not None and self._remote_inviting.is_remote(draft.state_key)

    def _rules(self, wishes: RoomWishes) -> RoomVersionRules:
        version = wishes.room_version or self._default_room_version
        rules = rules_for(version)
        if rules is None:
            raise UnsupportedRoomVersion(f"The room version is one of {', '.join(ROOM_VERSIONS)}.")
        return rules

    async def _write(
        self,
        rules: RoomVersionRules,
        room_nid: int,
        drafts: list[Draft],
        alias: str | None,
        *,
        is_public: bool,
    ) -> str:
        numbers = await intern(self._registry.interning, drafts)
        room = RoomActor(self._new_room_id(rules), room_nid, rules)
        write = Write()
        position = self._compose_all(room, drafts, numbers, write)
        creator_nid, now_ms = numbers[0].sender_nid, self._registry.composer.now_ms()
        write.add(ROOM_INSERT, room_nid, room.room_id, rules.version, creator_nid, now_ms, is_public)
        if alias is not None:
            write.add(ALIAS_INSERT, alias, room_nid, creator_nid, now_ms)
        add_room_tip(
            write, room_nid,
            extremities=[one.event.event_id for one in room.extremities], depth=room.depth,
            last_position=position, state_group=room.chain.group,
        )  # fmt: skip
        committed = self._registry.append(room, write)
        self._registry.keep(room)
        await asyncio.shield(committed)
        return room.room_id

    def _compose_all(
        self, room: RoomActor, drafts: list[Draft], numbers: list[EventNumbers], write: Write
    ) -> int:
        position = 0
        for draft, numbered in zip(drafts, numbers, strict=True):
            try:
                composed = self._registry.composer.compose(room, draft)
            except Forbidden as error:
                raise InvalidRoomState(f"The {draft.type} event is not allowed: {error.error}") from None
            position = self._registry.journal.next_position()
            _, step = add_step(
                write, room, composed, numbered, position, server_name=self._registry.composer.server_name
            )
            room.advance(step)
        return position

    def _new_room_id(self, rules: RoomVersionRules) -> str:
        if rules.room_id_is_create_event_id:
            return ""
        opaque = self._randomness.letters(_OPAQUE_ID_LENGTH, _LETTERS)
        return f"!{opaque}:{self._registry.composer.server_name}"

