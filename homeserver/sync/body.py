"""The body of a sync as it is put together: bytes of finished rooms, joined at the end."""

from collections.abc import Iterable, Sequence

import orjson

from homeserver.core.event.pdu import Event
from homeserver.core.filters import Filter, select_fields
from homeserver.core.positions import SyncToken, pagination_token
from homeserver.sync.request import Window
from homeserver.sync.sight import Sight
from homeserver.sync.timeline import Timeline
from homeserver.sync.timeline_event import TimelineEvent

__all__ = ["Body", "room_part", "selected"]


class Body:
    """The sections of a sync, to which every stream adds its part.

    Attributes:
        account_data: global events, encoded.
        presence: events, encoded.
        to_device: events, encoded.
        further: further members of the whole, encoded: device lists, counts of keys, thread subscriptions.
        joined, invited, knocked, left: the rooms of each section, by ID: what is in the braces, encoded.
            Who comes first puts a room there; the others `add` to it.
        is_shared: others who ask for the same and have heard as much are told this, too.
        senders: (room ID, user ID) of those whose member events the client is taken to know.
        introduced: (room ID, user ID) of those whose member events are told because they speak.
        told: the events of the timelines of joined rooms.
    """

    __slots__ = (
        "account_data", "further", "introduced", "invited", "is_shared", "joined", "knocked", "left",
        "presence", "senders", "to_device", "told",
    )  # fmt: skip

    def __init__(self) -> None:
        self.account_data: list[bytes] = []
        self.presence: list[bytes] = []
        self.to_device: list[bytes] = []
        self.further: list[bytes] = []
        self.joined: dict[str, bytes] = {}
        self.invited: dict[str, bytes] = {}
        self.knocked: dict[str, bytes] = {}
        self.left: dict[str, bytes] = {}
        self.is_shared = True
        self.senders: list[tuple[str, str]] = []
        self.introduced: list[tuple[str, str]] = []
        self.told: dict[str, Sequence[TimelineEvent]] = {}

    @staticmethod
    def add(rooms: dict[str, bytes], room_id: str, part: bytes) -> None:
        """Add members to the JSON object of a room of one section."""
        there = rooms.get(room_id)
        rooms[room_id] = part if there is None else b"%b,%b" % (there, part)

    @property
    def is_empty(self) -> bool:
        """There is nothing to tell."""
        if self.joined or self.account_data or self.presence or self.to_device or self.further:
            return False
        return not (self.invited or self.knocked or self.left)

    def encode(self, next_batch: SyncToken) -> bytes:
        """The JSON of the whole."""
        token = next_batch.encode().encode()
        others = (
            self.account_data, self.presence, self.to_device, self.further, self.invited, self.knocked,
            self.left,
        )  # fmt: skip
        if len(self.joined) == 1 and not any(others):  # the live case: without the joining
            ((room_id, part),) = self.joined.items()
            named = orjson.dumps(room_id)
            return b'{"next_batch":"%b","rooms":{"join":{%b:{%b}}}}' % (token, named, part)
        parts = [b'"next_batch":"%b"' % token]
        if self.account_data:
            parts.append(b'"account_data":{"events":[%b]}' % b",".join(self.account_data))
        if self.presence:
            parts.append(b'"presence":{"events":[%b]}' % b",".join(self.presence))
        if self.to_device:
            parts.append(b'"to_device":{"events":[%b]}' % b",".join(self.to_device))
        parts += self.further
        pieces = [b"{", b",".join(parts)]
        before = b',"rooms":{'
        for name, rooms in (
            (b"join", self.joined),
            (b"invite", self.invited),
            (b"knock", self.knocked),
            (b"leave", self.left),
        ):
            if rooms:
                pieces.append(b'%b"%b":' % (before, name))
                _add_rooms(pieces, rooms)
                before = b","
        pieces.append(b"}" if before == b',"rooms":{' else b"}}")
        return b"".join(pieces)  # once: it may be megabytes


def _add_rooms(pieces: list[bytes], rooms: dict[str, bytes]) -> None:
    before = b"{"
    for room_id, part in rooms.items():
        pieces += (before, orjson.dumps(room_id), b":{", part, b"}")
        before = b","
    pieces.append(b"}")


def room_part(
    window: Window,
    timeline: Timeline,
    state: Iterable[Event],
    *,
    summary: bytes | None = None,
    sight: Sight | None = None,
) -> bytes:
    """A joined or left room: its state, its timeline, its summary if there is one to tell.

    Without a sight, the reader was in the room at every event of the timeline.
    """
    return b'%b"%b":{"events":[%b]},"timeline":{"events":[%b],"limited":%b,"prev_batch":"%b"}' % (
        b"" if summary is None else b'"summary":%b,' % summary,
        window.request.state_after_name if window.request.use_state_after else b"state",
        b",".join(_state_events(window.request.filter, state)),
        b",".join(_timeline_events(window, timeline, sight)),
        b"true" if timeline.limited else b"false",
        pagination_token(timeline.start).encode(),
    )


def _timeline_events(window: Window, timeline: Timeline, sight: Sight | None) -> list[bytes]:
    events, bundles = timeline.events, timeline.bundles
    wanted = window.request.filter
    if wanted.event_format == "federation":
        return [shown.event.canonical for shown in events]
    now_ms, session_id = window.now_ms, window.request.requester.session_id
    if bundles:
        told = [
            shown.json(
                now_ms, session_id, b"join" if sight is None else sight.membership(shown.position),
                bundles.get(shown.event.event_id),
            )
            for shown in events
        ]  # fmt: skip
    elif sight is None:
        told = [shown.json(now_ms, session_id) for shown in events]
    else:
        told = [shown.json(now_ms, session_id, sight.membership(shown.position)) for shown in events]
    return told if wanted.event_fields is None else selected(told, wanted.event_fields)


def _state_events(wanted: Filter, events: Iterable[Event]) -> list[bytes]:
    if wanted.event_format == "federation":
        return [event.canonical for event in events]
    told = [event.sync_json for event in events]
    return told if wanted.event_fields is None else selected(told, wanted.event_fields)


def selected(events: Iterable[bytes], fields: Sequence[str]) -> list[bytes]:
    """Leave of events only the fields that a filter wants."""
    return [orjson.dumps(select_fields(orjson.loads(event), fields)) for event in events]
