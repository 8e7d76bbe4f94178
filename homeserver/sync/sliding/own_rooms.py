"""The rooms that a user's lists are made of, and what the user has noted of them.

What is read is remembered with the place at which it was read, and brought up to date from what the live user
knows; so a client that is here costs no reads.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from homeserver.core.changes import AccountDataChange
from homeserver.core.positions import SyncToken
from homeserver.sync.live_users import LiveUser, RoomOfUser
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.room_of_user import changes_of, changes_until_going
from homeserver.sync.sliding.ports import SlidingReads

__all__ = ["Marks", "OwnRooms"]

USERS_MAX = 10_000
DIRECT, TAG = "m.direct", "m.tag"


@dataclass(slots=True)
class Marks:
    """What a user has noted of rooms.

    Attributes:
        direct: the rooms to talk with one person.
        tags: the tags of rooms that have any.
    """

    direct: frozenset[str] = frozenset()
    tags: dict[str, frozenset[str]] = field(default_factory=dict)

    def take(self, change: AccountDataChange) -> None:
        """Take note of account data, if it is about that."""
        if change.type == DIRECT and change.room_id is None:
            self.direct = _direct_in(change.content)
        elif change.type == TAG and change.room_id is not None:
            tags = _tags_in(change.content)
            if tags:
                self.tags[change.room_id] = tags
            else:
                self.tags.pop(change.room_id, None)


@dataclass(slots=True)
class _Known:
    """What is known of one user: marks as of a place; and by room, who sent a member event at a position."""

    at: SyncToken
    marks: Marks
    senders: dict[str, tuple[int, str, bool]] = field(default_factory=dict)


class OwnRooms:
    """Finds the rooms of users."""

    def __init__(
        self, *, reads: SyncReads, sliding_reads: SlidingReads, notifier: Notifier, users_max: int = USERS_MAX
    ) -> None:
        self._reads = reads
        self._sliding_reads = sliding_reads
        self._notifier = notifier
        self._users_max = users_max
        self._users: OrderedDict[str, _Known] = OrderedDict()

    async def marks(self, user: LiveUser) -> Marks:
        """What the user has noted of rooms."""
        return (await self._known(user)).marks

    async def listed(self, user: LiveUser, since: SyncToken | None) -> Mapping[str, RoomOfUser]:
        """The rooms that belong to the user's lists: also those that were left after `since`.

        A room that was left and to which the user was invited then, without being told, is as it was when it
        was left.
        """
        known = await self._known(user)
        doubtful = [
            room
            for room in user.rooms.values()
            if room.membership not in {"join", "knock"}
            and not room.is_forgotten
            and (room.membership != "invite" or user.ignored)
            and known.senders.get(room.room_id, (0,))[0] != room.position
        ]
        if doubtful:
            await self._look_at(user, known, doubtful)
        listed = {
            room_id: room
            for room_id, room in user.rooms.items()
            if room.membership == "join" or _is_listed(user, room, since, known.senders.get(room_id))
        }
        if since is not None and (user.ignored or user.blocks_invites):
            untold = [
                room
                for room_id, room in user.rooms.items()
                if room.membership == "invite" and room_id not in listed and not since.covers(room.position)
            ]
            for room in untold:
                left = await self._as_left(user, room, since)
                if left is not None:
                    listed[room.room_id] = left
        return listed

    async def _as_left(self, user: LiveUser, room: RoomOfUser, since: SyncToken) -> RoomOfUser | None:
        """A room as it was when the user last went out of it; None if that was not after `since`."""
        changes = room.changes
        if room.changes_after(since) is None:
            changes = changes_of(await self._reads.membership_history(room.room_id, user.user_id))
        changes = changes_until_going(changes, room.position)
        return None if not changes or since.covers(changes[-1][0]) else RoomOfUser.of(room.room_id, changes)

    async def _known(self, user: LiveUser) -> _Known:
        known = self._users.get(user.user_id)
        now = self._notifier.heard
        if known is not None:
            if user.account_data.is_quiet_since(known.at):
                return known
            news = user.account_data.after(known.at)
            if news is not None:
                for change in news:
                    known.marks.take(change)
                known.at = now
                return known
        marks = Marks()
        for change in await self._reads.account_data_after(user.user_id, 0):
            marks.take(change)
        known = self._users[user.user_id] = _Known(now, marks, {} if known is None else known.senders)
        if len(self._users) > self._users_max:
            self._users.popitem(last=False)
        return known

    async def _look_at(self, user: LiveUser, known: _Known, rooms: list[RoomOfUser]) -> None:
        places = {room.room_id: room.position for room in rooms}
        events = await self._sliding_reads.own_member_events(user.user_id, places)
        for room_id, position in places.items():
            event = events.get(room_id)
            sender = user.user_id if event is None else event.sender
            was_joined = False
            if sender != user.user_id:
                history = await self._reads.membership_history(room_id, user.user_id)
                was_joined = any(membership == "join" for _, membership in history)
            known.senders[room_id] = position, sender, was_joined


def _is_listed(
    user: LiveUser, room: RoomOfUser, since: SyncToken | None, sent: tuple[int, str, bool] | None
) -> bool:
    if room.membership == "knock":
        return True
    if room.membership == "invite":
        return not user.blocks_invites and (sent is None or sent[1] not in user.ignored)
    if since is not None and not since.covers(room.position):
        return True  # the client is to hear of it once
    # Those who were thrown out keep seeing it; those who went by themselves, or never were in, do not.
    return not room.is_forgotten and sent is not None and sent[1] != user.user_id and sent[2]


def _direct_in(content: bytes | None) -> frozenset[str]:
    value = orjson.loads(content) if content else {}
    lists = value.values() if isinstance(value, dict) else ()
    return frozenset(
        [each for one in lists if isinstance(one, list) for each in one if isinstance(each, str)]
    )


def _tags_in(content: bytes | None) -> frozenset[str]:
    value = orjson.loads(content) if content else {}
    tags = value.get("tags") if isinstance(value, dict) else None
    return frozenset(tags) if isinstance(tags, dict) else frozenset()
