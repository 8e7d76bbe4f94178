"""Puts an answer together: makes the lists, tells what is new of rooms, and lets extensions tell theirs."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson

from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.runtime.clock import Clock
from homeserver.runtime.together import side_by_side
from homeserver.sync.live_users import LiveUser, RoomOfUser
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.connections import Place, RoomSent
from homeserver.sync.sliding.encryption import EncryptionPart
from homeserver.sync.sliding.entry import Entry
from homeserver.sync.sliding.extensions import ExtensionParts, Told
from homeserver.sync.sliding.lists import Listed, Lists
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.own_rooms import OwnRooms
from homeserver.sync.sliding.ports import SlidingReads
from homeserver.sync.sliding.request import SlidingBody
from homeserver.sync.sliding.required_state import RequiredStates
from homeserver.sync.sliding.room_config import RoomConfig
from homeserver.sync.sliding.room_facts import RoomFacts
from homeserver.sync.sliding.rooms import RoomEntries
from homeserver.sync.sliding.sticky_events import StickyPart
from homeserver.sync.sticky_events import StickyEvents
from homeserver.sync.timeline import Timelines

__all__ = ["Answer", "SlidingAssembler"]


@dataclass(slots=True)
class Answer:
    """One answer.

    Attributes:
        place: where it leaves the connection.
        counts: how many rooms each list has.
        entries: what is told of rooms.
        extensions: what they tell, encoded, each with its name.
        is_empty: it tells nothing that a client would wait for.
    """

    place: Place
    counts: Mapping[str, int]
    entries: Mapping[str, Entry]
    extensions: list[bytes] = field(default_factory=list)
    is_empty: bool = True

    def encode(self, txn_id: str | None) -> bytes:
        """The JSON of the whole."""
        lists = {key: {"count": count} for key, count in self.counts.items()}
        rooms = [b"%b:%b" % (orjson.dumps(room_id), one.encode()) for room_id, one in self.entries.items()]
        return b'{"pos":"%b",%b"lists":%b,"rooms":{%b},"extensions":{%b}}' % (
            self.place.pos.encode(),
            b"" if txn_id is None else b'"txn_id":%b,' % orjson.dumps(txn_id),
            orjson.dumps(lists),
            b",".join(rooms),
            b",".join(self.extensions),
        )


class SlidingAssembler:
    """Makes answers."""

    def __init__(
        self, *, reads: SyncReads, sliding_reads: SlidingReads, notifier: Notifier, facts: RoomFacts,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._reads = reads
        self._notifier = notifier
        self._clock = clock
        self._own_rooms = OwnRooms(reads=reads, sliding_reads=sliding_reads, notifier=notifier)
        self._lists = Lists(facts)
        self._rooms = RoomEntries(
            reads=reads, timelines=Timelines(reads, notifier.rooms),
            states=RequiredStates(reads, sliding_reads, notifier.rooms), members=notifier.members,
        )  # fmt: skip
        self._extensions = ExtensionParts(
            reads, sliding_reads, notifier.live_rooms, notifier.inboxes,
            EncryptionPart(notifier.device_lists, notifier.key_counts),
            StickyPart(StickyEvents(reads, notifier.live_stickies)),
        )  # fmt: skip

    async def assemble(self, requester: Requester, user: LiveUser, body: SlidingBody, place: Place) -> Answer:
        """Tell what a connection that is at `place` lacks."""
        now, since = self._notifier.heard, place.token
        news = await self._news(user, since)
        is_settled = since is not None and _is_settled(place, body, user, since, news)
        marks = await self._own_rooms.marks(user)
        look = Look(requester, user, marks, since, now, self._clock.now_ms())
        if is_settled and place.listed is not None:
            # The live case: the rooms are the same in all windows, and the connection has something of each.
            listed = place.listed
            rooms: Mapping[str, RoomOfUser] = user.rooms
            entries, sent = await self._entries(look, listed, rooms, dict(place.rooms), news, news)
        else:
            rooms = await self._own_rooms.listed(user, since)
            listed = await self._lists.of(body, user, rooms, marks)
            held = {
                room_id: one
                for room_id, one in place.rooms.items()
                if room_id in rooms or room_id in listed.configs
            }
            entries, sent = await self._entries(look, listed, rooms, held, news, listed.configs)
        after = Place(token=now, rooms=sent)
        if listed.is_whole and (is_settled or not _has_just_left(rooms, since)):
            after.listed, after.body = listed, body
        told = Told(place, news, entries, is_settled=is_settled)
        parts, found = await self._extensions.tell(look, body, listed, told, after)
        return Answer(after, listed.counts, entries, parts, is_empty=not entries and not found)

    async def _news(self, user: LiveUser, since: SyncToken | None) -> Collection[str]:
        """The rooms in which something happened after `since`."""
        if since is None:
            return ()
        recent = user.recent_after(since)
        if recent is not None:
            return dict.fromkeys([room_id for _, room_id in recent])
        joined = [room_id for room_id, room in user.rooms.items() if room.membership == "join"]
        last = await self._reads.last_positions(joined)
        return {
            room_id: None
            for room_id, room in user.rooms.items()
            if not since.covers(max(room.position, last.get(room_id, 0)))
        }

    async def _entries(
        self, look: Look, listed: Listed, rooms: Mapping[str, RoomOfUser], sent: dict[str, RoomSent],
        news: Collection[str], candidates: Collection[str],
    ) -> tuple[dict[str, Entry], dict[str, RoomSent]]:  # fmt: skip
        """What is told of those of some rooms that are in windows; and what the connection has then."""
        for room_id in news:
            before = sent.get(room_id)
            if before is not None and before.until is None and room_id not in listed.configs:
                sent[room_id] = RoomSent(look.since, before.timeline_limit, before.required, before.lazy)
        asked: list[tuple[RoomOfUser, RoomConfig]] = []
        for room_id in candidates:
            config, room = listed.configs.get(room_id), rooms.get(room_id) or look.user.rooms.get(room_id)
            if config is None or room is None:
                continue
            before = sent.get(room_id)
            if before is None or room_id in news or _wants(before, config):
                asked.append((room, config))
        anew = [one for one in asked if one[0].membership == "join" and one[0].room_id not in sent]
        whole = await self._rooms.whole(look, anew) if anew else {}
        others = [(room, config) for room, config in asked if room.room_id not in whole]
        told = await side_by_side(
            self._rooms.entry(look, room, config, sent.get(room.room_id)) for room, config in others
        )
        whole.update(zip([room.room_id for room, _ in others], told, strict=True))
        entries: dict[str, Entry] = {}
        for room, _ in asked:
            room_id = room.room_id
            entry, sent[room_id] = whole[room_id]
            if entry is not None:
                entries[room_id] = entry
            if room is not look.user.rooms[room_id]:
                del sent[room_id]  # the client is at an earlier place: all that came after is to be told anew
        return entries, sent


def _is_settled(
    place: Place, body: SlidingBody, user: LiveUser, since: SyncToken, news: Collection[str]
) -> bool:
    """Whether the rooms in all windows are those of the place, since nothing changed that decides on them."""
    if place.listed is None or not user.account_data.is_quiet_since(since):
        return False
    for room_id in news:
        room = user.rooms.get(room_id)
        if room is None or room.membership != "join" or not since.covers(room.position):
            return False
    return place.body is body or place.body == body


def _has_just_left(rooms: Mapping[str, RoomOfUser], since: SyncToken | None) -> bool:
    """Whether there are rooms among a user's that will not be there with the next answer."""
    if since is None:
        return False
    return any(
        room.membership in {"leave", "ban"} and not since.covers(room.position) for room in rooms.values()
    )


def _wants(sent: RoomSent, config: RoomConfig) -> bool:
    """Whether there may be something to tell of a room in which nothing happened."""
    return (
        sent.until is not None
        or config.timeline_limit > sent.timeline_limit
        or not config.tuples <= sent.required
    )
