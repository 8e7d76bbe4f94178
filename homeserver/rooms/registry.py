"""The active rooms: finds a room's actor, loads it, evicts it, and carries out what is sent to it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from itertools import islice

from homeserver.core.auth.selection import StateKey
from homeserver.core.errors import Forbidden, NotFound, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft, Origin
from homeserver.rooms.compose import Composed, Composer, add_step, intern, known_numbers
from homeserver.rooms.loading import RoomLoading
from homeserver.rooms.outcomes import Sent
from homeserver.rooms.ports import Policies
from homeserver.rooms.room_state import NotLoadedError
from homeserver.rooms.sent_before import SentBefore
from storage.interning import Interning
from storage.journal import Journal, WriteRefused
from storage.tables.events import EventNumbers, add_redaction
from storage.tables.rooms import add_room_tip
from storage.tables.transactions import TRANSACTION_INSERT
from storage.write import Write

__all__ = ["ACTORS_MAX", "UNIQUE_VIOLATION", "Decide", "RoomRegistry"]

ACTORS_MAX = 10_000
UNIQUE_VIOLATION = "23505"
SIGNED_ATTEMPTS_MAX = 5
"""To have an event signed by a policy server before the room has gone on."""

Decide = Callable[[RoomActor], Draft | None]
"""Looks at the room and says what to send; None if nothing is to be done. May refuse by raising."""


class RoomRegistry:
    """Holds the actors of the rooms that are in use.

    Args:
        composer: makes events.
        journal: takes writes.
        interning: numbers strings.
        loading: reads rooms.
        sent_before: knows repeated transactions.
        policies: has events signed by the policy servers of rooms; None: no room has one.
        actors_max: more than that are kept only while they have writes in flight.
    """

    def __init__(
        self, *, composer: Composer, journal: Journal, interning: Interning, loading: RoomLoading,
        sent_before: SentBefore, policies: Policies | None = None, actors_max: int = ACTORS_MAX,
    ) -> None:  # fmt: skip
        self._policies = policies
        self.composer = composer
        self.journal = journal
        self.interning = interning
        self.loading = loading
        self.rooms = loading.rooms
        self._sent_before = sent_before
        self._actors_max = actors_max
        self._actors: dict[str, RoomActor] = {}  # the one used longest ago comes first
        self._loads: dict[str, asyncio.Future[RoomActor]] = {}

    async def actor(self, room_id: str, *keys: StateKey) -> RoomActor:
        """Find a room's actor, loading it if need be. It is the room's until the next await, no longer.

        Args:
            room_id: the room.
            keys: of the state that the caller is going to look at, beside what every room has at hand.

        Raises:
            NotFound: there is no such room here.
        """
        while True:
            actor = self._actors.pop(room_id, None)
            if actor is None:
                actor = await self._loading_of(room_id)
                if actor is not self._actors.get(room_id):
                    continue  # dropped while we waited
            else:
                self._actors[room_id] = actor
            missing = actor.state.missing(keys)
            if not missing:
                return actor
            await self.loading.load_state(actor, missing)

    def _loading_of(self, room_id: str) -> Awaitable[RoomActor]:
        loading = self._loads.get(room_id)
        if loading is None:
            # A task, since those who wait for it must not lose it when the first of them goes away.
            loading = self._loads[room_id] = asyncio.ensure_future(self._load(room_id))
            loading.add_done_callback(lambda done: self._loaded(room_id, done))
        return asyncio.shield(loading)

    def _loaded(self, room_id: str, done: "asyncio.Future[RoomActor]") -> None:
        del self._loads[room_id]
        if not done.cancelled():
            done.exception()  # whoever waits hears of it; nobody may be left

    async def _load(self, room_id: str) -> RoomActor:
        actor = await self.loading.load(room_id)
        self.journal.raise_floor(actor.last_position)
        self.keep(actor)
        return actor

    def drop(self, actor: RoomActor) -> None:
        """Forget an actor; whoever wants the room next loads it again."""
        if self.is_in_use(actor):
            del self._actors[actor.room_id]

    def is_in_use(self, actor: RoomActor) -> bool:
        """Say whether an actor is still the room's."""
        return self._actors.get(actor.room_id) is actor

    def keep(self, actor: RoomActor) -> None:
        """Add an actor, and evict those used longest ago beyond the bound."""
        self._actors[actor.room_id] = actor
        excess = len(self._actors) - self._actors_max
        if excess > 0:
            # Storage does not have the writes in flight yet, so these cannot be loaded again.
            idle = (key for key, one in self._actors.items() if not one.writes_in_flight)
            for room_id in list(islice(idle, excess)):
                del self._actors[room_id]

    async def submit(
        self, room_id: str, draft: Draft, *, origin: Origin | None = None, decide: Decide | None = None,
        target: Event | None = None,
    ) -> Sent:  # fmt: skip
        """Send an event to a room. The result may be awaited until the event is durable.

        Args:
            room_id: the room.
            draft: what to send.
            origin: for idempotence.
            decide: has the last word on the draft, by the state that it is sent on; type, sender and state
                key stay as they are in `draft`.
            target: the event that this one redacts, if it is to be redacted.

        Raises:
            Forbidden: the room does not allow it, or there is no such room.
            RemoteRefused: the room's policy server does not.
            Unavailable: that server does not answer.
        """
        attempts = 0
        while True:
            if origin is not None and not self._knows(origin):
                await self._sent_before.learn(origin.requester.session_id)
                continue
            numbers = known_numbers(self.interning, draft) or await self._new_numbers(room_id, draft)
            actor = self._actors.pop(room_id, None)
            if actor is None:
                await self._existing_actor(room_id)
                continue
            self._actors[room_id] = actor  # used just now: it comes last
            if actor.gate is not None:
                await asyncio.shield(actor.gate)
                continue
            try:
                decided = self._decide(actor, draft, origin, decide)
                if isinstance(decided, Sent):
                    return decided
                composed = self.composer.compose(actor, decided)
                if self._policies is not None and self._policies.concern(actor, draft.type, draft.state_key):
                    attempts += 1
                    signed = await self._signed(actor, composed, attempts)
                    if signed is None or not self._knows(origin):
                        continue
                    composed = signed
                return self._carry_out(actor, decided, composed, numbers, origin=origin, target=target)
            except NotLoadedError as error:
                await self.loading.load_state(actor, error.keys)

    async def _new_numbers(self, room_id: str, draft: Draft) -> EventNumbers:
        await self._existing_actor(room_id)  # a room that does not exist must not make new numbers
        (numbers,) = await intern(self.interning, [draft])
        return numbers

    async def _existing_actor(self, room_id: str) -> RoomActor:
        try:
            return await self.actor(room_id)
        except NotFound:
            # Whether a room exists is nobody's business who is not in it.
            raise Forbidden("You are not in this room, or it does not exist.") from None

    def _knows(self, origin: Origin | None) -> bool:
        return origin is None or self._sent_before.is_known(origin.requester.session_id)

    def _decide(
        self, actor: RoomActor, draft: Draft, origin: Origin | None, decide: Decide | None
    ) -> Draft | Sent:
        """Say what is to be sent; or that it was sent before, or that nothing is to be done."""
        if origin is not None:
            sent = self._sent_before.find(origin, origin.key(actor.room_id, draft.type))
            if sent is not None:
                return sent
        if decide is None:
            return draft
        decided = decide(actor)
        if decided is not None:
            return decided
        there = None if draft.state_key is None else actor.state.get((draft.type, draft.state_key))
        return Sent("" if there is None else there.event_id, actor.last_commit)

    async def _signed(self, actor: RoomActor, composed: Composed, attempts: int) -> Composed | None:
        """Have an event signed by the room's policy server, while our other events wait.

        Returns:
            The event; None if the room is not as it was any more, so that the event is to be made anew.
        """
        assert self._policies is not None, "there is a policy"
        if attempts > SIGNED_ATTEMPTS_MAX:
            raise Unavailable("Too much happens in this room just now. Try again.")
        gate = actor.gate = asyncio.get_running_loop().create_future()
        extremities = actor.extremities
        try:
            event = await self._policies.signed(actor, composed.event)
        finally:
            gate.set_result(None)
            if actor.gate is gate:
                actor.gate = None
        if actor.extremities is not extremities or not self.is_in_use(actor):
            return None
        return replace(composed, event=event)

    def _carry_out(
        self, actor: RoomActor, draft: Draft, composed: Composed, numbers: EventNumbers, *,
        origin: Origin | None, target: Event | None,
    ) -> Sent:  # fmt: skip
        key, session_id = "", 0
        if origin is not None:
            session_id = origin.requester.session_id
            key = origin.key(actor.room_id, draft.type)
        event = composed.event
        position = self.journal.next_position()
        write = Write()
        change, step = add_step(
            write, actor, composed, numbers, position, server_name=self.composer.server_name,
            is_withheld=draft.is_withheld,
        )  # fmt: skip
        add_room_tip(
            write, actor.room_nid, extremities=(event.event_id,), depth=event.depth, last_position=position,
            state_group=step.chain.group,
        )  # fmt: skip
        if target is not None:
            change.redacted = target.redacted_by(event)
            add_redaction(write, change.redacted, event.event_id)
        if origin is not None:
            if origin.delayed_by is None:
                change.transaction_id, change.session_id = origin.transaction_id, session_id
            else:
                change.delay_id, change.session_id = origin.transaction_id, origin.delayed_by
            change.device_id = origin.requester.device_id
            write.add(TRANSACTION_INSERT, session_id, key, event.event_id, position)
        sent = Sent(event.event_id, self.append(actor, write))
        actor.advance(step)
        if change.redacted is not None:
            actor.state.redact(change.redacted)
        if origin is not None:
            self._sent_before.note(origin, key, sent)
        return sent

    def append(self, actor: RoomActor, write: Write) -> "asyncio.Future[None]":
        """Hand a write of a room to the journal; if it is not committed the actor is dropped."""
        committed = self.journal.append(write)
        actor.writes_in_flight += 1
        actor.last_commit = committed

        def settle(done: "asyncio.Future[None]") -> None:
            actor.writes_in_flight -= 1
            if actor.last_commit is done:
                actor.last_commit = None
            failed = done.cancelled() or done.exception() is not None
            if failed:
                self.drop(actor)  # what it holds is not so
            if not actor.writes_in_flight:
                actor.state.trim()

        committed.add_done_callback(settle)
        return committed

    async def settled(self, actor: RoomActor) -> None:
        """Wait until what was handed to the journal for a room so far is committed, or has failed.

        The actor knows it afterwards: whoever asks again and again until nothing is left must not find what
        is done already, since waiting for that lets nobody else run, not even what notes that it is done.
        """
        if actor.last_commit is not None:
            with suppress(Unavailable):
                await asyncio.shield(actor.last_commit)
            await asyncio.sleep(0)

    async def send(
        self, room_id: str, draft: Draft, *, origin: Origin | None = None, decide: Decide | None = None,
        target: Event | None = None,
    ) -> str:  # fmt: skip
        """Send an event to a room and wait until it is durable; returns its ID.

        Raises:
            Forbidden: the room does not allow it, or there is no such room.
            Unavailable: it was not stored; the same command may be given again.
        """
        sent = await self.submit(room_id, draft, origin=origin, decide=decide, target=target)
        try:
            return await sent.durable()
        except WriteRefused as error:
            if origin is not None and error.sqlstate == UNIQUE_VIOLATION:
                # Sent so long ago that it was not at hand; storage knew.
                stored = await self._sent_before.find_stored(origin, origin.key(room_id, draft.type))
                if stored is not None:
                    return stored
            raise

