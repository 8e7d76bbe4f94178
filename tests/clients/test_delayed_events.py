"""Delayed events: scheduled, pushed back, cancelled, and sent once when they are due."""

from urllib.parse import quote

import pytest

from homeserver.rooms.delayed_events import WAITING_PER_USER_MAX
from tests.doubles.rooms import PASSWORD, User

UNSTABLE = "/_matrix/client/unstable/org.matrix.msc4140"
STABLE = "/_matrix/client/v1"
LEAVE = "org.matrix.msc3401.call.member"


@pytest.fixture
def move_clock(rooms_server, monkeypatch):
    """Let the server's clock go forward by so many milliseconds."""
    clock, moved_ms = rooms_server.clock, [0]
    real = clock.now_ms
    monkeypatch.setattr(clock, "now_ms", lambda: real() + sum(moved_ms), raising=False)
    return moved_ms.append


@pytest.fixture
async def room(alice, bob):
    levels = {"state_default": 0}
    room_id = await alice.create(preset="public_chat", power_level_content_override=levels)
    await bob.act(room_id, "join")
    return room_id


async def schedule(user, room, text="later", *, delay_ms=60_000, transaction_id=None):
    path = user.send_path(room, transaction_id, "m.room.message")
    content = {"msgtype": "m.text", "body": text}
    return await user.try_("PUT", f"{path}?org.matrix.msc4140.delay={delay_ms}", content)


async def schedule_state(user, room, content, *, delay_ms=60_000):
    path = f"/rooms/{quote(room)}/state/{LEAVE}/key?org.matrix.msc4140.delay={delay_ms}"
    return (await user.ask("PUT", path, content))["delay_id"]


async def act(server, delay_id, action, *, prefix=UNSTABLE, token=None):
    return await server.call("POST", f"{prefix}/delayed_events/{delay_id}/{action}", {}, token=token)


async def waiting(user):
    _, answer = await user.server.call("GET", f"{UNSTABLE}/delayed_events", token=user.token)
    return [one["delay_id"] for one in answer["delayed_events"]]


async def test_nothing_is_sent_before_its_time_and_then_once(rooms_server, alice, room, move_clock):
    status, answer = await schedule(alice, room)
    assert status == 200
    assert set(answer) == {"delay_id"}
    await rooms_server.services.delayed_events.work()
    assert await alice.texts(room) == []
    assert await waiting(alice) == [answer["delay_id"]]

    move_clock(61_000)
    for _ in range(2):
        await rooms_server.services.delayed_events.work()
    assert await alice.texts(room) == ["later"]
    assert await waiting(alice) == []


async def test_what_is_due_while_the_server_is_down_is_sent_once_when_it_is_back(
    rooms_server, alice, room, move_clock
):
    _, answer = await schedule(alice, room)
    service = rooms_server.services.delayed_events
    # The crash comes between the sending and the note of it.
    await service._send(await service.find(answer["delay_id"], None))
    await rooms_server.restart()
    move_clock(61_000)
    for one in await rooms_server.services.delayed_events.of_user(alice.user_id):
        rooms_server.services.delayed_events._take_in(one)
    await rooms_server.services.delayed_events.work()

    assert await alice.texts(room) == ["later"]
    assert await waiting(alice) == []


async def test_a_transaction_schedules_once(alice, room):
    first = await schedule(alice, room, transaction_id="same")
    assert await schedule(alice, room, transaction_id="same") == first
    assert len(await waiting(alice)) == 1


async def test_who_knows_the_id_pushes_it_back_sends_and_cancels_it(rooms_server, alice, room, move_clock):
    _, answer = await schedule(alice, room)
    delay_id = answer["delay_id"]
    move_clock(50_000)
    assert await act(rooms_server, delay_id, "restart") == (200, {})
    move_clock(50_000)
    await rooms_server.services.delayed_events.work()
    assert await alice.texts(room) == []

    assert await act(rooms_server, delay_id, "send") == (200, {})
    assert await alice.texts(room) == ["later"]
    for action in ("send", "restart", "cancel"):
        assert (await act(rooms_server, delay_id, action))[0] == 404
    _, answer = await schedule(alice, room, "never")
    assert await act(rooms_server, answer["delay_id"], "cancel") == (200, {})
    move_clock(120_000)
    await rooms_server.services.delayed_events.work()
    assert await alice.texts(room) == ["later"]


