"""Who is to ask for whose devices: noted for those who are here as it happens, read for those who come back.

Users see each other's devices who share a room, whether it is encrypted or not, as clients may track anybody
whom they have met. Who comes into a room with someone, for the first time in any, is asked for; who is
left in none of them is forgotten.

Spec: https://spec.matrix.org/v1.19/client-server-api/#e2e-extensions-to-sync
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from homeserver.core.changes import DeviceListChange, EventChange
from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.positions import SyncToken
from homeserver.runtime.together import side_by_side
from homeserver.sync.live_users import LiveUser, LiveUsers
from homeserver.sync.ports import SyncReads

__all__ = ["DeviceListUpdate", "LiveDeviceLists"]

_MEMBER = "m.room.member"

DeviceListUpdate = tuple[list[str], list[str]]
"""Whose devices are to be asked for, and whose no more; each in order."""


@dataclass(slots=True)
class _Found:
    """Whom a user met and lost.

    Attributes:
        changed: who is to be asked for, if not gone.
        gone: who shares no room with the user any more.
        doubtful: those of them who may have come only since.
        rooms: where some of them may have been with the user: room ID, user ID, whether they still are there.
    """

    changed: set[str]
    gone: set[str]
    doubtful: set[str]
    rooms: Sequence[tuple[str, str, bool]] = ()


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
            if reader is not None:
                reader.device_lists.note_told(change.user_id, change.position)
                reader.ring()
            return
        user = self._users.get(change.user_id)
        for reader in set() if user is None else {user, *self._companions(user)}:
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
        or left one (two each), or it is to be seen whether those who are gone were there at `since` (one for
        each room that was shared or may have been, and one more).
        Else it takes two reads, one for each room whose members changed, and some more as above.
        """
        news = user.device_lists.after(since, until)
        if news is None or not news.is_clear:
            return await self._read(user, since)
        gone = set(news.gone)
        if gone:
            gone -= await self._sharing(user, gone)
        # Who has come only since is not told to be gone. Of all others it is certain that they were there:
        # as long as the user stays in a room, who comes to share the first one is noted.
        doubtful = gone if news.rooms else gone.intersection(news.met)
        found = _Found({*news.changed, *news.met}, gone, doubtful)
        await self._add_of_rooms(user, found, news.rooms, since.lowest)
        fleeting = set(news.met) - found.gone
        if news.rooms and fleeting:
            found.gone |= fleeting - await self._sharing(user, fleeting)
        return await self._told(user, found, set(news.told), since.lowest)

    def _companions(self, user: LiveUser) -> Iterable[LiveUser]:
        for room in user.rooms.values():
            if room.membership == JOIN:
                yield from self._users.joined(room.room_id)

    def _moved(self, user_id: str, change: EventChange, *, is_joined: bool) -> None:
        """Note a move; the memberships are those after it."""
        user = self._users.get(user_id)
        room_id, position = change.room_id, change.position
        for reader in self._users.joined(room_id):
            if reader is user:
                continue
            if user is not None and _share(reader, user, beside=room_id):
                if is_joined:
                    reader.device_lists.note_met_again(position)
            elif is_joined:
                reader.device_lists.note_met(user_id, position)
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

    async def _add_of_rooms(self, user: LiveUser, found: "_Found", rooms: Iterable[str], after: int) -> None:
        """Add those whom the user met or lost by coming into rooms and leaving them, above a position."""
        joined: list[str] = []
        left: list[str] = []
        for room_id in rooms:
            room = user.rooms.get(room_id)
            (joined if room is not None and room.membership == JOIN else left).append(room_id)
        if joined:
            found.changed.update(await self._reads.devices.newly_shared(user.user_id, joined, after))
        if joined or left:
            # Also others may have left while the user was out of a room.
            found.rooms = await self._reads.devices.no_longer_shared(user.user_id, joined, left, after)
            lost = {other_id for _, other_id, _ in found.rooms}
            found.doubtful = found.doubtful | (lost - found.gone)
            found.gone |= lost

    async def _told(self, user: LiveUser, found: "_Found", told: set[str], after: int) -> DeviceListUpdate:
        """What there is to tell, when it is seen who of the doubtful shared a room at a position."""
        left, doubtful = found.gone - found.doubtful, found.doubtful
        if doubtful and found.rooms:
            # Most of them were in the very room that was left.
            met = await self._together_at(user, found.rooms, after)
            left, doubtful = left | (doubtful & met), doubtful - met
        if doubtful:
            reads = self._reads.devices
            rooms = await reads.rooms_in_common(user.user_id, sorted(doubtful), after)
            left |= doubtful & await self._together_at(user, rooms, after)
        left.discard(user.user_id)
        return sorted((found.changed - found.gone) | (told - left)), sorted(left)

    async def _together_at(
        self, user: LiveUser, rooms: Iterable[tuple[str, str, bool]], position: int
    ) -> set[str]:
        """Who was in some rooms with a user at a position, of (room ID, user ID, whether there since)."""
        by_room: dict[str, list[tuple[str, bool]]] = {}
        for room_id, other_id, has_stayed in rooms:
            by_room.setdefault(room_id, []).append((other_id, has_stayed))

        async def members(room_id: str) -> set[str]:
            moved = [other_id for other_id, has_stayed in by_room[room_id] if not has_stayed]
            then = await self._reads.members_at(room_id, position, [user.user_id, *moved])
            joined = {event.state_key or "" for event in then if membership_of(event) == JOIN}
            if user.user_id not in joined:
                return set()
            return joined.union(other_id for other_id, has_stayed in by_room[room_id] if has_stayed)

        return set[str]().union(*await side_by_side(members(room_id) for room_id in by_room))

    async def _read(self, user: LiveUser, since: SyncToken) -> DeviceListUpdate:
        """Read what there is since a place, also what is ahead of what was published: that is told again."""
        reads, after = self._reads.devices, since.lowest
        told = {
            user_id
            for user_id, position in await reads.changed_after(user.user_id, after)
            if not since.covers(position)
        }
        met, gone, own_rooms = await self._moves(user, after)
        if met:
            met -= set(await reads.sharing(user.user_id, met, after))
        if gone:
            gone -= await self._sharing(user, gone)
        found = _Found(met, gone, set())
        await self._add_of_rooms(user, found, own_rooms, after)
        return await self._told(user, found, told, after)

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
