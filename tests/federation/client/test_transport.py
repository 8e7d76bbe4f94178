"""Over a real loopback, with real TLS."""

import asyncio
from dataclasses import replace

import pytest

from federation.client.connecting import Connecting
from federation.client.ports import OutgoingRequest
from federation.client.tls import public_context
from federation.client.transport import Transport
from federation.places import Place
from homeserver.core.errors import Unavailable
from homeserver.runtime.outgoing_http import AddressRules

GET = OutgoingRequest("GET", "/_matrix/federation/v1/version", timeout_ms=5_000, body_bytes_max=1_000)
IMPATIENT = replace(GET, timeout_ms=200)


async def test_a_request_and_its_answer(transport, server, route):
    head = b"HTTP/1.1 404 Not Found\r\nContent-Length: 15\r\nX-One: a\r\nx-one: b\r\n\r\n"
    server.answer = head + b'{"errcode":"x"}'
    put = OutgoingRequest("PUT", "/a?b=c", body=b'{"a":1}', authorization="X-Matrix x")

    page = await transport.exchange(route, put)

    assert (page.status, page.body, page.headers["x-one"]) == (404, b'{"errcode":"x"}', "a, b")
    assert server.heads[0].split("\r\n") == [
        "PUT /a?b=c HTTP/1.1", "Host: there.example", "User-Agent: Isthmus", "Authorization: X-Matrix x",
        "Content-Type: application/json", "Content-Length: 7", "", "",
    ]  # fmt: skip


async def test_a_connection_is_used_again(transport, server, route):
    for _ in range(5):
        await transport.exchange(route, GET)

    assert (server.connections, transport.connections) == (1, 1)


async def test_requests_beyond_the_bound_wait_for_a_connection(transport, server, route):
    pages = await asyncio.gather(*(transport.exchange(route, GET) for _ in range(20)))

    assert [page.status for page in pages] == [200] * 20
    assert server.connections == 2


async def test_an_idle_connection_is_closed_in_time(transport, server, route):
    await transport.exchange(replace(route, idle_ms_max=20), GET)
    while transport.connections:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)

    assert transport._pools == {}


async def test_the_longest_idle_connection_makes_room(server, context, route):
    transport = Transport(Connecting(AddressRules(("127.0.0.0/8",))), connections_max=2)
    routes = [replace(route, idle_ms_max=60_000 + number) for number in range(3)]
    for one in (*routes, routes[1], routes[2]):
        await transport.exchange(one, GET)

    assert (server.connections, transport.connections) == (3, 2)
    await transport.close()


async def test_a_connection_that_the_server_closed_meanwhile_is_opened_again(transport, server, route):
    async def once(reader, writer):
        await server.read_request(reader)
        writer.write(server.answer)
        await writer.drain()

    server.talk = once
    pages = [await transport.exchange(route, GET) for _ in range(3)]

    assert [page.status for page in pages] == [200] * 3
    assert server.connections == 3


async def test_a_request_into_the_server_s_closing_is_sent_once_more(transport, server, route):
    answers = []

    async def hang_up_on_the_second(reader, writer):
        await server.read_request(reader)
        writer.write(server.answer)
        await server.read_request(reader)
        answers.append("hung up")

    server.talk = hang_up_on_the_second
    await transport.exchange(route, GET)
    page = await transport.exchange(route, GET)

    assert (page.status, answers, server.connections) == (200, ["hung up"], 2)


async def test_a_request_on_a_fresh_connection_is_not_sent_twice(transport, server, route):
    async def hang_up(reader, writer):
        await server.read_request(reader)

    server.talk = hang_up
    with pytest.raises(Unavailable):
        await transport.exchange(route, GET)

    assert len(server.heads) == 1


@pytest.mark.parametrize(
    "answer",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1_001 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_001,
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 5_000,
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: " + b"x" * 80_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        b"",
    ],
)
async def test_an_answer_that_is_none_or_too_long_is_given_up(transport, server, route, answer):
    async def say(reader, writer):
        await server.read_request(reader)
        writer.write(answer)
        await writer.drain()
        # Properly closed, so that only the answer decides.
        writer.close()
        await writer.wait_closed()

    server.talk = say
    with pytest.raises(Unavailable):
        await transport.exchange(route, GET)

    assert transport._idle == {}


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1_000,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3e8\r\n" + b"x" * 1_000 + b"\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_000,
        b"HTTP/1.0 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1_000,
        b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b"x" * 1_000,
    ],
)
@pytest.mark.parametrize("is_bytewise", [False, True])
async def test_every_way_to_end_an_answer_is_understood(transport, server, route, answer, is_bytewise):
    async def say(reader, writer):
        await server.read_request(reader)
        for at in range(0, len(answer), 1 if is_bytewise else len(answer)):
            writer.write(answer[at : at + 1] if is_bytewise else answer)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server.talk = say
    page = await transport.exchange(route, GET)

    assert (page.status, page.body, "x" in page.headers) == (200, b"x" * 1_000, False)


