import pytest

from homeserver.core.room_versions import ROOM_VERSIONS
from storage.interning import Interning
from storage.tables.aliases import ALIAS_DELETE, ALIAS_INSERT, Aliases
from storage.tables.events import (
    EventFilter,
    EventFlags,
    EventNumbers,
    EventPlace,
    Events,
    add_event,
    add_redaction,
)
from storage.tables.memberships import FORGET, MEMBERSHIP_UPSERT, Memberships
from storage.tables.rooms import ROOM_INSERT, Rooms, RoomTip, add_room_tip
from storage.tables.state import State, add_state
from storage.tables.transactions import TRANSACTION_INSERT, Transactions
from storage.write import Write

ROOM_ID = "!room:example.org"
PUBLIC, REMEMBERED, LOCAL, REMOTE = True, False, True, False


class Room:
    """Writes events into one room, as a room actor would."""

    def __init__(self, database, journal, make_event):
        self.journal = journal
        self.make_event = make_event
        self.interning = Interning(database)
        self.rooms = Rooms(database)
        self.nid = 0
        self.count = 0
        self.group = 0

    async def create(self):
        self.nid = await self.rooms.new_room_nid()
        creator = await self.interning.nid("user", "@alice:example.org")
        write = Write()
        write.add(ROOM_INSERT, self.nid, ROOM_ID, "10", creator, 1_700_000_000_000, PUBLIC)
        await self.journal.append(write)
        return self

    async def send(self, type_="m.room.message", state_key=None, flags=EventFlags.NONE, **content):
        self.count += 1
        event = self.make_event(self.count, type_, state_key, **content)
        type_nid = await self.interning.nid("type", type_)
        sender_nid = await self.interning.nid("user", event.sender)
        state_key_nid = None if state_key is None else await self.interning.nid("state_key", state_key)
        write = Write()
        position = self.journal.next_position()
        numbers = EventNumbers(type_nid, sender_nid, state_key_nid)
        add_event(write, event, self.nid, numbers, EventPlace(position, self.group, flags=flags))
        if state_key_nid is not None:
            add_state(
                write, room_nid=self.nid, type_nid=type_nid, state_key_nid=state_key_nid,
                position=position, nid=position,
            )  # fmt: skip
            self.group = position
        add_room_tip(
            write, self.nid, extremities=(event.event_id,), depth=event.depth, last_position=position,
            state_group=self.group,
        )  # fmt: skip
        await self.journal.append(write)
        return position, event


@pytest.fixture
async def room(database, journal, make_event):
    return await Room(database, journal, make_event).create()


def ids(stored):
    return [each.event.event_id for each in stored]


async def test_a_room_is_found_by_its_id_and_by_its_number(room):
    found = await room.rooms.find(ROOM_ID)

    assert (found.room_nid, found.room_id, found.version, found.is_public) == (room.nid, ROOM_ID, "10", True)
    assert await room.rooms.by_nids([room.nid, 999]) == {room.nid: found}
    assert await room.rooms.find("!other:example.org") is None


async def test_the_directory_lists_public_rooms_only(room):
    listed = await room.rooms.public(10)
    await room.rooms.set_public(ROOM_ID, is_public=False)

    assert [each.room_id for each in listed] == [ROOM_ID]
    assert await room.rooms.public(10) == []
    assert (await room.rooms.find(ROOM_ID)).is_public is False


async def test_room_numbers_are_given_once(room):
    nids = [await room.rooms.new_room_nid() for _ in range(40)]

    assert len({*nids, room.nid}) == 41


async def test_the_tip_is_that_of_the_last_event(room):
    await room.send(body="one")
    position, event = await room.send(body="two")

    assert await room.rooms.tip(room.nid) == RoomTip((event.event_id,), event.depth, position, 0)
    assert await room.rooms.last_positions([room.nid]) == {room.nid: position}


async def test_odd_event_ids_survive_as_extremities(room):
    odd = ('$a"b:x', "$c\\d:x", "$e,f:x", '$","g:x', "$null:x")
    write = Write()
    add_room_tip(write, room.nid, extremities=odd, depth=1, last_position=1, state_group=0)
    await room.journal.append(write)

    assert (await room.rooms.tip(room.nid)).extremities == odd


async def test_an_event_is_read_as_it_was_written(room, database):
    position, event = await room.send(body="héllo")
    stored = await Events(database).by_id(event.event_id)

    assert stored.event.canonical == event.canonical
    assert (stored.position, stored.room_nid, stored.is_redacted) == (position, room.nid, False)
    assert stored.event.rules is ROOM_VERSIONS["10"]
    assert await Events(database).by_id("$missing") is None
    assert await Events(database).by_ids([]) == {}


