import asyncio

import pytest
from twisted.internet.asyncioreactor import AsyncioSelectorReactor

from homeserver.core.errors import Unavailable
from homeserver.runtime.outgoing_http import AddressRules, OutgoingHttp


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.2.2.3", "192.168.0.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public_are_not_reached(address):
    assert not AddressRules().allow(address)


def test_public_addresses_and_those_that_the_operator_allows_are_reached():
    rules = AddressRules(["10.1.0.0/16", "fd00::/8"])

    assert rules.allow("8.8.8.8")
    assert rules.allow("2001:4860:4860::8888")
    assert rules.allow("10.1.2.3")
    assert rules.allow("::ffff:10.1.2.3")
    assert rules.allow("fd00::1")
    assert not rules.allow("10.2.0.1")


class Peer:
    """Answers every connection with the same bytes, and keeps what it was sent."""

    def __init__(self, answer, *, closes=True):
        self.answer = answer
        self.closes = closes
        self.received = b""

    async def serve(self, reader, writer):
        self.received += await reader.readuntil(b"\r\n\r\n")
        writer.write(self.answer)
        await writer.drain()
        if not self.closes:
            await reader.read()
        writer.close()


async def ask(peer, *, allowed=("127.0.0.0/8",), **limits):
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    reactor = AsyncioSelectorReactor(asyncio.get_running_loop())
    outgoing = OutgoingHttp(reactor=reactor, rules=AddressRules(allowed), **limits)
    try:
        return await outgoing.post(f"http://localhost:{port}/a?b=c", b"hello", {"X-Test": "yes"})
    finally:
        server.close()
        await server.wait_closed()


@pytest.mark.scenario
async def test_a_request_goes_out_and_its_answer_comes_back():
    peer = Peer(b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\nok")

    assert await ask(peer) == (201, b"ok")
    assert peer.received.startswith(b"POST /a?b=c HTTP/1.1\r\n")
    assert b"X-Test: yes" in peer.received
    assert b"User-Agent: Isthmus" in peer.received


@pytest.mark.scenario
@pytest.mark.parametrize(
    ("answer", "limits"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + b"x" * 2000, {"body_bytes_max": 1000}),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf", {}),
        (b"nonsense\r\n\r\n", {}),
    ],
)
async def test_answers_that_are_too_long_or_broken_are_given_up(answer, limits):
    with pytest.raises(Unavailable):
        await ask(Peer(answer), **limits)


@pytest.mark.scenario
async def test_a_peer_that_says_nothing_is_given_up():
    with pytest.raises(Unavailable):
        await ask(Peer(b"", closes=False), timeout_ms=50)


@pytest.mark.scenario
async def test_a_private_address_is_not_reached():
    peer = Peer(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    with pytest.raises(Unavailable):
        await ask(peer, allowed=())
    assert peer.received == b""


@pytest.mark.parametrize(
    "url", ["ftp://example.org/", "http://", "https://user@example.org/", "nonsense", "http://[::1/"]
)
async def test_what_is_no_url_is_not_asked(url):
    outgoing = OutgoingHttp(reactor=None, rules=AddressRules())

    with pytest.raises(Unavailable):
        await outgoing.get(url, {})
