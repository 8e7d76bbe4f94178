"""Rooms with a lifetime, through a whole server whose clock the test moves."""

import dataclasses

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeserver.config.model import RetentionSection
from homeserver.core.changes import EventChange
from homeserver.core.errors import Unavailable
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.retention import RoomRetention
from homeserver.runtime.clock import SystemClock
from storage.retention import Moves
from storage.tables.events import Events
from storage.tables.retention import Retention
from storage.tables.state import State
from tests.doubles.rooms import RoomsServer

DAY = 86_400_000
WEEK = 7 * DAY
RETENTION = "m.room.retention"


class MovedClock(SystemClock):
    """The machine's clock, so much ahead."""

    ahead_ms = 0

    def now_ms(self):
        return super().now_ms() + self.ahead_ms


def keep(server, **section):
    server.configuration = dataclasses.replace(
        server.configuration, retention=RetentionSection(**{"enabled": True, **section})
    )


@pytest.fixture
async def rooms_server(database, tmp_path):
    """Start a whole server with retention, whose clock can be moved."""
    server = RoomsServer(database, tmp_path)
    server.clock = MovedClock()
    keep(server)
    yield await server.start()
    await server.close()


@pytest.fixture
async def bob(rooms_server):
    return await rooms_server.user("bob")


@pytest.fixture
def work(rooms_server):
    """Give a function that moves the clock and does what is to be done then."""

    async def pass_time(ms=0):
        rooms_server.clock.ahead_ms += ms
        await rooms_server.services.rooms.retention.work()

    return pass_time


@pytest.fixture
def classes(database):
    """Give a function that tells in which classes the messages of a room are: body to class."""

    async def read(room_id):
        return await database.fetch(
            "SELECT convert_from(json, 'UTF8')::json->'content'->>'body', events.retention_class FROM events"
            " JOIN rooms USING (room_nid) JOIN interned_types AS types ON types.nid = type_nid"
            " WHERE room_id = %b AND types.text = 'm.room.message' ORDER BY position",
            room_id,
        )

    return read


async def test_a_room_that_says_so_moves_with_all_its_messages(alice, room, work, classes):
    await alice.send(room, "before")
    await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
    await work()
    await alice.send(room, "after")
    assert await classes(room) == [("before", 2), ("after", 2)]
    assert await alice.texts(room) == ["after", "before"]

    await alice.set_state(room, RETENTION, {"max_lifetime": 400 * DAY})
    await work()
    await alice.send(room, "for ever")
    assert await classes(room) == [("before", 0), ("after", 0), ("for ever", 0)]


async def test_what_is_sent_while_the_room_moves_is_found(alice, room, work, classes):
    await alice.set_state(room, RETENTION, {"max_lifetime": DAY})
    sent = [str(number) for number in range(20)]
    for text in sent:
        await alice.send(room, text)
    await work()
    assert await classes(room) == [(text, 1) for text in sent]
    assert await alice.texts(room) == sent[::-1]


async def test_after_their_lifetime_messages_are_gone_for_every_reader(alice, bob, room, work, classes):
    await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
    await work()
    await alice.act(room, "invite", user_id=bob.user_id)
    await bob.act(room, "join")
    since = (await alice.get("/sync"))["next_batch"]
    old = await alice.send(room, "old")
    await work(WEEK - 60_000)
    assert await alice.texts(room) == ["old"]
    young = await bob.send(room, "young")

    await work(2 * 60_000)  # over its lifetime, but the partition still stands
    assert await classes(room) == [("old", 2), ("young", 2)]
    await hidden(alice, room, old, since)
    await work(2 * DAY)
    assert await classes(room) == [("young", 2)]
    await hidden(alice, room, old, since)
    assert (await alice.event(room, young))["content"]["body"] == "young"
    assert await alice.membership(room, bob.user_id) == "join"