async def test_events_go_to_the_partition_of_their_month(room, database):
    await room.send(body="now")
    rows = await database.fetch("SELECT tableoid::regclass::text FROM events")

    assert rows[0][0] not in {"events_c0_default", "events_c0_backfilled"}


async def test_pages_meet_without_gap_or_overlap(room, database):
    sent = [await room.send(body=str(number)) for number in range(10)]
    events = Events(database)
    newest = await events.page(room.nid, None, "b", 4)
    older = await events.page(room.nid, newest[-1].position - 1, "b", 10)
    forwards = await events.page(room.nid, None, "f", 4)
    later = await events.page(room.nid, forwards[-1].position, "f", 10)
    all_ids = [event.event_id for _, event in sent]

    assert ids(newest + older) == all_ids[::-1]
    assert ids(forwards + later) == all_ids
    assert ids(await events.latest(room.nid, 3)) == all_ids[-3:]
    assert ids(await events.page(room.nid, sent[6][0], "b", 9, to_position=sent[3][0])) == all_ids[6:3:-1]


async def test_pages_leave_out_what_clients_do_not_see(room, database):
    for flags in (EventFlags.OUTLIER, EventFlags.REJECTED, EventFlags.SOFT_FAILED):
        await room.send(flags=flags)
    _, seen = await room.send(body="seen")

    assert ids(await Events(database).latest(room.nid, 10)) == [seen.event_id]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EventFilter(types=["m.room.*"]), [0, 2]),
        (EventFilter(types=["m.room.message", "org.example_test"]), [0, 1]),
        (EventFilter(types=["m_room.message"]), []),
        (EventFilter(types=[]), []),
        (EventFilter(not_types=["m.room.message"]), [1, 2]),
        (EventFilter(senders=["@alice:example.org"]), [0, 1, 2]),
        (EventFilter(senders=["@bob:example.org"]), []),
        (EventFilter(not_senders=["@alice:example.org"]), []),
        (EventFilter(types=["m.*"], not_types=["*.topic"]), [0]),
    ],
)
async def test_pages_keep_to_the_filter(room, database, wanted, expected):
    sent = [await room.send(), await room.send("org.example_test"), await room.send("m.room.topic", "")]
    page = await Events(database).page(room.nid, None, "f", 10, wanted=wanted)

    assert ids(page) == [sent[index][1].event_id for index in expected]


async def test_a_redacted_event_is_read_pruned_with_its_redaction(room, database):
    _, event = await room.send(body="secret")
    _, redaction = await room.send("m.room.redaction", reason="oops")
    write = Write()
    add_redaction(write, event.redacted_by(redaction), redaction.event_id)
    await room.journal.append(write)
    stored = await Events(database).by_id(event.event_id)

    assert stored.is_redacted
    assert stored.event.content == {}
    assert stored.event.event_id == event.event_id
    assert stored.event.redacted_because.event_id == redaction.event_id


async def test_an_event_may_be_redacted_in_the_flush_that_stores_it(room, database, make_event):
    event, redaction = make_event(1, body="secret"), make_event(2, "m.room.redaction")
    write = Write()
    add_event(write, event, room.nid, EventNumbers(1, 1), EventPlace(5, 0))
    add_event(write, redaction, room.nid, EventNumbers(1, 1), EventPlace(6, 0))
    add_redaction(write, event.redacted_by(redaction), redaction.event_id)
    await room.journal.append(write)

    assert (await Events(database).by_id(event.event_id)).event.content == {}


async def test_the_state_is_that_of_the_last_event_of_each_key(room, database):
    state = State(database, Events(database))
    p1, topic1 = await room.send("m.room.topic", "", topic="one")
    p2, name = await room.send("m.room.name", "", name="name")
    p3, topic2 = await room.send("m.room.topic", "", topic="two")
    _, member = await room.send("m.room.member", "@alice:example.org", membership="join")

    assert ids(await state.current(room.nid)) == [name.event_id, topic2.event_id, member.event_id]
    assert ids(await state.current(room.nid, ["m.room.name"])) == [name.event_id]
    assert ids(await state.current(room.nid, [])) == []
    assert (await state.current_one(room.nid, "m.room.topic", "")).event.event_id == topic2.event_id
    assert await state.current_one(room.nid, "m.room.topic", "other") is None
    assert ids(await state.at(room.nid, p2)) == [topic1.event_id, name.event_id]
    assert ids(await state.at(room.nid, p2, ["m.room.topic"])) == [topic1.event_id]
    changes = await state.changes_between(room.nid, p1, p3)
    assert ids(changes) == [name.event_id, topic2.event_id]
    assert ids(await state.history_of(room.nid, "m.room.topic", "")) == [topic1.event_id, topic2.event_id]
    assert await state.replaced_by(room.nid, [p1, p3]) == {p1: None, p3: topic1.event_id}
    alice = "@alice:example.org"
    keys = [("m.room.member", alice), ("m.room.topic", ""), ("m.room.topic", alice)]
    assert ids(await state.current_of_keys(room.nid, keys)) == [topic2.event_id, member.event_id]
    assert ids(await state.at_of_keys(room.nid, p2, keys)) == [topic1.event_id]


