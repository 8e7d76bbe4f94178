"""Receipts, read markers and typing notices, as clients send and see them."""

import asyncio
from urllib.parse import quote

import orjson
import pytest


@pytest.fixture
async def room(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    return room_id


async def read(user, room, event_id, type_="m.read", **body):
    return await user.try_act(room, f"receipt/{type_}/{quote(event_id, safe='')}", **body)


async def typing(user, room, *, types=True, timeout_ms=30_000):
    path = f"/rooms/{quote(room)}/typing/{quote(user.user_id)}"
    return await user.try_("PUT", path, {"typing": types, "timeout": timeout_ms})


async def synced(user, room, since=None):
    """Sync; returns the token and what is live in the room, by type."""
    answer = await user.get("/sync" + ("" if since is None else f"?since={since}"))
    events = answer.get("rooms", {}).get("join", {}).get(room, {}).get("ephemeral", {}).get("events", [])
    return answer["next_batch"], {event["type"]: event["content"] for event in events}


async def test_a_receipt_is_told_to_everybody_in_the_room_and_comes_with_a_first_sync(alice, bob, room):
    said = await alice.send(room)
    since, _ = await synced(alice, room)
    assert await read(bob, room, said) == (200, {})

    for told in ((await synced(alice, room, since))[1], (await synced(alice, room))[1]):
        (receipt,) = told["m.receipt"][said]["m.read"].items()
        assert receipt[0] == bob.user_id
        assert set(receipt[1]) == {"ts"}
    since, _ = await synced(alice, room, since)
    assert (await synced(alice, room, since))[1] == {}


async def test_a_private_receipt_is_told_to_its_user_alone(alice, bob, room):
    said = await alice.send(room)
    since_alice, _ = await synced(alice, room)
    since_bob, _ = await synced(bob, room)
    await read(bob, room, said, "m.read.private")

    assert (await synced(alice, room, since_alice))[1] == {}
    assert bob.user_id in (await synced(bob, room, since_bob))[1]["m.receipt"][said]["m.read.private"]
    assert (await synced(alice, room))[1] == {}


async def test_receipts_only_move_forward_and_survive_a_restart(rooms_server, alice, bob, room):
    first, second = await alice.send(room), await alice.send(room)
    await read(bob, room, second)
    await read(bob, room, first)
    await rooms_server.restart()

    _, told = await synced(alice, room)
    assert list(told["m.receipt"]) == [second]


async def test_a_token_of_before_a_restart_misses_no_receipt(rooms_server, alice, bob, room):
    said = await alice.send(room)
    since, _ = await synced(alice, room)
    await read(bob, room, said)
    await rooms_server.restart()

    assert said in (await synced(alice, room, since))[1]["m.receipt"]


async def test_receipts_of_threads_stand_beside_each_other(alice, bob, room):
    root = await alice.send(room)
    reply = {"msgtype": "m.text", "body": "x", "m.relates_to": {"rel_type": "m.thread", "event_id": root}}
    _, answer = await alice.try_send(room, reply)
    for event_id, thread_id in ((root, "main"), (answer["event_id"], root), (root, root)):
        assert (await read(bob, room, event_id, thread_id=thread_id))[0] == 200

    _, told = await synced(alice, room)
    assert told["m.receipt"][root]["m.read"][bob.user_id]["thread_id"] == "main"
    assert told["m.receipt"][answer["event_id"]]["m.read"][bob.user_id]["thread_id"] == root
    for event_id, thread_id in ((answer["event_id"], "main"), (root, ""), (root, 7), (root, "$other")):
        assert await read(bob, room, event_id, thread_id=thread_id) == (400, "M_INVALID_PARAM")
    assert await read(bob, room, root, "m.fully_read", thread_id="main") == (400, "M_INVALID_PARAM")


async def test_receipts_for_all_threads_and_for_one_on_the_same_event_are_both_told(alice, bob, room):
    said = await alice.send(room)
    since, _ = await synced(alice, room)
    await read(bob, room, said)
    await read(bob, room, said, thread_id="main")

    for query in ("", f"?since={since}"):
        answer = await alice.get("/sync" + query)
        events = answer["rooms"]["join"][room]["ephemeral"]["events"]
        told = [event["content"][said]["m.read"][bob.user_id].get("thread_id") for event in events]
        assert told == [None, "main"]


async def test_receipts_that_cannot_be(alice, bob, carol, room):
    said = await alice.send(room)

    assert await read(carol, room, said) == (403, "M_FORBIDDEN")
    assert await read(bob, room, said, "m.unheard.of") == (400, "M_INVALID_PARAM")
    assert await read(bob, room, "$nothing") == (404, "M_NOT_FOUND")
    assert await read(bob, "!nowhere:localhost", said) == (403, "M_FORBIDDEN")


async def test_read_markers_set_all_three(alice, bob, room):
    said = await alice.send(room)
    markers = {"m.fully_read": said, "m.read": said, "m.read.private": said}
    await bob.act(room, "read_markers", **markers)

    _, told = await synced(bob, room)
    assert set(told["m.receipt"][said]) == {"m.read", "m.read.private"}
    path = f"/user/{quote(bob.user_id)}/rooms/{quote(room)}/account_data/m.fully_read"
    assert await bob.get(path) == {"event_id": said}


async def test_a_filter_says_what_is_told_of_what_is_live_and_how_much(alice, bob, room):
    said = await alice.send(room)
    await read(bob, room, said)
    await typing(bob, room)

    for wanted, types in (
        ({}, {"m.receipt", "m.typing"}),
        ({"not_types": ["m.t*"]}, {"m.receipt"}),
        ({"types": ["m.typing"]}, {"m.typing"}),
        ({"not_rooms": [room], "rooms": [room]}, set()),
        ({"limit": 1}, {"m.typing"}),
        ({"limit": 0}, set()),
    ):
        chosen = orjson.dumps({"room": {"ephemeral": wanted}}).decode()
        answer = await alice.get(f"/sync?filter={quote(chosen)}")
        told = answer["rooms"]["join"][room].get("ephemeral", {"events": []})["events"]
        assert {event["type"] for event in told} == types, wanted


async def test_who_types_is_told_while_they_type_and_when_they_stop(alice, bob, room):
    since, _ = await synced(alice, room)
    assert await typing(bob, room) == (200, {})
    since, told = await synced(alice, room, since)
    assert told == {"m.typing": {"user_ids": [bob.user_id]}}
    assert (await synced(alice, room))[1] == told

    await typing(bob, room, types=False)
    since, told = await synced(alice, room, since)
    assert told == {"m.typing": {"user_ids": []}}
    assert (await synced(alice, room, since))[1] == {}


async def test_typing_ends_with_its_time_with_the_message_and_with_the_membership(alice, bob, room):
    since, _ = await synced(alice, room)
    await typing(bob, room, timeout_ms=1)
    waiting = await alice.get(f"/sync?since={since}&timeout=5000")
    while waiting["rooms"]["join"][room]["ephemeral"]["events"][0]["content"]["user_ids"]:
        waiting = await alice.get(f"/sync?since={waiting['next_batch']}&timeout=5000")
    for end in (lambda: bob.send(room), lambda: bob.act(room, "leave")):
        await typing(bob, room)
        since, told = await synced(alice, room)
        assert told["m.typing"]["user_ids"] == [bob.user_id]
        await end()
        assert (await synced(alice, room, since))[1]["m.typing"]["user_ids"] == []


async def test_who_typed_when_the_server_ended_types_no_more(rooms_server, alice, bob, room):
    await typing(bob, room)
    since, told = await synced(alice, room)
    assert told["m.typing"]["user_ids"] == [bob.user_id]
    await rooms_server.restart()

    since, told = await synced(alice, room, since)
    assert told["m.typing"]["user_ids"] == []
    assert (await synced(alice, room, since))[1] == {}


async def test_nobody_types_for_others_or_from_outside(alice, bob, carol, room):
    path = f"/rooms/{quote(room)}/typing/{quote(bob.user_id)}"

    assert await alice.try_("PUT", path, {"typing": True}) == (403, "M_FORBIDDEN")
    assert await typing(carol, room) == (403, "M_FORBIDDEN")


async def test_a_long_poll_wakes_for_a_receipt_and_for_typing(alice, bob, room):
    said = await alice.send(room)
    since, _ = await synced(alice, room)
    for act in (lambda: read(bob, room, said), lambda: typing(bob, room)):
        waiting = asyncio.create_task(alice.get(f"/sync?since={since}&timeout=30000"))
        await asyncio.sleep(0)
        await act()
        answer = await asyncio.wait_for(waiting, 10)
        assert answer["rooms"]["join"][room]["ephemeral"]["events"]
        since = answer["next_batch"]
