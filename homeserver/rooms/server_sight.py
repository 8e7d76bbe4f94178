"""What of the events of a room another server is shown: whole, or as a redaction would leave them.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility
"""

from collections.abc import Mapping, Sequence

from homeserver.core.auth.selection import StateKey
from homeserver.core.content.history_visibility import history_visibility_of
from homeserver.core.content.member import JOIN, LEAVE, membership_of
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import server_name_of
from homeserver.core.server_visibility import is_open_to_servers, server_may_see
from homeserver.rooms.state_at import MEMBER, StateAt
from storage.tables.erased_users import ErasedUsers
from storage.tables.events import EventFlags, StoredEvent
from storage.tables.queries import Queries
from storage.tables.room_servers import members_of_server

__all__ = ["ServerSight"]

MEMBERS_MAX = 500
"""Users of one server whose memberships are looked at: those who came first, who have seen the most."""

_VISIBILITY: StateKey = ("m.room.history_visibility", "")
_States = Mapping[int, Mapping[StateKey, Event]]


class ServerSight:
    """Looks up what servers may see.

    Args:
        queries: who of a server was ever in a room.
        state_at: the state before events.
        erased_users: whose words only those see who were there.
    """

    def __init__(self, *, queries: Queries, state_at: StateAt, erased_users: ErasedUsers) -> None:
        self._queries = queries
        self._state_at = state_at
        self._erased_users = erased_users

    async def shown(self, origin: str, room_nid: int, stored: Sequence[StoredEvent]) -> list[Event]:
        """Show events of one room to a server that is in it, in their order.

        Raises:
            Unavailable: nobody can say just now who may see what.
        """
        states = await self._state_at.values_at(
            room_nid, [group for one in stored for group in _groups(one)], [_VISIBILITY]
        )
        erased = await self._erased_users.among({one.event.sender for one in stored})
        closed = [
            one
            for one in stored
            if server_name_of(one.event.sender) != origin
            and (one.event.sender in erased or not _is_open(one, states))
        ]
        if not closed:
            return [one.event for one in stored]
        memberships = await self._memberships(origin, room_nid, closed)
        hidden = {
            one.event.event_id
            for one in closed
            if not _may_see(one, states, memberships, is_erased=one.event.sender in erased)
        }
        return [one.event.pruned() if one.event.event_id in hidden else one.event for one in stored]

    async def _memberships(
        self, origin: str, room_nid: int, stored: Sequence[StoredEvent]
    ) -> Mapping[int, Sequence[str]]:
        """Tell the memberships of a server's users before events, and after those that change one."""
        members = sorted(
            await members_of_server(self._queries, room_nid, origin), key=lambda member: member[2]
        )[:MEMBERS_MAX]
        keys = [(MEMBER, user_id) for user_id, _, _ in members]
        groups = [group for one in stored for group in _groups(one)]
        states = await self._state_at.values_at(room_nid, groups, keys)
        return {
            group: [membership_of(event) for event in state.values()] or [LEAVE]
            for group, state in states.items()
        }


def _groups(stored: StoredEvent) -> list[int]:
    """The states that decide: before an event, and after it if it changes who may see what."""
    before, after = stored.state_group, stored.group_after
    if before is None or after is None:
        return []
    return [before, after] if stored.event.type in {MEMBER, _VISIBILITY[0]} else [before]


def _is_open(stored: StoredEvent, states: _States) -> bool:
    if stored.flags & EventFlags.OUTLIER:
        # It came as part of a state: whoever is in the room is told of states whole.
        return stored.event.is_state
    return any(_visibility(states, group) for group in _groups(stored))


def _visibility(states: _States, group: int) -> bool:
    return is_open_to_servers(history_visibility_of(states[group].get(_VISIBILITY)))


def _may_see(
    stored: StoredEvent, states: _States, memberships: Mapping[int, Sequence[str]], *, is_erased: bool
) -> bool:
    groups = _groups(stored)
    if is_erased:
        return any(JOIN in memberships[group] for group in groups)
    return any(
        server_may_see(history_visibility_of(states[visibility].get(_VISIBILITY)), memberships[membership])
        for visibility in groups
        for membership in groups
    )
