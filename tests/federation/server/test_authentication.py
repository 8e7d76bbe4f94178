import pytest

from federation.server.authentication import LONG_BODY_BYTES_MIN, Servers
from homeserver.core.errors import BadJson, Forbidden, NotJson, Unauthorized, Unavailable
from homeserver.core.request_signing import authorization_header
from homeserver.core.signing import SigningKey, sign_json
from homeserver.http.authenticate import SignedRequest
from homeserver.http.decode import decoded_server_body
from tests.doubles.accounts import MovableClock
from tests.doubles.key_servers import KeyNetwork, key_ring

US, A = "us.example", "a.example"


@pytest.fixture
def network():
    network = KeyNetwork(MovableClock())
    network.add(A)
    return network


@pytest.fixture
async def make_servers(network):
    rings = []

    def make(**options):
        rings.append(key_ring(network, network.clock))
        options = {"may_speak_with": lambda name: True, "heard_from": lambda name: None} | options
        return Servers(server_name=US, signatures=rings[-1], **options)

    yield make
    for ring in rings:
        await ring.close()


@pytest.fixture
def servers(make_servers):
    return make_servers()


@pytest.fixture
def request_of(network):
    def make(method="PUT", uri="/_matrix/x?a=%20b", body=b'{"a":1}', *, said=None, **changes):
        """A request of A; `said`: the content as it was signed, if it was not just the body."""
        options = {"origin": A, "destination": US, "key": network.servers[A].key} | changes
        header = authorization_header(method, uri, (body or None) if said is None else said, **options)
        return SignedRequest(method, uri, header, body, lambda: decoded_server_body(body))

    return make


async def test_who_signed_a_request_made_it(make_servers, request_of):
    heard_from = []
    servers = make_servers(heard_from=heard_from.append)

    assert await servers.authenticate(request_of()) == A
    assert await servers.authenticate(request_of("GET", body=b"")) == A
    assert heard_from == [A, A]


async def test_the_content_need_not_come_in_canonical_json(servers, request_of):
    body = b'{"b": 2.0, "a" : "\\u00e4", "c": 123456789012345678901234567890}'
    said = '{"a":"ä","b":2.0,"c":123456789012345678901234567890}'.encode()

    assert await servers.authenticate(request_of(body=body, said=said)) == A


async def test_a_long_content_neither(servers, request_of):
    text = "x" * LONG_BODY_BYTES_MIN

    said = {"a": 1, "b": text}

    assert await servers.authenticate(request_of(body=f'{{"b":"{text}","a":1}}'.encode(), said=said)) == A
    with pytest.raises(Unauthorized):
        await servers.authenticate(request_of(body=f'{{"b":"{text}","a":2}}'.encode(), said=said))


async def test_older_servers_do_not_say_for_whom_a_request_is(servers, network, request_of):
    key = network.servers[A].key
    signed = sign_json({"method": "GET", "uri": "/x", "origin": A}, A, key)
    signature = signed["signatures"][A][key.key_id]
    header = f'X-Matrix origin={A},key="{key.key_id}",sig="{signature}"'

    assert await servers.authenticate(SignedRequest("GET", "/x", header, b"", dict)) == A


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"}, {"uri": "/_matrix/x"}, {"uri": "/_matrix/x?a=+b"}, {"body": b'{"a":2}'},
        {"body": b""}, {"body": b"{}"}, {"authorization": None}, {"authorization": "Bearer token"},
        {"body": b'{"a":1} '},
    ],
)  # fmt: skip
async def test_a_signature_is_for_one_request(servers, request_of, changes):
    request = request_of()
    values = {
        name: changes.get(name, getattr(request, name)) for name in ("method", "uri", "authorization", "body")
    }
    body = values["body"]
    changed = SignedRequest(**values, content=lambda: decoded_server_body(body))
    if body == b'{"a":1} ':  # the same in canonical JSON
        assert await servers.authenticate(changed) == A
        return

    with pytest.raises(Unauthorized):
        await servers.authenticate(changed)


async def test_a_body_cannot_be_stretched_over_what_else_is_signed(servers, request_of):
    # The end of the content, and the destination, in the place of the content: the same bytes were signed.
    body = b'{"a":1},"destination":"us.example"'
    signed = request_of(body=body, said=body)

    assert await servers.authenticate(signed) == A  # so it was, by the server itself, and is no JSON
    with pytest.raises(NotJson):
        decoded_server_body(signed.body)


async def test_what_is_no_json_is_told_so(servers, request_of):
    with pytest.raises(NotJson):
        await servers.authenticate(request_of(body=b"{", said=b"{}"))
    with pytest.raises(BadJson):
        await servers.authenticate(request_of(body=b"[]", said=b"{}"))


async def test_a_request_for_another_server_is_refused(servers, request_of):
    with pytest.raises(Unauthorized):
        await servers.authenticate(request_of(destination="other.example"))


async def test_nobody_speaks_in_our_name(servers, request_of):
    with pytest.raises(Unauthorized):
        await servers.authenticate(request_of(origin=US))


async def test_nobody_speaks_in_the_name_of_another(servers, network, request_of):
    network.add("b.example")

    with pytest.raises(Unauthorized):
        await servers.authenticate(request_of(origin="b.example"))


async def test_the_operator_may_want_no_word_of_a_server(make_servers, network, request_of):
    with pytest.raises(Forbidden):
        await make_servers(may_speak_with=lambda name: name != A).authenticate(request_of())
    assert network.asked == []


async def test_while_keys_cannot_be_had_nobody_is_believed(make_servers, network, request_of):
    network.servers[A].is_down = True
    heard_from = []
    servers = make_servers(heard_from=heard_from.append)

    with pytest.raises(Unavailable):
        await servers.authenticate(request_of())
    with pytest.raises(Unavailable):
        await servers.authenticate(request_of(key=SigningKey.generate(b"x" * 32, "other")))
    assert heard_from == []
