"""Sliding sync: answers one request after the other, each with what its connection lacks.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4186
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import orjson

from homeserver.cluster.bus import Bus
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from homeserver.sync.live_users import LiveUser, RoomOfUser
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.account_data import AccountDataExtension
from homeserver.sync.sliding.connections import Connections, Place, RoomSent
from homeserver.sync.sliding.encryption import encryption_part, to_device_part
from homeserver.sync.sliding.entry import Entry
from homeserver.sync.sliding.ephemeral import ReceiptsExtension, TypingExtension
from homeserver.sync.sliding.lists import Listed, Lists
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.own_rooms import OwnRooms
from homeserver.sync.sliding.ports import SlidingReads
from homeserver.sync.sliding.request import Extensions, SlidingBody, check_limits
from homeserver.sync.sliding.required_state import RequiredStates
from homeserver.sync.sliding.room_config import RoomConfig
from homeserver.sync.sliding.room_facts import RoomFacts
from homeserver.sync.sliding.rooms import RoomEntries
from homeserver.sync.timeline import Timelines

__all__ = ["SlidingSync"]


@dataclass(slots=True)
class _Answer:
    """One answer as it is put together.

    Attributes:
        place: where it leaves the connection.
        counts: how many rooms each list has.
        entries: what is told of rooms.
        extensions: what they tell, encoded, by name.
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


