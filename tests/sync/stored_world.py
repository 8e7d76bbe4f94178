"""The world with its rows in PostgreSQL, and sync reading them from there."""

from homeserver.core.changes import AccountDataChange
from homeserver.sync.reads import StoredReads
from storage.interning import Interning
from storage.tables import account_data
from storage.tables.device_lists import DEVICE_LIST_UPSERT
from storage.tables.events import EventFlags, EventNumbers, EventPlace, add_event, add_redaction
from storage.tables.memberships import MEMBERSHIP_UPSERT
from storage.tables.rooms import ROOM_INSERT, Rooms, add_room_tip
from storage.tables.state import add_state
from storage.tables.sticky_events import add_sticky_event
from storage.write import Write
from tests.sync.sync_world import RULES, World

IS_PUBLIC = IS_FORGOTTEN = False
IS_LOCAL = True


class StoredWorld(World):
    """Writes what was committed to a database before anything is read."""

    def __init__(self, database):
        super().__init__()
        self.database = database
        self.interning = Interning(database)
        self.source = StoredReads(database, self.interning)
        self.room_nids = {}
        self.to_store = []

    def send(self, *args, **fields):
        event_id = super().send(*args, **fields)
        self.to_store.append(self.committed[args[0]][-1])
        return event_id

    def keep(self, user_id, type_, content, room_id=None):
        super().keep(user_id, type_, content, room_id)
        self.to_store.append(self.account_data[user_id, room_id, type_])

    async def note_device_list(self, user_id, told_to, position):
        await self.database.execute(
            DEVICE_LIST_UPSERT.sql, [position], [user_id], ["" if told_to is None else told_to]
        )

    async def store(self):
        """Write the rows of what was committed since, as rooms would."""
        write = Write()
        for change in self.to_store:
            if isinstance(change, AccountDataChange):
                account_data.add(write, change)
            else:
                await self._add(write, change)
        self.to_store = []
        await self._execute(write)
        if self.snowflakes.last:
            await self.database.execute(
                "INSERT INTO writers VALUES (0, 1, 1, %b::bigint, now()) ON CONFLICT (writer_id)"
                " DO UPDATE SET last_position = excluded.last_position",
                self.snowflakes.last,
            )

    async def _add(self, write, change):
        event = change.event
        room_nid = self.room_nids.get(change.room_id)
        sender_nid = await self.interning.nid("user", event.sender)
        if room_nid is None:
            room_nid = self.room_nids[change.room_id] = await Rooms(self.database).new_room_nid()
            write.add(ROOM_INSERT, room_nid, change.room_id, RULES.version, sender_nid, 0, IS_PUBLIC)
        type_nid = await self.interning.nid("type", event.type)
        key_nid = None if event.state_key is None else await self.interning.nid("state_key", event.state_key)
        add_room_tip(
            write, room_nid, extremities=[event.event_id], depth=event.depth, last_position=change.position,
            state_group=0,
        )  # fmt: skip
        numbers = EventNumbers(type_nid, sender_nid, key_nid)
        add_event(write, event, room_nid, numbers, EventPlace(change.position, 0))
        add_sticky_event(
            write, event, room_nid=room_nid, position=change.position, flags=EventFlags.NONE
        )
        if key_nid is not None:
            add_state(
                write, room_nid=room_nid, type_nid=type_nid, state_key_nid=key_nid, position=change.position,
                nid=change.position,
            )  # fmt: skip
        if event.type == "m.room.member":
            user_nid = await self.interning.nid("user", event.state_key)
            write.add(
                MEMBERSHIP_UPSERT, room_nid, user_nid, event.content["membership"], event.event_id,
                change.position, IS_FORGOTTEN, IS_LOCAL,
            )  # fmt: skip
        if change.redacted is not None:
            add_redaction(write, change.redacted, event.event_id)

    async def _execute(self, write):
        by_statement = {}
        for statement, values in write.rows:
            rows = by_statement.setdefault(statement, {})
            rows[tuple(values[index] for index in statement.keys) or len(rows)] = values
        for statement in sorted(by_statement, key=lambda each: each.rank):
            columns = zip(*by_statement[statement].values(), strict=True)
            await self.database.execute(statement.sql, *(list(column) for column in columns))
