"""The extensions `typing` and `receipts`: who types, and who has read how far."""

from collections.abc import Collection, Iterable, Mapping, Sequence

import orjson

from homeserver.core.changes import ReceiptChange
from homeserver.core.positions import SyncToken
from homeserver.sync.live_rooms import LiveRooms
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.connections import Until
from homeserver.sync.sliding.entry import Entry
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.ports import SlidingReads
from homeserver.sync.streams.ephemeral import receipts_contents

__all__ = ["ReceiptsExtension", "TypingExtension"]


class TypingExtension:
    """Tells who types. What was missed is not told later: it is over by then."""

    def __init__(self, live_rooms: LiveRooms) -> None:
        self._live_rooms = live_rooms

    def tell(self, look: Look, candidates: Iterable[str], entries: Mapping[str, Entry]) -> tuple[bytes, bool]:
        """Who types in those of some rooms where that has changed; and whether it has in any."""
        rooms = []
        for room_id in candidates:
            entry = entries.get(room_id)
            since = None if entry is not None and entry.is_initial else look.since
            typing = self._live_rooms.typing(room_id, since)
            if typing is not None:
                others = [user_id for user_id in typing if user_id not in look.user.ignored]
                event = {"type": "m.typing", "content": {"user_ids": others}}
                rooms.append(b"%b:%b" % (orjson.dumps(room_id), orjson.dumps(event)))
        return b'{"rooms":{%b}}' % b",".join(rooms), bool(rooms)


class ReceiptsExtension:
    """Tells receipts: at first the user's own and those on the events that are shown, then what changes."""

    def __init__(self, reads: SyncReads, sliding_reads: SlidingReads, live_rooms: LiveRooms) -> None:
        self._reads = reads
        self._sliding_reads = sliding_reads
        self._live_rooms = live_rooms

    async def tell(
        self, look: Look, scope: tuple[Collection[str], Collection[str]], entries: Mapping[str, Entry],
        told: Until, news: Collection[str],
    ) -> tuple[bytes, bool, Until]:  # fmt: skip
        """What is new; whether that is anything; and of which rooms the connection has been told then.

        Args:
            look: who looks, from where to where.
            scope: the rooms to tell of, and those among them where something may be new.
            entries: what is told of rooms.
            told: the rooms of which receipts were told.
            news: the rooms in which something happened.
        """
        in_scope, candidates = scope
        after = dict(told)
        for room_id in news:
            if room_id not in in_scope and room_id in told and told[room_id] is None:
                after[room_id] = look.since
        whole = {
            room_id
            for room_id in candidates
            if room_id not in told or (room_id in entries and entries[room_id].is_whole)
        }
        first = await self._first(look, whole, entries)
        rooms = []
        for room_id in candidates:
            receipts: Iterable[ReceiptChange]
            if room_id in whole and (room_id in entries and entries[room_id].is_whole):
                receipts = first.get(room_id, ())
            elif room_id in whole:
                # The client has a timeline from before: who has read what of it is told by the room.
                receipts = await self._reads.receipts_of(room_id, 0)
            elif told[room_id] is not None or room_id in news:
                receipts = await self._after(room_id, told[room_id] or look.since)
            else:
                continue
            after[room_id] = None
            contents = receipts_contents(look.user.user_id, receipts)
            if contents:
                # There is place for one event: of receipts for several threads on it, the first one is told.
                event = {"type": "m.receipt", "content": contents[0]}
                rooms.append(b"%b:%b" % (orjson.dumps(room_id), orjson.dumps(event)))
        return b'{"rooms":{%b}}' % b",".join(rooms), bool(rooms), after

    async def _first(
        self, look: Look, room_ids: Collection[str], entries: Mapping[str, Entry]
    ) -> Mapping[str, Sequence[ReceiptChange]]:
        if not room_ids:
            return {}
        shown = [
            event_id for room_id in room_ids if room_id in entries for event_id in entries[room_id].event_ids
        ]
        found: dict[str, list[ReceiptChange]] = {}
        for one in await self._sliding_reads.receipts_shown(room_ids, look.user.user_id, shown):
            found.setdefault(one.room_id, []).append(one)
        return found

    async def _after(self, room_id: str, since: SyncToken | None) -> Iterable[ReceiptChange]:
        assert since is not None, "rooms were told of in an earlier answer"
        receipts = self._live_rooms.receipts_after(room_id, since)
        if receipts is None:
            stored = await self._reads.receipts_of(room_id, since.lowest)
            receipts = [one for one in stored if not since.covers(one.position)]
        return receipts