async def test_a_second_answer_to_one_request_ends_the_connection(transport, server, route):
    server.answer *= 2
    await transport.exchange(route, GET)
    await transport.exchange(route, GET)

    assert server.connections == 2


async def test_a_body_that_comes_drop_by_drop_has_the_time_of_the_request_and_no_more(
    transport, server, route
):
    async def drip(reader, writer):
        await server.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    server.talk = drip
    with pytest.raises(Unavailable, match="in time"):
        await transport.exchange(route, IMPATIENT)
    await asyncio.sleep(0.05)

    assert (transport.connections, server.open) == (0, set())


async def test_who_gives_up_leaves_the_connections_of_others_alone(transport, server, route):
    asked = asyncio.Event()

    async def wait(reader, writer):
        await server.read_request(reader)
        asked.set()
        await reader.read()

    server.talk = wait
    task = asyncio.create_task(transport.exchange(route, GET))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    server.talk = server.answer_all
    page = await transport.exchange(route, GET)

    assert (page.status, transport.connections) == (200, 1)


@pytest.mark.parametrize(
    ("tls_name", "is_reached"),
    [("there.example", True), ("127.0.0.1", True), ("other.example", False), ("127.0.0.2", False)],
)
async def test_the_certificate_must_be_for_the_name(transport, server, context, route, tls_name, is_reached):
    route = replace(route, place=Place("there.example", tls_name, route.place.hosts))
    if is_reached:
        assert (await transport.exchange(route, GET)).status == 200
    else:
        with pytest.raises(Unavailable):
            await transport.exchange(route, GET)
        assert server.heads == []


async def test_an_unknown_authority_is_not_believed(transport, server, route):
    with pytest.raises(Unavailable):
        await transport.exchange(replace(route, context=public_context("")), GET)

    assert server.heads == []


async def test_an_address_that_may_not_be_reached_is_not_connected_to(server, route):
    transport = Transport(Connecting(AddressRules()))
    for host in ("127.0.0.1", "localhost", "127.1", "2130706433"):
        place = Place("there.example", "there.example", ((host, server.port),))
        with pytest.raises(Unavailable):
            await transport.exchange(replace(route, place=place), GET)

    assert server.connections == 0


async def test_the_next_address_is_tried_where_one_refuses(transport, server, route):
    closed = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = closed.sockets[0].getsockname()[1]
    closed.close()
    await closed.wait_closed()
    hosts = (("127.0.0.1", port), ("no-such-name.invalid", 1), ("127.0.0.1", server.port))
    place = Place("there.example", "there.example", hosts)

    assert (await transport.exchange(replace(route, place=place), GET)).status == 200


async def test_the_next_address_is_tried_beside_one_that_keeps_silent(transport, server, route, monkeypatch):
    monkeypatch.setattr("federation.client.connecting.NEXT_AFTER_S", 0.02)
    heard = []

    async def say_nothing(reader, writer):
        heard.append(await reader.read())
        writer.transport.abort()

    silent = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    hosts = (("127.0.0.1", silent.sockets[0].getsockname()[1]), ("127.0.0.1", server.port))
    place = Place("there.example", "there.example", hosts)

    assert (await transport.exchange(replace(route, place=place), GET)).status == 200
    # The slower one is given up.
    while not heard:  # noqa: ASYNC110 - short
        await asyncio.sleep(0.01)
    assert transport.connections == 1
    silent.close()
    await silent.wait_closed()


@pytest.mark.parametrize("name", ["a..b", "x" * 64 + ".example", ".", "-"])
async def test_a_name_that_dns_cannot_have_is_not_found(transport, route, name):
    with pytest.raises(Unavailable):
        await transport.exchange(replace(route, place=Place(name, name, ((name, 8448),))), GET)
