"""How much is remembered of those who poll."""

import pytest

from tests.clients.polling_world import Poller, Server

ALICE, BOB = "@alice:example.org", "@bob:example.org"
ROOM = "!room:example.org"


@pytest.fixture
async def server():
    server = Server()
    await server.start()
    server.world.create(ROOM, ALICE)
    server.world.member(ROOM, BOB, "join")
    yield server
    await server.close()


async def test_only_so_many_requests_are_recognized(server, monkeypatch):
    monkeypatch.setattr("clients.polling.lane.SEEN_MAX", 2)
    pollers = [Poller(server, "bob", fields=f"X-Device: {number}\r\n") for number in range(3)]
    for poller in pollers:
        await poller.poll()
        await poller.poll()
        poller.hang_up()
    await pollers[0].poll()
    assert len(server.lane) == 0, "it was forgotten, and is new again"

    await pollers[2].poll()
    assert len(server.lane) == 1


async def test_there_are_only_so_many_seats(server):
    server.lane._seats_max = 3
    pollers = [Poller(server, "bob", fields=f"X-Device: {number}\r\n") for number in range(6)]
    for poller in pollers:
        await poller.take_a_seat()
        poller.hang_up()

    assert len(server.lane) == 3
