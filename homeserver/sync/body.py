"""The body of a sync as it is put together: bytes of finished rooms, joined at the end."""

from collections.abc import Iterable, Sequence

import orjson

from homeserver.core.event.pdu import Event
from homeserver.core.filters import Filter, select_fields
from homeserver.core.positions import SyncToken, pagination_token
from homeserver.sync.request import Window
from homeserver.sync.sight import Sight
from homeserver.sync.timeline import Timeline
from homeserver.sync.timeline_event import TimelineEvent, event_json

__all__ = ["Body", "room_part"]


class Body:
    """The sections of a sync; each room is `"!id":{…}`, encoded.

    Attributes:
        joined, invited, knocked, left: rooms of each section.
    """

    __slots__ = ("invited", "joined", "knocked", "left")

    def __init__(self) -> None:
        self.joined: list[bytes] = []
        self.invited: list[bytes] = []
        self.knocked: list[bytes] = []
        self.left: list[bytes] = []

    @property
    def is_empty(self) -> bool:
        """There is nothing to tell."""
        return not (self.joined or self.invited or self.knocked or self.left)

    def encode(self, next_batch: SyncToken) -> bytes:
        """The JSON of the whole."""
        token = next_batch.encode().encode()
        if self.joined and not (self.invited or self.knocked or self.left):
            return b'{"next_batch":"%b","rooms":{"join":{%b}}}' % (token, b",".join(self.joined))
        sections = [
            b'"%b":{%b}' % (name, b",".join(rooms))
            for name, rooms in (
                (b"join", self.joined),
                (b"invite", self.invited),
                (b"knock", self.knocked),
                (b"leave", self.left),
            )
            if rooms
        ]
        if not sections:
            return b'{"next_batch":"%b"}' % token
        return b'{"next_batch":"%b","rooms":{%b}}' % (token, b",".join(sections))


def room_part(
    window: Window,
    room_id: str,
    timeline: Timeline,
    state: Iterable[Event],
    *,
    summary: bytes | None = None,
    sight: Sight | None = None,
) -> bytes:
    """A joined or left room: its state, its timeline, its summary if there is one to tell.

    Without a sight, the reader was in the room at every event of the timeline.
    """
    return b'%b:{%b"%b":{"events":[%b]},"timeline":{"events":[%b],"limited":%b,"prev_batch":"%b"}}' % (
        orjson.dumps(room_id),
        b"" if summary is None else b'"summary":%b,' % summary,
        b"state_after" if window.request.use_state_after else b"state",
        b",".join(_state_events(window.request.filter, state)),
        b",".join(_timeline_events(window, timeline.events, sight)),
        b"true" if timeline.limited else b"false",
        pagination_token(timeline.start).encode(),
    )


def _timeline_events(window: Window, events: Iterable[TimelineEvent], sight: Sight | None) -> list[bytes]:
    wanted = window.request.filter
    if wanted.event_format == "federation":
        return [shown.event.canonical for shown in events]
    now_ms, session_id = window.now_ms, window.request.requester.session_id
    if sight is None:
        told = [shown.json(now_ms, session_id) for shown in events]
    else:
        told = [shown.json(now_ms, session_id, sight.membership(shown.position)) for shown in events]
    return told if wanted.event_fields is None else _selected(told, wanted.event_fields)


def _state_events(wanted: Filter, events: Iterable[Event]) -> list[bytes]:
    if wanted.event_format == "federation":
        return [event.canonical for event in events]
    told = [event_json(event) for event in events]
    return told if wanted.event_fields is None else _selected(told, wanted.event_fields)


def _selected(events: Iterable[bytes], fields: Sequence[str]) -> list[bytes]:
    return [orjson.dumps(select_fields(orjson.loads(event), fields)) for event in events]
