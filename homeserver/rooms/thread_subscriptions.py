"""Thread subscriptions: which threads a user follows, by their own wish or since they took part.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4306
"""

import asyncio
from weakref import WeakValueDictionary

from homeserver.core.changes import ThreadSubscriptionChange
from homeserver.core.content.relation import THREAD, relation_of
from homeserver.core.errors import Forbidden, InvalidParam, NotFound, TooLarge
from homeserver.core.identifiers import parse_event_id
from homeserver.core.requester import Requester
from homeserver.core.thread_subscriptions import (
    EventMark,
    NotInThread,
    ThreadSubscription,
    subscribe,
    unsubscribe,
)
from homeserver.rooms.timeline import Timeline, VisibleRoom
from storage.journal import Journal
from storage.pool import Database
from storage.tables import thread_subscriptions
from storage.tables.events import Events, StoredEvent
from storage.write import Write

__all__ = ["SUBSCRIPTIONS_PER_USER_MAX", "ThreadSubscriptions"]

SUBSCRIPTIONS_PER_USER_MAX = 20_000
"""Those that ended count: their rows stay, so that clients who come back get to know."""

_NO_THREAD = "There is no such event in this room, or you may not see it."
_NOT_IN_THREAD = "automatic: there is no such event in this thread."

_Thread = tuple[VisibleRoom, StoredEvent]


class ThreadSubscriptions:
    """Reads subscriptions, and changes them through the journal: of each user one change after the other.

    Args:
        database: where they are.
        journal: takes changes.
        timeline: which threads there are for whom.
        events: where a room's timeline ends.
    """

    def __init__(self, *, database: Database, journal: Journal, timeline: Timeline, events: Events) -> None:
        self._database = database
        self._journal = journal
        self._timeline = timeline
        self._events = events
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._writes: dict[str, asyncio.Future[None]] = {}

    async def find(self, requester: Requester, room_id: str, root_id: str) -> ThreadSubscription:
        """What the user is to a thread that they follow.

        Raises:
            InvalidParam: it is no event ID.
            NotFound: there is no such thread for the user, or they do not follow it.
        """
        await self._thread(requester, room_id, root_id)
        found = await thread_subscriptions.find(self._database, requester.user_id, room_id, root_id)
        if found is None or not found.is_subscribed:
            raise NotFound("You are not subscribed to this thread.")
        return found

    async def subscribe(
        self, requester: Requester, room_id: str, root_id: str, cause_id: str | None = None
    ) -> None:
        """Let the user follow a thread; durable on return. Nothing changes if they do so already.

        Args:
            requester: the user.
            room_id: the room.
            root_id: the event that the thread began with.
            cause_id: the event for which their client subscribes them; None: they wish it themselves.

        Raises:
            ConflictingUnsubscription: they unsubscribed after that event.
            InvalidParam: one is no event ID.
            NotFound: there is no such thread for the user.
            NotInThread: the event is not in the thread.
            TooLarge: they have too many subscriptions.
            Unavailable: it could not be stored just now.
        """
        room, _ = await self._thread(requester, room_id, root_id)
        cause = None if cause_id is None else await self._cause(room, root_id, cause_id)
        user_id = requester.user_id
        async with self._lock(user_id):
            before = await self._find(user_id, room_id, root_id)
            after = subscribe(before, cause)
            if after is before:
                return
            if before is None:
                await self._check_room_for_another(user_id)
            await asyncio.shield(self._append(user_id, room_id, root_id, after))

    async def unsubscribe(self, requester: Requester, room_id: str, root_id: str) -> None:
        """Let the user follow a thread no more; durable on return. Nothing changes if they do not.

        Raises:
            InvalidParam: it is no event ID.
            NotFound: there is no such thread for the user.
            Unavailable: it could not be stored just now.
        """
        room, root = await self._thread(requester, room_id, root_id)
        user_id = requester.user_id
        async with self._lock(user_id):
            before = await self._find(user_id, room_id, root_id)
            last = (*await self._events.latest(room.room_nid, 1), root)[0]  # its messages may have run out
            after = unsubscribe(before, _mark(last))
            if after is not None and after is not before:
                await asyncio.shield(self._append(user_id, room_id, root_id, after))

    async def _thread(self, requester: Requester, room_id: str, root_id: str) -> _Thread:
        _check_event_id("threadRootId", root_id)
        try:
            room = await self._timeline.room(requester, room_id)
        except Forbidden:
            raise NotFound(_NO_THREAD) from None
        return room, await self._timeline.event(room, root_id)

    async def _cause(self, room: VisibleRoom, root_id: str, cause_id: str) -> EventMark:
        _check_event_id("automatic", cause_id)
        try:
            stored = await self._timeline.event(room, cause_id)
        except NotFound:
            raise NotInThread(_NOT_IN_THREAD) from None
        relation = None if stored.event.is_state else relation_of(stored.event.content)
        if relation is None or relation.rel_type != THREAD or relation.event_id != root_id:
            raise NotInThread(_NOT_IN_THREAD)
        return _mark(stored)

    def _lock(self, user_id: str) -> asyncio.Lock:
        lock = self._locks.get(user_id)
        if lock is None:
            lock = self._locks[user_id] = asyncio.Lock()
        return lock

    async def _find(self, user_id: str, room_id: str, root_id: str) -> ThreadSubscription | None:
        earlier = self._writes.get(user_id)
        if earlier is not None:
            # Whoever wrote it went away and does not wait any more.
            await asyncio.wait([earlier])
        return await thread_subscriptions.find(self._database, user_id, room_id, root_id)

    async def _check_room_for_another(self, user_id: str) -> None:
        if await thread_subscriptions.count(self._database, user_id) >= SUBSCRIPTIONS_PER_USER_MAX:
            raise TooLarge(f"An account may have subscribed to at most {SUBSCRIPTIONS_PER_USER_MAX} threads.")

    def _append(
        self, user_id: str, room_id: str, root_id: str, after: ThreadSubscription
    ) -> "asyncio.Future[None]":
        write = Write()
        position = self._journal.next_position()
        change = ThreadSubscriptionChange(
            position, user_id, room_id, root_id, after.is_subscribed, after.is_automatic
        )
        thread_subscriptions.add(write, change, after.unsubscribed)
        future = self._writes[user_id] = self._journal.append(write)
        future.add_done_callback(lambda done: self._written(user_id, done))
        return future

    def _written(self, user_id: str, future: "asyncio.Future[None]") -> None:
        del self._writes[user_id]
        future.exception()  # whoever waited may be gone


def _mark(stored: StoredEvent) -> EventMark:
    return EventMark(stored.position, stored.event.depth)


def _check_event_id(name: str, event_id: str) -> None:
    try:
        parse_event_id(event_id)
    except ValueError as error:
        raise InvalidParam(f"{name}: {error}") from None
