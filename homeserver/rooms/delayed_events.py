"""Delayed events (MSC4140): sent when their time has come, unless their sender thinks otherwise until then.

Nothing enters the room before that; whether the sender may send it is found out then.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from heapq import heapify, heappop, heappush

import orjson

from homeserver.core.canonical_json import check_canonical
from homeserver.core.changes import Change, EventChange
from homeserver.core.content.member import JOIN
from homeserver.core.errors import (
    BadJson,
    Conflict,
    Forbidden,
    InvalidParam,
    LimitExceeded,
    MatrixError,
    NotFound,
    Unavailable,
    UnknownError,
    UserSuspended,
)
from homeserver.core.requester import Requester
from homeserver.rooms.commands import Draft, Origin
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.sending import Sending
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Failure, Observer
from homeserver.runtime.randomness import Randomness
from homeserver.runtime.tasks import end_if_cancelled
from storage.pool import Database
from storage.tables import account_states, delayed_events
from storage.tables.delayed_events import DelayedEvent

__all__ = ["ACTIONS", "WAITING_PER_USER_MAX", "DelayTooLong", "DelayedEvents", "check_action"]

ACTIONS = ("send", "restart", "cancel")
WAITING_PER_USER_MAX = 100
KEPT_MS = 7 * 86_400_000
_DELAY_ID_BYTES = 24
_RETRY_MS = 5_000
_EXPIRY_INTERVAL_MS = 3_600_000
_SESSION_ID = -1
"""No client's: under it a repetition after a crash is known, and no session is told the transaction ID."""

_StateKey = tuple[str, str, str]


class DelayTooLong(UnknownError):
    """The delay is longer than this server waits.

    COMPAT: the form that clients in use understand; they try again with the maximum.
    """

    def __init__(self, delay_ms_max: int) -> None:
        super().__init__(
            f"The delay can be at most {delay_ms_max} ms.",
            **{
                "org.matrix.msc4140.errcode": "M_MAX_DELAY_EXCEEDED",
                "org.matrix.msc4140.max_delay": delay_ms_max,
            },
        )
        self.delay_ms_max = delay_ms_max


