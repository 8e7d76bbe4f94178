"""The body of a sync as it is put together: bytes of finished rooms, joined at the end."""

from collections.abc import Iterable

import orjson

from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken, pagination_token
from homeserver.sync.request import Window
from homeserver.sync.timeline import Timeline
from homeserver.sync.timeline_event import event_json

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
    window: Window, room_id: str, timeline: Timeline, state: Iterable[Event], summary: bytes | None = None
) -> bytes:
    """A joined or left room: its state, its timeline, its summary if there is one to tell."""
    now_ms, session_id = window.now_ms, window.request.requester.session_id
    return b'%b:{%b"%b":{"events":[%b]},"timeline":{"events":[%b],"limited":%b,"prev_batch":"%b"}}' % (
        orjson.dumps(room_id),
        b"" if summary is None else b'"summary":%b,' % summary,
        b"state_after" if window.request.use_state_after else b"state",
        b",".join([event_json(event) for event in state]),
        b",".join([shown.json(now_ms, session_id) for shown in timeline.events]),
        b"true" if timeline.limited else b"false",
        pagination_token(timeline.start).encode(),
    )
