"""The past of rooms that a server came into: fetched when somebody reads back so far, in its order."""

import asyncio
import random

import pytest

from homeserver.core.errors import NotFound, Unavailable
from homeserver.core.filters import RoomEventFilter
from homeserver.rooms.backfill import PastFetched
from homeserver.rooms.past import Past
from storage.tables.events import EventFlags
from tests.doubles.federated_rooms import RemoteRooms, RoomsOfServer
from tests.doubles.reading_back import Reader, RemotePast, Requester, event_id_in

ALICE, BOB, CAROL = "@alice:a.example", "@bob:b.example", "@carol:c.example"
EVERYTHING = RoomEventFilter()


@pytest.fixture
async def reader(b):
    reader = Reader(b)
    yield reader
    await reader.tasks.close()


async def talk(server, room_id, count):
    return [(await server.say(room_id, ALICE, f"message {number}")).event_id for number in range(count)]


@pytest.mark.parametrize("version", ["1", "6", "12"])
async def test_500_events_are_read_back_in_their_order(a, b, reader, version):
    room_id = await a.create(ALICE, version, preset="public_chat")
    await talk(a, room_id, 250)
    await a.send(room_id, ALICE, "m.room.topic", {"topic": "old"}, "")
    await a.send(room_id, ALICE, "m.room.topic", {"topic": "new"}, "")
    await talk(a, room_id, 250)
    await b.join(BOB, room_id, a)
    await talk(a, room_id, 3)
    original = await a.timeline(room_id)
    assert len(original) > 505

    assert await reader.read_back(room_id) == original[:-3], "what came after was not sent"
    assert sum(one.events for one in reader.seen if isinstance(one, PastFetched)) == len(original) - 4
    before = len(reader.remote.asked)
    assert await reader.read_back(room_id) == original[:-3]
    assert len(reader.remote.asked) == before, "it is all here"
    assert await b.current(room_id) != {}
    assert await b.timeline(room_id) == original[:-3]


