"""Nothing acknowledged is lost, and nothing is there twice, whatever ends the server."""

import asyncio

import aiohttp
import pytest

from clients.load.api import ApiError, MatrixApi

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(120)]

_MESSAGES_EACH = 300


async def _send_all(user, room_id, acknowledged):
    """Send as a good client does: again with the same transaction ID until the server says yes."""
    for number in range(_MESSAGES_EACH):
        body = f"{user.user_id} {number}"
        while body not in acknowledged:
            try:
                acknowledged[body] = await user.send(room_id, f"t{number}", body)
            except (aiohttp.ClientError, ApiError):
                await asyncio.sleep(0.05)


async def _history(user, room_id):
    """Every message of the room from its beginning, as (body, event ID)."""
    found, start = [], ""
    while True:
        path = f"/_matrix/client/v3/rooms/{room_id}/messages?dir=f&limit=100{start}"
        page = await user.call("GET", path)
        found += [
            (event["content"]["body"], event["event_id"])
            for event in page["chunk"]
            if event["type"] == "m.room.message"
        ]
        if "end" not in page:
            return found
        start = f"&from={page['end']}"


@pytest.mark.parametrize("acknowledged_before_the_kill", [50, 311])
async def test_kill_minus_nine_loses_nothing_acknowledged(server, acknowledged_before_the_kill):
    acknowledged = {}
    async with aiohttp.ClientSession() as http:
        alice, bob = MatrixApi(http, server.base_url), MatrixApi(http, server.base_url)
        await alice.register("alice", None)
        await bob.register("bob", None)
        room_id = await alice.create_private_room("Crash")
        await bob.join(room_id)
        since = (await bob.sync(None, 0))["next_batch"]
        sending = [asyncio.create_task(_send_all(user, room_id, acknowledged)) for user in (alice, bob)]
        while len(acknowledged) < acknowledged_before_the_kill:  # noqa: ASYNC110 - a count, not an event, is due
            await asyncio.sleep(0.001)
        server.kill()
        seconds = await asyncio.to_thread(server.start)
        await asyncio.gather(*sending)
        history = await _history(alice, room_id)
        caught_up = (await bob.sync(since, 0))["rooms"]["join"][room_id]["timeline"]

    assert len(acknowledged) == 2 * _MESSAGES_EACH
    assert sorted(history) == sorted(acknowledged.items())
    assert [event["event_id"] for event in caught_up["events"]] == [event_id for _, event_id in history]
    for user in (alice, bob):
        own = [body for body, _ in history if body.startswith(user.user_id)]
        assert own == [f"{user.user_id} {number}" for number in range(_MESSAGES_EACH)]
    assert seconds < 20
