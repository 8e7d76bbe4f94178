"""The rooms that the user left or was banned from: `rooms.leave`; each once, up to the leaving."""

from homeserver.core.event.pdu import Event
from homeserver.core.filters import event_passes, room_passes
from homeserver.runtime.together import side_by_side
from homeserver.sync.body import Body, room_part
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.room_state import MEMBER, RoomStates
from homeserver.sync.sight import Sights
from homeserver.sync.spans import Section, Span
from homeserver.sync.timeline import Timeline, Timelines
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["LeftRooms"]


class LeftRooms:
    """Tells of rooms up to the user's going."""

    def __init__(
        self, *, reads: SyncReads, timelines: Timelines, states: RoomStates, sights: Sights
    ) -> None:
        self._reads = reads
        self._timelines = timelines
        self._states = states
        self._sights = sights

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:
        """Every room that was left, if the filter asks for them."""
        left = [span for span in spans if span.section is Section.LEAVE]
        parts = await side_by_side(self._left(window, span) for span in left)
        body.left.update(zip([span.room_id for span in left], parts, strict=True))

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:
        """The rooms that were left since."""
        await self.complete(window, spans, body)

    async def _left(self, window: Window, span: Span) -> bytes:
        room_id = span.room_id
        since = None if span.anew else window.since
        sight = await self._sights.of(room_id, window.user.user_id)
        went = sight.went(span.position)
        if went is None or not span.was_joined:
            # An invite that was turned down, or a ban of someone outside: the member event alone.
            timeline = await self._timelines.read(
                window, room_id, since, until=span.position, sees=sight.sees
            )
            shown = [shown for shown in timeline.events if shown.position == span.position]
            if not shown:  # of a room that is not here: in no timeline
                shown = await self._last(window, span)
            timeline = Timeline(
                shown, limited=False, start=span.position - 1, end=span.position, passed_over=[]
            )
            state = [shown.event for shown in timeline.events] if window.request.use_state_after else []
            return room_part(window, timeline, state, sight=sight)
        timeline = await self._timelines.read(window, room_id, since, until=went, sees=sight.sees)
        if span.anew:
            if window.since is not None:
                timeline.limited = True
            state = await self._states.complete(window, room_id, timeline)
        else:
            state = await self._states.delta(window, room_id, timeline)
        if went < span.position:
            state = await self._add_last(window, span, timeline, state)
        return room_part(window, timeline, state, sight=sight)

    async def _add_last(
        self, window: Window, span: Span, timeline: Timeline, state: list[Event]
    ) -> list[Event]:
        """Let what is told end with the user's last member event: a ban, or an invite turned down.

        What the room has become between their going and that is not for them to see.
        """
        timeline.events += await self._last(window, span)
        if not window.request.use_state_after:
            return state
        user_id = window.user.user_id
        own = await self._reads.members_at(span.room_id, span.position, [user_id])
        key = (MEMBER, user_id)
        return [*(event for event in state if (event.type, event.state_key) != key), *own]

    async def _last(self, window: Window, span: Span) -> list[TimelineEvent]:
        """The user's last member event, unless the filter of the timeline keeps it out."""
        wanted = window.request.filter.room.timeline
        if not room_passes(wanted, span.room_id):
            return []
        own = await self._reads.members_at(span.room_id, span.position, [window.user.user_id])
        return [
            TimelineEvent(span.position, event)
            for event in own
            if event_passes(wanted, event.type, event.sender, event.content)
        ]
