"""Who types: kept in memory alone, for as long as a client says and no longer.

Spec: https://spec.matrix.org/v1.19/client-server-api/#typing-notifications
"""

import asyncio
from collections.abc import Callable, Sequence

from homeserver.core.changes import Change, EventChange, TypingChange
from homeserver.core.content.member import JOIN, membership_of
from homeserver.core.errors import LimitExceeded
from homeserver.core.positions import SnowflakeClock
from homeserver.core.requester import Requester
from homeserver.ephemeral.joined_room import JoinedRooms
from homeserver.ephemeral.ports import NoteActivity
from homeserver.runtime.clock import Clock
from storage.interning import Interning
from storage.pool import Database

__all__ = ["TIMEOUT_MS_DEFAULT", "TIMEOUT_MS_MAX", "Typing"]

TIMEOUT_MS_DEFAULT = 30_000
TIMEOUT_MS_MAX = 120_000
REMOTE_TIMEOUT_MS = 60_000
"""Servers say again after some 40 seconds that somebody types on."""
TYPING_PER_ROOM_MAX = 100
ROOMS_MAX = 10_000


class Typing:
    """Knows who types where.

    Args:
        database: who is in which room.
        interning: numbers of users.
        snowflakes: positions of changes that are not stored; readers tell them from those that are.
        publish: takes the changes.
        clock: for positions.
        note_activity: is told who types, on which device.
    """

    def __init__(
        self, *, database: Database, interning: Interning, snowflakes: SnowflakeClock,
        publish: Callable[[Sequence[Change]], None], clock: Clock, note_activity: NoteActivity,
    ) -> None:  # fmt: skip
        self._joined_rooms = JoinedRooms(database, interning)
        self._snowflakes = snowflakes
        self._publish = publish
        self._clock = clock
        self._note_activity = note_activity
        self._typing: dict[str, dict[str, asyncio.TimerHandle]] = {}

    async def set(self, requester: Requester, room_id: str, timeout_ms: int | None) -> None:
        """Let a user type in a room for so long; None: no more.

        Raises:
            Forbidden: the user is not in the room.
            LimitExceeded: too many type already.
        """
        await self._joined_rooms.find(room_id, requester.user_id)
        if timeout_ms is None:
            self.stop(requester.user_id, room_id)
            return
        self._note_activity(requester.user_id, requester.device_id)
        self._start(requester.user_id, room_id, timeout_ms)

    async def set_remote(self, user_id: str, room_id: str, *, is_typing: bool) -> None:
        """Let a user of another server type in a room until that server says otherwise, or says nothing.

        Raises:
            Forbidden: the user is not in the room.
            LimitExceeded: too many type already.
        """
        if not is_typing:
            self.stop(user_id, room_id)
            return
        await self._joined_rooms.find(room_id, user_id)
        self._start(user_id, room_id, REMOTE_TIMEOUT_MS)

    def _start(self, user_id: str, room_id: str, timeout_ms: int) -> None:
        room = self._typing.get(room_id, {})
        timer = room.get(user_id)
        if timer is None and (len(room) >= TYPING_PER_ROOM_MAX or len(self._typing) >= ROOMS_MAX):
            raise LimitExceeded(
                "Too many people are typing; wait a little.", retry_after_ms=TIMEOUT_MS_DEFAULT
            )
        seconds = min(timeout_ms, TIMEOUT_MS_MAX) / 1000
        later = asyncio.get_running_loop().call_later(seconds, self.stop, user_id, room_id)
        self._typing.setdefault(room_id, room)[user_id] = later
        if timer is None:
            self._tell(room_id)
        else:
            timer.cancel()  # typing on: nobody needs to be told again

    def stop(self, user_id: str, room_id: str) -> None:
        """Let a user type no more: they said so, sent what they wrote, left, or their time is over."""
        room = self._typing.get(room_id)
        timer = None if room is None else room.pop(user_id, None)
        if room is None or timer is None:
            return
        timer.cancel()
        if not room:
            del self._typing[room_id]
        self._tell(room_id)

    def follow(self, changes: Sequence[Change]) -> None:
        """Follow the bus: who has sent what they wrote, or is in the room no more, does not type there."""
        if not self._typing:
            return
        for change in changes:
            if isinstance(change, EventChange) and change.room_id in self._typing:
                if change.event.state_key is None:
                    self.stop(change.event.sender, change.room_id)
                for event in change.member_events:
                    if membership_of(event) != JOIN:
                        self.stop(event.state_key or "", change.room_id)

    def close(self) -> None:
        """End all timers."""
        for room in self._typing.values():
            for timer in room.values():
                timer.cancel()
        self._typing.clear()

    def _tell(self, room_id: str) -> None:
        position = self._snowflakes.next(self._clock.now_ms())
        self._publish([TypingChange(position, room_id, tuple(self._typing.get(room_id, ())))])