async def test_the_path_to_come_wants_the_sender_and_tells_what_came_of_it(rooms_server, alice, bob, room):
    _, answer = await schedule(alice, room)
    delay_id = answer["delay_id"]
    assert (await act(rooms_server, delay_id, "send", prefix=STABLE))[0] == 401
    assert (await act(rooms_server, delay_id, "send", prefix=STABLE, token=bob.token))[0] == 404
    assert (await act(rooms_server, delay_id, "send", token=bob.token))[0] == 404
    for _ in range(2):
        assert (await act(rooms_server, delay_id, "send", prefix=STABLE, token=alice.token))[0] == 200
    assert (await act(rooms_server, delay_id, "cancel", prefix=STABLE, token=alice.token))[0] == 409

    path = f"{STABLE}/delayed_events/{delay_id}"
    _, told = await rooms_server.call("GET", path, token=alice.token)
    assert told["finalised"]["event_id"].startswith("$")
    assert (await rooms_server.call("GET", path, token=bob.token))[0] == 404


async def test_state_is_cancelled_when_another_user_sets_it_but_not_by_its_sender(
    rooms_server, alice, bob, room, move_clock
):
    mine = await schedule_state(alice, room, {"who": "alice"})
    await alice.set_state(room, LEAVE, {"now": 1}, "key")
    await rooms_server.services.delayed_events.work()
    assert await waiting(alice) == [mine]

    await bob.set_state(room, LEAVE, {"now": 2}, "key")
    await rooms_server.services.delayed_events.work()
    assert await waiting(alice) == []
    move_clock(120_000)
    await rooms_server.services.delayed_events.work()
    assert await alice.state(room, LEAVE, "key") == {"now": 2}


async def test_state_is_set_when_it_is_due(rooms_server, alice, room, move_clock):
    await schedule_state(alice, room, {"who": "alice"})
    move_clock(61_000)
    await rooms_server.services.delayed_events.work()

    assert await alice.state(room, LEAVE, "key") == {"who": "alice"}


async def test_what_the_room_refuses_by_then_is_over_with_its_error(
    rooms_server, alice, bob, room, move_clock
):
    _, answer = await schedule(bob, room)
    await bob.act(room, "leave")
    move_clock(61_000)
    await rooms_server.services.delayed_events.work()

    _, told = await rooms_server.call(
        "GET", f"{STABLE}/delayed_events/{answer['delay_id']}", token=bob.token
    )
    assert told["finalised"]["error"]["errcode"] == "M_FORBIDDEN"
    assert await alice.texts(room) == []


async def test_delays_that_cannot_be(rooms_server, alice, carol, room):
    for delay_ms in (0, -1, "x"):
        assert await schedule(alice, room, delay_ms=delay_ms) == (400, "M_INVALID_PARAM")
    assert await schedule(carol, room) == (403, "M_FORBIDDEN")
    path = alice.send_path(room, None, "m.room.message")
    _, answer = await rooms_server.call(
        "PUT", f"/_matrix/client/v3{path}?org.matrix.msc4140.delay=99999999999", {}, token=alice.token
    )
    assert answer["errcode"] == "M_UNKNOWN"
    assert answer["org.matrix.msc4140.errcode"] == "M_MAX_DELAY_EXCEEDED"
    assert answer["org.matrix.msc4140.max_delay"] == 86_400_000
    assert (await act(rooms_server, "unknown", "send"))[0] == 404
    assert (await act(rooms_server, "unknown", "shout"))[0] == 400


