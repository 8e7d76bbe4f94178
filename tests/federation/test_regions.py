"""Both sides of a connection between regions, joined by a wire in memory."""

import ssl

import pytest
from OpenSSL import SSL

from federation.certificates import is_bound_to, names_of_peer
from federation.client.tls import region_context
from federation.region_authority import issue_certificate, make_authority
from federation.regions import RegionGuard, read_regions
from homeserver.app.listeners import _tls
from homeserver.config.model import Listener
from homeserver.config.regions import Region
from homeserver.core.errors import Unauthorized
from homeserver.http.authenticate import SignedRequest
from homeserver.http.certificates import names_shown_by
from homeserver.runtime.clock import SystemClock

NOW_MS = SystemClock().now_ms()
DAY_MS = 86_400_000


class Files:
    """Authorities and certificates, as files."""

    def __init__(self, directory):
        self._directory = directory
        self._authorities = {}

    def authority(self, name="ours"):
        if name not in self._authorities:
            self._authorities[name] = make_authority(name, now_ms=NOW_MS, days=10)
        return self._write(f"ca-{name}.pem", self._authorities[name].certificate)

    def issue(self, server_name, *, authority="ours", now_ms=NOW_MS):
        self.authority(authority)
        pair = issue_certificate(self._authorities[authority], server_name, now_ms=now_ms, days=1)
        stem = server_name.strip("[]").replace(":", "-")
        return self._write(f"{stem}.crt", pair.certificate), self._write(f"{stem}.key", pair.key)

    def _write(self, name, content):
        path = self._directory / name
        path.write_bytes(content)
        return str(path)


@pytest.fixture
def files(tmp_path):
    return Files(tmp_path)


class Wire:
    """What `getPeerCertificate` of a transport asks."""

    def __init__(self, connection):
        self.getPeerCertificate = connection.get_peer_certificate