async def hidden(user, room, old, since):
    """Check that of two messages only the younger can be read, in any way."""
    assert await user.texts(room) == ["young"]
    assert await user.texts(room, "dir=f&limit=100") == ["young"]
    assert await user.try_("GET", f"/rooms/{room}/event/{old}") == (404, "M_NOT_FOUND")
    assert (await user.try_("GET", f"/rooms/{room}/context/{old}"))[0] == 404
    for query in ("", f"?since={since}", "?full_state=true"):
        answer = await user.get(f"/sync{query}")
        timeline = answer["rooms"]["join"][room]["timeline"]["events"]
        assert [event["content"]["body"] for event in timeline if event["type"] == "m.room.message"] == [
            "young"
        ]
    page = await user.messages(room, "dir=b&limit=100")
    assert "end" not in page
    assert page["chunk"][-1]["type"] == "m.room.create"


async def test_a_room_that_fell_silent_goes_on(rooms_server, alice, room, work, classes, database):
    await alice.set_state(room, RETENTION, {"max_lifetime": DAY})
    await work()
    for text in ("one", "two", "three"):
        last = await alice.send(room, text)
    await work(10 * DAY)
    assert await classes(room) == [(None, 0)]  # the last one, without its content
    assert await alice.texts(room) == []
    assert await alice.try_("GET", f"/rooms/{room}/event/{last}") == (404, "M_NOT_FOUND")

    await rooms_server.restart()
    await alice.send(room, "here again")
    assert await alice.texts(room) == ["here again"]
    await rooms_server.services.rooms.retention.work()
    assert await classes(room) == [(None, 0), ("here again", 1)]


async def test_rooms_without_a_word_have_the_servers_lifetime(rooms_server, alice, room, work, classes):
    await alice.send(room, "before")
    keep(rooms_server, default_lifetime_ms=30 * DAY)
    await rooms_server.restart()
    await rooms_server.services.rooms.retention.work()
    new = await alice.create()
    await rooms_server.services.rooms.retention.work()
    for room_id in (room, new):
        await alice.send(room_id, "after")
    assert await classes(room) == [("before", 3), ("after", 3)]
    assert await classes(new) == [("after", 3)]


async def test_without_retention_all_that_is_left_is_kept(rooms_server, alice, room, work, classes):
    await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
    await work()
    await alice.send(room, "left")
    keep(rooms_server, enabled=False)
    await rooms_server.restart()
    await rooms_server.services.rooms.retention.work()
    assert await classes(room) == [("left", 0)]
    rooms_server.clock.ahead_ms += 400 * DAY
    await rooms_server.services.rooms.retention.work()
    assert await alice.texts(room) == ["left"]


async def test_a_longer_lifetime_saves_what_is_not_dropped_yet(rooms_server, alice, room, work, classes):
    await alice.set_state(room, RETENTION, {"max_lifetime": DAY})
    await work()
    await alice.send(room, "old")
    await rooms_server.close()
    # The room's word was changed while the old lifetime ran out: nothing may be dropped before it has moved.
    rooms_server.clock.ahead_ms += 3 * DAY
    keep(rooms_server, lifetime_ms_min=WEEK)
    await rooms_server.start()
    await rooms_server.services.rooms.retention.work()
    assert await classes(room) == [("old", 2)]
    assert await alice.texts(room) == ["old"]


async def test_a_server_that_stops_in_the_middle_of_a_move_goes_on(
    rooms_server, database, alice, room, classes, monkeypatch
):
    sent = [str(number) for number in range(10)]
    for text in sent:
        await alice.send(room, text)

    async def fall_over(self, policy):
        pass

    with monkeypatch.context() as patched:
        patched.setattr(RoomRetention, "_move_all", fall_over)
        await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
        await rooms_server.services.rooms.retention.work()
        (nid,) = await database.fetch_one("SELECT room_nid FROM retention_moves")
        moves = Moves(database=database, clock=rooms_server.clock, batch_events_max=12)
        assert not (await moves.step(nid)).is_done
        halfway = await classes(room)
        assert {number for _, number in halfway} == {0, 2}
        assert await alice.texts(room) == sent[::-1]
    await rooms_server.restart()
    await rooms_server.services.rooms.retention.work()
    assert await classes(room) == [(text, 2) for text in sent]
    assert await alice.texts(room) == sent[::-1]
    assert await database.fetch("SELECT 1 FROM retention_moves") == []


