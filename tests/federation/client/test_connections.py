import asyncio
import socket

import pytest

from federation.client.connecting import Connecting
from federation.client.connections import PublicPages, ServerConnections
from federation.client.ports import Answer, OutgoingRequest
from federation.client.tls import region_context
from federation.client.transport import Transport
from federation.places import Place
from federation.region_authority import issue_certificate, make_authority
from federation.regions import Regions, read_regions
from federation.well_known import NeedPage
from homeserver.config.regions import Region
from homeserver.core.errors import Unavailable
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import ignore_observations
from homeserver.runtime.outgoing_http import AddressRules
from tests.federation.client.conftest import TlsServer, server_context

GET = OutgoingRequest("GET", "/_matrix/federation/v1/version", timeout_ms=5_000)


class Found:
    """Knows where servers are because a test says so."""

    def __init__(self):
        self.places = {}
        self.forgotten = []

    async def place_of(self, name):
        if name not in self.places:
            await asyncio.Event().wait()
        return self.places[name]

    def forget(self, name):
        self.forgotten.append(name)


@pytest.fixture
def found(server):
    found = Found()
    found.places["there.example"] = Place("there.example", "there.example", (("127.0.0.1", server.port),))
    found.places["gone.example"] = Place("gone.example", "gone.example", (("127.0.0.1", server.port),))
    return found


@pytest.fixture
def noticed():
    return []


@pytest.fixture
def connections(transport, found, context, noticed):
    return ServerConnections(
        transport=transport, discovered=found, regions=Regions(), context=context, observer=noticed.append
    )


async def test_a_server_is_asked_where_it_is_found(connections, found):
    assert await connections.exchange("there.example", GET) == Answer(200, b"{}")
    assert found.forgotten == []


async def test_a_server_that_is_not_where_it_was_found_is_looked_for_again(connections, found, noticed):
    # Its certificate is for another name.
    with pytest.raises(Unavailable):
        await connections.exchange("gone.example", GET)

    assert found.forgotten == ["gone.example"]
    assert [one.destination for one in noticed] == ["gone.example"]
    assert noticed[0].reason.startswith("SSLCertVerificationError: ")


async def test_finding_a_server_takes_of_the_request_s_time(connections):
    with pytest.raises(Unavailable):
        await connections.exchange("lost.example", OutgoingRequest("GET", "/", timeout_ms=20))


async def test_pages_are_fetched_where_they_are_needed(transport, server, context):
    server.answer = b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n"
    pages = PublicPages(transport, context)
    page = await pages.page(NeedPage("127.0.0.1", server.port, "there.example", "/.well-known/matrix/server"))

    assert (page.status, page.headers["location"]) == (302, "/x")
    assert server.heads[0].startswith("GET /.well-known/matrix/server HTTP/1.1\r\nHost: there.example\r\n")
    server.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n"
    assert await pages.page(NeedPage("127.0.0.1", server.port, "there.example", "/")) is None


@pytest.fixture
def paths(tmp_path):
    """Certificates of regions: a function from a server name to the arguments of `region_context`."""
    now_ms = SystemClock().now_ms()
    authority = make_authority("ours", now_ms=now_ms, days=1)
    (tmp_path / "ours.pem").write_bytes(authority.certificate)

    def issued(name):
        pair = issue_certificate(authority, name, now_ms=now_ms, days=1)
        (tmp_path / f"{name}.crt").write_bytes(pair.certificate)
        (tmp_path / f"{name}.key").write_bytes(pair.key)
        return tuple(str(tmp_path / one) for one in ("ours.pem", f"{name}.crt", f"{name}.key"))

    return issued


@pytest.mark.parametrize("name", ["there.example", "other.example"])
async def test_a_region_is_believed_with_a_certificate_in_its_own_name_only(paths, context, name):
    ca_file, certificate, key = paths(name)
    serving = server_context((certificate, key))
    serving.load_verify_locations(ca_file)
    serving.verify_mode = region_context(ca_file, certificate, key).verify_mode
    server = TlsServer(serving)
    await server.start()
    own = dict(zip(("ca_file", "certificate", "certificate_key"), paths("here.example"), strict=True))
    # No address is allowed but those of regions.
    transport = Transport(Connecting(AddressRules()))
    region = Region(name="there.example", addresses=(f"127.0.0.1:{server.port}",), **own)
    connections = ServerConnections(
        transport=transport, discovered=Found(), regions=read_regions("here.example", [region]),
        context=context, observer=ignore_observations,
    )  # fmt: skip
    if name == "there.example":
        assert await connections.exchange("there.example", GET) == Answer(200, b"{}")
        assert ("URI", "matrix://here.example") in server.peers[0]["subjectAltName"]
    else:
        with pytest.raises(Unavailable):
            await connections.exchange("there.example", GET)
        assert server.heads == []
    await transport.close()
    await server.close()


async def test_ipv6_is_spoken(transport, authority, context):
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    server = TlsServer(server_context(authority.issue("six", "::1")))
    try:
        await server.start("::1")
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    found = Found()
    found.places["[::1]"] = Place("[::1]", "::1", (("::1", server.port),))
    connections = ServerConnections(
        transport=Transport(Connecting(AddressRules(("::1/128",)))), discovered=found, regions=Regions(),
        context=context, observer=ignore_observations,
    )  # fmt: skip

    assert await connections.exchange("[::1]", GET) == Answer(200, b"{}")
    assert "\r\nHost: [::1]\r\n" in server.heads[0]
    await connections._transport.close()
    await server.close()
