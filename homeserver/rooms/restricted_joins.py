"""Restricted joins: whether a user may come in because of another room, and who of ours vouches for that.

Spec: https://spec.matrix.org/v1.19/client-server-api/#restricted-rooms
"""

from dataclasses import dataclass

from homeserver.core.content.create import creators_of
from homeserver.core.content.join_rules import allowed_rooms, is_restricted, join_rule_of
from homeserver.core.content.member import BAN, INVITE, JOIN
from homeserver.core.errors import Forbidden, UnableToAuthoriseJoin, UnableToGrantJoin
from homeserver.core.identifiers import server_name_of
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.residency import Residency
from storage.interning import Interning
from storage.tables.memberships import Memberships

__all__ = ["ALLOWED_ROOMS_MAX", "VOUCHERS_MAX", "Admission", "RestrictedJoins", "needs_admission"]

ALLOWED_ROOMS_MAX = 200
"""NOTSPEC: rooms of one `m.room.join_rules` that are looked at; those further down let nobody in."""
VOUCHERS_MAX = 500
"""Users named by the power levels who are looked at; after them anybody who may invite by default."""

_JOIN_RULES = ("m.room.join_rules", "")
_POWER_LEVELS = ("m.room.power_levels", "")


def needs_admission(room: RoomActor, user_id: str) -> bool:
    """Say whether a user comes into a room only if somebody vouches for them."""
    if not is_restricted(join_rule_of(room.state.get(_JOIN_RULES)), room.rules):
        return False
    return room.membership(user_id) not in {JOIN, INVITE, BAN}  # nobody vouches for the banned


@dataclass(frozen=True, slots=True)
class Admission:
    """What was found out about a restricted join.

    Attributes:
        join_rules_event_id: the join rules by which it was found.
        authoriser: user ID of ours who vouches.
    """

    join_rules_event_id: str
    authoriser: str

    def holds(self, room: RoomActor) -> bool:
        """Say whether that is still so."""
        join_rules = room.state.get(_JOIN_RULES)
        if join_rules is None or join_rules.event_id != self.join_rules_event_id:
            return False
        levels = room.power_levels
        return room.membership(self.authoriser) == JOIN and (
            levels.user_level(self.authoriser) >= levels.invite
        )


class RestrictedJoins:
    """Finds out who may come in, and on whose authority.

    Args:
        registry: the rooms that are joined.
        residency: knows which of the rooms are here that let their members into others.
        memberships: who is in them.
        interning: numbers of users.
        server_name: ours.
    """

    def __init__(
        self, *, registry: RoomRegistry, residency: Residency, memberships: Memberships,
        interning: Interning, server_name: str,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._residency = residency
        self._memberships = memberships
        self._interning = interning
        self._server_name = server_name

    async def admit(self, room_id: str, user_id: str) -> Admission:
        """Find out on whose authority a user may join a room that `needs_admission` is true of.

        Raises:
            Forbidden: the user is in none of the rooms that would let them in.
            NotFound: there is no such room here.
            UnableToAuthoriseJoin: nor is the user of another server in those of them that are known here.
            UnableToGrantJoin: the user may come in, but nobody of ours in the room may invite.
        """
        room = await self._registry.actor(room_id)
        # The room is ours until the next await only: first take all that counts of it.
        join_rules = room.state.get(_JOIN_RULES)
        join_rules_event_id = "" if join_rules is None else join_rules.event_id
        room_nid, room_ids = room.room_nid, allowed_rooms(join_rules)[:ALLOWED_ROOMS_MAX]
        likely, others_may, excluded = self._vouchers(room)
        await self._check_conditions(room_ids, user_id)
        authoriser = None
        if likely:
            found = set(await self._memberships.local_joined(room_nid, limit=len(likely), user_ids=likely))
            authoriser = next((one for one in likely if one in found), None)
        if authoriser is None and others_may:
            found_others = await self._memberships.local_joined(room_nid, limit=1, not_user_ids=excluded)
            authoriser = next(iter(found_others), None)
        if authoriser is None:
            raise UnableToGrantJoin("Nobody on this server who is in the room may let you in.")
        return Admission(join_rules_event_id, authoriser)

    async def check(self, room_id: str, user_id: str) -> None:
        """Refuse a user who is in none of the rooms whose members may join a room by its restricted rule.

        Raises:
            Forbidden: the user is in none of them.
            NotFound: there is no such room here.
            UnableToAuthoriseJoin: nor is the user of another server in those of them that are known here.
        """
        room = await self._registry.actor(room_id)
        await self._check_conditions(allowed_rooms(room.state.get(_JOIN_RULES))[:ALLOWED_ROOMS_MAX], user_id)

    async def _check_conditions(self, room_ids: list[str], user_id: str) -> None:
        # Of our own users it is known here which rooms they are in; of others only in rooms that are here.
        known = room_ids
        if server_name_of(user_id) != self._server_name:
            known = [room_id for room_id in room_ids if await self._residency.is_resident(room_id)]
        if known:
            users = await self._interning.existing("user", (user_id,))
            if user_id in users and await self._memberships.is_joined_to_any(users[user_id], known):
                return
        if len(known) < len(room_ids):
            raise UnableToAuthoriseJoin("This server is not in all the rooms that would let you in.")
        raise Forbidden("You are in none of the rooms whose members may join this room.")

    def _vouchers(self, room: RoomActor) -> tuple[list[str], bool, list[str]]:
        """Who may invite: users by name, whether anybody may who is not named, and who of those may not."""
        levels, create = room.power_levels, room.create
        power_levels = room.state.get(_POWER_LEVELS)
        users = None if power_levels is None else power_levels.content.get("users")
        named = dict.fromkeys(creators_of(create) if create is not None else ())
        named.update(dict.fromkeys(users if isinstance(users, dict) else ()))
        ours = [user_id for user_id in named if server_name_of(user_id) == self._server_name]
        may = [user_id for user_id in ours if levels.user_level(user_id) >= levels.invite]
        may.sort(key=lambda user_id: (-levels.user_level(user_id), user_id))
        may_not = [user_id for user_id in ours if levels.user_level(user_id) < levels.invite]
        return may[:VOUCHERS_MAX], levels.user_level("") >= levels.invite, may_not
