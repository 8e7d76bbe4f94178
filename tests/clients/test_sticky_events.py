"""Sticky events on a whole server: sent, told in every way of syncing, redacted, and over."""

import pytest

from storage.expiry import Expiry

STICKY = "org.matrix.msc4354.sticky_duration_ms"
TTL = "msc4354_sticky_duration_ttl_ms"
EXTENSION = "org.matrix.msc4354.sticky_events"
DELAY_ID = "org.matrix.msc4140.delay_id"
CALL = "org.matrix.msc4143.rtc.member"
HOUR_MS = 3_600_000


@pytest.fixture
def move_clock(rooms_server, monkeypatch):
    """Let the server's clock go forward by so many milliseconds."""
    clock, moved_ms = rooms_server.clock, [0]
    real = clock.now_ms
    monkeypatch.setattr(clock, "now_ms", lambda: real() + sum(moved_ms), raising=False)
    return moved_ms.append


@pytest.fixture
async def room(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    return room_id


async def try_call(user, room, duration, *, query="", transaction_id=None):
    path = user.send_path(room, transaction_id, CALL)
    return await user.try_("PUT", f"{path}?{STICKY}={duration}{query}", {"msc4354_sticky_key": "k"})


async def call(user, room, duration=HOUR_MS, **options):
    status, answer = await try_call(user, room, duration, **options)
    assert status == 200, answer
    return answer["event_id"]


async def sync(user, room, since=None):
    answer = await user.get("/sync?timeout=0" + ("" if since is None else f"&since={since}"))
    part = answer.get("rooms", {}).get("join", {}).get(room, {})
    return answer["next_batch"], part


def sticky_in(part):
    return [event["event_id"] for event in part.get("msc4354_sticky", {"events": []})["events"]]


async def talk(user, room, count=12):
    for number in range(count):
        await user.send(room, str(number))


async def test_a_sticky_event_is_told_with_its_time_by_every_read(alice, bob, room):
    since, _ = await sync(bob, room)
    event_id = await call(alice, room, 60_000)
    _, part = await sync(bob, room, since)
    (synced,) = part["timeline"]["events"]
    read = await bob.get(f"/rooms/{room}/event/{event_id}")
    (paged,) = (await bob.get(f"/rooms/{room}/messages?dir=b&limit=1"))["chunk"]

    for event in (synced, read, paged):
        assert event["event_id"] == event_id
        assert event["msc4354_sticky"] == {"duration_ms": 60_000}
        assert 50_000 < event["unsigned"][TTL] <= 60_000


async def test_who_joins_later_is_told_even_after_a_restart(rooms_server, alice, carol, room):
    event_id = await call(alice, room)
    await talk(alice, room)
    await rooms_server.restart()
    await carol.act(room, "join")
    _, part = await sync(carol, room)
    assert sticky_in(part) == [event_id]
    assert part["msc4354_sticky"]["events"][0]["unsigned"][TTL] <= HOUR_MS

    await rooms_server.restart()
    again, _ = await sync(alice, room)
    later = await call(alice, room)
    await talk(alice, room)
    _, part = await sync(alice, room, again)
    assert sticky_in(part) == [later]


async def test_the_sender_knows_it_by_its_transaction_id_after_a_restart(rooms_server, alice, room):
    await call(alice, room, transaction_id="mine")
    await talk(alice, room)
    await rooms_server.restart()
    _, part = await sync(alice, room)

    (event,) = part["msc4354_sticky"]["events"]
    assert event["unsigned"]["transaction_id"] == "mine"


async def test_sliding_sync_tells_it_with_a_place_that_survives_a_restart(rooms_server, alice, bob, room):
    event_id = await call(alice, room)
    await talk(alice, room)

    async def slide(since=None):
        extension = {"enabled": True} if since is None else {"enabled": True, "since": since}
        body = {
            "lists": {"all": {"ranges": [[0, 9]], "timeline_limit": 1, "required_state": []}},
            "extensions": {EXTENSION: extension},
        }
        path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
        status, answer = await rooms_server.call("POST", path, body, token=bob.token)
        assert status == 200, answer
        part = answer["extensions"][EXTENSION]
        told = part["rooms"].get(room, {"events": []})["events"]
        return part["next_batch"], [event["event_id"] for event in told]

    since, told = await slide()
    assert told == [event_id]
    await rooms_server.restart()
    since, told = await slide(since)
    assert told == []
    _, told = await slide()
    assert told == [event_id]


async def test_it_is_over_in_time_and_then_its_row_goes(rooms_server, alice, bob, room, move_clock):
    await call(alice, room, 60_000)
    await talk(alice, room)
    for _ in range(2):
        _, part = await sync(bob, room)
        assert len(sticky_in(part)) == 1
        await rooms_server.restart()
    move_clock(60_001)
    for _ in range(2):
        _, part = await sync(bob, room)
        assert sticky_in(part) == []
        await rooms_server.restart()
    kept = await call(alice, room)
    expiry = Expiry(rooms_server.database, rooms_server.clock, lambda _: None)
    assert await expiry.expire_sticky() == 1
    rows = await rooms_server.database.fetch("SELECT event_id FROM sticky_events")
    assert rows == [(kept,)]


async def test_what_is_redacted_is_not_told_even_after_a_restart(rooms_server, alice, bob, room):
    event_id = await call(alice, room)
    kept = await call(alice, room)
    await talk(alice, room)
    await alice.ask("PUT", f"/rooms/{room}/redact/{event_id}/t", {})
    for _ in range(2):
        _, part = await sync(bob, room)
        assert sticky_in(part) == [kept]
        await rooms_server.restart()


async def test_many_are_told_in_pages_from_the_database_too(rooms_server, alice, bob, room):
    event_ids = [await call(alice, room) for _ in range(105)]
    await talk(alice, room)
    for _ in range(2):
        since, part = await sync(bob, room)
        assert sticky_in(part) == event_ids[:100]
        _, part = await sync(bob, room, since)
        assert sticky_in(part) == event_ids[100:]
        await rooms_server.restart()


async def test_who_is_ignored_is_not_heard_after_a_restart(rooms_server, alice, bob, room):
    await call(alice, room)
    own = await call(bob, room)
    await talk(bob, room)
    path = f"/user/{bob.user_id}/account_data/m.ignored_user_list"
    await bob.ask("PUT", path, {"ignored_users": {alice.user_id: {}}})
    await rooms_server.restart()
    _, part = await sync(bob, room)

    assert sticky_in(part) == [own]


async def test_a_repeated_transaction_makes_one_event(alice, room):
    assert await call(alice, room, transaction_id="t") == await call(alice, room, transaction_id="t")


@pytest.mark.parametrize("duration", ["-1", "3600001", "soon", "1.5", "", "99999999999999999999"])
async def test_durations_that_are_none_are_refused(alice, room, duration):
    assert await try_call(alice, room, duration) == (400, "M_INVALID_PARAM")


async def test_the_bounds_are_taken_and_zero_is_not_sticky(alice, bob, room):
    assert (await try_call(alice, room, HOUR_MS))[0] == 200
    event_id = await call(alice, room, 0)
    event = await bob.get(f"/rooms/{room}/event/{event_id}")

    assert event["msc4354_sticky"] == {"duration_ms": 0}
    assert TTL not in event["unsigned"]


async def test_a_delayed_event_is_sticky_from_its_sending(rooms_server, alice, bob, room, move_clock):
    status, answer = await try_call(alice, room, 60_000, query="&org.matrix.msc4140.delay=30000")
    assert status == 200
    move_clock(30_001)
    await rooms_server.services.delayed_events.work()
    _, part = await sync(bob, room)
    event = part["timeline"]["events"][-1]

    assert event["type"] == CALL
    assert 50_000 < event["unsigned"][TTL] <= 60_000
    assert DELAY_ID not in event["unsigned"]
    assert answer["delay_id"]


async def test_the_delayed_event_endpoint_takes_a_duration_but_not_for_state(alice, room):
    path = f"/rooms/{room}/delayed_event/{CALL}/t?{STICKY}="
    body = {"delay_ms": 1000, "content": {}}
    assert (await alice.try_("PUT", path + "1000", body))[0] == 200
    assert await alice.try_("PUT", path + "-1", body) == (400, "M_INVALID_PARAM")
    assert await alice.try_("PUT", path + "9", body | {"state_key": ""}) == (400, "M_INVALID_PARAM")


async def test_it_is_announced(rooms_server):
    _, answer = await rooms_server.call("GET", "/_matrix/client/versions")
    assert answer["unstable_features"]["org.matrix.msc4354"] is True


async def test_who_comes_in_is_not_told_what_an_erased_user_said(rooms_server, alice, bob, carol, room):
    await call(bob, room)
    kept = await call(alice, room)
    await talk(alice, room)
    since, _ = await sync(carol, room)
    await rooms_server.storage.reads.erased_users.add(bob.user_id, 1)
    await carol.act(room, "join")
    _, part = await sync(carol, room, since)

    assert sticky_in(part) == [kept]
