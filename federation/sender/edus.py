"""Follows who types, reads and is here, and offers that to the servers which it concerns.

Spec: https://spec.matrix.org/v1.19/server-server-api/#edus
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

from federation.sender.ephemeral_queue import READ, EphemeralQueue
from federation.sender.recipients import Recipients
from federation.sender.sender import Sender
from homeserver.core.changes import Change, EventChange, PresenceChange, ReceiptChange, TypingChange
from homeserver.core.errors import Unavailable
from homeserver.core.identifiers import server_name_of
from homeserver.rooms.room_servers import RoomServers
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Observer
from homeserver.runtime.tasks import Tasks
from storage.cache import LruCache

__all__ = ["EphemeralEdus"]

USERS_MAX = 10_000
PENDING_MAX = 10_000
"""Users whose presence is not told yet: while the database does not answer, others come to nothing."""
ROOMS_READ_MAX = 100
PRESENT_MAX = 100_000
REFRESH_S = 10.0
TYPING_REFRESH_MS = 40_000
PRESENCE_REFRESH_MS = 1_200_000
"""Others take a user for offline of whom they hear nothing for half an hour."""
OFFLINE = "offline"
_MEMBER = "m.room.member"

Offer = Callable[[EphemeralQueue], None]


class EphemeralEdus:
    """Offers to servers what is worth nothing later.

    Args:
        sender: takes it.
        recipients: knows the servers that share rooms with a user.
        room_servers: knows those in a room.
        clock: typing is told for a while only.
        observer: hears of what fails.
        server_name: ours: others tell of their own users.
    """

    def __init__(
        self, *, sender: Sender, recipients: Recipients, room_servers: RoomServers, clock: Clock,
        observer: Observer, server_name: str,
    ) -> None:  # fmt: skip
        self._sender = sender
        self._recipients = recipients
        self._room_servers = room_servers
        self._clock = clock
        self._server_name = server_name
        self._tasks = Tasks(observer)
        self._rooms_read = 0
        self._typing: dict[str, tuple[frozenset[str], int]] = {}  # since when others know, as well
        self._presence: dict[str, PresenceChange] = {}
        self._present: dict[str, tuple[PresenceChange, int]] = {}  # the one told longest ago comes first
        self._is_telling_presence = False
        self._servers: LruCache[str, tuple[str, ...]] = LruCache(USERS_MAX)
        self._moves = 0  # counts what makes `_servers` untrue

    def follow(self, changes: Sequence[Change]) -> None:
        """Take in what happened."""
        for change in changes:
            if isinstance(change, EventChange):
                if change.event.type == _MEMBER or change.resets or change.removed:
                    self._forget(change)
            elif isinstance(change, TypingChange):
                self._take_typing(change)
            elif isinstance(change, ReceiptChange):
                if change.type == READ and self._is_ours(change.user_id):
                    self._to_room(change.room_id, _receipt(change))
            elif isinstance(change, PresenceChange) and self._is_ours(change.user_id):
                self._take_presence(change)

    async def run(self) -> None:
        """Say again what others forget if it is not, for as long as the server runs."""
        while True:
            await asyncio.sleep(REFRESH_S)
            self.refresh()

    def refresh(self) -> None:
        """Say again who types and who is here, where that was said long ago."""
        now_ms = self._clock.monotonic_ms()
        for room_id, (users, told_ms) in self._typing.items():
            if now_ms - told_ms >= TYPING_REFRESH_MS:
                self._typing[room_id] = (users, now_ms)
                self._offer_typing(room_id, users, users)
        while self._present:
            change, told_ms = next(iter(self._present.values()))
            if now_ms - told_ms < PRESENCE_REFRESH_MS:
                break
            self._tell(change)

    async def close(self) -> None:
        """Offer nothing any more."""
        await self._tasks.close()

    def _is_ours(self, user_id: str) -> bool:
        return server_name_of(user_id) == self._server_name

    def _take_typing(self, change: TypingChange) -> None:
        before, told_ms = self._typing.get(change.room_id, (frozenset[str](), self._clock.monotonic_ms()))
        now = frozenset([user_id for user_id in change.user_ids if self._is_ours(user_id)])
        if now:
            self._typing[change.room_id] = (now, told_ms)
        else:
            self._typing.pop(change.room_id, None)
        self._offer_typing(change.room_id, before ^ now, now)

    def _offer_typing(self, room_id: str, user_ids: frozenset[str], typing: frozenset[str]) -> None:
        now_ms = self._clock.now_ms()
        for user_id in sorted(user_ids):

            def offer(queue: EphemeralQueue, user_id: str = user_id) -> None:
                queue.add_typing(room_id, user_id, is_typing=user_id in typing, now_ms=now_ms)

            self._to_room(room_id, offer)

    def _to_room(self, room_id: str, offer: Offer) -> None:
        room = self._room_servers.known(room_id)
        if room is not None:
            self._to_servers(room.joined, offer)
        elif self._rooms_read < ROOMS_READ_MAX:
            self._rooms_read += 1
            self._tasks.start(self._to_unread_room(room_id, offer), "servers of a room")

    async def _to_unread_room(self, room_id: str, offer: Offer) -> None:
        try:
            self._to_servers(await self._room_servers.joined(room_id), offer)
        except Unavailable:
            pass  # it is worth nothing by the time that the database answers again
        finally:
            self._rooms_read -= 1

    def _to_servers(self, names: Iterable[str], offer: Offer) -> None:
        for name in self._recipients.allowed(names):
            if not self._sender.is_failing(name):
                offer(self._sender.queue(name).ephemeral)
                self._sender.wake(name)

    def _take_presence(self, change: PresenceChange) -> None:
        if change.is_news:
            self._tell(change)
        elif change.user_id in self._present:  # for the time when it is told again
            self._present[change.user_id] = (change, self._present[change.user_id][1])

    def _tell(self, change: PresenceChange) -> None:
        self._present.pop(change.user_id, None)
        if change.presence != OFFLINE and len(self._present) < PRESENT_MAX:
            self._present[change.user_id] = (change, self._clock.monotonic_ms())
        if len(self._presence) < PENDING_MAX:
            self._presence[change.user_id] = change
        if not self._is_telling_presence:
            self._is_telling_presence = True
            self._tasks.start(self._tell_presence(), "presence to other servers")

    async def _tell_presence(self) -> None:
        try:
            while self._presence:
                changes, self._presence = self._presence, {}
                unknown = [user_id for user_id in changes if self._servers.get(user_id) is None]
                if unknown:
                    await self._read_servers(unknown)
                for user_id, change in changes.items():
                    names = self._servers.get(user_id)
                    self._to_servers(names or (), _presence(change))
                await asyncio.sleep(0)
        except Unavailable:
            pass
        finally:
            self._is_telling_presence = False

    async def _read_servers(self, user_ids: list[str]) -> None:
        moves = self._moves
        for user_id, servers in (await self._recipients.of_users(user_ids)).items():
            self._servers.put(user_id, tuple(servers))
        if moves != self._moves:
            # Good for what is told just now, but somebody came or went meanwhile.
            asyncio.get_running_loop().call_soon(self._servers.clear)

    def _forget(self, change: EventChange) -> None:
        """Forget which servers share rooms with users, as far as that may be so no more."""
        self._moves += 1
        user_id = change.event.state_key
        if change.event.type == _MEMBER and user_id is not None and self._is_ours(user_id):
            self._servers.forget(user_id)
        if change.resets or change.removed or user_id is None or not self._is_ours(user_id):
            self._servers.clear()


def _receipt(change: ReceiptChange) -> Offer:
    return lambda queue: queue.add_receipt(change)


def _presence(change: PresenceChange) -> Offer:
    return lambda queue: queue.add_presence(change)
