"""Sliding sync over real restarts: clients go on where they were."""

import asyncio
import signal

import aiohttp
import pytest

from clients.load.api import ApiError, MatrixApi

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(60)]

SYNC = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
ROOMS = 3


def asked(conn_id):
    wishes = {"timeline_limit": 10, "required_state": [["m.room.name", ""], ["m.room.member", "$LAZY"]]}
    extensions = {name: {"enabled": True} for name in ("account_data", "receipts", "typing", "e2ee")}
    return {"conn_id": conn_id, "lists": {"all": {"ranges": [[0, 20]], **wishes}}, "extensions": extensions}


async def sync(user, conn_id, pos=None, timeout_ms=0):
    place = "" if pos is None else f"&pos={pos}"
    return await user.call("POST", f"{SYNC}?timeout={timeout_ms}{place}", asked(conn_id))


async def test_after_a_stop_and_start_the_same_pos_goes_on(server):
    async with aiohttp.ClientSession() as http:
        alice = MatrixApi(http, server.base_url)
        await alice.register("alice", None)
        rooms = [await alice.create_private_room(f"Room {number}") for number in range(ROOMS)]
        acknowledged = await sync(alice, "main", (await sync(alice, "main"))["pos"])
        newest = await sync(alice, "main", acknowledged["pos"])
        waiting = asyncio.create_task(sync(alice, "other", (await sync(alice, "other"))["pos"], 30_000))
        await asyncio.sleep(0.1)  # until it is on its way, as the polls of most clients are

        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(30) == 0
        with pytest.raises((aiohttp.ClientError, ApiError)):
            await waiting
        server.start()

        said = await alice.send(rooms[1], "1", "hello")
        answer = await sync(alice, "main", newest["pos"])
        assert [*answer["rooms"]] == [rooms[1]], "no room is told anew"
        assert "initial" not in answer["rooms"][rooms[1]]
        assert [event["event_id"] for event in answer["rooms"][rooms[1]]["timeline"]] == [said]
        assert answer["lists"]["all"]["count"] == ROOMS
        assert answer["extensions"]["account_data"] == {"global": [], "rooms": {}}
        assert (await sync(alice, "main", answer["pos"]))["rooms"] == {}

        with pytest.raises(ApiError, match="M_UNKNOWN_POS") as refused:
            await sync(alice, "main", acknowledged["pos"])
        assert refused.value.status == 400
