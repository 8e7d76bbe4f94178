"""The world of sync with sliding sync on top: also the double of what it reads beyond, and a client of it."""

import asyncio

import msgspec
import orjson

from homeserver.core.changes import ReceiptChange, TypingChange
from homeserver.core.positions import EPHEMERAL_WRITER_OFFSET, SnowflakeClock
from homeserver.runtime.randomness import SystemRandomness
from homeserver.sync.sliding.connections import Connections
from homeserver.sync.sliding.keeper import ConnectionKeeper
from homeserver.sync.sliding.reads import StoredSlidingReads
from homeserver.sync.sliding.request import SlidingBody
from homeserver.sync.sliding.sliding_sync import SlidingSync
from storage.tables import receipts
from tests.sync.stored_world import StoredWorld
from tests.sync.sync_world import World, requester

MEMBER = "m.room.member"
EVERYTHING = [["*", "*"]]


class KeptInMemory:
    """Connections that outlast the process: the double of `KeptConnections`."""

    def __init__(self):
        self.rows = {}
        self.reads = 0

    async def read(self, key, pos):
        self.reads += 1
        await asyncio.sleep(0)  # as a database does, it lets others have their turn
        row = self.rows.get(key)
        return None if row is None or pos not in row.positions else row.snapshot

    async def save(self, rows, gone, now_ms):
        self.rows.update({(row.session_id, row.conn_id): row for row in rows})
        for key in gone:
            self.rows.pop(key, None)


class WithSliding:
    """What a world needs to have sliding sync on top."""

    def __init__(self, *args):
        super().__init__(*args)
        self.sliding = None
        self.sliding_source = self  # of the reads of sliding sync
        self.kept_connections = KeptInMemory()
        self.failures = []
        self.receipts = {}
        self.live_snowflakes = SnowflakeClock(EPHEMERAL_WRITER_OFFSET)

    async def start(self):
        self.stop()
        await super().start()
        self.connections = Connections(SystemRandomness())
        self.keeper = ConnectionKeeper(
            connections=self.connections, kept=self.kept_connections, clock=self.clock,
            observer=self.failures.append,
        )  # fmt: skip
        self.sliding = SlidingSync(
            reads=self.source, sliding_reads=self.sliding_source, notifier=self.notifier,
            bus=self.bus, clock=self.clock, connections=self.connections, keeper=self.keeper,
        )  # fmt: skip

    async def restart(self):
        """Stop as an operator does, and start again."""
        await self.keeper.save_all()
        await self.start()

    def stop(self):
        if self.notifier is not None:
            self.notifier.stop()
            self.sliding.stop()
            self.notifier = None

    async def ask(self, user_id, body, pos=None, session_id=1, timeout_ms=0):
        """Ask as a client does; returns the decoded answer."""
        await self.store()
        decoded = msgspec.convert(body, SlidingBody)
        answer = await self.sliding.respond(
            requester(user_id, session_id), decoded, pos=pos, timeout_ms=timeout_ms
        )
        return orjson.loads(answer)

    def read_up_to(self, room_id, user_id, event_id, type_="m.read"):
        """Commit a receipt and publish it."""
        self.clock.ms += 1
        at = self.event_ids(room_id).index(event_id)
        change = ReceiptChange(
            self.snowflakes.next(self.clock.ms), room_id, user_id, type_, None, event_id, self.clock.ms,
            self.committed[room_id][at].position,
        )  # fmt: skip
        self.receipts[room_id, user_id, type_] = change
        self.unpublished.append(change)
        if not self.holds_back:
            self.publish()

    def types(self, room_id, *user_ids):
        """Publish who types."""
        self.clock.ms += 1
        self.bus.publish([TypingChange(self.live_snowflakes.next(self.clock.ms), room_id, user_ids)])


class SlidingWorld(WithSliding, World):
    """Rooms in memory, and the double of `SlidingReads`."""

    async def heads(self):
        token = await super().heads()
        for change in self.receipts.values():
            token = token.advance(change.position)
        return token

    async def last_positions(self, room_ids):
        last = await super().last_positions(room_ids)
        for change in self.receipts.values():
            if change.room_id in last:
                last[change.room_id] = max(last[change.room_id], change.position)
        return last

    async def places_after(self, until, position, limit):
        found = await super().places_after(until, position, limit)
        read = [(each.position, each.room_id) for each in self.receipts.values() if each.room_id in until]
        found += [place for place in read if position < place[0] <= until[place[1]]]
        return sorted(found)[-limit:]

    async def receipts_of(self, room_id, after):
        self.reads += 1
        found = [each for each in self.receipts.values() if each.room_id == room_id]
        return sorted([each for each in found if each.position > after], key=lambda each: each.position)

    async def last_events(self, room_ids):
        self.reads += 1
        return {room_id: self.committed[room_id][-1].position for room_id in room_ids}

    async def described(self, room_ids, types):
        self.reads += 1
        return [
            change.event
            for room_id in room_ids
            for (type_, key), change in self._state_of(self.committed[room_id]).items()
            if type_ in types and key == ""
        ]

    async def offered(self, room_ids):
        return {}  # every room is here

    async def own_member_events(self, user_id, room_ids):
        self.reads += 1
        states = {room_id: self._state_of(self.committed[room_id]) for room_id in room_ids}
        return {room_id: state[MEMBER, user_id].event for room_id, state in states.items()}

    async def current_state(self, wanted):
        self.reads += 1
        return [
            (change.position, change.event)
            for room_id, (types, keys) in wanted.items()
            for key, change in self._state_of(self.committed[room_id]).items()
            if key[0] in types or key in keys
        ]

    async def receipts_shown(self, room_ids, user_id, event_ids):
        self.reads += 1
        return [
            each
            for each in self.receipts.values()
            if each.room_id in room_ids and (each.user_id == user_id or each.event_id in event_ids)
        ]

    async def state_of_types(self, room_id, position, types):
        return [event for event in await self.state_at(room_id, position) if event.type in types]

    async def state_of_keys(self, room_id, position, keys):
        state = await self.state_at(room_id, position)
        return [event for event in state if (event.type, event.state_key) in keys]


class StoredSlidingWorld(WithSliding, StoredWorld):
    """Rooms in PostgreSQL, and sliding sync reading them from there."""

    def __init__(self, database):
        super().__init__(database)
        self.sliding_source = StoredSlidingReads(database, self.interning)

    def read_up_to(self, room_id, user_id, event_id, type_="m.read"):
        super().read_up_to(room_id, user_id, event_id, type_)
        self.to_store.append(self.receipts[room_id, user_id, type_])

    async def _add(self, write, change):
        if isinstance(change, ReceiptChange):
            receipts.add(write, self.room_nids[change.room_id], change)
        else:
            await super()._add(write, change)


def room_list(last=19, limit=10, required_state=EVERYTHING, **options):
    """A request for one list; `options` are of the list."""
    asked = {"ranges": [[0, last]], "timeline_limit": limit, "required_state": required_state, **options}
    return {"lists": {"all": asked}}


def event_ids(events):
    return [event["event_id"] for event in events]
