"""Following the streams: what a long poll does once and a WebSocket does for as long as it lasts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from homeserver.core.positions import SyncToken
from homeserver.runtime.clock import Clock
from homeserver.sync.assemble import Assembler, Delta
from homeserver.sync.live_users import LiveUser
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import SyncRequest
from homeserver.sync.waiter import Waiter

__all__ = ["Follower", "Sync"]


class Follower:
    """One session's way along the streams: each delta begins where the one before it ended."""

    def __init__(
        self,
        request: SyncRequest,
        user: LiveUser,
        waiter: Waiter,
        *,
        notifier: Notifier,
        assembler: Assembler,
    ) -> None:
        self._request = request
        self._user = user
        self._waiter = waiter
        self._notifier = notifier
        self._assembler = assembler
        self._since = request.since

    async def look(self) -> tuple[Delta, bool]:
        """The next delta, maybe empty, at once; and whether there is more behind it."""
        # Forget rings first: what is published from here on, while the delta is made too, rings again.
        self._waiter.clear()
        now = self._stop_at(self._notifier.heard)
        delta = await self._assembler.assemble(self._request, self._user, self._since, now)
        self._since = delta.token
        return delta, now is not self._notifier.heard

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until something happens that was not looked at; False if the time ran out first."""
        return await self._waiter.wait(timeout_s)

    def _stop_at(self, heard: SyncToken) -> SyncToken:
        """How far to look: where paging forward is asked for, only as far as one page of events."""
        events_max = self._request.events_max
        if not events_max or self._since is None:
            return heard
        if not self._user.has_more_after(self._since, events_max):
            return heard
        recent = self._user.recent_after(self._since)
        if recent is None:
            return heard
        now = self._since
        for position, _ in recent[:events_max]:
            now = now.advance(position)
        return now


class Sync:
    """The service behind `/sync` and the WebSocket."""

    def __init__(self, *, reads: SyncReads, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._assembler = Assembler(reads=reads, notifier=notifier, clock=clock)

    @asynccontextmanager
    async def following(self, request: SyncRequest) -> AsyncIterator[Follower]:
        """Follow the streams for the duration of a block: from before the first look, nothing is missed."""
        user = await self._notifier.users.find(request.requester.user_id)
        with user.waiting() as waiter:
            yield Follower(request, user, waiter, notifier=self._notifier, assembler=self._assembler)

    async def respond(self, request: SyncRequest) -> bytes:
        """The body of a `/sync` response: at once if there is anything to tell, else when there is."""
        async with self.following(request) as follower:
            delta, more = await follower.look()
            if request.since is None or request.full_state or request.timeout_ms <= 0:
                return delta.body
            deadline_ms = self._clock.monotonic_ms() + request.timeout_ms
            while delta.is_empty:
                left_ms = deadline_ms - self._clock.monotonic_ms()
                if left_ms <= 0 or not (more or await follower.wait(left_ms / 1000)):
                    break
                delta, more = await follower.look()
            return delta.body
