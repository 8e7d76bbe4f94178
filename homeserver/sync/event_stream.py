"""The event stream of old: one event after the other, of all rooms of a user, or of one to look into.

Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3events
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

import orjson

from homeserver.core.content.member import INVITE, membership_of
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.runtime.clock import Clock
from homeserver.sync.live_users import LiveUser
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.room_state import MEMBER
from homeserver.sync.sight import Sights
from homeserver.sync.streams.presence import Presence
from homeserver.sync.timeline_event import TimelineEvent
from homeserver.sync.waiter import Waiter

__all__ = ["EVENTS_MAX", "EventStream", "Stretch"]

EVENTS_MAX = 100
"""Told at once. A client that was away for more than so many events of a room misses the older of them."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the stream.

    Attributes:
        start: where it begins.
        end: where to go on.
        chunk: the events, oldest first, encoded.
    """

    start: SyncToken
    end: SyncToken
    chunk: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _Told:
    shown: TimelineEvent
    membership: bytes


class EventStream:
    """Reads the event stream.

    Args:
        reads: what is not in memory.
        notifier: what is, and who waits.
        clock: for how long to wait, and for ages.
    """

    def __init__(self, *, reads: SyncReads, notifier: Notifier, clock: Clock) -> None:
        self._reads = reads
        self._notifier = notifier
        self._clock = clock
        self._sights = Sights(reads)
        self._presence = Presence(notifier.presence)

    def here(self) -> SyncToken:
        """The place from which all that is not published yet will be told."""
        return self._notifier.heard

    async def reader(self, user_id: str) -> LiveUser:
        """What is known of a user who reads: among it, whom they do not want to hear."""
        return await self._notifier.users.find(user_id)

    async def presence(self, user: LiveUser) -> Sequence[bytes]:
        """How everybody is whom a user sees and who is not offline: events, encoded."""
        return await self._presence.everybody(user, self._clock.now_ms())

    async def read(self, requester: Requester, since: SyncToken | None, timeout_ms: int) -> Stretch:
        """Tell what happened after `since` in the rooms that the user is in, waiting for it if need be."""
        since = since or self.here()
        user = await self._notifier.users.find(requester.user_id)
        with user.waiting() as waiter:
            return await self._wait(
                requester, since, timeout_ms, waiter, lambda: self._of_user(requester, user, since)
            )

    async def peek(
        self, requester: Requester, room_id: str, since: SyncToken | None, timeout_ms: int
    ) -> Stretch:
        """Tell what the user may see of what happened after `since` in one room that is known here."""
        since = since or self.here()
        with self._notifier.watch.watching(room_id) as waiter:
            return await self._wait(
                requester, since, timeout_ms, waiter, lambda: self._of_room(requester, room_id, since)
            )

    async def _wait(
        self, requester: Requester, since: SyncToken, timeout_ms: int, waiter: Waiter,
        look: Callable[[], Awaitable[list[_Told]]],
    ) -> Stretch:  # fmt: skip
        deadline_ms = self._clock.monotonic_ms() + timeout_ms
        while True:
            # Forget rings first: what is published from here on, while we look too, rings again.
            waiter.clear()
            now = self._notifier.heard
            found = [told for told in await look() if now.covers(told.shown.position)]
            left_ms = deadline_ms - self._clock.monotonic_ms()
            if found or left_ms <= 0 or not await waiter.wait(left_ms / 1000):
                return await self._stretch(requester, since, now, found)

    async def _stretch(
        self, requester: Requester, since: SyncToken, now: SyncToken, found: list[_Told]
    ) -> Stretch:
        found.sort(key=lambda told: told.shown.position)
        end = now.merge(since)  # never back, should the client have heard of more than was published here
        if len(found) > EVENTS_MAX:
            found, end = found[:EVENTS_MAX], since
            for told in found:
                end = end.advance(told.shown.position)
        lacking = [told.shown for told in found if told.shown.lacks_replaced]
        replaced = await self._reads.events({shown.replaces for shown in lacking if shown.replaces})
        for shown in lacking:
            event = replaced.get(shown.replaces or "")
            if event is not None:
                shown.replaced_is(event)
        now_ms = self._clock.now_ms()
        chunk = [_encoded(told, now_ms, requester.session_id) for told in found]
        return Stretch(since, end, chunk)

    async def _of_user(self, requester: Requester, user: LiveUser, since: SyncToken) -> list[_Told]:
        recent = user.recent_after(since)
        if recent is not None:
            rooms: dict[str, set[int]] = {}
            for position, room_id in recent:
                rooms.setdefault(room_id, set()).add(position)
            heard: Collection[str] = rooms
        else:
            # Longer ago than anybody remembers: every room that has news.
            rooms = {}
            joined = [room_id for room_id, room in user.rooms.items() if room.membership == "join"]
            last = await self._reads.last_positions(joined)
            heard = [room_id for room_id, position in last.items() if not since.covers(position)]
            # Those that the user was invited to or left since tell at least that.
            heard += [
                room_id
                for room_id, room in user.rooms.items()
                if room.membership != "join" and not since.covers(room.position)
            ]
        told: list[_Told] = []
        for room_id in heard:
            noted = rooms.get(room_id)
            told += [
                one
                for one in await self._of_room(requester, room_id, since)
                if (noted is None or one.shown.position in noted) and not _is_unwanted(one.shown, user)
            ]
        return told

    async def _of_room(self, requester: Requester, room_id: str, since: SyncToken) -> list[_Told]:
        shown: Sequence[TimelineEvent] | None = self._notifier.rooms.after(room_id, since)
        if shown is None:
            latest = await self._reads.events_until(
                room_id, self._notifier.heard.highest, EVENTS_MAX, requester
            )
            shown = [one for one in latest if not since.covers(one.position)]
        shown = [one for one in shown if not one.is_withheld]
        if not shown:
            return []
        sight = await self._sights.of(room_id, requester.user_id)
        return [_Told(one, sight.membership(one.position)) for one in shown if sight.sees(one.position)]


def _is_unwanted(shown: TimelineEvent, user: LiveUser) -> bool:
    event = shown.event
    if event.state_key is None:
        return event.sender in user.ignored
    if event.type != MEMBER or event.state_key != user.user_id or membership_of(event) != INVITE:
        return False
    return user.blocks_invites or event.sender in user.ignored


def _encoded(told: _Told, now_ms: int, session_id: int) -> bytes:
    # Encoded as for a sync, where the room is known; here each event says it.
    in_sync = told.shown.json(now_ms, session_id, told.membership)
    return b'{"room_id":%b,%b' % (orjson.dumps(told.shown.event.room_id), in_sync[1:])
