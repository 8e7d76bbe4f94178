"""Garbage in gives an answer or an error of ours, and never anything else."""

import asyncio
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.client.ports import OutgoingRequest
from federation.client.wire import BrokenOffError, TooLongError, Wire, encoded_request
from federation.well_known import Page

BODY_BYTES_MAX = 100
HEADER_BYTES_MAX = 200


class Transport:
    """The other end of a wire in memory."""

    def __init__(self):
        self.written = b""
        self.is_closed = False

    def write(self, data):
        self.written += data

    def abort(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed


def talk(*chunks, ends=True):
    """What a request gets whose answer comes in these chunks; and the wire."""

    async def run():
        ended = []
        wire, transport = Wire(ended.append), Transport()
        wire.connection_made(transport)
        task = asyncio.create_task(wire.exchange(b"request", BODY_BYTES_MAX))
        await asyncio.sleep(0)
        for chunk in chunks:
            if not transport.is_closed:
                wire.data_received(chunk)
        if is_over := transport.is_closed or ends:
            wire.connection_lost(None)
        await asyncio.sleep(0)
        if not task.done():
            task.cancel()
        result = (await asyncio.gather(task, return_exceptions=True))[0]
        assert ended == ([wire] if is_over else [])
        return result, wire, transport

    with mock.patch("federation.client.wire.HEADER_BYTES_MAX", HEADER_BYTES_MAX):
        return asyncio.run(run())


PIECES = st.sampled_from([
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 404 No\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\0\xff",
    b"HTTP/1.1 204 None\r\n", b"Content-Length: 5\r\n", b"Content-Length: 999999\r\n", b"\r\n", b"hello",
    b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Upgrade: x\r\nConnection: upgrade\r\n",
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffff\r\n", b"x" * 90, b"X: " + b"y" * 150 + b"\r\n",
])  # fmt: skip


@given(st.lists(st.one_of(PIECES, st.binary(max_size=20)), max_size=12), st.booleans())
def test_whatever_comes_ends_in_an_answer_or_in_an_error_of_ours(chunks, ends):
    result, wire, _ = talk(*chunks, ends=ends)

    assert isinstance(result, Page | BrokenOffError | TooLongError | asyncio.CancelledError)
    if isinstance(result, Page):
        assert len(result.body) <= BODY_BYTES_MAX
        assert result.status >= 200
    else:
        assert not wire.is_open
    assert wire._parts == []


@given(st.lists(PIECES, max_size=8))
def test_an_answer_is_the_same_whole_and_byte_by_byte(chunks):
    data = b"".join(chunks)
    whole, by_bytes = talk(data)[0], talk(*(data[at : at + 1] for at in range(len(data))))[0]
    if isinstance(whole, Page):
        assert by_bytes == whole
    else:
        # Which of two mistakes is seen first may differ.
        assert isinstance(by_bytes, BrokenOffError | TooLongError)


@pytest.mark.parametrize(("chunks", "is_unanswered"), [((), True), ((b"H",), False)])
def test_it_is_known_whether_the_server_may_have_seen_the_request(chunks, is_unanswered):
    error, _, _ = talk(*chunks)

    assert isinstance(error, BrokenOffError)
    assert error.is_unanswered == is_unanswered


def test_what_comes_unasked_ends_the_connection():
    async def run():
        wire, transport = Wire(lambda _: None), Transport()
        wire.connection_made(transport)
        wire.data_received(b"HTTP/1.1 200 OK\r\n\r\n")
        return wire, transport

    wire, transport = asyncio.run(run())

    assert (wire.is_open, transport.is_closed) == (False, True)


@pytest.mark.parametrize(
    ("request_", "expected"),
    [
        (OutgoingRequest("GET", "/x"), b"GET /x HTTP/1.1\r\nHost: h:1\r\nUser-Agent: Isthmus\r\n\r\n"),
        (
            OutgoingRequest("PUT", "/x"),
            b"PUT /x HTTP/1.1\r\nHost: h:1\r\nUser-Agent: Isthmus\r\nContent-Length: 0\r\n\r\n",
        ),
    ],
)
def test_a_request_without_a_body_says_so_where_one_is_expected(request_, expected):
    assert encoded_request("h:1", request_) == expected
