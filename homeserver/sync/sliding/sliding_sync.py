"""Sliding sync: answers one request after the other, each with what its connection lacks.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4186
"""

from contextlib import AbstractContextManager, nullcontext

from homeserver.cluster.bus import Bus
from homeserver.core.requester import Requester
from homeserver.runtime.clock import Clock
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.assemble import SlidingAssembler
from homeserver.sync.sliding.connections import Connections
from homeserver.sync.sliding.keeper import ConnectionKeeper
from homeserver.sync.sliding.ports import SlidingReads
from homeserver.sync.sliding.request import SlidingBody, check_limits
from homeserver.sync.sliding.room_facts import RoomFacts
from homeserver.sync.sliding.to_device import place_of
from homeserver.sync.waiter import Waiter

__all__ = ["SlidingSync"]


class SlidingSync:
    """The service behind sliding sync.

    Args:
        reads: of every sync.
        sliding_reads: what sliding sync reads beyond.
        notifier: what happens.
        bus: the changes.
        clock: tells how long to wait.
        connections: those in memory.
        keeper: finds those that outlasted the last process.
    """

    def __init__(
        self, *, reads: SyncReads, sliding_reads: SlidingReads, notifier: Notifier, bus: Bus, clock: Clock,
        connections: Connections, keeper: ConnectionKeeper,
    ) -> None:  # fmt: skip
        self._notifier = notifier
        self._clock = clock
        self._connections = connections
        self._keeper = keeper
        self._facts = RoomFacts(sliding_reads, bus)
        self._assembler = SlidingAssembler(
            reads=reads, sliding_reads=sliding_reads, notifier=notifier, facts=self._facts, clock=clock
        )

    def stop(self) -> None:
        """Follow the streams no more."""
        self._facts.stop()

    async def respond(
        self, requester: Requester, body: SlidingBody, *, pos: str | None, timeout_ms: int
    ) -> bytes:
        """The body of a response: at once if there is anything to tell or the connection begins, else later.

        Raises:
            InvalidParam: it asks for too much.
            UnknownPos: the connection has no such position.
        """
        check_limits(body)
        if pos is None:
            place, turn = self._connections.begin(requester, body.conn_id)
        else:
            place, turn = await self._keeper.find(requester, body.conn_id, pos)
        user = await self._notifier.users.find(requester.user_id)
        deadline_ms = self._clock.monotonic_ms() + (0 if pos is None else timeout_ms)
        with user.waiting() as waiter, self._listening(requester, body, waiter):
            while True:
                # Forget rings first: what is published from here on, while this looks too, rings again.
                waiter.clear()
                answer = await self._assembler.assemble(requester, user, body, place)
                left_ms = deadline_ms - self._clock.monotonic_ms()
                if not answer.is_empty or left_ms <= 0 or not await waiter.wait(left_ms / 1000):
                    break
                place = answer.place  # nothing was told: what follows is looked for from here on
        self._connections.advance(requester, body.conn_id, turn, answer.place)
        return answer.encode(body.txn_id)

    def _listening(
        self, requester: Requester, body: SlidingBody, waiter: Waiter
    ) -> AbstractContextManager[None]:
        """Listen to the device's inbox, if it is asked for; let go of what the client has got of it."""
        asked = None if body.extensions is None else body.extensions.to_device
        if asked is None or not asked.enabled:
            return nullcontext()
        since = place_of(asked)
        inbox = self._notifier.inboxes.of(requester)
        if since is not None:
            inbox.acknowledge(since)
        return inbox.listening(waiter)