class SlidingSync:
    """The service behind sliding sync."""

    def __init__(
        self, *, reads: SyncReads, sliding_reads: SlidingReads, notifier: Notifier, bus: Bus, clock: Clock,
        randomness: Randomness,
    ) -> None:  # fmt: skip
        self._reads = reads
        self._notifier = notifier
        self._clock = clock
        self._connections = Connections(randomness)
        self._own_rooms = OwnRooms(reads=reads, sliding_reads=sliding_reads, notifier=notifier)
        self._facts = RoomFacts(sliding_reads, bus)
        self._lists = Lists(self._facts)
        self._rooms = RoomEntries(
            reads=reads, timelines=Timelines(reads, notifier.rooms),
            states=RequiredStates(reads, sliding_reads, notifier.rooms), members=notifier.members,
        )  # fmt: skip
        self._account_data = AccountDataExtension(reads)
        self._typing = TypingExtension(notifier.live_rooms)
        self._receipts = ReceiptsExtension(reads, sliding_reads, notifier.live_rooms)

    def stop(self) -> None:
        """Follow the streams no more."""
        self._facts.stop()

    async def respond(
        self, requester: Requester, body: SlidingBody, *, pos: str | None, timeout_ms: int
    ) -> bytes:
        """The body of a response: at once if there is anything to tell or the connection begins, else later.

        Raises:
            InvalidParam: it asks for too much.
            UnknownPos: the connection has no such position.
        """
        check_limits(body)
        if pos is None:
            place, turn = self._connections.begin(requester, body.conn_id)
        else:
            place, turn = self._connections.find(requester, body.conn_id, pos)
        user = await self._notifier.users.find(requester.user_id)
        deadline_ms = self._clock.monotonic_ms() + (0 if pos is None else timeout_ms)
        with user.waiting() as waiter:
            while True:
                # Forget rings first: what is published from here on, while this looks too, rings again.
                waiter.clear()
                answer = await self._look(requester, user, body, place)
                left_ms = deadline_ms - self._clock.monotonic_ms()
                if not answer.is_empty or left_ms <= 0 or not await waiter.wait(left_ms / 1000):
                    break
                place = answer.place  # nothing was told: what follows is looked for from here on
        self._connections.advance(requester, body.conn_id, turn, answer.place)
        return answer.encode(body.txn_id)

    async def _look(self, requester: Requester, user: LiveUser, body: SlidingBody, place: Place) -> _Answer:
        now, since = self._notifier.heard, place.token
        marks = await self._own_rooms.marks(user)
        rooms = await self._own_rooms.listed(user, since)
        listed = await self._lists.of(body, user, rooms, marks)
        look = Look(requester, user, marks, since, now, self._clock.now_ms())
        news = await self._news(user, since)
        entries, sent = await self._entries(look, listed, rooms, place, news)
        after = Place(token=now, rooms=sent)
        answer = _Answer(after, listed.counts, entries, is_empty=not entries)
        await self._extend(answer, body.extensions or Extensions(), look, listed, (place, news))
        for told in (after.account_data, after.receipts):
            for room_id in [room_id for room_id in told if room_id not in sent]:
                del told[room_id]
        return answer

    async def _news(self, user: LiveUser, since: SyncToken | None) -> Collection[str]:
        """The rooms in which something happened after `since`."""
        if since is None:
            return ()
        recent = user.recent_after(since)
        if recent is not None:
            return {room_id for _, room_id in recent}
        joined = [room_id for room_id, room in user.rooms.items() if room.membership == "join"]
        last = await self._reads.last_positions(joined)
        return {
            room_id
            for room_id, room in user.rooms.items()
            if not since.covers(max(room.position, last.get(room_id, 0)))
        }

    async def _entries(
        self, look: Look, listed: Listed, rooms: Mapping[str, RoomOfUser], place: Place, news: Collection[str]
    ) -> tuple[dict[str, Entry], dict[str, RoomSent]]:
        """What is told of rooms, and what the connection has of them then."""
        entries: dict[str, Entry] = {}
        sent = {
            room_id: one
            for room_id, one in place.rooms.items()
            if room_id in rooms or room_id in listed.configs
        }
        for room_id in news:
            before = sent.get(room_id)
            if before is not None and before.until is None and room_id not in listed.configs:
                sent[room_id] = RoomSent(look.since, before.timeline_limit, before.required, before.lazy)
        asked: list[tuple[RoomOfUser, RoomConfig]] = []
        for room_id, config in listed.configs.items():
            room, before = look.user.rooms.get(room_id), sent.get(room_id)
            if room is None or (before is not None and room_id not in news and not _wants(before, config)):
                continue
            asked.append((room, config))
        anew = [one for one in asked if one[0].membership == "join" and one[0].room_id not in sent]
        whole = await self._rooms.whole(look, anew)
        for room, config in asked:
            room_id = room.room_id
            if room_id in whole:
                entry, sent[room_id] = whole[room_id]
            else:
                entry, sent[room_id] = await self._rooms.entry(look, room, config, sent.get(room_id))
            if entry is not None:
                entries[room_id] = entry
        return entries, sent

    async def _extend(
        self, answer: _Answer, asked: Extensions, look: Look, listed: Listed,
        before: tuple[Place, Collection[str]],
    ) -> None:  # fmt: skip
        """Add what the extensions tell."""
        (place, news), after = before, answer.place
        parts = answer.extensions
        after.account_data, after.receipts = dict(place.account_data), dict(place.receipts)
        found = False
        if asked.account_data is not None and asked.account_data.enabled:
            body, found, after.account_data = await self._account_data.tell(
                look, asked.account_data, listed, place.account_data
            )
            parts.append(b'"account_data":' + body)
            answer.is_empty &= not found
        if asked.receipts is not None and asked.receipts.enabled:
            body, found, after.receipts = await self._receipts.tell(
                look, asked.receipts, listed, answer.entries, place.receipts, news
            )
            parts.append(b'"receipts":' + body)
            answer.is_empty &= not found
        if asked.typing is not None and asked.typing.enabled:
            body, found = self._typing.tell(look, asked.typing, listed, answer.entries)
            parts.append(b'"typing":' + body)
            answer.is_empty &= not found
        if asked.to_device is not None and asked.to_device.enabled:
            parts.append(b'"to_device":' + to_device_part(asked.to_device))
        if asked.e2ee is not None and asked.e2ee.enabled:
            parts.append(b'"e2ee":' + encryption_part(is_incremental=look.since is not None))


def _wants(sent: RoomSent, config: RoomConfig) -> bool:
    """Whether there may be something to tell of a room in which nothing happened."""
    return (
        sent.until is not None
        or config.timeline_limit > sent.timeline_limit
        or not config.tuples <= sent.required
    )
