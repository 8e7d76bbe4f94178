"""Start, stop and start again, as an operator does."""


import aiohttp
import psutil
import pytest

from clients.load.api import MatrixApi

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(120)]


async def test_a_second_start_finds_everything_again(server):
    async with aiohttp.ClientSession() as http:
        alice = MatrixApi(http, server.base_url)
        await alice.register("alice", None)
        room_id = await alice.create_private_room("Kept")
        event_id = await alice.send(room_id, "1", "still here")

        assert server.stop() == 0
        server.start()

        page = await alice.call("GET", f"/_matrix/client/v3/rooms/{room_id}/messages?dir=b")

    assert event_id in [event["event_id"] for event in page["chunk"]]


async def test_stopping_leaves_no_process_behind(server):
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children, "the embedded PostgreSQL is a child"

    assert server.stop() == 0

    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


async def test_an_idle_server_is_small(server):
    resident_mb = psutil.Process(server.process.pid).memory_info().rss / 1e6

    assert resident_mb < 120
