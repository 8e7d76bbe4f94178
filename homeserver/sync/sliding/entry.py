"""The entry of one room in an answer, encoded."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import orjson

from homeserver.core.event.pdu import Event
from homeserver.core.positions import SyncToken, pagination_token
from homeserver.sync.members import Summary
from homeserver.sync.sight import Sight
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.room_config import MEMBER
from homeserver.sync.timeline import Timeline
from homeserver.sync.timeline_event import event_json

__all__ = [
    "BUMPING", "Entry", "avatar_part", "heroes_part", "name_part", "required_state_part", "timeline_part",
]  # fmt: skip

BUMPING = frozenset(
    {
        "m.beacon_info",
        "m.call.invite",
        "m.poll.start",
        "m.room.create",
        "m.room.encrypted",
        "m.room.message",
        "m.sticker",
        "org.matrix.msc3381.poll.start",
        "org.matrix.msc3672.beacon_info",
    }
)


@dataclass(slots=True)
class Entry:
    """What is told of one room.

    Attributes:
        parts: the members of its JSON object, encoded.
        is_whole: it is told from the beginning, or with a longer timeline: receipts go with that.
        is_initial: it is told from the beginning.
        event_ids: of its timeline.
    """

    parts: list[bytes] = field(default_factory=list)
    is_whole: bool = False
    is_initial: bool = False
    event_ids: frozenset[str] = frozenset()

    def encode(self) -> bytes:
        """The JSON object."""
        return b"{%b}" % b",".join(self.parts)


def timeline_part(look: Look, timeline: Timeline, sight: Sight | None) -> bytes:
    """The timeline, and what says where it begins."""
    session_id, bundles = look.requester.session_id, timeline.bundles or {}
    events = [
        shown.json(
            look.now_ms, session_id, b"join" if sight is None else sight.membership(shown.position),
            bundles.get(shown.event.event_id),
        )
        for shown in timeline.events
    ]  # fmt: skip
    return b'"timeline":[%b],"prev_batch":"%b","limited":%b,"num_live":%d' % (
        b",".join(events),
        pagination_token(timeline.start).encode(),
        b"true" if timeline.limited else b"false",
        _count_live(timeline, look.since),
    )


def _count_live(timeline: Timeline, since: SyncToken | None) -> int:
    """How many of the events, from the end, the client could not know when it asked last."""
    if since is None:
        return 0
    count = 0
    for shown in reversed(timeline.events):
        if since.covers(shown.position):
            break
        count += 1
    return count


def required_state_part(events: Iterable[Event]) -> bytes:
    """The state that was asked for."""
    return b'"required_state":[%b]' % b",".join([event_json(event) for event in events])


def name_part(event: Event | None) -> list[bytes]:
    """The name, if there is one: one that was taken away is not told, as clients expect text."""
    name = None if event is None else event.content.get("name")
    return [b'"name":' + orjson.dumps(name)] if isinstance(name, str) and name else []


def avatar_part(event: Event | None) -> bytes:
    """The avatar; null where it was taken away."""
    url = None if event is None else event.content.get("url")
    return b'"avatar":' + orjson.dumps(url if isinstance(url, str) else None)


def heroes_part(summary: Summary, state: Mapping[tuple[str, str], Event]) -> bytes:
    """Those by whom a room without a name is called."""
    heroes = []
    for user_id in summary.heroes:
        hero = {"user_id": user_id}
        event = state.get((MEMBER, user_id))
        for name in ("displayname", "avatar_url"):
            value = None if event is None else event.content.get(name)
            if isinstance(value, str):
                hero[name] = value
        heroes.append(hero)
    return b'"heroes":' + orjson.dumps(heroes)
