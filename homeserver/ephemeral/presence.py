"""Presence: who is here, and how active. Kept in memory; what outlives the process is written rarely.

Spec: https://spec.matrix.org/v1.19/client-server-api/#presence
"""

import asyncio
import heapq
from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from homeserver.core.changes import Change, EventChange, PresenceChange
from homeserver.core.errors import Forbidden, InvalidParam, LimitExceeded, Unavailable
from homeserver.core.positions import SnowflakeClock
from homeserver.core.requester import Requester
from homeserver.ephemeral.ports import PresenceAudience
from homeserver.ephemeral.present_user import DISCONNECT_MS, IDLE_MS, OFFLINE, PresentUser
from homeserver.ephemeral.remote_presence import RemotePresence
from homeserver.runtime.clock import Clock
from homeserver.runtime.token_bucket import TokenBucket
from storage.interning import Interning
from storage.journal import Journal
from storage.pool import Database
from storage.tables import presence
from storage.tables.shared_rooms import SharedRooms
from storage.write import Write

__all__ = ["Presence", "PresenceView"]

STATUS_BYTES_MAX = 4_096
USERS_MAX = 100_000
SEEN_MAX = 10_000
"""Users who do something without being here: their last activity is remembered of so many."""
RESTORED_MAX = 10_000
CHANGES_BURST = 10
CHANGES_PER_SECOND = 1.0
"""Of one user: a client that changes its mind faster is told of as it is in the end."""
REFRESH_MS = 5_000
"""A client that syncs is told a last activity of somebody active that is at most so much too old."""
SLACK_S = 0.1
FLUSH_MS = 10_000
SEEN_FLUSH_MS = 300_000
ROWS_PER_WRITE_MAX = 1_000


@dataclass(frozen=True, slots=True)
class PresenceView:
    """The presence of a user, at one moment.

    Attributes:
        presence: `online`, `unavailable` or `offline`.
        last_active_ago_ms: since they last did something; None: nobody knows.
        status_msg: what they say.
        currently_active: they do things all the time.
    """

    presence: str
    last_active_ago_ms: int | None
    status_msg: str | None
    currently_active: bool = False


class Here:
    """A device that is here for the duration of a block. Each poll has one, so it is no generator."""

    __slots__ = ("_presence", "_requester", "_user", "_wish")

    def __init__(self, presence: "Presence", requester: Requester, wish: str | None) -> None:
        self._presence = presence
        self._requester = requester
        self._wish = wish
        self._user: PresentUser | None = None

    async def __aenter__(self) -> None:
        self._user = await self._presence.come(self._requester, self._wish)

    async def __aexit__(self, *_: object) -> None:
        if self._user is not None:
            self._presence.go(self._user, self._requester)


