"""Presence, as clients set and see it, on a whole server with a clock that is moved by hand."""

import asyncio
from dataclasses import replace
from urllib.parse import quote

import pytest

from homeserver.config.model import PresenceSection
from homeserver.ephemeral.present_user import ACTIVE_MS, DISCONNECT_MS, IDLE_MS
from tests.doubles.presence import PresenceServer, filtered, path, poll, put, requester, synced
from tests.doubles.rooms import RoomsServer


@pytest.fixture
async def rooms_server(database, tmp_path):
    server = await PresenceServer(database, tmp_path).start()
    yield server
    await server.close()


@pytest.fixture
async def room(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    return room_id


async def test_coming_idling_and_going_is_told_to_those_who_share_a_room(rooms_server, alice, bob, room):
    since, told = await synced(bob)
    assert told == {}

    await poll(alice)
    since, told = await synced(bob, since)
    assert told[alice.user_id] == {"presence": "online", "currently_active": True, "last_active_ago": 0}
    assert (await synced(bob, since))[1] == {}

    async with rooms_server.presence.here(requester(alice), None):
        await rooms_server.after(ACTIVE_MS)
        since, told = await synced(bob, since)
        expected = {"presence": "online", "currently_active": False, "last_active_ago": ACTIVE_MS}
        assert told[alice.user_id] == expected
        await rooms_server.after(IDLE_MS - ACTIVE_MS)
        since, told = await synced(bob, since)
        assert told[alice.user_id] == {"presence": "unavailable", "last_active_ago": IDLE_MS}
        await rooms_server.after(IDLE_MS)
        assert (await synced(bob, since))[1] == {}
    await rooms_server.after(DISCONNECT_MS)
    since, told = await synced(bob, since)
    assert told[alice.user_id]["presence"] == "offline"
    assert (await synced(bob))[1] == {}, "nobody who is offline comes with a first sync"


async def test_a_long_poll_that_lasts_is_online_then_idle_and_wakes_for_others(
    rooms_server, alice, bob, room
):
    since, _ = await synced(bob)
    token, _ = await synced(alice)
    waiting = asyncio.create_task(poll(alice, since=token, timeout=120_000))
    answer = await asyncio.wait_for(waiting, 10)
    (own,) = answer["presence"]["events"]
    assert own["sender"] == alice.user_id, "everybody is told of themselves too"

    waiting = asyncio.create_task(poll(alice, since=answer["next_batch"], timeout=120_000))
    await asyncio.sleep(0)
    since, told = await synced(bob, since)
    assert told[alice.user_id]["presence"] == "online"
    await put(bob, "unavailable", "at lunch")
    answer = await asyncio.wait_for(waiting, 10)
    (event,) = answer["presence"]["events"]
    assert event["sender"] == bob.user_id
    assert event["content"]["presence"] == "unavailable"
    assert event["content"]["status_msg"] == "at lunch"
    assert "rooms" not in answer


async def test_set_presence_of_a_sync(rooms_server, alice, bob, room):
    since, _ = await synced(bob)
    await poll(alice, set_presence="offline")
    since, told = await synced(bob, since)
    assert told == {}
    await poll(alice, set_presence="unavailable")
    since, told = await synced(bob, since)
    assert told[alice.user_id]["presence"] == "unavailable"
    await poll(alice, set_presence="online")
    since, told = await synced(bob, since)
    assert told[alice.user_id]["presence"] == "online"


async def test_sliding_sync_counts_as_sync_does(rooms_server, alice, bob, room):
    since, _ = await synced(bob)
    endpoint = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?set_presence="
    for wish, seen in (("offline", None), ("unavailable", "unavailable"), ("online", "online")):
        status, _ = await rooms_server.call("POST", endpoint + wish, {}, token=alice.token)
        assert status == 200
        since, told = await synced(bob, since)
        assert told.get(alice.user_id, {}).get("presence") == seen


async def test_put_and_get(rooms_server, alice, bob, carol, room):
    assert await alice.get(path(alice)) == {"presence": "offline", "currently_active": False}
    assert await put(alice, "online", "I am here") == (200, {})
    rooms_server.clock.advance(1_500)
    told = {
        "presence": "online", "currently_active": True, "status_msg": "I am here", "last_active_ago": 1_500,
    }  # fmt: skip
    assert await alice.get(path(alice)) == told
    assert await bob.get(path(alice)) == told

    assert await carol.try_("GET", path(alice)) == (403, "M_FORBIDDEN")
    assert await carol.try_("GET", "/presence/%40nobody%3Alocalhost/status") == (403, "M_FORBIDDEN")
    assert await carol.try_("GET", "/presence/nonsense/status") == (403, "M_FORBIDDEN")
    assert await bob.try_("PUT", path(alice), {"presence": "online"}) == (403, "M_FORBIDDEN")
    for wrong in ({}, {"presence": "asleep"}, {"presence": 7}, {"presence": "online", "status_msg": 7}):
        status, errcode = await alice.try_("PUT", path(alice), wrong)
        assert (status, errcode) == (400, "M_BAD_JSON")
    for wrong in ("x" * 5_000, "a\0b"):
        assert await put(alice, "online", wrong) == (400, "M_INVALID_PARAM")
    assert await alice.get(path(alice)) == told

    await put(alice, "online")
    assert "status_msg" not in await alice.get(path(alice)), "it goes with the state that it was set with"


async def test_doing_something_wakes_up_and_is_not_told_all_the_time(rooms_server, alice, bob, room):
    said = await bob.send(room)
    async with rooms_server.presence.here(requester(alice), None):
        acts = [
            lambda: alice.send(room),
            lambda: alice.ask("PUT", f"/rooms/{quote(room)}/typing/{quote(alice.user_id)}", {"typing": True}),
            lambda: alice.act(room, f"receipt/m.read/{quote(said, safe='')}"),
        ]
        for act in acts:
            await rooms_server.after(IDLE_MS)
            since, told = await synced(bob)
            assert told[alice.user_id]["presence"] == "unavailable"
            await act()
            since, told = await synced(bob, since)
            assert told[alice.user_id]["currently_active"]
            await rooms_server.after(ACTIVE_MS - 1)
            await act()
            since, told = await synced(bob, since)
            assert told == {}, "nothing new of somebody who is active"
            _, told = await synced(bob)
            assert told[alice.user_id]["last_active_ago"] == 0, "but whoever asks is told the truth"


async def test_who_only_sends_stays_offline_but_is_remembered(rooms_server, alice, bob, room):
    await alice.send(room)
    rooms_server.clock.advance(7_000)
    told = {"presence": "offline", "currently_active": False, "last_active_ago": 7_000}
    assert await bob.get(path(alice)) == told
    assert (await synced(bob))[1] == {}


async def test_nobody_hears_of_those_with_whom_they_share_no_small_room(database, tmp_path):
    server = PresenceServer(database, tmp_path)
    server.configuration = replace(server.configuration, presence=PresenceSection(room_members_max=2))
    await server.start()
    try:
        alice, bob, carol = [await server.user(name) for name in ("alice", "bob", "carol")]
        small = await alice.create(preset="public_chat")
        await bob.act(small, "join")
        since_bob, _ = await synced(bob)
        since_carol, _ = await synced(carol)
        await put(alice, "online", "one")
        since_bob, told = await synced(bob, since_bob)
        assert set(told) == {alice.user_id}
        assert (await synced(carol, since_carol))[1] == {}

        await carol.act(small, "join")  # now it is too large for anybody
        since_carol, told = await synced(carol, since_carol)
        assert told == {}
        since_bob, _ = await synced(bob, since_bob)
        await put(alice, "online", "two")
        assert (await synced(bob, since_bob))[1] == {}
        assert (await synced(bob))[1] == {}
        assert (await alice.get(path(alice)))["status_msg"] == "two"

        await carol.act(small, "leave")
        _, told = await synced(bob, since_bob)
        assert told[alice.user_id]["status_msg"] == "two", "those who are left see each other again"
    finally:
        await server.close()


async def test_whoever_comes_into_a_room_sees_who_is_there_and_is_seen(alice, bob, carol, room):
    await put(alice, "online")
    since_bob, _ = await synced(bob)
    since_carol, told = await synced(carol)
    assert told == {}
    await put(carol, "unavailable")
    since_carol, told = await synced(carol, since_carol)
    assert set(told) == {carol.user_id}
    await carol.act(room, "join")

    _, told = await synced(carol, since_carol)
    assert set(told) == {alice.user_id, carol.user_id}
    since_bob, told = await synced(bob, since_bob)
    assert set(told) == {carol.user_id}

    await carol.act(room, "leave")
    since_bob, told = await synced(bob, since_bob)
    await put(carol, "online")
    assert (await synced(bob, since_bob))[1] == {}
    assert set((await synced(bob))[1]) == {alice.user_id}


async def test_the_ignored_and_what_the_filter_keeps_out_are_not_told(alice, bob, carol, room):
    await carol.act(room, "join")
    since, _ = await synced(bob)
    ignored = {"ignored_users": {alice.user_id: {}}}
    await bob.ask("PUT", f"/user/{quote(bob.user_id)}/account_data/m.ignored_user_list", ignored)
    for user in (alice, carol):
        await put(user, "online")

    assert set((await synced(bob, since))[1]) == {carol.user_id}
    assert set((await synced(bob))[1]) == {carol.user_id}
    for wanted in ({"not_senders": [carol.user_id]}, {"types": []}, {"limit": 0}):
        assert (await synced(bob, since, filtered(wanted)))[1] == {}
    assert set((await synced(alice, None, filtered({"limit": 1})))[1]) == {carol.user_id}


async def test_status_and_activity_outlive_a_restart_and_whoever_does_not_come_back_is_told_as_gone(
    rooms_server, alice, bob, carol, room
):
    await carol.act(room, "join")
    for user in (alice, carol):
        await poll(user)
    await put(alice, "online", "back soon")
    since, told = await synced(bob)
    assert {told[user.user_id]["presence"] for user in (alice, carol)} == {"online"}
    await rooms_server.restart()

    await poll(alice)
    since, told = await synced(bob, since)
    assert told[alice.user_id]["presence"] == "online"
    assert told[alice.user_id]["status_msg"] == "back soon"
    await rooms_server.after(DISCONNECT_MS)
    since, told = await synced(bob, since)
    assert told[carol.user_id] == {"presence": "offline", "last_active_ago": DISCONNECT_MS + 1_000}
    assert (await bob.get(path(alice)))["status_msg"] == "back soon"

    await rooms_server.restart()
    assert (await synced(bob))[1] == {}, "they were gone when it stopped"
    assert (await bob.get(path(alice)))["last_active_ago"] >= DISCONNECT_MS


async def test_a_user_who_flickers_is_told_as_in_the_end(rooms_server, alice, bob, room):
    since, _ = await synced(bob)
    before = rooms_server.presence._snowflakes.last
    for number in range(100):
        await put(alice, "online", f"status {number}")
    assert rooms_server.storage.notifier.presence.last(alice.user_id).status_msg != "status 99"
    await rooms_server.after(2_000)

    _, told = await synced(bob, since)
    assert told[alice.user_id]["status_msg"] == "status 99"
    assert rooms_server.presence._snowflakes.last > before


async def test_what_nobody_needs_is_forgotten(rooms_server, alice, bob, room):
    for user in (alice, bob):
        await poll(user)
        await put(user, "unavailable")
    await rooms_server.after(DISCONNECT_MS)
    await rooms_server.after(IDLE_MS)

    assert rooms_server.presence._users == {}
    assert rooms_server.presence._queue == []
    assert rooms_server.presence._dirty == {}


async def test_switched_off_nothing_is_told_and_nothing_fails(database, tmp_path):
    server = RoomsServer(database, tmp_path)
    server.configuration = replace(server.configuration, presence=PresenceSection(enabled=False))
    await server.start()
    try:
        alice, bob = [await server.user(name) for name in ("alice", "bob")]
        room = await alice.create(preset="public_chat")
        await bob.act(room, "join")
        since = (await poll(bob))["next_batch"]
        assert await put(alice, "online", "hello") == (200, {})
        await poll(alice)
        assert "presence" not in await poll(bob, since=since)
        assert "presence" not in await poll(bob)
        assert await bob.get(path(alice)) == {"presence": "offline"}
        assert await bob.try_("PUT", path(alice), {"presence": "online"}) == (403, "M_FORBIDDEN")
    finally:
        await server.close()


async def test_a_change_reads_nothing_from_the_database(rooms_server, alice, bob, room, monkeypatch):
    since, _ = await synced(bob)
    await poll(alice)
    since, _ = await synced(bob, since)
    counted = []
    for name in ("fetch", "fetch_one"):
        real = getattr(rooms_server.database, name)

        def counting(*args, real=real):
            counted.append(args[0])
            return real(*args)

        monkeypatch.setattr(rooms_server.database, name, counting)
    await alice.get("/sync?set_presence=unavailable")  # a first sync of hers reads
    counted.clear()
    token = since
    for presence in ("online", "unavailable"):
        rooms_server.presence._users[alice.user_id].set_by_hand("X", presence, *_times(rooms_server))
        rooms_server.presence._settle(rooms_server.presence._users[alice.user_id])
        token, told = await synced(bob, token)
        assert set(told) == {alice.user_id}
    assert counted == []


def _times(server):
    return server.clock.monotonic_ms(), server.clock.now_ms()