def shake_hands(server_context, client_context):
    """The names that each side shows the other; raises what the side raises that is not content."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server, server_hostname="b.example")
    server = SSL.Connection(server_context, None)
    server.set_accept_state()
    done = set()
    for _ in range(10):
        if "client" not in done:
            try:
                client.do_handshake()
                done.add("client")
            except ssl.SSLWantReadError:
                pass
        if pending := to_server.read():
            server.bio_write(pending)
        try:
            server.do_handshake()
            done.add("server")
        except SSL.WantReadError:
            pass
        try:
            while True:
                to_client.write(server.bio_read(65_536))
        except SSL.WantReadError:
            pass
    assert done == {"client", "server"}
    return names_of_peer(client.getpeercert()), names_shown_by(Wire(server))


def listening(files, server_name="b.example", client_ca="ours"):
    certificate, key = files.issue(server_name)
    authority = files.authority(client_ca) if client_ca else ""
    return _tls(Listener(tls_certificate=certificate, tls_key=key, tls_client_ca=authority)).getContext()


@pytest.mark.parametrize(
    "name", ["a.example", "a.example:8448", "10.0.0.1", "10.0.0.1:8448", "[2001:db8::1]", "[2001:db8::1]:1"]
)
def test_each_side_sees_whose_certificate_the_other_has(files, name):
    theirs, ours = shake_hands(listening(files), region_context(files.authority(), *files.issue(name)))

    assert is_bound_to(theirs, "b.example")
    assert is_bound_to(ours, name)
    for other in ("b.example", name + "0", "example", "a.example:1", "10.0.0.1:2", "[2001:db8::1]:3"):
        assert not is_bound_to(ours, other)


def test_without_an_authority_for_clients_nobody_is_asked(files):
    context = region_context(files.authority(), *files.issue("a.example"))

    assert shake_hands(listening(files, client_ca=""), context)[1] == frozenset()


def test_others_without_a_certificate_are_let_in(files):
    context = ssl.create_default_context(cafile=files.authority())

    assert shake_hands(listening(files), context)[1] == frozenset()


@pytest.mark.parametrize(
    "own",
    [{"authority": "theirs"}, {"now_ms": NOW_MS - 5 * DAY_MS}, {"now_ms": NOW_MS + 5 * DAY_MS}],
)
def test_a_certificate_of_somebody_else_or_another_day_ends_the_connection(files, own):
    context = region_context(files.authority(), *files.issue("a.example", **own))
    with pytest.raises(SSL.Error):
        shake_hands(listening(files), context)


def test_a_server_that_another_authority_made_is_not_believed(files):
    context = region_context(files.authority("theirs"), *files.issue("a.example"))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(listening(files), context)


@pytest.mark.parametrize(
    ("names", "server_name", "is_bound"),
    [
        ({"URI:matrix://a.example"}, "a.example", True),
        ({"URI:matrix://a.example", "DNS:b.example"}, "b.example", False),
        ({"URI:matrix://a.example:1"}, "a.example", False),
        ({"URI:https://x.example", "DNS:a.example"}, "a.example", True),
        ({"DNS:A.example"}, "a.example:8448", True),
        ({"DNS:*.example"}, "a.example", False),
        ({"DNS:10.0.0.1"}, "10.0.0.1", False),
        ({"IP:10.0.0.1"}, "10.0.0.1:1", True),
        ({"IP:2001:DB8:0:0:0:0:0:1"}, "[2001:db8::1]", True),
        ({"IP:nonsense"}, "10.0.0.1", False),
        ({"DNS:a.example"}, "a.example:0", False),
        (set(), "a.example", False),
    ],
)
def test_for_whom_a_certificate_is(names, server_name, is_bound):
    assert is_bound_to(names, server_name) == is_bound


@pytest.fixture
def regions(files):
    certificate, key = files.issue("a.example")
    shared = {"ca_file": files.authority(), "certificate": certificate, "certificate_key": key}
    return read_regions("a.example", [
        Region(name="a.example", addresses=("10.0.0.1",), **shared),
        Region(name="b.example:1", addresses=("10.0.0.2:443", "host.example", "[::1]:9"), **shared),
        Region(name="c.example", addresses=("10.0.0.3",), priority=5, **shared),
    ])  # fmt: skip


def test_a_region_is_where_it_is_configured_to_be(regions):
    route = regions.route("b.example:1")

    assert route.place.hosts == (("10.0.0.2", 443), ("host.example", 8448), ("::1", 9))
    assert (route.place.host_header, route.place.tls_name, route.region) == (
        "b.example:1", "b.example", "b.example:1",
    )  # fmt: skip
    # The server's own entry, which its list may have, is no region to it.
    assert regions.names == ("c.example", "b.example:1")
    assert regions.is_region("b.example:1")
    assert not any(map(regions.is_region, ("a.example", "b.example")))
    assert (regions.priority("c.example"), regions.priority("d.example")) == (5, 0)
    assert regions.route("d.example") is None


@pytest.mark.parametrize(
    ("origin", "names", "is_admitted"),
    [
        ("c.example", {"URI:matrix://c.example"}, True),
        ("c.example", {"URI:matrix://b.example:1"}, False),
        ("c.example", set(), False),
        ("d.example", set(), True),
    ],
)
async def test_a_region_is_admitted_with_its_certificate_only(regions, origin, names, is_admitted):
    class Signatures:
        async def authenticate(self, signed):
            return origin

    signed = SignedRequest("GET", "/", "X-Matrix", b"", dict, lambda: frozenset(names))
    guard = RegionGuard(Signatures(), regions)
    if is_admitted:
        assert await guard.authenticate(signed) == origin
    else:
        with pytest.raises(Unauthorized):
            await guard.authenticate(signed)


@pytest.mark.parametrize("field", ["ca_file", "certificate", "certificate_key"])
def test_a_file_that_is_not_there_is_named(files, field):
    certificate, key = files.issue("a.example")
    right = {"ca_file": files.authority(), "certificate": certificate, "certificate_key": key}
    region = Region(name="b.example", addresses=("10.0.0.1",), **{**right, field: "/nowhere/file.pem"})
    with pytest.raises(ValueError, match=r"/nowhere/file\.pem"):
        read_regions("a.example", [region])


def test_a_file_that_holds_something_else_is_named(files):
    certificate, key = files.issue("a.example")
    with pytest.raises(ValueError, match=r"a\.example\.key holds no authorities"):
        read_regions("a.example", [Region("b.example", ("10.0.0.1",), key, certificate, key)])
