import orjson
import pytest

from homeserver.core.errors import Unauthorized
from homeserver.http.dispatch import RawRequest
from homeserver.http.endpoint import Authentication, RateLimit, endpoint, endpoints_of
from homeserver.http.rate_limits import RateLimits
from homeserver.http.response import json_response


class FakeServers:
    """Believes whoever names itself, and remembers what the signature would have covered."""

    def __init__(self):
        self.asked = []

    async def authenticate(self, signed):
        self.asked.append(signed)
        if signed.authorization is None:
            raise Unauthorized("Sign the request.")
        return signed.authorization


async def tell(request):
    return json_response({"origin": request.origin, "body": request.body})


async def ask(dispatcher, target=b"/path", origin="remote.example", body=b"{}"):
    headers = {} if origin is None else {"authorization": origin}
    response = await dispatcher.respond(RawRequest("PUT", target, headers, body, "192.0.2.1"))
    return response.status, orjson.loads(response.body)


@pytest.fixture
def servers():
    return FakeServers()


@pytest.fixture
def make(make_dispatcher, make_endpoint, servers):
    def make_with(*, rate_limits=None, **attributes):
        one = make_endpoint(
            tell, method="PUT", body=dict, authentication=Authentication.SERVER, **attributes
        )
        return make_dispatcher(one, servers=servers, rate_limits=rate_limits, body_bytes_max=100)

    return make_with


async def test_an_endpoint_for_servers_is_told_which_one_asks(make, servers):
    answered = await ask(make(), target=b"/path?a=%20b", body=b'{"a": 1}')

    assert answered == (200, {"origin": "remote.example", "body": {"a": 1}})
    (signed,) = servers.asked
    assert (signed.method, signed.uri, signed.body) == ("PUT", "/path?a=%20b", b'{"a": 1}')
    assert signed.content() == {"a": 1}


async def test_it_is_observed_which_server_asked(make_dispatcher, make_endpoint, servers):
    observations = []
    one = make_endpoint(tell, method="PUT", body=dict, authentication=Authentication.SERVER)

    await ask(make_dispatcher(one, servers=servers, observer=observations.append))

    assert [(seen.origin, seen.user_id) for seen in observations] == [("remote.example", "")]


async def test_a_request_that_is_not_signed_is_refused(make):
    status, error = await ask(make(), origin=None)

    assert (status, error["errcode"]) == (401, "M_UNAUTHORIZED")


def test_a_dispatcher_with_endpoints_for_servers_must_know_servers(make_dispatcher, make_endpoint):
    with pytest.raises(AssertionError):
        make_dispatcher(make_endpoint(tell, authentication=Authentication.SERVER))


@pytest.mark.parametrize(
    ("own_limit", "length", "status"),
    [(None, 100, 200), (None, 101, 413), (300, 300, 200), (300, 301, 413), (50, 51, 413)],
)
async def test_each_endpoint_may_say_how_long_bodies_are(make, servers, own_limit, length, status):
    dispatcher = make(body_bytes_max=own_limit)

    got, _ = await ask(dispatcher, body=b'{"a":"' + b"x" * (length - 8) + b'"}')

    assert got == status
    assert len(servers.asked) == (status == 200)  # nobody hashes what is too long
    assert dispatcher.body_bytes_max_of(b"PUT", b"/path?b") == (own_limit or 100)
    assert dispatcher.body_bytes_max_of(b"PUT", b"/other") == 100
    assert dispatcher.body_bytes_max_of(b"PUT", b"/\xff") == 100


class Rate:
    per_second = 1
    burst = 1


async def test_servers_are_limited_by_their_names(make, clock):
    limits = RateLimits({"federation": Rate()}, clock, lambda observation: None)
    dispatcher = make(rate_limits=limits, rate_limit=RateLimit.FEDERATION)

    statuses = [(await ask(dispatcher, origin=name))[0] for name in ("one.example", "two.example")]

    assert statuses == [200, 200]
    assert (await ask(dispatcher, origin="one.example"))[0] == 429


def test_endpoints_for_servers_draw_from_a_bucket_of_their_own():
    class Some:
        @endpoint("GET", "/servers", authentication=Authentication.SERVER, spec="")
        async def get_servers(self, request):
            """Answer servers."""

        @endpoint("GET", "/users", spec="", body_bytes_max=7)
        async def get_users(self, request):
            """Answer users."""

    limits = {one.path: (one.rate_limit, one.body_bytes_max) for one in endpoints_of(Some())}

    assert limits == {"/servers": (RateLimit.FEDERATION, None), "/users": (RateLimit.READ, 7)}


@pytest.mark.parametrize(
    ("path", "length", "status"), [(b"/large", 1500, b"200"), (b"/large", 5001, b"413"), (b"/", 1500, b"413")]
)
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_connection_takes_what_the_endpoint_takes(listen, path, length, status, is_chunked):
    head, body = b"Content-Length: %d" % length, b"x" * length
    if is_chunked:
        head, body = b"Transfer-Encoding: chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (length, body)

    answer = await listen().connect().exchange(b"PUT %s HTTP/1.1\r\n%s\r\n\r\n%s" % (path, head, body))

    assert answer.startswith(b"HTTP/1.1 " + status)


class TestLongBodies:
    """Those that only some endpoints take, `/large` among them, share some room."""

    HEAD = b"PUT /large HTTP/1.1\r\nContent-Length: 4000\r\n\r\n"

    @pytest.fixture(autouse=True)
    def room(self, monkeypatch):
        monkeypatch.setattr("homeserver.http.adapter.LONG_BODIES_BYTES_MAX", 5000)

    async def test_room_is_given_back_with_the_answer(self, listen):
        listener = listen()
        connection = listener.connect()

        for _ in range(3):
            answer = await connection.exchange(self.HEAD + b"x" * 4000)
            assert answer.startswith(b"HTTP/1.1 200")
        assert listener.site.long_bodies_bytes == 0

    async def test_where_there_is_no_room_it_is_said_so(self, listen):
        listener = listen()
        first, second, third = (listener.connect() for _ in range(3))
        await first.exchange(self.HEAD + b"x" * 3000)

        answer = await second.exchange(self.HEAD + b"x" * 3000)
        short = await third.exchange(b"PUT /large HTTP/1.1\r\nContent-Length: 900\r\n\r\n" + b"x" * 900)

        assert answer.startswith(b"HTTP/1.1 503")
        assert short.startswith(b"HTTP/1.1 200")
        assert listener.site.long_bodies_bytes == 3000

    async def test_room_is_given_back_by_who_goes_away(self, listen):
        listener = listen()
        connection = listener.connect()
        await connection.exchange(self.HEAD + b"x" * 2000)
        assert listener.site.long_bodies_bytes == 2000

        connection.channel.connectionLost(None)

        assert listener.site.long_bodies_bytes == 0

    async def test_room_is_given_back_by_what_is_too_long(self, listen):
        listener = listen()
        head = b"PUT /large HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"

        answer = await listener.connect().exchange(head + (b"7d0\r\n" + b"x" * 2000 + b"\r\n") * 3)

        assert answer.startswith(b"HTTP/1.1 413")
        assert listener.site.long_bodies_bytes == 0
