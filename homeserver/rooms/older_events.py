"""Puts events that are older than all that a room has here before them.

They are checked like others that come, except against the current state, which is long after them. They take
places below zero that descend into the past. Nothing is told of them to those who sync: whoever reads back as
far as that finds them.

Spec: https://spec.matrix.org/v1.19/server-server-api/#backfilling-and-retrieving-missing-events
"""

import asyncio
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.errors import Unavailable
from homeserver.core.event.chronology import chronological, connected
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_checks import NeedAuthEvents, check_against_auth_events
from homeserver.core.pdu_verdicts import Accepted, Rejected
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import intern
from homeserver.rooms.gaps import Gaps, context_of
from homeserver.rooms.merging import NEVER_SHOWN
from homeserver.rooms.outliers import Outliers, named
from homeserver.rooms.received_redactions import ReceivedRedactions
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.resolution import Resolution
from storage.state_chain import StateChain
from storage.state_delta import packed_key
from storage.tables import history_gaps
from storage.tables.events import HIDDEN, EventFlags, EventNumbers, EventPlace, Events, StoredEvent, add_event
from storage.tables.graph import add_backward_extremity, add_found_event, add_moved_event
from storage.tables.queries import Queries
from storage.tables.relations import add_relation
from storage.tables.state_groups import add_state_group
from storage.write import Write

__all__ = ["EVENTS_MAX", "OlderEvents"]

EVENTS_MAX = 500
"""Placed at once, in one transaction unless a branch or a redaction asks for more."""

STATES_ASKED_MAX = 20
"""Of a batch: the states before its oldest events."""

_TAKEN_MAX = 2 * EVENTS_MAX
_CREATE: StateKey = ("m.room.create", "")


@dataclass(slots=True)
class _Batch:
    """Events on their way to their places.

    Attributes:
        server: that told of them.
        room: where they belong.
        numbers: of their strings.
        known: those that are stored, as outliers.
        auth: their auth events, and themselves, as far as they are at hand.
        rejected: the IDs of the rejected among these.
        nids: numbers of state events and of auth events.
        before: the states before the oldest of them.
        after: the states after those that have a place.
        awaited: those that redactions wait for, or come with.
        state: events of states, by number.
        write: what is to be stored next.
        pending: the IDs of the events in it.
        placed: how many have a place now.
    """

    server: str
    room: RoomActor
    numbers: Mapping[str, EventNumbers]
    known: Mapping[str, StoredEvent]
    auth: dict[str, Event]
    rejected: set[str]
    nids: dict[str, int]
    before: Mapping[str, StateChain]
    after: dict[str, StateChain]
    awaited: set[str]
    state: dict[int, Event] = field(default_factory=dict)
    write: Write = field(default_factory=Write)
    pending: set[str] = field(default_factory=set)
    placed: int = 0