class DelayedEvents:
    """Schedules events, and sends them when they are due.

    Args:
        database: where they wait.
        registry: the rooms.
        sending: sends them.
        clock: tells when they are due.
        randomness: for IDs that nobody guesses.
        observer: hears of failures.
        delay_ms_max: no event waits longer.
    """

    def __init__(
        self, *, database: Database, registry: RoomRegistry, sending: Sending, clock: Clock,
        randomness: Randomness, observer: Observer, delay_ms_max: int,
    ) -> None:  # fmt: skip
        self._database = database
        self._registry = registry
        self._sending = sending
        self._clock = clock
        self._randomness = randomness
        self._observer = observer
        self.delay_ms_max = delay_ms_max
        self._due: list[tuple[int, str]] = []
        self._state: dict[_StateKey, dict[str, str]] = {}  # delay ID to user, of state events that wait
        self._cancelled: list[str] = []
        self._wake = asyncio.Event()
        self._working = asyncio.Lock()
        self._expired_ms = 0

    async def schedule(
        self, requester: Requester, room_id: str, draft: Draft, delay_ms: int,
        *, transaction_id: str | None = None,
    ) -> str:  # fmt: skip
        """Schedule an event, once for each transaction ID; returns its delay ID.

        Args:
            requester: who wants it sent.
            room_id: where to.
            draft: what; if it is to be sticky, it is so from its sending.
            delay_ms: after how many milliseconds.
            transaction_id: the client's.

        Raises:
            BadJson: the content has no canonical JSON.
            DelayTooLong: it would wait too long.
            Forbidden: the user is not in the room.
            InvalidParam: the delay is none.
            LimitExceeded: too many of the user's events wait.
        """
        if delay_ms <= 0:
            raise InvalidParam("The delay must be a positive number of milliseconds.")
        if delay_ms > self.delay_ms_max:
            raise DelayTooLong(self.delay_ms_max)
        try:
            check_canonical(draft.content)
        except ValueError as error:
            raise BadJson(str(error)) from None
        await self._check_joined(requester, room_id)
        now_ms = self._clock.now_ms()
        waiting = await self.of_user(requester.user_id)
        if len(waiting) >= WAITING_PER_USER_MAX:
            repeated = await self._find_repeated(requester, room_id, transaction_id)
            if repeated is not None:
                return repeated
            raise LimitExceeded(
                f"At most {WAITING_PER_USER_MAX} of your events can wait.",
                retry_after_ms=max(1, waiting[0].due_ms - now_ms),
            )
        new = DelayedEvent(
            self._randomness.token_urlsafe(_DELAY_ID_BYTES), requester.user_id, requester.device_id, room_id,
            draft.type, draft.state_key, transaction_id, orjson.dumps(draft.content), delay_ms, now_ms,
            now_ms + delay_ms, session_id=requester.session_id, sticky_ms=draft.sticky_ms,
        )  # fmt: skip
        delay_id = await delayed_events.insert(self._database, new)
        if delay_id == new.delay_id:
            self._take_in(new)
        return delay_id

    async def act(self, delay_id: str, action: str, requester: Requester | None) -> None:
        """Send a delayed event now, let its delay begin anew, or cancel it.

        Args:
            delay_id: which event; who knows the ID may act on it.
            action: one of `ACTIONS`.
            requester: if somebody says who they are, they must be its sender.

        Raises:
            Conflict: it does not wait any more, and what came of it is something else.
            InvalidParam: there is no such action.
            MatrixError: the room refuses it; it goes on waiting.
            NotFound: there is no such event, or it is another user's.
        """
        check_action(action)
        found = await self.find(delay_id, requester)
        if found.finalised_ms is not None:
            _check_same_outcome(found, action)
            return
        if action == "restart":
            due_ms = await delayed_events.restart(self._database, delay_id, self._clock.now_ms())
            if due_ms is None:
                raise Conflict("The event does not wait any more.")
            self._push(due_ms, delay_id)
            return
        event_id = await self._send(found) if action == "send" else None
        await self._finalise(found, event_id=event_id)

    async def find(self, delay_id: str, requester: Requester | None) -> DelayedEvent:
        """Find a delayed event, for its sender or for whoever knows its ID.

        Raises:
            NotFound: there is none, or it is another user's.
        """
        found = await delayed_events.find(self._database, delay_id)
        if found is None or (requester is not None and requester.user_id != found.user_id):
            raise NotFound("There is no such delayed event.")
        return found

    async def of_user(self, user_id: str) -> list[DelayedEvent]:
        """Read what of a user's waits, in the order in which it is due."""
        return await delayed_events.of_user(self._database, user_id)

    def follow(self, changes: Sequence[Change]) -> None:
        """Follow the bus: state that waits is cancelled when another user sets the same."""
        if not self._state:
            return
        for change in changes:
            if isinstance(change, EventChange) and change.event.state_key is not None:
                event = change.event
                waiting = self._state.get((change.room_id, event.type, event.state_key or ""), {})
                others = [delay_id for delay_id, user_id in waiting.items() if user_id != event.sender]
                if others:
                    self._cancelled += others
                    self._wake.set()

    async def run(self) -> None:
        """Send what is due, for ever; to be started once, in the background."""
        for one in await delayed_events.waiting(self._database):
            self._take_in(one)
        while True:
            end_if_cancelled()
            self._wake.clear()
            try:
                await self.work()
            except MatrixError as error:
                self._observer(Failure(error))
                self._push_later()
            wait_s = (self._due[0][0] - self._clock.now_ms()) / 1000 if self._due else None
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wait_s is None else max(0.001, wait_s)):
                    await self._wake.wait()

    async def work(self) -> None:
        """Cancel what others' state overtook, send what is due, forget what is long over.

        Raises:
            Unavailable: the database does not answer.
        """
        async with self._working:
            await self._work()

    async def _work(self) -> None:
        while self._cancelled:
            overtaken = await delayed_events.find(self._database, self._cancelled[-1])
            if overtaken is not None and overtaken.finalised_ms is None:
                await self._finalise(overtaken)
            self._cancelled.pop()
        now_ms = self._clock.now_ms()
        while self._due and self._due[0][0] <= now_ms:
            due_ms, delay_id = heappop(self._due)
            try:
                found = await delayed_events.find(self._database, delay_id)
                if found is not None and found.finalised_ms is None and found.due_ms <= due_ms:
                    await self._send_due(found)
            except Unavailable:
                heappush(self._due, (due_ms, delay_id))
                raise
        if now_ms - self._expired_ms > _EXPIRY_INTERVAL_MS:
            await delayed_events.delete_older_than(self._database, now_ms - KEPT_MS)
            self._expired_ms = now_ms

    async def _send_due(self, one: DelayedEvent) -> None:
        try:
            event_id = await self._send(one)
        except Unavailable:
            raise
        except MatrixError as error:
            await self._finalise(one, error=orjson.dumps(error.body()))
        else:
            await self._finalise(one, event_id=event_id)

    async def _send(self, one: DelayedEvent) -> str:
        account = await account_states.find(self._database, one.user_id)
        if account is None or account.is_suspended or account.is_locked or account.is_deactivated:
            raise UserSuspended("Whoever wanted this sent may not send any more.")
        requester = Requester(one.user_id, one.device_id, _SESSION_ID)
        content = orjson.loads(one.content)
        if one.state_key is not None:
            # Once more after a crash is no change, since it says the same.
            origin = Origin(requester, one.delay_id, delayed_by=one.session_id)
            return await self._sending.set_state(
                requester, one.room_id, one.type, one.state_key, content, origin=origin
            )
        return await self._sending.send(
            requester, one.room_id, one.type, content, one.delay_id, sticky_ms=one.sticky_ms,
            delayed_by=one.session_id,
        )  # fmt: skip

    async def _finalise(
        self, one: DelayedEvent, *, event_id: str | None = None, error: bytes | None = None
    ) -> None:
        await delayed_events.finalise(
            self._database, one.delay_id, self._clock.now_ms(), event_id=event_id, error=error
        )
        if one.state_key is not None:
            key = (one.room_id, one.type, one.state_key)
            waiting = self._state.get(key, {})
            waiting.pop(one.delay_id, None)
            if not waiting:
                self._state.pop(key, None)

    def _take_in(self, one: DelayedEvent) -> None:
        if one.state_key is not None:
            key = (one.room_id, one.type, one.state_key)
            self._state.setdefault(key, {})[one.delay_id] = one.user_id
        self._push(one.due_ms, one.delay_id)

    def _push(self, due_ms: int, delay_id: str) -> None:
        heappush(self._due, (due_ms, delay_id))
        self._wake.set()

    def _push_later(self) -> None:
        """Let what could not be sent just now wait a little; what the database says is due counts."""
        later_ms = self._clock.now_ms() + _RETRY_MS
        self._due = [(max(due_ms, later_ms), delay_id) for due_ms, delay_id in self._due]
        heapify(self._due)

    async def _check_joined(self, requester: Requester, room_id: str) -> None:
        try:
            room = await self._registry.actor(room_id, ("m.room.member", requester.user_id))
        except NotFound:
            raise Forbidden("You are not in this room, or it does not exist.") from None
        if room.membership(requester.user_id) != JOIN:
            raise Forbidden("You are not in this room, or it does not exist.")

    async def _find_repeated(
        self, requester: Requester, room_id: str, transaction_id: str | None
    ) -> str | None:
        """Find what was scheduled already: it makes no more of them, however many there are."""
        if transaction_id is None:
            return None
        return await delayed_events.find_repeated(
            self._database, requester.user_id, requester.device_id, room_id, transaction_id
        )


def check_action(action: str) -> None:
    """Refuse what cannot be done with a delayed event.

    Raises:
        InvalidParam: it is not one of `ACTIONS`.
    """
    if action not in ACTIONS:
        raise InvalidParam(f"The action is one of {', '.join(ACTIONS)}.")


def _check_same_outcome(found: DelayedEvent, action: str) -> None:
    was_sent = found.event_id is not None
    if (action == "send" and was_sent) or (action == "cancel" and not was_sent and found.error is None):
        return
    raise Conflict("The event does not wait any more.")
