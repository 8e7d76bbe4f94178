"""The rooms that the user is in: `rooms.join`."""

from homeserver.runtime.together import ASKS_MAX, AT_ONCE_MAX, side_by_side
from homeserver.sync.body import Body, room_part
from homeserver.sync.members import RoomMembers
from homeserver.sync.request import Window
from homeserver.sync.room_state import MEMBER, RoomStates
from homeserver.sync.sight import Sights
from homeserver.sync.spans import Section, Span
from homeserver.sync.timeline import Timeline, Timelines

__all__ = ["JoinedRooms"]

EVENTS_AT_ONCE = 2_500
"""Of timelines: as many rooms are looked at side by side, within bounds."""


class JoinedRooms:
    """Tells of events, state and members of joined rooms."""

    def __init__(
        self, *, timelines: Timelines, states: RoomStates, members: RoomMembers, sights: Sights
    ) -> None:
        self._timelines = timelines
        self._states = states
        self._members = members
        self._sights = sights

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:
        """Every joined room whole."""
        joined = [span for span in spans if span.section is Section.JOIN]
        parts = await side_by_side(
            (self._whole(window, span, body) for span in joined), at_once_max=_at_once(window)
        )
        body.joined.update(zip([span.room_id for span in joined], parts, strict=True))

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:
        """What is new in joined rooms; rooms that were joined since, whole."""
        joined = [span for span in spans if span.section is Section.JOIN]
        parts = await side_by_side(
            (self._new(window, span, body) for span in joined), at_once_max=_at_once(window)
        )
        for span, part in zip(joined, parts, strict=True):
            if part is not None:
                body.joined[span.room_id] = part

    async def _new(self, window: Window, span: Span, body: Body) -> bytes | None:
        if span.anew or window.request.full_state:
            return await self._whole(window, span, body)
        timeline = await self._timelines.read(window, span.room_id, window.since)
        if timeline.events or timeline.limited or timeline.passed_over or timeline.resets:
            return await self._changed(window, span.room_id, timeline, body)
        return None

    async def _whole(self, window: Window, span: Span, body: Body) -> bytes:
        room_id = span.room_id
        # In a room that is new to the client there is no timeline to go on with.
        since = None if span.anew else window.since
        timeline = await self._timelines.read(window, room_id, since)
        sight = None
        if since is None and any(shown.position < span.position for shown in timeline.events):
            # Some of it is from before the user's last member event: may the user see that?
            sight = await self._sights.of(room_id, window.user.user_id)
            if not all(sight.sees(shown.position) for shown in timeline.events):
                timeline = await self._timelines.read(window, room_id, since, sees=sight.sees)
            timeline.events = await self._timelines.without_erased(timeline.events, sight)
        if span.anew and window.since is not None:
            timeline.limited = True  # the client may hold an older piece, which this one does not follow
        body.told[room_id] = timeline.events
        summary = await self._members.summary(room_id, window.user.user_id)
        known_since = window.since if span.is_back or not span.anew else None
        state = await self._states.complete(
            window, room_id, timeline, summary.heroes,
            everyone=self._members.everyone(room_id), since=known_since,
        )  # fmt: skip
        return room_part(window, timeline, state, summary=summary.json(), sight=sight)

    async def _changed(self, window: Window, room_id: str, timeline: Timeline, body: Body) -> bytes | None:
        request = window.request
        wanted = request.filter.room.state
        if (
            timeline.limited
            or timeline.passed_over
            or timeline.resets
            or request.use_state_after
            or wanted.lazy_load_members
        ):
            changes = await self._states.changes(window, room_id, timeline)
            speakers = await self._states.speakers(window, room_id, timeline, changes)
            state = self._states.told(window, room_id, [*changes, *speakers])
        else:
            changes, speakers, state = [], [], []  # the live case: all that changed is in the timeline
        if timeline.bundles or (wanted.lazy_load_members and (changes or wanted.include_redundant_members)):
            body.is_shared = False  # what is bundled, and who is known, depends on the reader
        elif wanted.lazy_load_members:
            introduced = {event.state_key or "" for event in speakers}
            senders = {shown.event.sender for shown in timeline.events} - introduced
            body.introduced += [(room_id, user_id) for user_id in introduced]
            body.senders += [(room_id, sender) for sender in senders]
        summary = None
        # A member who is told because they speak is no change of members.
        if MEMBER in [shown.event.type for shown in timeline.events] or MEMBER in [e.type for e in changes]:
            now = await self._members.summary(room_id, window.user.user_id)
            if wanted.lazy_load_members:
                heroes = await self._states.heroes(window, room_id, timeline, now.heroes, state)
                state = [*state, *heroes]
            summary = now.json()
            body.is_shared = False
        if not (timeline.events or timeline.limited or state):
            return None  # the filters let nothing through
        body.told[room_id] = timeline.events
        return room_part(window, timeline, state, summary=summary)


def _at_once(window: Window) -> int:
    return max(AT_ONCE_MAX, min(ASKS_MAX, EVENTS_AT_ONCE // (window.request.timeline_limit + 1)))