class OlderEvents:
    """Checks and places such events.

    Args:
        registry: the rooms.
        gaps: asks for states and auth events.
        outliers: checks the form of events, and numbers state events.
        resolution: resolves states where branches meet.
        events: what is stored.
        redactions: knows what is redacted.
        queries: of places.
    """

    def __init__(
        self, *, registry: RoomRegistry, gaps: Gaps, outliers: Outliers, resolution: Resolution,
        events: Events, redactions: ReceivedRedactions, queries: Queries,
    ) -> None:  # fmt: skip
        self._registry = registry
        self._gaps = gaps
        self._outliers = outliers
        self._resolution = resolution
        self._events = events
        self._redactions = redactions
        self._queries = queries

    async def place(
        self, server: str, room: RoomActor, pdus: Iterable[Any], missing: Mapping[str, int]
    ) -> int:
        """Place what a server told of the past of a room; returns how many events that were.

        Args:
            server: that told it.
            room: where it belongs.
            pdus: unchecked; what does not lead up to the missing ones is left out.
            missing: the IDs of the events that come just before all that is here, each with the position of
                an event that names it.

        Raises:
            Unavailable: the server does not tell the state before these events; or they were not stored.
        """
        found = named(pdus, room.rules)
        known = await self._events.by_ids(found)
        events = await self._formed(room, found, known)
        # The newest ones: what is left out is asked for the next time.
        ordered = chronological(connected(events, list(missing)))[-EVENTS_MAX:]
        ordered = [event for event in ordered if not _has_place(known.get(event.event_id))]
        if not ordered:
            return 0
        batch = await self._batch(server, room, ordered)
        places = await self._places(room, len(ordered), max(missing.values()))
        for event, position in zip(ordered, reversed(places), strict=True):
            await self._place_one(batch, event, position)
        await self._flush(batch)
        return batch.placed

    async def _formed(
        self, room: RoomActor, pdus: Mapping[str, Any], known: Mapping[str, StoredEvent]
    ) -> list[Event]:
        """Check form and signatures of events; one that is stored is taken as it is."""
        verdicts = await self._outliers.formed(
            room.rules, {event_id: pdu for event_id, pdu in pdus.items() if event_id not in known}
        )
        fresh = [verdict.event for verdict in verdicts.values() if isinstance(verdict, Accepted)]
        stored = [one.event for one in known.values() if one.room_nid == room.room_nid]
        return [event for event in (*stored, *fresh) if event.room_id == room.room_id]

    async def _batch(self, server: str, room: RoomActor, ordered: Sequence[Event]) -> _Batch:
        numbers = await intern(
            self._registry.interning, [Draft(one.type, one.sender, {}, one.state_key) for one in ordered]
        )
        here = {event.event_id: event for event in ordered}
        auth, rejected = await self._auth_events(server, room, here)
        # Numbers of state grow from what allows an event to the event, so it cannot have that of its place.
        await self._outliers.store(context_of(room), [dict(event.pdu) for event in ordered if event.is_state])
        known = await self._events.by_ids(here)
        nids = await self._events.nids_of(room.room_nid, auth)
        stored = await self._events.by_ids(
            {before for event in ordered for before in event.prev_events if before not in here}
        )
        groups = {
            event_id: group for event_id, one in stored.items() if (group := one.group_after) is not None
        }
        chains = await self._resolution.state_at.groups.chains(room.room_nid, groups.values())
        after = {event_id: chains[group] for event_id, group in groups.items()}
        awaited = await history_gaps.waited_for(self._queries, room.room_nid, here)
        awaited.update(event.redacts for event in ordered if event.redacts is not None)
        return _Batch(
            server, room, dict(zip(here, numbers, strict=True)), known, {**auth, **here}, rejected, nids,
            await self._states_before(server, room, ordered, after), after, awaited,
        )  # fmt: skip

    async def _auth_events(
        self, server: str, room: RoomActor, here: Mapping[str, Event]
    ) -> tuple[dict[str, Event], set[str]]:
        wanted = {one for event in here.values() for one in event.auth_events if one not in here}
        stored = await self._events.by_ids(wanted)
        if len(stored) < len(wanted):
            with suppress(Unavailable):  # events that lack theirs are left out
                await self._gaps.fetch(server, context_of(room), wanted - stored.keys())
            stored = await self._events.by_ids(wanted)
        rejected = {event_id for event_id, one in stored.items() if one.flags & EventFlags.REJECTED}
        return {event_id: one.event for event_id, one in stored.items()}, rejected

    async def _states_before(
        self, server: str, room: RoomActor, ordered: Sequence[Event], after: Mapping[str, StateChain]
    ) -> dict[str, StateChain]:
        """Ask for the states before those events that follow what is not here."""
        here = {event.event_id for event in ordered}
        oldest = [
            event.event_id
            for event in ordered
            if any(before not in here and before not in after for before in event.prev_events)
        ]
        if len(oldest) > STATES_ASKED_MAX:
            raise Unavailable(f"{server} tells of a past with more than {STATES_ASKED_MAX} ends.")
        return {event_id: await self._gaps.state_before(server, room, event_id) for event_id in oldest}

    async def _places(self, room: RoomActor, count: int, top: int) -> list[int]:
        """Find free places below the event that names the newest ones, the highest first."""
        top = min(top, 0)
        taken = await history_gaps.taken_below(self._queries, room.room_nid, top, limit=_TAKEN_MAX)
        if len(taken) == _TAKEN_MAX:
            top, taken = await history_gaps.lowest_position(self._queries, room.room_nid), []
        skipped, places, place = set(taken), list[int](), top
        while len(places) < count:
            place -= 1
            if place not in skipped:
                places.append(place)
        return places

    async def _place_one(self, batch: _Batch, event: Event, position: int) -> None:
        verdict = self._by_auth_events(batch, event)
        before = await self._before(batch, event)
        outlier = batch.known.get(event.event_id)
        if verdict is None or before is None or (event.is_state and outlier is None):
            return  # nobody tells what allowed it, or what was before it: it may be told another time
        if isinstance(verdict, Accepted):
            keys = auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content)
            denied = authorize(event, await self._select(batch, before, (_CREATE, *keys)))
            if denied is not None:
                verdict = Rejected(event, f"By the state before it: {denied.reason}")
        if outlier is not None and outlier.flags & EventFlags.REJECTED:
            verdict = Rejected(event, "It was rejected before its place was known.")
        if event.redacts in batch.pending:
            await self._flush(batch)
        await self._add(batch, event, position, before, is_accepted=isinstance(verdict, Accepted))

    def _by_auth_events(self, batch: _Batch, event: Event) -> Accepted | Rejected | None:
        if any(event_id not in batch.auth for event_id in event.auth_events):
            return None
        checks = check_against_auth_events(event, batch.room.create)
        try:
            need = next(checks)
            while True:
                assert isinstance(need, NeedAuthEvents), "it is checked against nothing else"
                found = {event_id: batch.auth[event_id] for event_id in event.auth_events}
                need = checks.send((found, batch.rejected & found.keys()))
        except StopIteration as done:
            verdict: Accepted | Rejected = done.value
            return verdict

    async def _before(self, batch: _Batch, event: Event) -> StateChain | None:
        """Find the state before an event; None if what it follows has no place, and nobody told it."""
        if event.event_id in batch.before:
            return batch.before[event.event_id]
        chains = {
            chain.group: chain
            for event_id in event.prev_events
            if (chain := batch.after.get(event_id)) is not None
        }
        if event.prev_events and any(one not in batch.after for one in event.prev_events):
            return None
        if len(chains) <= 1:
            return next(iter(chains.values()), StateChain())
        await self._flush(batch)
        create = batch.room.create
        assert create is not None, "a stored room has been created"
        return await self._resolution.resolve(batch.room.room_nid, create, chains)

    async def _select(
        self, batch: _Batch, chain: StateChain, keys: Collection[StateKey]
    ) -> dict[StateKey, Event]:
        nids = await self._resolution.state_at.nids(chain, keys)
        lacking = [nid for nid in nids.values() if nid not in batch.state]
        if lacking:
            stored = await self._events.by_nids(batch.room.room_nid, lacking)
            batch.state.update({nid: one.event for nid, one in stored.items()})
        return {key: batch.state[nid] for key, nid in nids.items()}

    async def _add(
        self, batch: _Batch, event: Event, position: int, before: StateChain, *, is_accepted: bool
    ) -> None:
        """Add an event to the next write, and note what the state after it is."""
        room, write, numbers = batch.room, batch.write, batch.numbers[event.event_id]
        redactions = await self._redactions.of(
            room, event, before, is_accepted=is_accepted, is_news=event.event_id not in batch.awaited
        )
        flags = redactions.flags | EventFlags.BRANCHED
        if not is_accepted:
            flags |= EventFlags.REJECTED
            batch.rejected.add(event.event_id)
        elif event.type in NEVER_SHOWN and not event.is_state:
            flags |= EventFlags.WITHHELD
        auth_nids = [batch.nids[one] for one in event.auth_events if one in batch.nids]
        place = EventPlace(position, before.group, auth_nids, flags, retention_class=room.retention_class)
        outlier = batch.known.get(event.event_id)
        nid = position if outlier is None else outlier.position
        if outlier is None:
            add_event(write, event, room.room_nid, numbers, place)
        else:
            add_moved_event(write, event, room.room_nid, nid, place)
        if not flags & HIDDEN:
            add_relation(
                write, event, position=position, room_nid=room.room_nid, sender_nid=numbers.sender_nid,
                type_nid=numbers.type_nid,
            )  # fmt: skip
        redactions.add(write, room.room_nid, position)
        for redacted in redactions.redacted:
            room.state.redact(redacted)
        if is_accepted:
            self._add_edges(batch, event, position)
        add_found_event(write, room.room_nid, event.event_id)
        changes_state = event.is_state and is_accepted
        batch.after[event.event_id] = (
            self._state_after(batch, event, position, before, nid) if changes_state else before
        )
        batch.nids[event.event_id] = nid
        batch.pending.add(event.event_id)

    def _add_edges(self, batch: _Batch, event: Event, position: int) -> None:
        for event_id in event.prev_events:
            if event_id not in batch.after:
                add_backward_extremity(batch.write, batch.room.room_nid, event_id, position)

    def _state_after(
        self, batch: _Batch, event: Event, position: int, before: StateChain, nid: int
    ) -> StateChain:
        """Add to the next write what the state after a state event is, if the event's row does not say it."""
        numbers = batch.numbers[event.event_id]
        assert numbers.state_key_nid is not None
        planned = before.plan({packed_key(numbers.type_nid, numbers.state_key_nid): nid})
        if not planned.is_step or nid != position:
            add_state_group(batch.write, batch.room.room_nid, position, planned)
        batch.state[nid] = event
        return before.after(position, planned)

    async def _flush(self, batch: _Batch) -> None:
        """Store what was placed so far."""
        if not batch.pending:
            return
        write, batch.write = batch.write, Write()
        count = len(batch.pending)
        batch.pending.clear()
        await asyncio.shield(self._registry.journal.append(write))
        batch.placed += count


def _has_place(stored: StoredEvent | None) -> bool:
    return stored is not None and not stored.flags & EventFlags.OUTLIER
