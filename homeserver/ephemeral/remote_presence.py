"""The presence of users of other servers, as these tell it: in memory alone, and not for ever.

Spec: https://spec.matrix.org/v1.19/server-server-api/#presence
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from homeserver.core.changes import Change, PresenceChange
from homeserver.core.errors import Unavailable
from homeserver.core.positions import SnowflakeClock
from homeserver.ephemeral.ports import PresenceAudience
from homeserver.ephemeral.present_user import OFFLINE
from homeserver.runtime.clock import Clock
from homeserver.runtime.tasks import end_if_cancelled
from storage.tables import remote_devices
from storage.tables.queries import Queries

__all__ = ["RemotePresence", "ToldPresence"]

USERS_MAX = 100_000
SILENT_MS_MAX = 1_800_000
"""Of whom nothing was told for so long is taken to be gone: their server may be."""
SWEEP_INTERVAL_S = 60.0


@dataclass(frozen=True, slots=True)
class ToldPresence:
    """What a server tells of one of its users.

    Attributes:
        user_id: the user.
        presence: `online`, `unavailable` or `offline`.
        last_active_ago_ms: since they last did something; None: it is not told.
        status_msg: what they say.
        currently_active: they do things all the time.
    """

    user_id: str
    presence: str
    last_active_ago_ms: int | None
    status_msg: str | None
    currently_active: bool


class RemotePresence:
    """Remembers how users of other servers are, and tells those who share a room with them.

    Args:
        queries: who shares a room with whom.
        audience: is told whose rooms will matter.
        snowflakes: positions of the changes.
        publish: takes the changes.
        clock: for all times.
    """

    def __init__(
        self, *, queries: Queries, audience: PresenceAudience, snowflakes: SnowflakeClock,
        publish: Callable[[Sequence[Change]], None], clock: Clock,
    ) -> None:  # fmt: skip
        self._queries = queries
        self._audience = audience
        self._snowflakes = snowflakes
        self._publish = publish
        self._clock = clock
        self._users: dict[str, tuple[PresenceChange, int]] = {}  # who was told of longest ago comes first

    async def take_in(self, told: Sequence[ToldPresence]) -> None:
        """Take in what a server tells; who shares no room with ours is passed over.

        Raises:
            Unavailable: nobody can say just now who shares a room with whom.
        """
        unknown = [one.user_id for one in told if one.user_id not in self._users]
        shared = await remote_devices.shared(self._queries, unknown) if unknown else set()
        for one in told:
            if one.user_id in self._users or one.user_id in shared:
                await self._tell(one)

    def last(self, user_id: str) -> PresenceChange | None:
        """What was told of a user last, if they are not gone."""
        known = self._users.get(user_id)
        return None if known is None else known[0]

    async def run(self) -> None:
        """Let those go whose servers have fallen silent."""
        while True:
            end_if_cancelled()
            await asyncio.sleep(SWEEP_INTERVAL_S)
            await self.sweep()

    async def sweep(self) -> None:
        """Take those for gone of whom nothing was told for long."""
        before_ms = self._clock.monotonic_ms() - SILENT_MS_MAX
        while self._users:
            user_id, (last, heard_ms) = next(iter(self._users.items()))
            if heard_ms > before_ms:
                return
            ago_ms = max(0, self._clock.now_ms() - last.last_active_ms) if last.last_active_ms else None
            await self._tell(ToldPresence(user_id, OFFLINE, ago_ms, last.status_msg, currently_active=False))

    async def _tell(self, told: ToldPresence) -> None:
        now_ms = self._clock.now_ms()
        known = self._users.pop(told.user_id, None)
        before = None if known is None else known[0]
        last_active_ms = 0 if before is None else before.last_active_ms
        if told.last_active_ago_ms is not None:
            last_active_ms = max(1, now_ms - told.last_active_ago_ms)
        is_active = told.currently_active and told.presence != OFFLINE
        shown = (told.presence, is_active, told.status_msg)
        is_news = before is None or shown != (before.presence, before.currently_active, before.status_msg)
        if before is None and told.presence == OFFLINE:
            return
        position = self._snowflakes.next(now_ms) if is_news or before is None else before.position
        change = PresenceChange(
            position, told.user_id, told.presence, last_active_ms, is_active, told.status_msg, is_news
        )
        if told.presence != OFFLINE:
            self._users[told.user_id] = (change, self._clock.monotonic_ms())
            if len(self._users) > USERS_MAX:
                del self._users[next(iter(self._users))]
        if is_news:
            with suppress(Unavailable):  # then those who are here now are told, and others later
                await self._audience.admit(told.user_id)
        self._publish([change])