async def test_the_state_before_old_events_is_what_it_was(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    for number in range(3):
        await a.send(room_id, ALICE, "m.room.topic", {"topic": f"{number}"}, "")
        await talk(a, room_id, 3)
    await b.join(BOB, room_id, a)
    current = await b.current(room_id)
    await reader.read_back(room_id)

    for event_id in await a.timeline(room_id):
        here, there = [
            {event.event_id for event in await server.state_before(event_id)} for server in (b, a)
        ]
        assert here == there, event_id
    assert await b.current(room_id) == current
    assert await b.extremities(room_id) == await a.extremities(room_id)


async def test_few_events_at_a_time_come_to_the_same(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    await talk(a, room_id, 40)
    await b.join(BOB, room_id, a)
    reader.remote.limit = 3

    assert await reader.read_back(room_id, limit=7) == await a.timeline(room_id)


@pytest.mark.parametrize("seed", range(6))
async def test_branches_are_read_back_with_each_event_in_its_place(a, make_database, network, b, seed):
    chance = random.Random(seed)
    c = await RoomsOfServer("c.example", await make_database(), network).start()
    room_id = await a.create(ALICE, preset="public_chat", power_level_content_override={"users_default": 100})
    await c.join(CAROL, room_id, a)
    for _ in range(12):
        waiting = {"a.example": [], "c.example": []}
        for server, user in ((a, ALICE), (c, CAROL)):
            for _ in range(chance.randrange(3)):
                if chance.random() < 0.4:
                    content = {"topic": f"{chance.random()}"}
                    event = await server.send(room_id, user, "m.room.topic", content, "")
                else:
                    event = await server.say(room_id, user)
                waiting[server.name].append(event)
        await a.accept("c.example", room_id, *waiting["c.example"])
        await c.accept("a.example", room_id, *waiting["a.example"])
    await b.join(BOB, room_id, a)
    reader = Reader(b)
    reader.remote.limit = chance.choice((4, 20, 100))
    read = await reader.read_back(room_id, limit=9)

    assert sorted(read) == sorted(await a.timeline(room_id))
    places = {event_id: place for place, event_id in enumerate(read)}
    stored = await b.events.by_ids(read)
    for event_id, one in stored.items():
        for before in one.event.prev_events:
            if before in places:
                assert places[before] < places[event_id]
    for event_id in read:
        states = [{one.event_id for one in await server.state_before(event_id)} for server in (b, a)]
        assert states[0] == states[1]
    await reader.tasks.close()
    await c.stop()


async def test_what_a_user_may_not_see_is_fetched_but_not_shown(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    shown = await talk(a, room_id, 3)
    await a.send(room_id, ALICE, "m.room.history_visibility", {"history_visibility": "joined"}, "")
    hidden = await talk(a, room_id, 4)
    await a.send(room_id, ALICE, "m.room.history_visibility", {"history_visibility": "shared"}, "")
    again = await talk(a, room_id, 2)
    await b.join(BOB, room_id, a)
    read = await reader.read_back(room_id)

    assert set(shown + again) <= set(read)
    assert not set(hidden) & set(read)
    assert await b.flags(hidden[0]) == EventFlags.BRANCHED


async def test_redactions_are_as_they_were(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    (said,) = await talk(a, room_id, 1)
    await talk(a, room_id, 3)
    await a.send(room_id, ALICE, "m.room.redaction", {}, redacts=said)
    await b.join(BOB, room_id, a)

    assert await reader.read_back(room_id) == await a.timeline(room_id)
    assert (await b.events.by_id(said)).event.content == {}


async def test_servers_that_do_not_answer_are_passed_over(a, b, make_database, network, reader):
    c = await RoomsOfServer("c.example", await make_database(), network).start()
    room_id = await a.create(ALICE, preset="public_chat")
    said = await talk(a, room_id, 5)
    await c.join(CAROL, room_id, a)
    await b.join(BOB, room_id, a)
    network.cut = {("b.example", "a.example")}
    reader.remote.asked.clear()
    reader.near = {"a.example"}
    page, end = await reader.page(room_id)
    asked = [server for server, _ in reader.remote.asked]
    assert asked[:2] == ["a.example", "c.example"], "our own first"
    assert len(page.chunk) == 2, "the other one came in just before"
    assert end is not None, "there is more"

    network.cut = set()
    await reader.page(room_id)
    assert len(reader.remote.asked) == len(asked), "not at once again"
    b.clock.ms += 30_000
    assert set(said) <= set(await reader.read_back(room_id))
    await c.stop()


async def test_all_who_read_back_wait_for_the_same_answer(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    await talk(a, room_id, 5)
    await b.join(BOB, room_id, a)
    reader.remote.gate = asyncio.Event()
    fetching = [asyncio.ensure_future(reader.backfill.fetch(room_id)) for _ in range(5)]
    while not reader.remote.asked:  # noqa: ASYNC110 - it has no event of its own
        await asyncio.sleep(0)
    fetching[0].cancel()
    reader.remote.gate.set()

    assert await asyncio.gather(*fetching[1:]) == [Past.MORE] * 4
    assert len(reader.remote.asked) == 1


async def test_a_room_of_our_own_has_no_other_past(a, b):
    room_id = await a.create(ALICE, preset="public_chat")
    await b.join(BOB, room_id, a)
    reader = Reader(a)
    for _ in range(2):
        assert await reader.backfill.fetch(room_id) is Past.NOTHING
    assert reader.remote.asked == []
    assert await reader.backfill.fetch("!unknown:a.example") is Past.NOTHING
    await reader.tasks.close()


async def test_what_leads_nowhere_or_is_forged_is_not_taken(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    other_id = await a.create(ALICE, preset="public_chat")
    others = await talk(a, other_id, 3)
    said = await talk(a, room_id, 3)
    await b.join(BOB, room_id, a)

    class Forging(RemotePast):
        async def backfill(self, server, room_id, *, latest, limit):
            true = await super().backfill(server, room_id, latest=latest, limit=limit)
            foreign = [dict((await a.events.by_id(event_id)).event.pdu) for event_id in others]
            unsigned = {**true[0], "signatures": {}}
            return [*foreign, "nonsense", {}, unsigned, {"prev_events": 7}, *true]

    reader.remote = reader.backfill._remote = Forging(b.network, "b.example")
    read = await reader.read_back(room_id)
    assert read == await a.timeline(room_id)
    assert set(said) <= set(read)
    assert await b.events.by_ids(others) == {}


async def test_the_event_closest_to_a_time_is_found_beyond_what_is_here(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    said = [await a.say(room_id, ALICE, f"{number}") for number in range(20)]
    await b.join(BOB, room_id, a)
    times = reader.services.event_times
    wanted = said[7]

    assert await times.closest(Requester, room_id, wanted.origin_server_ts, "b") == (
        wanted.event_id, wanted.origin_server_ts,
    )  # fmt: skip
    assert await times.closest(Requester, room_id, wanted.origin_server_ts + 1, "f") == (
        said[8].event_id, said[8].origin_server_ts,
    )  # fmt: skip
    asked = len(reader.remote.asked)
    with pytest.raises(NotFound):
        await times.closest(Requester, room_id, 1, "b")
    assert len(reader.remote.asked) == asked, "all of the past is here"


async def test_a_context_leads_back_beyond_what_is_here(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    await a.send(room_id, ALICE, "m.room.topic", {"topic": "old"}, "")
    said = await talk(a, room_id, 6)
    await a.send(room_id, ALICE, "m.room.topic", {"topic": "new"}, "")
    entry = await b.join(BOB, room_id, a)
    contexts = reader.services.contexts
    found = await contexts.around(Requester, room_id, entry.event_id, limit=4, wanted=EVERYTHING)
    assert len(found.events_before) == 2

    for wanted in (EVERYTHING, RoomEventFilter(lazy_load_members=True)):
        found = await contexts.around(Requester, room_id, said[3], limit=4, wanted=wanted)
        assert [event_id_in(each) for each in found.events_before] == [said[2], said[1]]
        assert [event_id_in(each) for each in found.events_after] == said[4:6]
        state = b",".join(found.state)
        assert b'"topic":"old"' in state
        assert b'"topic":"new"' not in state
        assert ALICE.encode() in state
        assert BOB.encode() not in state
    page, _ = await reader.page(room_id, int(found.start[1:]), 2, lazy_load_members=True)
    assert len(page.state) == 1
    assert b'"state_key":"@alice:a.example"' in page.state[0]


async def test_who_is_in_no_room_any_more_asks_nobody(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    await talk(a, room_id, 5)
    await b.join(BOB, room_id, a)
    left = await b.send(room_id, BOB, "m.room.member", {"membership": "leave"}, BOB)

    assert await reader.backfill.fetch(room_id) is Past.NOTHING
    assert reader.remote.asked == []
    await a.accept("b.example", room_id, left)
    await b.join(BOB, room_id, a)
    assert await reader.backfill.fetch(room_id) is Past.MORE, "it may be asked for again"


async def test_a_state_that_nobody_tells_lets_nothing_in(a, b, reader, monkeypatch):
    room_id = await a.create(ALICE, preset="public_chat")
    said = await talk(a, room_id, 5)
    await b.join(BOB, room_id, a)
    reader.remote.limit = 2

    async def nothing(self, server, room_id, event_id):
        raise Unavailable("not now")

    with monkeypatch.context() as patch:
        patch.setattr(RemoteRooms, "state_ids", nothing)
        assert await reader.backfill.fetch(room_id) is Past.OUT_OF_REACH
    assert await b.events.by_ids(said) == {}


async def test_a_redaction_that_came_before_its_event_takes_effect_on_it(a, b, reader):
    room_id = await a.create(ALICE, preset="public_chat")
    (said,) = await talk(a, room_id, 1)
    await talk(a, room_id, 3)
    await b.join(BOB, room_id, a)
    true = (await a.events.by_id(said)).event
    redaction = await a.send(room_id, ALICE, "m.room.redaction", {}, redacts=said)
    await b.accept("a.example", room_id, redaction)

    class Late(RemotePast):
        """Tells the event as it was."""

        async def backfill(self, server, room_id, *, latest, limit):
            told = await super().backfill(server, room_id, latest=latest, limit=limit)
            return [dict(true.pdu) if pdu["depth"] == true.depth else pdu for pdu in told]

    reader.backfill._remote = Late(b.network, "b.example")
    assert await reader.read_back(room_id) == (await a.timeline(room_id))[:-1], "it is shown with its effect"
    assert await reader.read_back(room_id) == await a.timeline(room_id)
    stored = await b.events.by_id(said)
    assert stored.event.content == {}
    assert stored.event.redacted_because.event_id == redaction.event_id