async def test_so_many_wait_and_no_more(alice, room, monkeypatch):
    monkeypatch.setattr("homeserver.rooms.delayed_events.WAITING_PER_USER_MAX", 2)
    for _ in range(2):
        assert (await schedule(alice, room))[0] == 200

    assert await schedule(alice, room) == (429, "M_LIMIT_EXCEEDED")


@pytest.mark.parametrize("name", ["delay_ms", "delay"])
async def test_the_endpoint_to_come_schedules_too(rooms_server, alice, room, name):
    path = f"{UNSTABLE}/rooms/{quote(room)}/delayed_event/m.room.message/1"
    body = {name: 5_000, "content": {"msgtype": "m.text", "body": "x"}}
    status, answer = await rooms_server.call("PUT", path, body, token=alice.token)
    assert status == 200
    assert await waiting(alice) == [answer["delay_id"]]

    for wrong in ({}, {"content": {}}, {"content": {}, name: "5"}, {"content": 1, name: 5}):
        status, _ = await rooms_server.call("PUT", path, wrong, token=alice.token)
        assert status == 400


@pytest.mark.parametrize(
    ("prefix", "errcode"),
    [
        (UNSTABLE, "ORG.MATRIX.MSC4140_DELAY_TOO_LARGE"),
        ("/_matrix/client/v3", "M_DELAY_TOO_LARGE"),
    ],
)
async def test_the_endpoint_to_come_says_how_long_a_delay_can_be(rooms_server, alice, room, prefix, errcode):
    path = f"{prefix}/rooms/{quote(room)}/delayed_event/m.room.message/1"
    body = {"delay_ms": 10**12, "content": {}}
    status, answer = await rooms_server.call("PUT", path, body, token=alice.token)

    assert (status, answer["errcode"]) == (400, errcode)
    assert answer["org.matrix.msc4140.max_delay"] == 86_400_000


async def test_to_act_takes_no_body(rooms_server, alice, room):
    _, answer = await schedule(alice, room)
    path = f"{UNSTABLE}/delayed_events/{answer['delay_id']}/send"

    assert await rooms_server.call("POST", path, token=alice.token) == (200, {})
    assert await alice.texts(room) == ["later"]


async def test_a_repetition_at_the_limit_is_told_its_delay_id(alice, room):
    _, first = await schedule(alice, room, transaction_id="first")
    for _ in range(WAITING_PER_USER_MAX - 1):
        assert (await schedule(alice, room))[0] == 200

    assert await schedule(alice, room) == (429, "M_LIMIT_EXCEEDED")
    assert await schedule(alice, room, transaction_id="first") == (200, first)


async def test_the_device_that_scheduled_it_knows_the_event_by_its_delay_id(
    rooms_server, alice, bob, room, move_clock
):
    _, message = await schedule(alice, room)
    state_delay_id = await schedule_state(alice, room, {"n": 1})
    login = {"type": "m.login.password", "identifier": {"type": "m.id.user", "user": "alice"}}
    _, answer = await rooms_server.call(
        "POST", "/_matrix/client/v3/login", login | {"password": PASSWORD}
    )
    other = User(rooms_server, answer)
    since = {user: (await user.get("/sync?timeout=0"))["next_batch"] for user in (alice, bob, other)}
    move_clock(61_000)
    await rooms_server.services.delayed_events.work()

    for _ in range(2):  # from memory, then from the database
        for user, expected in (
            (alice, [message["delay_id"], state_delay_id]), (bob, [None, None]), (other, [None, None])
        ):  # fmt: skip
            answer = await user.get(f"/sync?timeout=0&since={since[user]}")
            synced = answer["rooms"]["join"][room]["timeline"]["events"]
            paged = (await user.get(f"/rooms/{room}/messages?dir=b&limit=2"))["chunk"][::-1]
            for events in (synced, paged):
                told = [event["unsigned"].get("org.matrix.msc4140.delay_id") for event in events]
                assert told == expected
                assert not any("transaction_id" in event["unsigned"] for event in events)
        await rooms_server.restart()
