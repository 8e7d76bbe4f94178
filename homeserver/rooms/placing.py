"""Puts an event of another server into its room's graph: what becomes of its ends and of the current state.

Spec: https://spec.matrix.org/v1.19/server-server-api/#pdus
"""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from homeserver.core.auth.check import authorize
from homeserver.core.auth.selection import StateKey, auth_types_for
from homeserver.core.changes import EventChange
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_verdicts import Accepted, Rejected, SoftFailed
from homeserver.core.positions import POSITION_MAX
from homeserver.rooms.actor import Extremity, RoomActor, StateEntry, Step
from homeserver.rooms.compose import add_rows, add_state_rows
from homeserver.rooms.in_flight import InFlight, NotStoredError, ends_beside
from homeserver.rooms.merging import NEVER_SHOWN
from homeserver.rooms.received_redactions import ReceivedRedactions, RedactionsOfEvent
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.resolution import Overlay, Resolution
from homeserver.rooms.room_state import NotLoadedError
from homeserver.rooms.state_at import StateAt
from storage.state_chain import StateChain
from storage.state_delta import packed_key
from storage.tables.events import EventFlags, EventNumbers, EventPlace, Events
from storage.tables.graph import Graph, add_backward_extremity, add_found_event
from storage.tables.rooms import add_room_tip
from storage.tables.state_groups import add_state_group
from storage.write import Write

__all__ = ["EXTREMITIES_MAX", "Arrival", "Placing"]

EXTREMITIES_MAX = 20
"""As many predecessors as an event may name, so that one event of ours can join all branches."""

_ATTEMPTS_MAX = 3
_REFUSED_DEEP_MAX = 20
"""How many refused events in a row are looked through for the accepted ones before them."""
_NEVER_AN_END = EventFlags.REJECTED | EventFlags.SOFT_FAILED
_CREATE: StateKey = ("m.room.create", "")
_PROVISIONAL = POSITION_MAX
"""The number of an event that has not got its own yet: above all others, as the next one will be."""
_PROVISIONAL_GROUP = POSITION_MAX - 1


