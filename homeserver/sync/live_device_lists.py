"""Who is to ask for whose devices: noted for those who are here as it happens, read for those who come back.

Users see each other's devices who share a room, whether it is encrypted or not, as clients may track anybody
whom they have met. Who comes into a room with someone, for the first time in any, is asked for; who is
left in none of them is forgotten.

Spec: https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
"""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

from homeserver.core.changes import DeviceListChange, EventChange
from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.positions import SyncToken
from homeserver.sync.live_users import LiveUser, LiveUsers
from homeserver.sync.ports import SyncReads

__all__ = ["DeviceListUpdate", "LiveDeviceLists"]

_MEMBER = "m.room.member"

DeviceListUpdate = tuple[list[str], list[str]]
"""Whose devices are to be asked for, and whose no more; each in order."""


class LiveDeviceLists:
    """Notes for every reader who is here whose devices changed.

    Args:
        reads: of what was not noted.
        users: who is here, in which rooms.
    """

    def __init__(self, reads: SyncReads, users: LiveUsers) -> None:
        self._reads = reads
        self._users = users

    @asynccontextmanager
    async def admitted(self, user_id: str) -> AsyncIterator[LiveUser]:
        """Know the rooms of a user for the duration of a block, in which a change of theirs is published."""
        user = await self._users.find(user_id)
        user.pins += 1
        try:
            yield user
        finally:
            user.pins -= 1

    def take_in(self, change: DeviceListChange) -> None:
        """Note a change for those who are told, and wake them. Its user is admitted until it is published."""
        if change.told_to is not None:
            reader = self._users.get(change.told_to)
            readers = set() if reader is None else {reader}
        else:
            user = self._users.get(change.user_id)
            readers = set() if user is None else {user, *self._companions(user)}
        for reader in readers:
            reader.device_lists.note_changed(change.user_id, change.position)
            reader.ring()

    def take_in_event(self, change: EventChange) -> None:
        """Note who came into a room or left it, for those in it and for themselves; all are awake already."""
        if change.event.type != _MEMBER and not (change.resets or change.removed):
            return
        for event in change.member_events:
            before = change.previous_membership if event is change.event else None
            is_joined = membership_of(event) == JOIN
            was_joined = before == JOIN if event is change.event else not is_joined
            if is_joined != was_joined:
                self._moved(event.state_key or "", change, is_joined=is_joined)
        for user_id in change.lost_members:
            self._moved(user_id, change, is_joined=False)

    async def between(self, user: LiveUser, since: SyncToken, until: SyncToken) -> DeviceListUpdate:
        """Tell whose devices a user is to ask for since a place, and whose no more.

        What is noted takes no read, unless somebody left who is not here (one), or the user came into a room
        or left one (one each). Else it takes two reads, one for each room whose members
        changed, and four more at most.
        """
        news = user.device_lists.after(since, until)
        if news is None:
            return await self._read(user, since)
        changed, gone = set(news.changed), set(news.gone)
        if gone:
            gone -= await self._sharing(user, gone)
        return await self._with_rooms(user, (changed, gone), news.rooms, since.lowest)

    def _companions(self, user: LiveUser) -> Iterable[LiveUser]:
        for room in user.rooms.values():
            if room.membership == JOIN:
                yield from self._users.joined(room.room_id)

    def _moved(self, user_id: str, change: EventChange, *, is_joined: bool) -> None:
        """Note a move; the memberships are those after it."""
        user = self._users.get(user_id)
        room_id, position = change.room_id, change.position
        for reader in self._users.joined(room_id):
            if reader is user or (user is not None and _share(reader, user, beside=room_id)):
                continue
            if is_joined:
                reader.device_lists.note_changed(user_id, position)
            else:
                reader.device_lists.note_gone(user_id, position)
        if user is not None:
            user.device_lists.note_room(room_id, position)

    async def _sharing(self, user: LiveUser, others: set[str]) -> set[str]:
        """Those who share a room with a user: known of those who are here, else read."""
        here = {other_id: self._users.get(other_id) for other_id in others}
        found = {other_id for other_id, other in here.items() if other is not None and _share(user, other)}
        unknown = [other_id for other_id, other in here.items() if other is None]
        if unknown:
            found.update(await self._reads.devices.sharing(user.user_id, unknown))
        return found

    async def _with_rooms(
        self, user: LiveUser, found: tuple[set[str], set[str]], rooms: Iterable[str], after: int
    ) -> DeviceListUpdate:
        """Add those whom the user met or lost by coming into rooms and leaving them, above a position."""
        changed, gone = found
        joined: list[str] = []
        left: list[str] = []
        for room_id in rooms:
            room = user.rooms.get(room_id)
            (joined if room is not None and room.membership == JOIN else left).append(room_id)
        if joined:
            changed.update(await self._reads.devices.newly_shared(user.user_id, joined, after))
        if left:
            gone.update(await self._reads.devices.no_longer_shared(user.user_id, left))
        gone.discard(user.user_id)
        return sorted(changed - gone), sorted(gone)

    async def _read(self, user: LiveUser, since: SyncToken) -> DeviceListUpdate:
        """Read what there is since a place, also what is ahead of what was published: that is told again."""
        reads, after = self._reads.devices, since.lowest
        changed = {
            user_id
            for user_id, position in await reads.changed_after(user.user_id, after)
            if not since.covers(position)
        }
        met, gone, own_rooms = await self._moves(user, after)
        if met:
            changed |= met.difference(await reads.sharing(user.user_id, met, after))
        if gone:
            gone -= await self._sharing(user, gone)
        return await self._with_rooms(user, (changed, gone), own_rooms, after)

    async def _moves(self, user: LiveUser, after: int) -> tuple[set[str], set[str], list[str]]:
        """Read who came into rooms of a user above a position, who left them, and where the user did so."""
        by_room: dict[str, dict[str, bool]] = {}
        for moved in await self._reads.devices.moved_after(user.user_id, after):
            by_room.setdefault(moved.room_id, {})[moved.user_id] = moved.membership == JOIN
        met: set[str] = set()
        gone: set[str] = set()
        own_rooms = []
        for room_id, now in by_room.items():
            before = await self._reads.members_at(room_id, after, [*now, user.user_id])
            were_joined = {event.state_key for event in before if membership_of(event) == JOIN}
            moves = {who: is_joined for who, is_joined in now.items() if is_joined != (who in were_joined)}
            if moves.pop(user.user_id, None) is not None:
                own_rooms.append(room_id)
            room = user.rooms.get(room_id)
            if room is not None and room.membership == JOIN:
                met.update(who for who, is_joined in moves.items() if is_joined)
            if user.user_id in were_joined:
                gone.update(who for who, is_joined in moves.items() if not is_joined)
        return met, gone, own_rooms


def _share(one: LiveUser, other: LiveUser, *, beside: str | None = None) -> bool:
    """Whether two users are both in a room, another than one that is named."""
    one, other = sorted((one, other), key=lambda each: len(each.rooms))
    for room_id, room in one.rooms.items():
        if room.membership == JOIN and room_id != beside:
            theirs = other.rooms.get(room_id)
            if theirs is not None and theirs.membership == JOIN:
                return True
    return False