async def test_memberships_are_read_by_user_and_by_room(room, database):
    nids = await room.interning.nids("user", ["@alice:example.org", "@bob:remote.example"])
    alice, bob = nids["@alice:example.org"], nids["@bob:remote.example"]
    write = Write()
    write.add(MEMBERSHIP_UPSERT, room.nid, alice, "invite", "$1", 1, REMEMBERED, LOCAL)
    write.add(MEMBERSHIP_UPSERT, room.nid, alice, "join", "$2", 2, REMEMBERED, LOCAL)
    write.add(MEMBERSHIP_UPSERT, room.nid, bob, "leave", "$3", 3, REMEMBERED, REMOTE)
    await room.journal.append(write)
    memberships = Memberships(database)
    of_alice = await memberships.of_user(alice)

    assert [(row.room_id, row.membership, row.event_id) for row in of_alice] == [(ROOM_ID, "join", "$2")]
    assert await memberships.of_user(alice, ["invite"]) == []
    of_room = await memberships.of_room(room.nid)
    assert [row.user_id for row in of_room] == ["@alice:example.org", "@bob:remote.example"]
    assert [row.user_nid for row in await memberships.of_room(room.nid, is_local=False)] == [bob]
    assert [row.user_nid for row in await memberships.of_room(room.nid, ["join"])] == [alice]
    assert (await memberships.one(room.nid, bob)).membership == "leave"
    assert await memberships.one(room.nid, 999) is None


async def test_only_a_room_that_one_has_left_is_forgotten(room, database):
    write = Write()
    for user_nid, membership in ((1, "join"), (2, "leave")):
        write.add(MEMBERSHIP_UPSERT, room.nid, user_nid, membership, "$1", 1, REMEMBERED, LOCAL)
        write.add(FORGET, room.nid, user_nid)
    await room.journal.append(write)

    rows = await database.fetch("SELECT user_nid, is_forgotten FROM memberships ORDER BY user_nid")
    assert rows == [(1, False), (2, True)]
    for membership, is_forgotten in (("ban", True), ("leave", True), ("invite", False), ("leave", False)):
        write = Write()
        write.add(MEMBERSHIP_UPSERT, room.nid, 2, membership, "$1", 1, REMEMBERED, LOCAL)
        await room.journal.append(write)
        rows = await database.fetch("SELECT is_forgotten FROM memberships WHERE user_nid = 2")
        assert rows == [(is_forgotten,)], membership


async def test_an_alias_is_taken_once(room, database):
    aliases = Aliases(database)
    creator = await room.interning.nid("user", "@alice:example.org")

    assert await aliases.insert("#one:example.org", room.nid, creator, 1)
    assert not await aliases.insert("#one:example.org", room.nid, creator, 1)
    found = await aliases.find("#one:example.org")
    assert (found.room_id, found.creator_id) == (ROOM_ID, "@alice:example.org")
    write = Write()
    write.add(ALIAS_INSERT, "#two:example.org", room.nid, creator, 1)
    write.add(ALIAS_DELETE, "#one:example.org")
    await room.journal.append(write)
    assert [row.alias for row in await aliases.of_room(room.nid)] == ["#two:example.org"]
    assert await aliases.delete("#two:example.org")
    assert not await aliases.delete("#two:example.org")


async def test_a_transaction_is_found_until_it_expires(room, database):
    transactions = Transactions(database)
    write = Write()
    write.add(TRANSACTION_INSERT, 7, "!r:x|m.room.message|1", "$1", 100)
    write.add(TRANSACTION_INSERT, 7, "!r:x|m.room.message|2", "$2", 200)
    await room.journal.append(write)

    assert await transactions.find(7, "!r:x|m.room.message|1") == "$1"
    assert await transactions.find(8, "!r:x|m.room.message|1") is None
    found = await transactions.of_events(7, ["$2", "$3"], [200, 300])
    assert found == {"$2": "!r:x|m.room.message|2"}
    assert await transactions.expire(150) == 1
    assert await transactions.find(7, "!r:x|m.room.message|1") is None


async def test_stored_events_compare_by_what_they_are(room, database):
    _, event = await room.send(body="x")
    stored = await Events(database).by_id(event.event_id)

    assert stored._replace(position=1) != stored
