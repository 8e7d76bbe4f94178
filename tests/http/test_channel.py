import asyncio

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport

from homeserver.http.adapter import make_site
from homeserver.http.response import Response
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import ignore_observations

BIG = b"x" * 2000


def status_and_error(received: bytes):
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), orjson.loads(body)["errcode"]


@pytest.mark.parametrize(
    ("request_bytes", "status", "errcode"),
    [
        (b"nonsense\r\n\r\n", 400, "M_UNKNOWN"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400, "M_UNKNOWN"),
        (b"GET / HTTP/1.1\r\nbad name: value\r\n\r\n", 400, "M_UNKNOWN"),
        (b"GET / HTTP/1.1\r\nName: a\0b\r\n\r\n", 400, "M_UNKNOWN"),
        (b"GET / HTTP/1.1\r\nName: a\rb\r\n\r\n", 400, "M_UNKNOWN"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "M_UNKNOWN"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, "M_UNKNOWN"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "M_UNKNOWN"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400, "M_UNKNOWN"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "M_UNKNOWN"),
        (b"GET / HTTP/1.1\r\nName: " + b"x" * 20_000 + b"\r\n\r\n", 431, "M_TOO_LARGE"),
        (b"GET /" + b"x" * 20_000, 431, "M_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\n" + b"Name: value\r\n" * 600 + b"\r\n", 431, "M_TOO_LARGE"),
        (b"GET / HTTP/1.1\r\n" + (b"Name: " + b"x" * 900 + b"\r\n") * 30 + b"\r\n", 431, "M_TOO_LARGE"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1001\r\n\r\n" + BIG, 413, "M_TOO_LARGE"),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", 413, "M_TOO_LARGE"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + BIG, 413, "M_TOO_LARGE"),
    ],
)
async def test_what_is_refused_gets_an_error_that_a_client_can_read(listen, request_bytes, status, errcode):
    listener = listen()
    connection = listener.connect()

    received = await connection.exchange(request_bytes)
    later = await connection.exchange(b"\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n")

    assert status_and_error(received) == (status, errcode)
    assert b"Access-Control-Allow-Origin: *" in received
    assert later == b""
    assert connection.wire.half_closed or connection.wire.disconnecting
    assert listener.responder.requests == []
    assert [observation.status for observation in listener.observations] == [status]


async def test_a_body_is_called_for_only_if_it_will_be_taken(listen):
    listener = listen()
    small = await listener.connect().exchange(
        b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    large = await listener.connect().exchange(
        b"POST / HTTP/1.1\r\nContent-Length: 2000\r\nExpect: 100-continue\r\n\r\n"
    )

    assert small == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert large.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("begun", "seconds"),
    [
        (b"", 65),
        (b"GET / HT", 65),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nab", 125),
        (b"bad\r\n\r\n", 15),
    ],
)
async def test_a_connection_that_gets_nowhere_is_dropped(listen, begun, seconds):
    listener = listen()
    listener.site.startFactory()
    connection = listener.connect()
    await connection.exchange(begun)

    for _ in range(seconds // 5):
        assert not connection.wire.aborted
        listener.reactor.advance(5)

    assert connection.wire.aborted
    listener.site.stopFactory()


async def test_a_long_poll_is_not_idle(listen, make_responder):
    listener = listen(make_responder(released=asyncio.Event()))
    listener.site.startFactory()
    connection = listener.connect()
    await connection.exchange(b"GET /sync HTTP/1.1\r\n\r\n")

    for _ in range(100):
        listener.reactor.advance(5)

    assert not connection.wire.aborted
    listener.site.stopFactory()


async def test_a_client_that_does_not_read_is_not_heard_and_dropped_only_after_long(listen, make_responder):
    responder = make_responder(released=asyncio.Event())
    listener = listen(responder)
    listener.site.startFactory()
    connection = listener.connect()
    await connection.exchange(b"GET / HTTP/1.1\r\n\r\n")
    connection.channel.pauseProducing()
    responder.released.set()
    await connection.exchange(b"")

    assert connection.wire.producerState == "paused"
    listener.reactor.pump([5] * 24)
    assert not connection.wire.aborted
    listener.reactor.pump([5] * 97)
    assert connection.wire.aborted
    connection.channel.resumeProducing()
    assert connection.wire.producerState == "producing"
    listener.site.stopFactory()


async def test_what_a_client_asked_for_is_not_made_before_it_reads(listen, make_responder):
    responder = make_responder(lambda raw: Response(body=raw.target), released=asyncio.Event())
    connection = listen(responder).connect()
    await connection.exchange(b"".join(b"GET /%d HTTP/1.1\r\n\r\n" % number for number in range(5)))
    connection.channel.pauseProducing()
    responder.released.set()
    await connection.exchange(b"")
    assert [raw.target for raw in responder.requests] == [b"/0"]

    connection.channel.resumeProducing()
    received = await connection.exchange(b"GET /5 HTTP/1.1\r\n\r\n")

    assert [raw.target for raw in responder.requests] == [b"/%d" % number for number in range(6)]
    assert b"/5" in received


TEXTS_LIKE_HTTP = st.text("GETPOST /:HTTP1.\r\n-clx0;", max_size=99).map(str.encode)


@given(st.binary(max_size=300) | TEXTS_LIKE_HTTP, st.integers(1, 50))
def test_garbage_is_refused_or_waited_for_and_never_raises(garbage, size):
    asyncio.run(_feed(garbage, size))


async def _feed(garbage, size):
    site = make_site(Nobody(), observer=ignore_observations, clock=SystemClock(), reactor=ReactorClock())
    channel = site.buildProtocol(None)
    channel.makeConnection(StringTransport())
    for start in range(0, len(garbage), size):
        channel.dataReceived(garbage[start : start + size])
    channel.connectionLost(None)


class Nobody:
    body_bytes_max = 10

    def body_bytes_max_of(self, method, target):
        return self.body_bytes_max

    def __init__(self):
        self.requests = []

    async def respond(self, raw):
        self.requests.append(raw)
        return Response()


LINES_OF_HEADS = st.lists(
    st.sampled_from(
        [
            b"GET /a HTTP/1.1",
            b"GET /\xb0 HTTP/1.0",
            b"GET /\xff HTTP/1.1",
            b"GET  / HTTP/1.1",
            b"",
            b"Name: value",
            b"Name:",
            b"name:  other\t",
            b" folded",
            b"Na me: value",
            b": value",
            b"Content-Length: 2",
            b"Transfer-Encoding: chunked",
            b"Connection: close",
        ]
    ),
    max_size=6,
)


@given(st.lists(LINES_OF_HEADS, max_size=3))
def test_a_head_is_understood_alike_whole_and_byte_by_byte(heads):
    data = b"".join(b"\r\n".join([b"GET /b HTTP/1.1", *head, b"", b""]) for head in heads) + b"{}{}"

    assert asyncio.run(_received(data, 1)) == asyncio.run(_received(data, len(data)))


async def _received(data, size):
    nobody, refused = Nobody(), []
    site = make_site(nobody, observer=refused.append, clock=SystemClock(), reactor=ReactorClock())
    channel = site.buildProtocol(None)
    wire = StringTransport()
    channel.makeConnection(wire)
    for start in range(0, len(data), size):
        if not wire.disconnecting:
            channel.dataReceived(data[start : start + size])
    for _ in range(20):
        await asyncio.sleep(0)
    return nobody.requests, [(seen.status, seen.reason) for seen in refused], wire.disconnecting