@dataclass(frozen=True, slots=True)
class Arrival:
    """An event that has been checked, apart from the current state.

    Attributes:
        event: the event.
        verdict: what the checks say.
        before: the state before it.
        numbers: of its strings.
        auth_nids: of its auth events.
        outlier_nid: its number, if it was stored as an outlier.
        lacking: IDs of those of its predecessors that have no place here.
        replaces_graph: all ends of the graph give way to it: the room was joined by way of another server.
        is_relayed: the other servers in the room hear of it from us.
        is_news: nothing that is stored has to do with it.
        seen: the room in memory, if it was looked at while some of it was on the way into storage.
    """

    event: Event
    verdict: Accepted | SoftFailed | Rejected
    before: StateChain
    numbers: EventNumbers
    auth_nids: tuple[int, ...]
    outlier_nid: int | None = None
    lacking: tuple[str, ...] = ()
    replaces_graph: bool = False
    is_relayed: bool = False
    is_news: bool = False
    seen: RoomActor | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it is an accepted message that has to do with nothing but its predecessors."""
        event = self.event
        is_odd = event.is_state or event.redacts is not None or event.type in NEVER_SHOWN
        return self.is_news and not is_odd and not self.lacking and isinstance(self.verdict, Accepted)

    @property
    def changes_state(self) -> bool:
        """Whether the state after it is another than the one before it."""
        return self.event.is_state and not isinstance(self.verdict, Rejected)

    def state_change(self, nid: int) -> dict[int, int]:
        """What it changes of the state, once it has a number."""
        assert self.numbers.state_key_nid is not None
        return {packed_key(self.numbers.type_nid, self.numbers.state_key_nid): nid}


@dataclass(slots=True)
class _Plan:
    """What becomes of a room, as long as it stays as it was when this was planned."""

    seen: RoomActor
    seen_extremities: tuple[Extremity, ...]
    seen_chain: StateChain
    verdict: Accepted | SoftFailed | Rejected
    redactions: RedactionsOfEvent
    is_behind: bool
    kept: tuple[Extremity, ...] = ()
    is_end: bool = False
    moves_ends: bool = False
    nearest: StateChain | None = None  # None: the state after the event
    changes: dict[int, int] | None = None
    entries: Sequence[StateEntry] = ()

    @property
    def is_shown(self) -> bool:
        """Whether clients see the event."""
        return isinstance(self.verdict, Accepted) and not self.redactions.flags & EventFlags.WITHHELD


class Placing:
    """Places events.

    Args:
        registry: the rooms.
        state_at: reads states.
        resolution: resolves them.
        events: finds predecessors.
        graph: knows which events others have named.
        redactions: knows what is redacted.
    """

    def __init__(
        self, *, registry: RoomRegistry, state_at: StateAt, resolution: Resolution, events: Events,
        graph: Graph, redactions: ReceivedRedactions,
    ) -> None:  # fmt: skip
        self.registry = registry
        self._state_at = state_at
        self._resolution = resolution
        self._events = events
        self.graph = graph
        self._redactions = redactions

    async def place(
        self, arrival: Arrival, in_flight: InFlight | None = None
    ) -> Accepted | SoftFailed | Rejected:
        """Place an event, by the state of the room as it is at that moment; returns the last word on it.

        Args:
            arrival: the event.
            in_flight: takes the commit of an event that simply follows the last one; others are in storage
                on return.

        Raises:
            NotFound: there is no such room here.
            NotStoredError: the room is not as it was when the event was checked: it is to be checked again.
            Unavailable: it was not stored; the same may be tried again.
        """
        if in_flight is not None:
            committed = await self._place_at_once(arrival)
            if committed is not None:
                in_flight.commits.append(committed)
                return arrival.verdict
            in_flight.be_surprised()
        attempts = 0
        while True:
            room = await self.registry.actor(arrival.event.room_id)
            if arrival.seen is not None and arrival.seen is not room:
                raise NotStoredError
            with self._held(room, is_needed=attempts >= _ATTEMPTS_MAX):
                while room.last_commit is not None:  # our users may have gone on meanwhile
                    await self.registry.settled(room)
                if not self.registry.is_in_use(room):
                    continue  # what our users sent was not stored, so the room is not as it says
                try:
                    plan = await self._plan(room, arrival)
                    committed = self._carry_out(plan, arrival)
                except NotLoadedError as error:
                    await self.registry.loading.load_state(room, error.keys)
                    continue
            attempts += 1
            if committed is not None:
                await asyncio.shield(committed)
                return plan.verdict

    async def _place_at_once(self, arrival: Arrival) -> "asyncio.Future[None] | None":
        """Place a message at the ends of the graph, as one of ours is; None if it is not so simple."""
        room = await self.registry.actor(arrival.event.room_id)
        if not arrival.is_plain or room.gate is not None or arrival.seen not in {None, room}:
            return None
        others = ends_beside(room, arrival.event, arrival.before.group)
        if others is None or len(others) >= EXTREMITIES_MAX:
            return None
        try:
            verdict = _by_current_state(room, arrival)
        except NotLoadedError:
            return None
        if not isinstance(verdict, Accepted):
            return None
        plan = _Plan(
            room, room.extremities, room.chain, verdict, RedactionsOfEvent(), is_behind=False, kept=others,
            is_end=True, moves_ends=True, nearest=room.chain,
        )  # fmt: skip
        return self._carry_out(plan, arrival)

    @contextmanager
    def _held(self, room: RoomActor, *, is_needed: bool) -> Iterator[None]:
        """Let our own users' events wait, if there are so many that a plan is out of date again and again."""
        if not is_needed:
            yield
            return
        gate = room.gate = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            gate.set_result(None)
            if room.gate is gate:  # else another event needs it as well: we come in again while others send
                room.gate = None

    async def _plan(self, room: RoomActor, arrival: Arrival) -> _Plan:
        event, extremities, chain = arrival.event, room.extremities, room.chain
        self._state_at.groups.remember(room.room_nid, room.chain)
        is_believed = await self._is_believed(room, chain, arrival)
        verdict = Accepted(event) if is_believed else _by_current_state(room, arrival)
        plan = _Plan(
            room, extremities, chain, verdict,
            await self._redactions.of(
                room, event, arrival.before, is_accepted=isinstance(verdict, Accepted),
                is_news=arrival.is_news,
            ),
            is_believed
            or (not arrival.is_news and await self.graph.is_named(room.room_nid, event.event_id)),
        )  # fmt: skip
        if event.type in NEVER_SHOWN and not event.is_state:
            plan.redactions.flags |= EventFlags.WITHHELD
        if not isinstance(verdict, Accepted):
            return plan
        others: list[Extremity] = []
        if not arrival.replaces_graph:
            behind = await self._behind(event, extremities)
            others = [one for one in extremities if one.event.event_id not in behind]
            others.sort(key=lambda one: one.event.depth)
        if not plan.is_behind:
            plan.is_end = plan.moves_ends = True
            plan.kept = tuple(others[-(EXTREMITIES_MAX - 1) :])
        elif others and len(others) < len(extremities):
            # What it follows came before it, and so was an end for a while.
            plan.moves_ends = True
            plan.kept = tuple(others)
        else:
            return plan
        nid = _PROVISIONAL if arrival.outlier_nid is None else arrival.outlier_nid
        after = arrival.before
        if arrival.changes_state:
            after = after.after(_PROVISIONAL, after.plan(arrival.state_change(nid)))
        await self._plan_current_state(plan, arrival, after, nid)
        return plan

    async def _is_believed(self, room: RoomActor, chain: StateChain, arrival: Arrival) -> bool:
        """Say whether the current state rests on an event already, which was an outlier until it came.

        So it is before the ends of the graph, and nobody asks whether it would be allowed now.
        """
        nid = arrival.outlier_nid
        if nid is None or isinstance(arrival.verdict, Rejected):
            return False
        return await self._resolution.is_behind(room.room_nid, chain, nid)

    async def _behind(self, event: Event, extremities: tuple[Extremity, ...]) -> set[str]:
        """List an event's predecessors, and those that it has by way of events that are never ends."""
        behind = set(event.prev_events)
        if behind <= {one.event.event_id for one in extremities}:
            return behind
        level = behind
        for _ in range(_REFUSED_DEEP_MAX):
            stored = await self._events.by_ids(level)
            refused = [one for one in stored.values() if one.flags & _NEVER_AN_END]
            level = {event_id for one in refused for event_id in one.event.prev_events} - behind
            if not level:
                break
            behind |= level
        return behind

    async def _plan_current_state(self, plan: _Plan, arrival: Arrival, after: StateChain, nid: int) -> None:
        room = plan.seen
        current = after
        if plan.kept:
            create = room.create
            assert create is not None
            ends = await self._state_at.groups.chains(room.room_nid, [one.group for one in plan.kept])
            chains = [*([after] if plan.is_end else []), *ends.values()]
            nearest, changes = await self._resolution.plan(
                room.room_nid, create, chains, Overlay(nid, arrival.event, arrival.auth_nids)
            )
            plan.nearest, plan.changes = None if nearest is after else nearest, changes
            current = nearest.after(_PROVISIONAL_GROUP, nearest.plan(changes)) if changes else nearest
        plan.entries = await self._state_at.entries(
            room.room_nid, plan.seen_chain, current, {nid: arrival.event}
        )
        room.state.select([entry.key for entry in plan.entries])

    def _carry_out(self, plan: _Plan, arrival: Arrival) -> "asyncio.Future[None] | None":
        """Write what is planned, in one step of the loop; None if the room is not as it was any more."""
        room, event, registry = plan.seen, arrival.event, self.registry
        if not registry.is_in_use(room) or room.extremities is not plan.seen_extremities:
            return None
        write = Write(order_key=room.room_id)
        # Who came in by another server is told the room as it was before that.
        before = registry.journal.next_position() if arrival.replaces_graph else None
        position = registry.journal.next_position()
        nid = position if arrival.outlier_nid is None else arrival.outlier_nid
        after = arrival.before
        if arrival.changes_state:
            planned = after.plan(arrival.state_change(nid))
            after = after.after(position, planned)
            if not planned.is_step or nid != position:
                add_state_group(write, room.room_nid, position, planned)
        self._add_event(write, plan, arrival, position)
        chain, extremities = room.chain, room.extremities
        if plan.moves_ends:
            chain = self._current_chain(write, plan, after, nid)
            extremities = plan.kept
        if plan.is_end:
            extremities = (*extremities, Extremity(event, after.group))
        add_room_tip(
            write, room.room_nid, extremities=[one.event.event_id for one in extremities],
            depth=max(one.event.depth for one in extremities), last_position=position,
            state_group=chain.group,
        )  # fmt: skip
        entries = [replace(one, nid=nid) if one.event is event else one for one in plan.entries]
        change = EventChange(position, event.room_id, event, state_group=arrival.before.group)
        add_state_rows(
            write, room, change, entries, server_name=registry.composer.server_name, before=before
        )
        change.is_arrival = arrival.replaces_graph
        change.is_forked = arrival.before.group != room.chain.group
        change.is_withheld = not plan.is_shown
        change.is_relayed = arrival.is_relayed and isinstance(plan.verdict, Accepted)
        if plan.is_shown:
            plan.redactions.show(change)
        if plan.is_shown or entries:  # what it changes of the state is told even if it is not shown
            write.changes.append(change)
        committed = registry.append(room, write)
        room.advance(Step(event, position, chain, entries, extremities))
        for redacted in plan.redactions.redacted:
            room.state.redact(redacted)
        return committed

    def _add_event(self, write: Write, plan: _Plan, arrival: Arrival, position: int) -> None:
        """Add the rows of the event itself, and of the edges that it has in the graph."""
        room, event = plan.seen, arrival.event
        flags = plan.redactions.flags
        if isinstance(plan.verdict, Rejected):
            flags |= EventFlags.REJECTED
        elif isinstance(plan.verdict, SoftFailed):
            flags |= EventFlags.SOFT_FAILED
        if arrival.is_relayed and isinstance(plan.verdict, Accepted):
            flags |= EventFlags.RELAYED
        if arrival.before.group != room.chain.group:
            flags |= EventFlags.BRANCHED
        place = EventPlace(
            position, arrival.before.group, arrival.auth_nids, flags, retention_class=room.retention_class
        )
        add_rows(write, room, event, arrival.numbers, place, outlier_nid=arrival.outlier_nid)
        plan.redactions.add(write, room.room_nid, position)
        if not isinstance(plan.verdict, Rejected):
            for event_id in arrival.lacking:
                add_backward_extremity(write, room.room_nid, event_id, position)
        if plan.is_behind:
            add_found_event(write, room.room_nid, event.event_id)

    def _current_chain(self, write: Write, plan: _Plan, after: StateChain, nid: int) -> StateChain:
        base = after if plan.nearest is None else plan.nearest
        if not plan.changes:
            return base
        changes = {key: nid if one == _PROVISIONAL else one for key, one in plan.changes.items()}
        planned = base.plan(changes)
        group = self.registry.journal.next_position()
        add_state_group(write, plan.seen.room_nid, group, planned)
        return base.after(group, planned)


def _by_current_state(room: RoomActor, arrival: Arrival) -> Accepted | SoftFailed | Rejected:
    """Check an event against the current state.

    Raises:
        NotLoadedError: it takes state that is not at hand.
    """
    event, verdict = arrival.event, arrival.verdict
    if isinstance(verdict, Rejected) or arrival.replaces_graph:
        return verdict
    keys = auth_types_for(event.rules, event.type, event.sender, event.state_key, event.content)
    denied = authorize(event, room.state.select((_CREATE, *keys)))
    return verdict if denied is None else SoftFailed(event, f"By the current state: {denied.reason}")
