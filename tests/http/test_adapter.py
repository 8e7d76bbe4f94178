import asyncio

from homeserver.http import adapter
from homeserver.http.response import Response


async def test_a_response_leaves_whole_with_cors_headers_and_the_connection_stays(listen):
    listener = listen()
    connection = listener.connect()
    request = b"GET /versions?a=b HTTP/1.1\r\nHost: localhost\r\nX-Name: one\r\nx-name: two\r\n\r\n"

    first = await connection.exchange(request)
    second = await connection.exchange(request)

    head, _, body = first.partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"HTTP/1.1 200 OK",
        b"Access-Control-Allow-Origin: *",
        b"Access-Control-Allow-Methods: GET, HEAD, POST, PUT, DELETE, OPTIONS",
        (
            b"Access-Control-Allow-Headers: X-Requested-With, Content-Type, Authorization,"
            b" If-Match, If-None-Match"
        ),
        b"Content-Type: application/json",
        b"Content-Length: 2",
        b"Date: Tue, 14 Nov 2023 22:13:20 GMT",
    ]
    assert body == b"{}"
    assert second == first
    asked = listener.responder.requests[0]
    assert (asked.method, asked.target) == ("GET", b"/versions?a=b")
    assert asked.headers == {"host": "localhost", "x-name": "one, two"}
    assert asked.client_address == "192.0.2.1"


async def test_a_request_may_come_byte_by_byte(listen):
    listener = listen()
    connection = listener.connect()

    for byte in b"POST /a HTTP/1.1\r\nContent-Length: 7\r\n\r\n" + b'{"a":1}':
        received = await connection.exchange(bytes((byte,)))

    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert listener.responder.requests[0].body == b'{"a":1}'


async def test_a_chunked_body_is_put_together(listen):
    listener = listen()
    connection = listener.connect()

    await connection.exchange(
        b'PUT /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n{"a"\r\n3\r\n:1}\r\n0\r\n\r\n'
    )

    assert listener.responder.requests[0].body == b'{"a":1}'


async def test_pipelined_requests_are_answered_in_turn(listen, make_responder):
    responder = make_responder(lambda raw: Response(body=raw.target))
    connection = listen(responder).connect()

    received = await connection.exchange(b"GET /1 HTTP/1.1\r\n\r\nGET /2 HTTP/1.1\r\n\r\n")

    assert received.index(b"\r\n\r\n/1") < received.index(b"\r\n\r\n/2")


async def test_head_gets_the_length_and_no_body(listen):
    received = await listen().connect().exchange(b"HEAD / HTTP/1.1\r\n\r\n")

    assert b"Content-Length: 2\r\n" in received
    assert received.endswith(b"\r\n\r\n")


async def test_a_status_without_a_body_has_none(listen, make_responder):
    responder = make_responder(lambda raw: Response(204, headers={"X-Name": "value"}))

    received = await listen(responder).connect().exchange(b"GET / HTTP/1.1\r\n\r\n")

    assert received.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"Content-Length" not in received
    assert received.endswith(b" GMT\r\nX-Name: value\r\n\r\n")
    assert b"\r\n\r\n" not in received[:-4]


async def test_the_connection_closes_when_the_client_says_so(listen):
    connection = listen().connect()

    received = await connection.exchange(b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n")

    assert b"\r\nConnection: close\r\n" in received
    assert connection.wire.disconnecting


async def test_http_1_0_is_answered_and_closed(listen):
    connection = listen().connect()

    received = await connection.exchange(b"GET / HTTP/1.0\r\n\r\n")

    assert received.endswith(b"{}")
    assert connection.wire.disconnecting


async def test_a_client_that_goes_away_cancels_its_work(listen, make_responder):
    responder = make_responder(released=asyncio.Event())
    connection = listen(responder).connect()
    await connection.exchange(b"GET /sync HTTP/1.1\r\n\r\n")

    connection.channel.connectionLost(None)
    await asyncio.sleep(0)

    assert responder.cancelled == 1


async def test_a_closed_site_cancels_the_work_on_every_request(listen, make_responder):
    responder = make_responder(released=asyncio.Event())
    listener = listen(responder)
    connections = [listener.connect() for _ in range(3)]
    for connection in connections:
        await connection.exchange(b"GET /sync HTTP/1.1\r\n\r\n")

    await listener.site.close()

    assert responder.cancelled == 3
    assert all(connection.wire.aborted for connection in connections)


async def test_a_responder_that_breaks_is_observed_and_the_connection_dropped(listen, make_responder):
    def fail(raw):
        raise ValueError("broken")

    listener = listen(make_responder(fail))
    connection = listener.connect()

    await connection.exchange(b"GET / HTTP/1.1\r\n\r\n")

    assert connection.wire.aborted
    assert [str(observation.error) for observation in listener.observations] == ["broken"]


async def test_a_proxy_is_believed_only_where_it_is_trusted(listen):
    request = b"GET / HTTP/1.1\r\nX-Forwarded-For: 203.0.113.9, 198.51.100.7\r\n\r\n"
    trusting, plain = listen(trust_forwarded_for=True), listen()

    await trusting.connect().exchange(request)
    await plain.connect().exchange(request)

    assert trusting.responder.requests[0].client_address == "198.51.100.7"
    assert plain.responder.requests[0].client_address == "192.0.2.1"


async def test_further_headers_cannot_smuggle_a_line(listen, make_responder):
    responder = make_responder(lambda raw: Response(headers={"Location": "/a\r\nSet-Cookie: b"}))

    received = await listen(responder).connect().exchange(b"GET / HTTP/1.1\r\n\r\n")

    assert b"\r\nLocation: /a  Set-Cookie: b\r\n" in received


async def test_without_browsers_there_are_no_cors_headers(listen):
    received = await listen(allow_browsers=False).connect().exchange(b"GET / HTTP/1.1\r\n\r\n")

    assert b"Access-Control" not in received


async def test_too_many_connections_are_refused(listen, monkeypatch):
    monkeypatch.setattr(adapter, "CONNECTIONS_MAX", 1)
    listener = listen()
    connection = listener.connect()

    assert listener.site.buildProtocol(None) is None
    connection.channel.connectionLost(None)
    assert listener.site.buildProtocol(None) is not None


async def test_an_upgrade_takes_the_connection_over_with_the_whole_handshake(listen):
    taken = []

    def hook(request):
        taken.append(request.channel.give_way(protocol := Successor()))
        taken.append(protocol)
        return True

    connection = listen(upgrades={"/ws": hook}).connect()
    answer = await connection.exchange(b"GET /ws?a=b HTTP/1.1\r\nUpgrade: websocket\r\n\r\nearly frame")
    without = await connection.exchange(b"later frame")

    assert answer == without == b""
    assert taken[0] is connection.wire
    assert taken[1].received == [b"early frame", b"later frame"]


async def test_a_path_that_can_be_upgraded_is_an_ordinary_path_without_the_header(listen):
    connection = listen(upgrades={"/ws": lambda request: True}).connect()

    assert (await connection.exchange(b"GET /ws HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")


class Successor:
    def __init__(self):
        self.received = []

    def dataReceived(self, data):  # noqa: N802 - Twisted's name
        self.received.append(data)
