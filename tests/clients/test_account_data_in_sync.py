"""Account data and ignored users through the whole server: what is set is told with the next sync."""

import asyncio
import random
from urllib.parse import quote

import orjson

from tests.sync.sync_client import Client, keep


def path_of(user, type_, room_id=None):
    room = "" if room_id is None else f"/rooms/{quote(room_id)}"
    return f"/user/{quote(user.user_id)}{room}/account_data/{type_}"


async def sync(user, since=None, timeout_ms=0):
    query = f"timeout={timeout_ms}" if since is None else f"timeout={timeout_ms}&since={since}"
    return await user.get(f"/sync?{query}")


async def ignore(user, *others):
    content = {"ignored_users": {other.user_id: {} for other in others}}
    await user.ask("PUT", path_of(user, "m.ignored_user_list"), content)


def bodies(answer, room_id):
    events = answer.get("rooms", {}).get("join", {}).get(room_id, {}).get("timeline", {}).get("events", [])
    return [event["content"]["body"] for event in events if event["type"] == "m.room.message"]


async def test_direct_chats_and_tags_are_told_to_the_users_other_sessions(alice):
    room_id = await alice.create()
    since = (await sync(alice))["next_batch"]
    poll = asyncio.create_task(sync(alice, since, timeout_ms=30_000))
    await alice.ask("PUT", path_of(alice, "m.direct"), {"@bob:localhost": [room_id]})
    answer = await poll
    assert answer["account_data"]["events"] == [
        {"type": "m.direct", "content": {"@bob:localhost": [room_id]}}
    ]
    await alice.ask("PUT", f"/user/{quote(alice.user_id)}/rooms/{quote(room_id)}/tags/u.work", {"order": 0.5})

    answer = await sync(alice, answer["next_batch"])

    assert answer["rooms"]["join"] == {
        room_id: {
            "account_data": {
                "events": [{"type": "m.tag", "content": {"tags": {"u.work": {"order": 0.5}}}}]
            }
        }
    }


async def test_what_was_acknowledged_is_in_the_next_sync_whatever_else_is_set_at_once(rooms_server, alice):
    room_id = await alice.create()
    chance = random.Random(1)
    client = Client()
    client.apply(await raw(alice))
    setting = True

    async def follow():
        while setting:
            client.apply(await raw(alice, client.since, timeout_ms=100))

    async def set_some(worker):
        for number in range(20):
            place = chance.choice([None, room_id])
            type_ = f"t{chance.randrange(3)}"
            await alice.ask("PUT", path_of(alice, type_, place), {"n": [worker, number]})
            part = await sync(alice)
            part = part if place is None else part["rooms"]["join"][room_id]
            told = {}
            keep(told, part)
            assert type_ in told

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(set_some(worker) for worker in range(4)))
    setting = False
    await follower
    client.apply(await raw(alice, client.since))

    fresh = Client()
    fresh.apply(await raw(alice))
    assert client.account_data == fresh.account_data
    assert client.joined[room_id].account_data == fresh.joined[room_id].account_data
    for type_, content in client.joined[room_id].account_data.items():
        assert content == await alice.get(path_of(alice, type_, room_id))
    await rooms_server.restart()
    client.apply(await raw(alice, client.since))
    assert client.account_data == fresh.account_data


async def raw(user, since=None, timeout_ms=0):
    return orjson.dumps(await sync(user, since, timeout_ms))


async def test_whom_one_ignores_one_does_not_hear(rooms_server, alice, bob, carol):
    room_id = await alice.create(preset="public_chat")
    for user in (bob, carol):
        await user.act(room_id, "join")
    since = (await sync(alice))["next_batch"]
    await ignore(alice, bob)
    await bob.send(room_id, "from bob")
    await carol.send(room_id, "from carol")

    answer = await sync(alice, since)
    assert bodies(answer, room_id) == ["from carol"]
    assert bodies(await sync(carol), room_id) == ["from bob", "from carol"]
    await rooms_server.restart()
    assert bodies(await sync(alice, since), room_id) == ["from carol"]
    assert bodies(await sync(alice), room_id) == ["from carol"]

    await ignore(alice)
    await bob.send(room_id, "again from bob")
    assert bodies(await sync(alice, answer["next_batch"]), room_id) == ["again from bob"]


async def test_invites_of_ignored_users_do_not_appear(alice, bob):
    await ignore(alice, bob)
    since = (await sync(alice))["next_batch"]
    room_id = await bob.create(invite=[alice.user_id])
    answer = await sync(alice, since)
    assert "rooms" not in answer
    assert "rooms" not in await sync(alice)
    await alice.act(room_id, "join")

    assert room_id in (await sync(alice, answer["next_batch"]))["rooms"]["join"]
