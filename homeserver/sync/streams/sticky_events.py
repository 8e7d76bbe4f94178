"""The events that everybody in a room is told of for a while: `rooms.join.….msc4354_sticky`.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4354
"""

from homeserver.core.filters import room_passes
from homeserver.core.positions import SyncToken
from homeserver.sync.body import Body, selected
from homeserver.sync.request import Window
from homeserver.sync.spans import Section, Span
from homeserver.sync.sticky_events import STICKY_EVENTS_MAX, StickyEvents, StickyLook
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["tell_sticky_events"]


async def tell_sticky_events(
    source: StickyEvents, window: Window, spans: list[Span], body: Body, next_batch: SyncToken
) -> SyncToken:
    """Tell what is sticky and not in a timeline of the body; returns where that leaves the client.

    Args:
        source: of sticky events.
        window: what the answer is about.
        spans: the rooms with news.
        body: takes the events.
        next_batch: where the client is after all else.
    """
    since = window.since
    fresh = [span.room_id for span in spans if span.section is Section.JOIN and (span.anew or since is None)]
    if since is not None and since.sticky_after is not None:
        # Some of what is due is of rooms in which nothing has happened since.
        rooms = [
            room_id
            for room_id, room in window.user.rooms.items()
            if room.membership == "join" and room_passes(window.request.filter.room, room_id)
        ]
    else:
        rooms = [span.room_id for span in spans if span.section is Section.JOIN]
    new = set(fresh)
    part = await source.tell(
        StickyLook(
            window.request.requester, window.user, since, window.now, window.now_ms, STICKY_EVENTS_MAX,
            fresh, [room_id for room_id in rooms if room_id not in new],
            lambda: {shown.event.event_id for events in body.told.values() for shown in events},
        )
    )  # fmt: skip
    for room_id, events in part.rooms.items():
        body.add(
            body.joined, room_id, b'"msc4354_sticky":{"events":[%b]}' % b",".join(_encoded(window, events))
        )
        body.is_shared = False
    return next_batch if part.told_until is None else next_batch.with_sticky_after(part.told_until)


def _encoded(window: Window, events: list[TimelineEvent]) -> list[bytes]:
    wanted = window.request.filter
    if wanted.event_format == "federation":
        return [shown.event.canonical for shown in events]
    now_ms, session_id = window.now_ms, window.request.requester.session_id
    told = [shown.sticky_json(now_ms, session_id) for shown in events]
    return told if wanted.event_fields is None else selected(told, wanted.event_fields)