@pytest.mark.parametrize(
    "content",
    [{}, {"max_lifetime": "soon"}, {"max_lifetime": -1}, {"max_lifetime": None}, {"min_lifetime": []}],
)
async def test_what_says_nothing_changes_nothing(alice, room, work, classes, content):
    await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
    await work()
    await alice.set_state(room, RETENTION, content)
    await work()
    await alice.send(room, "kept")
    assert await classes(room) == [("kept", 0)]


async def test_a_word_that_state_resolution_takes_back_does_not_count(
    rooms_server, database, alice, room, work, classes
):
    await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
    await work()
    event_id = await alice.send(room, "kept")
    await database.execute(
        "UPDATE current_state SET position = 0 FROM interned_types WHERE nid = type_nid AND text = %b",
        RETENTION,
    )
    stored = await Events(database).by_id(event_id)
    change = EventChange(stored.position, room, stored.event, removed=((RETENTION, ""),))
    rooms_server.storage.bus.publish([change])
    await work()
    assert await classes(room) == [("kept", 0)]


async def test_a_word_that_comes_while_the_last_one_is_looked_at_counts(
    rooms_server, alice, room, work, classes, monkeypatch
):
    look = Retention.room
    looks = []

    async def look_too_early(self, room_id):
        found = await look(self, room_id)
        looks.append(room_id)
        if len(looks) == 1:
            await alice.set_state(room, RETENTION, {"max_lifetime": 20 * DAY})
        return found

    monkeypatch.setattr(Retention, "room", look_too_early)
    await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
    await work()
    await alice.send(room, "hello")
    assert await classes(room) == [("hello", 3)]


async def test_a_room_hears_of_its_class_though_the_first_try_failed(
    rooms_server, alice, room, classes, monkeypatch
):
    retention = rooms_server.services.rooms.retention
    await retention.work()
    (await rooms_server.services.rooms.registry.actor(room)).retention_class = 1

    async def fail(self, room_id, *keys):
        raise Unavailable("Try again.")

    with monkeypatch.context() as patched:
        patched.setattr(RoomRegistry, "actor", fail)
        room_row = await Retention(rooms_server.database).room(room)
        retention.follow([EventChange(1, room, await create_event(rooms_server, room_row))])
        await rooms_server.database.execute("UPDATE rooms SET retention_lifetime_ms = 1, retention_class = 1")
        with pytest.raises(Unavailable):
            await retention.work()
    await retention.work()
    await alice.send(room, "hello")
    assert await classes(room) == [("hello", 0)]


async def create_event(server, room):
    state = State(server.database, Events(server.database))
    return (await state.current_one(room.room_nid, "m.room.create", "")).event


async def test_a_redacted_word_does_not_count(alice, room, work, classes):
    event_id = await alice.set_state(room, RETENTION, {"max_lifetime": WEEK})
    await work()
    await alice.redact(room, event_id)
    await work()
    await alice.send(room, "kept")
    assert await classes(room) == [("kept", 0)]


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.one_of(
            st.sampled_from([DAY, WEEK, 20 * DAY, 400 * DAY]), st.sampled_from(["send", "work", "restart"])
        ),
        max_size=10,
    )
)
async def test_after_any_changes_every_message_is_read_once(rooms_server, alice, actions):
    room = await alice.create()
    sent = []
    for action in [*actions, "work"]:
        if action == "work":
            await rooms_server.services.rooms.retention.work()
        elif action == "restart":
            await rooms_server.restart()
        elif action == "send":
            sent.append(str(len(sent)))
            await alice.send(room, sent[-1])
        else:
            await alice.set_state(room, RETENTION, {"max_lifetime": action})
        assert await alice.texts(room) == sent[::-1]
    rows = await rooms_server.database.fetch(
        "SELECT count(*), count(DISTINCT event_id), count(DISTINCT event_ids.retention_class)"
        " FROM event_ids JOIN events USING (event_id, room_nid, position, retention_class)"
        " JOIN rooms USING (room_nid) JOIN interned_types AS types ON types.nid = type_nid"
        " WHERE room_id = %b AND types.text = 'm.room.message'",
        room,
    )
    assert rows == [(len(sent), len(sent), min(1, len(sent)))]
