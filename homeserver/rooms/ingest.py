"""Takes in what other servers send: every check in order, then a place in the graph.

Spec: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.content.server_acl import ServerAcl
from homeserver.core.errors import Forbidden, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_checks import (
    CheckNeed,
    NeedAuthEvents,
    NeedCurrentState,
    NeedPolicy,
    NeedSignatures,
    NeedStateBefore,
    check_received_pdu,
)
from homeserver.core.pdu_verdicts import Accepted, Dropped, Rejected, SoftFailed, Verdict
from homeserver.core.signing import event_id_of
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import intern
from homeserver.rooms.gaps import Gaps, in_time
from homeserver.rooms.in_flight import InFlight, NotStoredError
from homeserver.rooms.merging import Merging
from homeserver.rooms.outliers import in_order, named
from homeserver.rooms.placing import Arrival, Placing
from homeserver.rooms.ports import PolicyServers, RemoteServers, Signatures
from homeserver.rooms.resolution import Resolution
from storage.state_chain import StateChain
from storage.tables.events import EventFlags, Events, StoredEvent

__all__ = ["MISSING_EVENTS_MAX", "Ingest", "Postponed"]

MISSING_EVENTS_MAX = 50
"""Asked for at once between what we have and an event that came."""

FETCHES_DEEP_MAX = 10
"""One after the other, each from where the last one ended, before a gap is bridged."""

QUESTIONS_MAX = 100
"""Asked on behalf of what a server has sent at once: each answer may give rise to twenty more."""

_CREATE: StateKey = ("m.room.create", "")


@dataclass(frozen=True, slots=True)
class Postponed:
    """It cannot be placed, since nobody tells what was before it or allowed it; it may come again.

    Attributes:
        reason: a sentence.
    """

    reason: str


class _Questions:
    """What other servers may still be asked on behalf of what one of them has sent at once."""

    def __init__(self) -> None:
        self._left = QUESTIONS_MAX

    def ask(self) -> None:
        """Count a question.

        Raises:
            _PastUnknownError: it is one too many.
        """
        if not self._left:
            raise _PastUnknownError("Its past is too tangled to be asked for at once.")
        self._left -= 1


@dataclass(frozen=True, slots=True)
class _Chase:
    """How the past of events is asked for.

    Attributes:
        questions: all that may be asked.
        in_flight: what is placed and not yet known to be in storage.
        fetches_deep: how often what came had to be asked for before this.
    """

    questions: _Questions
    in_flight: InFlight
    fetches_deep: int = 0


@dataclass(slots=True)
class _Receipt:
    """An event that is being checked."""

    server: str
    room: RoomActor
    chase: _Chase
    is_relayed: bool = False
    is_news: bool = False
    seen: RoomActor | None = None
    before: StateChain | None = None
    lacking: tuple[str, ...] = ()

    def be_surprised(self) -> None:
        """Take nothing for news any more: what is going to be asked for may have to do with it."""
        self.is_news = False
        self.chase.in_flight.be_surprised()


class Ingest:
    """Receives PDUs, those of one room one after the other.

    Args:
        placing: puts events into them.
        merging: joins their branches.
        gaps: asks for what is before them.
        resolution: resolves states.
        events: what is stored.
        remote: other servers.
        signatures: verifies events.
        policy: asks policy servers.
    """

    def __init__(
        self, *, placing: Placing, merging: Merging, gaps: Gaps, resolution: Resolution, events: Events,
        remote: RemoteServers, signatures: Signatures, policy: PolicyServers,
    ) -> None:  # fmt: skip
        self._registry = placing.registry
        self._graph = placing.graph
        self._placing = placing
        self._merging = merging
        self._gaps = gaps
        self._resolution = resolution
        self._events = events
        self._remote = remote
        self._signatures = signatures
        self._policy = policy
        self._rooms: dict[str, asyncio.Lock] = {}

    async def receive(
        self, server: str, room_id: str, pdus: Iterable[Any]
    ) -> dict[str, Verdict | Postponed | None]:
        """Take in PDUs of one room that a server has sent.

        Returns:
            What has come of each, by event ID; None for those that were here already. What has no event ID is
            left out.

        Raises:
            Forbidden: the room's access control list keeps the server out.
            NotFound: there is no such room here.
            Unavailable: they could not be stored; the same may be tried again.
        """
        async with self._one_at_a_time(room_id):
            room = await self._registry.actor(room_id)
            if not ServerAcl.of(room.state.get(("m.room.server_acl", ""))).allows(server):
                raise Forbidden("The access control list of the room keeps your server out.")
            fresh, chase = named(pdus, room.rules), _Chase(_Questions(), InFlight())
            outcomes = await self._receive_all(server, room, fresh, chase)
            await chase.in_flight.land()
            await self._merging.merge(room_id)
            return outcomes

    async def _receive_all(
        self, server: str, room: RoomActor, pdus: Mapping[str, Any], chase: _Chase
    ) -> dict[str, Verdict | Postponed | None]:
        """Take in events by their IDs, each after those that it follows."""
        in_flight = chase.in_flight
        in_flight.be_surprised()
        outcomes: dict[str, Verdict | Postponed | None] = {}
        for event_id in in_order(pdus, "prev_events", room.rules):
            if in_flight.is_surprised:
                await self._look_ahead(room, in_flight, pdus.keys() - outcomes.keys())
            outcomes[event_id] = await self._receive(server, room.room_id, event_id, pdus[event_id], chase)
        in_flight.be_surprised()
        return outcomes

    async def _look_ahead(self, room: RoomActor, in_flight: InFlight, event_ids: Collection[str]) -> None:
        """Find out in one go which of the events that are to come are news."""
        await self._registry.settled(await self._registry.actor(room.room_id))
        in_flight.news = set(event_ids) - await self._graph.expected(room.room_nid, event_ids)
        in_flight.is_surprised = False

    async def admit(self, server: str, room_id: str, pdu: Any) -> Verdict | Postponed | None:
        """Take in the event by which a user of another server comes into a room through us, or leaves it.

        It is ours to tell all other servers in the room of it.

        Returns:
            What has come of it; None if it was here already.

        Raises:
            NotFound: there is no such room here.
            Unavailable: it could not be stored; the same may be tried again.
            ValueError: it has no event ID.
        """
        async with self._one_at_a_time(room_id):
            room = await self._registry.actor(room_id)
            event_id = event_id_of(pdu, room.rules)
            chase = _Chase(_Questions(), InFlight())
            outcome = await self._receive(server, room_id, event_id, pdu, chase, is_relayed=True)
            await chase.in_flight.land()
            return outcome

    @asynccontextmanager
    async def _one_at_a_time(self, room_id: str) -> AsyncIterator[None]:
        lock = self._rooms.setdefault(room_id, asyncio.Lock())
        try:
            async with lock:
                yield
        finally:
            # Whoever waits for it holds it as soon as it is free, so it is forgotten by the last one.
            if not lock.locked() and self._rooms.get(room_id) is lock:
                del self._rooms[room_id]

    async def _receive(
        self, server: str, room_id: str, event_id: str, pdu: Any, chase: _Chase, *,
        is_relayed: bool = False,
    ) -> Verdict | Postponed | None:  # fmt: skip
        room = await self._registry.actor(room_id)
        is_news = event_id in chase.in_flight.news
        if is_news:
            chase.in_flight.news.discard(event_id)  # it may come again
        else:
            await self._registry.settled(room)
            is_news = not await self._graph.expected(room.room_nid, (event_id,))
        known = None if is_news else await self._events.by_id(event_id)
        if known is not None and not known.flags & EventFlags.OUTLIER:
            return None
        receipt = _Receipt(server, room, chase, is_relayed, is_news)
        try:
            verdict = await self._check(receipt, pdu)
            if isinstance(verdict, Dropped):
                return verdict
            if known is not None:
                # As it is stored: it may have been redacted meanwhile, and must not be told as it was.
                verdict = replace(verdict, event=known.event)
                if known.flags & EventFlags.REJECTED:
                    verdict = Rejected(known.event, "It was rejected before its place was known.")
            return await self._placing.place(await self._arrival(receipt, verdict, known), chase.in_flight)
        except _PastUnknownError as error:
            return Postponed(str(error))
        except NotStoredError:
            return await self._receive(server, room_id, event_id, pdu, chase, is_relayed=is_relayed)

    async def _arrival(
        self, receipt: _Receipt, verdict: Accepted | SoftFailed | Rejected, known: StoredEvent | None
    ) -> Arrival:
        event, room = verdict.event, receipt.room
        if receipt.before is None:
            receipt.before = await self._state_before(receipt, event)
        (numbers,) = await intern(
            self._registry.interning, [Draft(event.type, event.sender, {}, event.state_key)]
        )
        nids = await self._events.nids_of(room.room_nid, event.auth_events) if event.is_state else {}
        return Arrival(
            event, verdict, receipt.before, numbers,
            auth_nids=tuple([nids[one] for one in event.auth_events if one in nids]),
            outlier_nid=None if known is None else known.position, lacking=receipt.lacking,
            is_relayed=receipt.is_relayed, is_news=receipt.is_news, seen=receipt.seen,
        )  # fmt: skip

    async def _check(self, receipt: _Receipt, pdu: Any) -> Verdict:
        create = receipt.room.create
        assert create is not None, "a stored room has been created"
        checks = check_received_pdu(pdu, receipt.room.rules, create)
        try:
            need = next(checks)
            while True:
                need = checks.send(await self._answer(receipt, need))
        except StopIteration as done:
            verdict: Verdict = done.value
            return verdict

    async def _answer(self, receipt: _Receipt, need: CheckNeed) -> Any:
        room = receipt.room
        match need:
            case NeedSignatures(pdu, signers):
                return await self._signatures.missing_on(pdu, room.rules, signers)
            case NeedAuthEvents(event):
                return await self._auth_events(receipt, event)
            case NeedStateBefore(event, keys):
                receipt.before = await self._state_before(receipt, event)
                current = await self._at_hand(receipt, *keys)
                if receipt.before.group == current.chain.group:
                    return current.state.select(keys)
                return await self._resolution.state_at.select(room.room_nid, receipt.before, keys)
            case NeedCurrentState(_, keys):
                return (await self._registry.actor(room.room_id, *keys)).state.select(keys)
            case NeedPolicy(event):
                return await self._policy.allows(event)

    async def _auth_events(self, receipt: _Receipt, event: Event) -> tuple[dict[str, Event], set[str]]:
        # Nearly always they are what the room has now.
        found = await self._current_state(receipt, event)
        asked = set(event.auth_events) - found.keys()
        stored = await self._stored(receipt, asked)
        if len(stored) < len(asked):
            receipt.be_surprised()
            receipt.chase.questions.ask()
            await self._gaps.fetch_auth_events(receipt.server, receipt.room, event)
            stored = await self._stored(receipt, asked)
        missing = asked - stored.keys()
        if missing:  # somebody may have them, so the event is not rejected for that
            raise _PastUnknownError(f"Nobody tells of its auth events {', '.join(sorted(missing))}.")
        rejected = {event_id for event_id, one in stored.items() if one.flags & EventFlags.REJECTED}
        return found | {event_id: one.event for event_id, one in stored.items()}, rejected

    async def _current_state(self, receipt: _Receipt, event: Event) -> dict[str, Event]:
        """Tell those auth events of an event that are in the current state, by their IDs."""
        keys = auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content)
        room = await self._at_hand(receipt, *keys)
        state = room.state.select((_CREATE, *keys)).values()
        return {one.event_id: one for one in state if one.event_id in event.auth_events}

    async def _at_hand(self, receipt: _Receipt, *keys: StateKey) -> RoomActor:
        """Find the room in memory, which may be ahead of storage: then it must come true what it says."""
        room = await self._registry.actor(receipt.room.room_id, *keys)
        if receipt.seen is None and room.last_commit is not None:
            receipt.seen = room
        return room

    async def _stored(self, receipt: _Receipt, event_ids: Collection[str]) -> dict[str, StoredEvent]:
        """Read events; those that are on the way into storage, too."""
        if event_ids:
            await self._registry.settled(await self._registry.actor(receipt.room.room_id))
        return await self._events.by_ids(event_ids)

    async def _state_before(self, receipt: _Receipt, event: Event) -> StateChain:
        room = receipt.room
        placed = await self._placed(receipt, event)
        is_lacking = len(placed) < len(set(event.prev_events))
        if is_lacking:
            receipt.be_surprised()
        if is_lacking and receipt.chase.fetches_deep < FETCHES_DEEP_MAX:
            await self._fetch_missing(receipt, event)
            placed = await self._placed(receipt, event)
        groups = set(placed.values())
        receipt.lacking = tuple([event_id for event_id in event.prev_events if event_id not in placed])
        for event_id in receipt.lacking:
            receipt.chase.questions.ask()
            try:
                groups.add(await self._gaps.state_after(receipt.server, room, event_id))
            except Unavailable as error:
                raise _PastUnknownError(error.error) from error
        create = room.create
        assert create is not None, "a stored room has been created"
        current = await self._at_hand(receipt)
        if groups == {current.chain.group}:
            return current.chain
        return await self._resolution.resolve(room.room_nid, create, groups) if groups else StateChain()

    async def _placed(self, receipt: _Receipt, event: Event) -> dict[str, int]:
        """Tell the states after those predecessors of an event that have a place here."""
        room = await self._at_hand(receipt)
        ends = {one.event.event_id: one.group for one in room.extremities}
        if set(event.prev_events) <= ends.keys():
            return {event_id: ends[event_id] for event_id in event.prev_events}
        stored = await self._stored(receipt, event.prev_events)
        return {
            event_id: one.group_after
            for event_id, one in stored.items()
            if one.group_after is not None and one.room_nid == room.room_nid
        }

    async def _fetch_missing(self, receipt: _Receipt, event: Event) -> None:
        """Ask for the events between what we have and one that came, and take them in first."""
        room, chase = receipt.room, receipt.chase
        chase.questions.ask()
        pdus: dict[str, Any] = {}
        with suppress(Unavailable):
            found = await in_time(
                self._remote.missing_events(
                    receipt.server, room.room_id, latest=[event.event_id], limit=MISSING_EVENTS_MAX,
                    earliest=[one.event.event_id for one in room.extremities],
                )
            )  # fmt: skip
            pdus = named(found[:MISSING_EVENTS_MAX], room.rules)
        pdus.pop(event.event_id, None)
        deeper = replace(chase, fetches_deep=chase.fetches_deep + 1)
        await self._receive_all(receipt.server, room, pdus, deeper)


class _PastUnknownError(Exception):
    """Nobody tells what allowed an event, or what the state before it was."""
