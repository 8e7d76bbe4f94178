"""The WebSocket client: requests, and a connection that comes back by itself."""

import asyncio
import base64

import pytest

from clients.websocket_client.errors import (
    ClientClosed,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolViolated,
    Refused,
)
from tests.doubles.websocket_peer import Peer, settle, soon


@pytest.fixture
def peer():
    return Peer()


@pytest.fixture
async def client(peer):
    async with peer.client(access_token="secret", user_id="@alice:example.org") as client:
        yield client


async def test_answers_find_their_requests_in_any_order(peer, client):
    first = await soon(client.request("GET", "/first"))
    second = await soon(client.request("PUT", "/second", {"a": 1}))

    peer.wire.answer(1, x=2)
    peer.wire.answer(0, x=1)

    assert (await first, await second) == ({"x": 1}, {"x": 2})
    assert peer.wire.requests == [
        {"id": 1, "method": "GET", "path": "/first"},
        {"id": 2, "method": "PUT", "path": "/second", "body": {"a": 1}},
    ]


async def test_an_error_carries_what_the_server_said(peer, client):
    asked = await soon(client.request("GET", "/x"))

    peer.wire.answer(status=403, errcode="M_FORBIDDEN", error="No.", more=1)

    with pytest.raises(Refused, match="No") as refused:
        await asked
    assert (refused.value.status, refused.value.errcode) == (403, "M_FORBIDDEN")
    assert refused.value.body["more"] == 1


async def test_a_request_that_the_server_cannot_read_is_refused(peer, client):
    asked = await soon(client.request("get", "/x"))

    peer.wire.push({"id": 1, "error": {"errcode": "M_BAD_JSON", "error": "In capitals."}})

    with pytest.raises(Refused, match="capitals") as refused:
        await asked
    assert (refused.value.status, refused.value.errcode) == (400, "M_BAD_JSON")


async def test_an_answer_that_is_not_json_is_bytes(peer, client):
    asked = await soon(client.request("GET", "/picture"))

    content = base64.b64encode(b"\x89PNG").decode()
    peer.wire.push({"id": 1, "status": 200, "content_type": "image/png", "base64": content})

    assert await asked == b"\x89PNG"


async def test_an_answer_after_the_deadline_harms_nobody(peer, client):
    with pytest.raises(DeadlineExceeded, match="/slow"):
        await client.request("GET", "/slow", timeout_s=0)
    peer.wire.push({"id": 1, "status": 200, "body": {}})

    asked = await soon(client.request("GET", "/x"))
    peer.wire.answer(fine=True)
    assert await asked == {"fine": True}


async def test_no_more_are_in_flight_than_the_server_takes(peer, client):
    tasks = [await soon(client.request("GET", f"/{number}")) for number in range(33)]
    assert len(peer.wire.requests) == 32

    peer.wire.answer(0)
    await settle()

    assert [request["path"] for request in peer.wire.requests][32:] == ["/32"]
    assert tasks[0].done()
    for task in tasks[1:]:
        task.cancel()


@pytest.mark.parametrize("method", ["PUT", "GET", "DELETE"])
async def test_what_can_be_repeated_is_asked_again_on_the_next_connection(peer, client, method):
    asked = await soon(client.request(method, "/x", {"a": 1}))

    peer.wire.drop()
    await settle()
    peer.wire.answer(fine=True)

    assert await asked == {"fine": True}
    assert len(peer.wires) == 2
    assert peer.wire.said == [
        {"access_token": "secret"},
        {"id": 1, "method": method, "path": "/x", "body": {"a": 1}},
    ]


async def test_what_must_not_be_done_twice_fails_with_its_connection(peer, client):
    asked = await soon(client.request("POST", "/x", {}))

    peer.wire.drop()

    with pytest.raises(ConnectionLost):
        await asked
    assert peer.wire.requests == []


async def test_a_request_waits_for_the_next_connection_if_there_is_none(peer, client):
    reached = asyncio.Event()

    async def pause(seconds):
        await reached.wait()

    client._pause = pause
    peer.wire.drop()
    asked = await soon(client.request("POST", "/x", {}))
    assert len(peer.wires) == 1

    reached.set()
    await settle()
    peer.wire.answer(fine=True)

    assert await asked == {"fine": True}


async def test_a_rate_limit_is_waited_out(peer, client):
    asked = await soon(client.request("POST", "/x", {}))

    peer.wire.answer(status=429, errcode="M_LIMIT_EXCEEDED", error="Slowly.", retry_after_ms=1500)
    await settle()
    peer.wire.answer(fine=True)

    assert await asked == {"fine": True}
    assert peer.pauses == [1.5]


async def test_attempts_to_come_back_grow_rarer_until_the_server_has_been_heard(peer, client):
    peer.refusals = [ConnectionLost("refused") for _ in range(8)]
    peer.wire.drop()
    await settle()
    assert peer.pauses == pytest.approx([0.25, 0.5, 1, 2, 4, 8, 16, 30, 30], abs=0.01)

    peer.wire.drop()
    await settle()
    assert len(peer.wires) == 3
    assert peer.pauses[-1] > 29

    peer.wire.push({"of a": "later version"})
    peer.wire.drop()
    await settle()
    assert peer.pauses[-1] < 0.3
    assert client.reconnects == 3


async def test_a_new_token_is_said_at_once_and_on_every_connection_to_come(peer, client):
    await client.authenticate("fresh")
    peer.wires[0].drop()
    await settle()

    assert peer.wires[0].said == [{"access_token": "secret"}, {"access_token": "fresh"}]
    assert peer.wires[1].said == [{"access_token": "fresh"}]


async def test_closing_fails_what_waits_and_closes_the_wire(peer, client):
    asked = await soon(client.request("GET", "/x"))

    await client.close()

    with pytest.raises(ClientClosed):
        await asked
    with pytest.raises(ClientClosed):
        await client.request("GET", "/x")
    assert peer.wire.is_closed


@pytest.mark.parametrize("error", [ConnectionLost("refused"), ProtocolViolated("HTTP 404")])
async def test_opening_says_why_it_fails(peer, error):
    peer.refusals = [error]

    with pytest.raises(type(error)):
        await peer.client().open()


async def test_a_server_that_has_become_another_ends_the_client(peer, client):
    peer.refusals = [ProtocolViolated("HTTP 404")]
    peer.wire.drop()
    await settle()

    with pytest.raises(ProtocolViolated, match="404"):
        await client.request("GET", "/x")


@pytest.mark.parametrize(
    "frame", [{"error": {"errcode": "M_BAD_JSON", "error": "No frame."}}, {"sync": {}}, 7]
)
async def test_a_breach_of_the_protocol_ends_the_client(peer, client, frame):
    asked = await soon(client.request("GET", "/x"))

    peer.wire.push(frame)

    with pytest.raises(ProtocolViolated):
        await asked
    await settle()
    assert peer.wire.is_closed
    assert len(peer.wires) == 1


async def test_a_mistake_of_our_own_shows_when_the_client_is_closed(peer):
    client = peer.client()
    await client.open()
    asked = await soon(client.request("POST", "/x", {}))
    client._connection._take = None
    peer.wire.deliver("s1")

    with pytest.raises(ConnectionLost):
        await asked
    with pytest.raises(ClientClosed):
        await client.request("GET", "/x")
    with pytest.raises(TypeError):
        await client.close()
