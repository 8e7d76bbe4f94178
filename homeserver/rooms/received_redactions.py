"""Redactions that come from other servers, whether before or after the event that they redact.

Spec: https://spec.matrix.org/v1.19/rooms/v12/#handling-redactions
"""

from dataclasses import dataclass, field

from homeserver.core.auth.redaction import takes_effect
from homeserver.core.auth.selection import StateKey
from homeserver.core.changes import EventChange
from homeserver.core.content.power_levels import PowerLevels
from homeserver.core.event.pdu import Event
from homeserver.core.identifiers import parse_event_id
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.state_at import StateAt
from storage.state_chain import StateChain
from storage.tables.events import EventFlags, Events, StoredEvent, add_redaction
from storage.tables.graph import Graph, add_released, add_waiting_redaction
from storage.write import Write

__all__ = ["ReceivedRedactions", "RedactionsOfEvent"]

_CREATE: StateKey = ("m.room.create", "")
_POWER_LEVELS: StateKey = ("m.room.power_levels", "")


@dataclass(slots=True)
class RedactionsOfEvent:
    """What an event redacts, or is redacted by.

    Attributes:
        flags: `WITHHELD` for a redaction that clients are not shown, at least for now.
        redacted: events as the redaction leaves them: others, or the event itself.
        waits_for: ID of the event that the redaction is to redact, once that comes.
        event_id: of the event, if redactions have waited for it.
        released: positions of those among them that take effect.
    """

    flags: EventFlags = EventFlags.NONE
    redacted: list[Event] = field(default_factory=list)
    waits_for: str | None = None
    event_id: str | None = None
    released: list[int] = field(default_factory=list)

    def add(self, write: Write, room_nid: int, position: int) -> None:
        """Add the rows to the write of the event, after its own."""
        for redacted in self.redacted:
            assert redacted.redacted_because is not None
            add_redaction(write, redacted, redacted.redacted_because.event_id)
        if self.waits_for is not None:
            add_waiting_redaction(write, room_nid, self.waits_for, position)
        if self.event_id is not None:
            add_released(write, room_nid, self.event_id, self.released)

    def show(self, change: EventChange) -> None:
        """Let readers of the change see what has been redacted."""
        for redacted in self.redacted:
            if redacted.event_id == change.event.event_id:
                change.event = redacted
            else:
                change.redacted = redacted


class ReceivedRedactions:
    """Finds what is redacted.

    Args:
        events: finds the events.
        graph: knows which redactions wait for an event.
        state_at: reads the power levels before a redaction.
    """

    def __init__(self, *, events: Events, graph: Graph, state_at: StateAt) -> None:
        self._events = events
        self._graph = graph
        self._state_at = state_at

    async def of(
        self,
        room: RoomActor,
        event: Event,
        before: StateChain,
        *,
        is_accepted: bool,
        is_news: bool = False,
    ) -> RedactionsOfEvent:
        """Tell what an event redacts, and what has redacted it before it came; nothing has if it is news."""
        found = RedactionsOfEvent()
        if event.redacts is not None and is_accepted:
            await self._find_target(room, event, before, found)
        if not is_news:
            await self._find_waiting(room, event, found)
        return found

    async def _find_target(
        self, room: RoomActor, redaction: Event, before: StateChain, found: RedactionsOfEvent
    ) -> None:
        assert redaction.redacts is not None
        is_withheld = not redaction.rules.authorization.special_case_room_redaction
        target = None
        if _is_event_id(redaction.redacts):
            target = await self._events.by_id(redaction.redacts)
            if target is None:
                found.waits_for = redaction.redacts
        if target is not None and await self._takes_effect(room, redaction, target.event, before):
            is_withheld = False
            if target.event.redacted_because is None:
                found.redacted.append(target.event.redacted_by(redaction))
        if is_withheld:
            found.flags |= EventFlags.WITHHELD

    async def _find_waiting(self, room: RoomActor, event: Event, found: RedactionsOfEvent) -> None:
        waiting = await self._graph.waiting_redactions(room.room_nid, event.event_id)
        if not waiting:
            return
        found.event_id = event.event_id
        stored = await self._events.by_ids(waiting)
        for event_id in waiting:
            redaction = stored[event_id]
            if await self._has_effect(room, redaction, event):
                found.released.append(redaction.position)
                if len(found.released) == 1:
                    found.redacted.append(event.redacted_by(redaction.event))

    async def _has_effect(self, room: RoomActor, redaction: StoredEvent, target: Event) -> bool:
        assert redaction.state_group is not None, "what waits has its place"
        before = await self._state_at.groups.chain(room.room_nid, redaction.state_group)
        return await self._takes_effect(room, redaction.event, target, before)

    async def _takes_effect(
        self, room: RoomActor, redaction: Event, target: Event, before: StateChain
    ) -> bool:
        state = await self._state_at.select(room.room_nid, before, (_CREATE, _POWER_LEVELS))
        levels = PowerLevels.of(state.get(_POWER_LEVELS), room.create, room.rules)
        return takes_effect(redaction, target, levels)


def _is_event_id(text: str) -> bool:
    try:
        parse_event_id(text)
    except ValueError:
        return False
    return True