class Presence:
    """Knows who is here.

    Args:
        database: what was stored, and who shares rooms.
        journal: takes what is to be stored.
        interning: numbers of users.
        audience: is told whose rooms will matter.
        snowflakes: positions of changes that are not stored.
        publish: takes the changes.
        clock: for all times.
        remote: how users of other servers are.
    """

    def __init__(
        self, *, database: Database, journal: Journal, interning: Interning, audience: PresenceAudience,
        snowflakes: SnowflakeClock, publish: Callable[[Sequence[Change]], None], clock: Clock,
        remote: RemotePresence,
    ) -> None:  # fmt: skip
        self._remote = remote
        self._database = database
        self._journal = journal
        self._interning = interning
        self._shared_rooms = SharedRooms(database)
        self._audience = audience
        self._snowflakes = snowflakes
        self._publish = publish
        self._clock = clock
        self._users: dict[str, PresentUser] = {}
        # Of users who are not here: when they last did something, and when that was last stored.
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._queue: list[tuple[int, str]] = []
        self._dirty: dict[str, bool] = {}  # whose row is to be written, and whether they are here
        self._flush_at_ms: int | None = None
        self._woken = asyncio.Event()

    async def start(self) -> None:
        """Expect back those who were here when the process before this one ended."""
        now_ms, wall_ms = self._clock.monotonic_ms(), self._clock.now_ms()
        for row in await presence.of_those_here(self._database, RESTORED_MAX):
            user = self._users[row.user_id] = self._made(row)
            user.restore(now_ms, min(max(0, wall_ms - row.last_active_ms), IDLE_MS))
            self._tell(user, now_ms)
            self._queue_up(user, now_ms)

    def here(self, requester: Requester, wish: str | None) -> "Here":
        """Count a device as here for the duration of a block: while it syncs.

        Args:
            requester: who, on which device.
            wish: the `set_presence` of the sync, None if there was none.
        """
        return Here(self, requester, wish)

    async def come(self, requester: Requester, wish: str | None) -> PresentUser | None:
        """Count a device as here until it goes; None if it is not counted."""
        user_id = requester.user_id
        user = None if wish == OFFLINE else await self._found(user_id)
        if user is None:
            return None
        now_ms = self._clock.monotonic_ms()
        user.connect(requester.device_id, wish, now_ms, self._clock.now_ms())
        try:
            if self._is_changed(user, now_ms):
                await self._audience.admit(user_id)
            self._settle(user)
        except BaseException:
            self.go(user, requester)
            raise
        return user

    def come_at_once(self, requester: Requester, wish: str | None) -> PresentUser | None:
        """Count a device as here until it goes, if that changes nothing about its user; else None."""
        user = self._users.get(requester.user_id)
        if user is None or not user.is_as_wished(requester.device_id, wish):
            return None
        user.connect(requester.device_id, wish, self._clock.monotonic_ms(), self._clock.now_ms())
        return user

    def stay(self, user: PresentUser, requester: Requester, wish: str | None) -> bool:
        """Go on counting a device as here; False if that would change something."""
        if not user.is_as_wished(requester.device_id, wish):
            return False
        shown = user.shown
        if shown is not None and shown.currently_active and shown.last_active_ms != user.last_active_ms:
            self._settle(user)
        return True

    def go(self, user: PresentUser, requester: Requester) -> None:
        """Count a device as here no more."""
        user.disconnect(requester.device_id, self._clock.monotonic_ms())
        self._settle(user)

    async def set(self, requester: Requester, wish: str, status_msg: str | None) -> None:
        """Set a user's presence and status message from one device; the message is durable on return.

        Raises:
            InvalidParam: the status message cannot be stored.
            LimitExceeded: too many users are here.
            Unavailable: it could not be stored just now.
        """
        status_msg = status_msg or None
        if status_msg is not None and ("\0" in status_msg or len(status_msg.encode()) > STATUS_BYTES_MAX):
            raise InvalidParam(f"status_msg has at most {STATUS_BYTES_MAX} bytes, none of them NUL.")
        user_id = requester.user_id
        user = self._users.get(user_id)
        if user is None or user.status_msg != status_msg:
            write = Write(order_key=user_id)
            write.add(presence.STATUS_UPSERT, user_id, status_msg)
            await asyncio.shield(self._journal.append(write))
        await self._audience.admit(user_id)
        user = await self._found(user_id)
        if user is None:
            raise LimitExceeded("Too many users are here: try again later.", retry_after_ms=DISCONNECT_MS)
        user.status_msg = status_msg
        now_ms = self._clock.monotonic_ms()
        user.set_by_hand(requester.device_id, wish, now_ms, self._clock.now_ms())
        self._settle(user)

    async def get(self, requester: Requester, user_id: str) -> PresenceView:
        """Tell the presence of a user.

        Raises:
            Forbidden: it is somebody else, with whom the one who asks shares no room.
        """
        if user_id != requester.user_id:
            await self._check_shares_room(requester.user_id, user_id)
        told = self._remote.last(user_id)
        if told is not None:
            ago_ms = self._ago_ms(told.last_active_ms)
            return PresenceView(told.presence, ago_ms, told.status_msg, told.currently_active)
        user = self._users.get(user_id)
        if user is None or user.shown is None:
            row = await presence.find(self._database, user_id)
            last_active_ms = max(row.last_active_ms, self._seen.get(user_id, (0, 0))[0])
            return PresenceView(OFFLINE, self._ago_ms(last_active_ms), row.status_msg)
        state, currently_active = user.state(self._clock.monotonic_ms())
        ago_ms = self._ago_ms(user.last_active_ms)
        return PresenceView(state, ago_ms, user.status_msg, currently_active)

    def be_active(self, user_id: str, device_id: str | None) -> None:
        """Take note that a user did something."""
        user, wall_ms = self._users.get(user_id), self._clock.now_ms()
        if user is not None:
            user.be_active(device_id, self._clock.monotonic_ms(), wall_ms)
            self._settle(user)
            return
        # Offline: they stay so, but it is remembered.
        _, stored_ms = self._seen.get(user_id, (0, 0))
        if wall_ms - stored_ms >= SEEN_FLUSH_MS:
            stored_ms = wall_ms
            self._note_dirty(user_id, is_here=False)
        self._remember(user_id, wall_ms, stored_ms)

    def follow(self, changes: Sequence[Change]) -> None:
        """Follow the bus: who sends something does something."""
        for change in changes:
            if isinstance(change, EventChange) and change.session_id is not None:
                self.be_active(change.event.sender, change.device_id)

    async def run(self) -> None:
        """Let time pass: one task for all users, asleep while nothing is due."""
        while True:
            self._woken.clear()
            due_ms = self._due_ms()
            left_s = None if due_ms is None else (due_ms - self._clock.monotonic_ms()) / 1000
            if left_s is None or left_s > 0:
                with suppress(TimeoutError):
                    # A little longer: those who are due at about the same time are done together.
                    async with asyncio.timeout(None if left_s is None else left_s + SLACK_S):
                        await self._woken.wait()
                continue
            await self.sweep()

    async def sweep(self) -> None:
        """Do what is due: devices that did not come back, users who became idle, rows to be written."""
        now_ms = self._clock.monotonic_ms()
        while self._queue and self._queue[0][0] <= now_ms:
            due_ms, user_id = heapq.heappop(self._queue)
            user = self._users.get(user_id)
            if user is None or user.queued_ms != due_ms:
                continue
            user.queued_ms = None
            user.drop_devices(now_ms)
            if self._is_changed(user, now_ms):
                with suppress(Unavailable):  # then those who are here now are told, and others later
                    await self._audience.admit(user_id)
            self._settle(user)
        if self._flush_at_ms is not None and self._flush_at_ms <= now_ms:
            await self._flush()

    async def close(self) -> None:
        """Write what is to be written."""
        await self._flush()

    async def _found(self, user_id: str) -> PresentUser | None:
        user = self._users.get(user_id)
        if user is None:
            row = await presence.find(self._database, user_id)
            user = self._users.get(user_id)
            if user is None and len(self._users) < USERS_MAX:
                user = self._users[user_id] = self._made(row)
                user.last_active_ms = max(row.last_active_ms, self._seen.pop(user_id, (0, 0))[0])
        return user

    def _made(self, row: presence.PresenceRow) -> PresentUser:
        bucket = TokenBucket(CHANGES_PER_SECOND, CHANGES_BURST, self._clock.monotonic_ms())
        return PresentUser(row.user_id, row.last_active_ms, row.status_msg, bucket)

    def _is_changed(self, user: PresentUser, now_ms: int) -> bool:
        shown = user.shown
        if shown is None:
            return True
        return (*user.state(now_ms), user.status_msg) != (
            shown.presence, shown.currently_active, shown.status_msg
        )  # fmt: skip

    def _settle(self, user: PresentUser) -> None:
        """Tell what changed about a user, and see to it that what time changes is not forgotten."""
        if self._users.setdefault(user.user_id, user) is not user:
            return  # an old one, whose last connection ends only now
        now_ms = self._clock.monotonic_ms()
        if not self._is_changed(user, now_ms):
            shown = user.shown
            if shown is not None and shown.currently_active and now_ms - user.refreshed_ms >= REFRESH_MS:
                self._tell(user, now_ms, is_news=False)
            self._queue_up(user, now_ms)
            if user.is_gone:
                del self._users[user.user_id]
            return
        wait_ms = user.bucket.take(now_ms)
        if not wait_ms:
            self._tell(user, now_ms)
        self._queue_up(user, now_ms, now_ms + wait_ms if wait_ms else None)
        if user.is_gone and not wait_ms:
            del self._users[user.user_id]

    def _tell(self, user: PresentUser, now_ms: int, *, is_news: bool = True) -> None:
        before = user.shown
        state, currently_active = user.state(now_ms)
        if is_news or before is None:
            position = self._snowflakes.next(self._clock.now_ms())
        else:
            position = before.position
        user.shown = PresenceChange(
            position, user.user_id, state, user.last_active_ms, currently_active, user.status_msg, is_news
        )
        user.refreshed_ms = now_ms
        was_here = before is not None and before.presence != OFFLINE
        if was_here != (state != OFFLINE):
            self._note_dirty(user.user_id, is_here=state != OFFLINE)
        if state == OFFLINE:
            self._remember(user.user_id, user.last_active_ms, self._clock.now_ms())
        self._publish([user.shown])

    def _remember(self, user_id: str, last_active_ms: int, stored_ms: int) -> None:
        self._seen[user_id] = (last_active_ms, stored_ms)
        self._seen.move_to_end(user_id)
        if len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    def _due_ms(self) -> int | None:
        first_ms = self._queue[0][0] if self._queue else None
        if first_ms is None or self._flush_at_ms is None:
            return self._flush_at_ms if first_ms is None else first_ms
        return min(first_ms, self._flush_at_ms)

    def _queue_up(self, user: PresentUser, now_ms: int, at_ms: int | None = None) -> None:
        deadlines = [each for each in (at_ms, user.deadline_ms(now_ms)) if each is not None]
        if not deadlines:
            return
        deadline_ms = min(deadlines)
        if user.queued_ms is None or deadline_ms < user.queued_ms:
            user.queued_ms = deadline_ms
            heapq.heappush(self._queue, (deadline_ms, user.user_id))
            if self._queue[0][0] == deadline_ms:
                self._woken.set()

    def _note_dirty(self, user_id: str, *, is_here: bool) -> None:
        self._dirty[user_id] = is_here
        if self._flush_at_ms is None:
            self._flush_at_ms = self._clock.monotonic_ms() + FLUSH_MS
            self._woken.set()

    async def _flush(self) -> None:
        self._flush_at_ms = None
        dirty, self._dirty = self._dirty, {}
        for start in range(0, len(dirty), ROWS_PER_WRITE_MAX):
            part = list(dirty.items())[start : start + ROWS_PER_WRITE_MAX]
            write = Write()
            for user_id, is_here in part:
                user = self._users.get(user_id)
                last_active_ms = self._seen.get(user_id, (0, 0))[0] if user is None else user.last_active_ms
                write.add(presence.PRESENCE_UPSERT, user_id, last_active_ms, is_here)
            try:
                await self._journal.append(write)
            except Unavailable:  # the next time
                for user_id, is_here in part:
                    if user_id not in self._dirty:
                        self._note_dirty(user_id, is_here=is_here)

    async def _check_shares_room(self, user_id: str, other_id: str) -> None:
        users = await self._interning.existing("user", (user_id, other_id))
        if len(users) == 2 and await self._shared_rooms.joined_by_both(
            users[user_id], users[other_id], after_room_nid=0, limit=1
        ):
            return
        raise Forbidden("You share no room with this user, or there is no such user.")

    def _ago_ms(self, last_active_ms: int) -> int | None:
        return max(0, self._clock.now_ms() - last_active_ms) if last_active_ms else None
