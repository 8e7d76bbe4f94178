import orjson
import pytest

from clients.endpoints.rendezvous_json import RendezvousJsonEndpoints
from clients.endpoints.rendezvous_text import RendezvousTextEndpoints
from homeserver.accounts.rendezvous import Rendezvous
from homeserver.core.errors import UnknownToken
from homeserver.http.dispatch import Dispatcher, RawRequest
from homeserver.http.endpoint import endpoints_of
from homeserver.http.router import Router
from homeserver.runtime.observation import ignore_observations
from homeserver.runtime.randomness import SystemRandomness
from tests.doubles.accounts import MovableClock

TEXT = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous"
JSON = "/_matrix/client/unstable/io.element.msc4388/rendezvous"


class NobodysTokens:
    async def authenticate(self, token):
        raise UnknownToken(token)


class Server:
    def __init__(self, mailboxes_max=100):
        self.clock = MovableClock()
        both = {"clock": self.clock, "randomness": SystemRandomness(), "mailboxes_max": mailboxes_max}
        owners = [
            RendezvousTextEndpoints(
                rendezvous=Rendezvous(lifetime_ms=60_000, **both), base_url="https://example.org/"
            ),
            RendezvousJsonEndpoints(rendezvous=Rendezvous(lifetime_ms=120_000, **both), clock=self.clock),
        ]
        self.dispatcher = Dispatcher(
            router=Router(endpoint for owner in owners for endpoint in endpoints_of(owner)),
            authenticator=NobodysTokens(),
            rate_limits=None,
            observer=ignore_observations,
        )

    async def text(self, method, path, body=b"", **headers):
        sent = {"content-type": "text/plain"} | {name.replace("_", "-"): one for name, one in headers.items()}
        return await self.dispatcher.respond(RawRequest(method, path.encode(), sent, body))

    async def created(self, body=b"hello"):
        response = await self.text("POST", TEXT, body)
        assert response.status == 201
        url = orjson.loads(response.body)["url"]
        return url.removeprefix("https://example.org"), response.headers["ETag"]

    async def json(self, method, path, body=None, **headers):
        raw = b"" if body is None else orjson.dumps(body)
        sent = {name.replace("_", "-"): one for name, one in headers.items()}
        response = await self.dispatcher.respond(RawRequest(method, path.encode(), sent, raw))
        return response.status, orjson.loads(response.body)


@pytest.fixture
def server():
    return Server()


async def test_two_devices_write_in_turns_by_etag(server):
    url, first = await server.created()

    read = await server.text("GET", url)
    assert (read.status, read.body, read.content_type) == (200, b"hello", "text/plain")
    assert (await server.text("GET", url, if_none_match=first)).status == 304
    written = await server.text("PUT", url, b"hi", if_match=first)
    assert (written.status, written.body) == (202, b"")
    second = written.headers["ETag"]
    assert second != first
    assert (await server.text("GET", url, if_none_match=first)).body == b"hi"

    stale = await server.text("PUT", url, b"late", if_match=first)
    assert stale.status == 412
    assert orjson.loads(stale.body)["org.matrix.msc4108.errcode"] == "M_CONCURRENT_WRITE"
    assert stale.headers["ETag"] == second


async def test_the_same_text_again_has_another_etag(server):
    url, first = await server.created()

    second = (await server.text("PUT", url, b"x", if_match=first)).headers["ETag"]
    third = (await server.text("PUT", url, b"hello", if_match=second)).headers["ETag"]

    assert len({first, second, third}) == 3


async def test_every_answer_says_how_long_it_goes_on_and_that_it_is_no_page(server):
    url, tag = await server.created()

    for response in [
        await server.text("GET", url),
        await server.text("GET", url, if_none_match=tag),
        await server.text("PUT", url, b"x", if_match="stale"),
        await server.text("PUT", url, b"x", if_match=tag),
    ]:
        headers = response.headers
        assert headers["Expires"] == "Fri, 15 Jan 2027 08:01:00 GMT"
        assert headers["Last-Modified"] == "Fri, 15 Jan 2027 08:00:00 GMT"
        assert headers["Cache-Control"] == "no-store, no-transform"
        assert headers["Access-Control-Expose-Headers"] == "ETag"
        assert headers["Content-Security-Policy"].startswith("sandbox;")


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("POST", {"content_type": "application/json"}, b"x", 400),
        ("POST", {"content_type": ""}, b"x", 400),
        ("POST", {}, b"x" * 4_097, 413),
        ("POST", {}, b"\xff", 400),
        ("POST", {}, b"x" * 4_096, 201),
        ("PUT", {}, b"x", 400),
        ("PUT", {"if_match": "x", "content_type": "text/html"}, b"x", 400),
        ("PUT", {"if_match": "x"}, b"x" * 4_097, 413),
    ],
)
async def test_bad_text_is_refused(server, method, headers, body, status):
    url, _ = await server.created()

    assert (await server.text(method, TEXT if method == "POST" else url, body, **headers)).status == status


async def test_a_mailbox_ends_after_a_minute_whatever_is_written(server):
    url, tag = await server.created()
    server.clock.advance(59_000)
    assert (await server.text("PUT", url, b"x", if_match=tag)).status == 202
    server.clock.advance(1_000)

    assert (await server.text("GET", url)).status == 404


async def test_a_mailbox_is_thrown_away(server):
    url, _ = await server.created()

    assert (await server.text("DELETE", url)).status == 204
    for method in ("GET", "DELETE"):
        assert (await server.text(method, url)).status == 404
    assert (await server.text("PUT", url, b"x", if_match="x")).status == 404


async def test_the_oldest_mailbox_makes_room():
    server = Server(mailboxes_max=2)
    urls = [(await server.created())[0] for _ in range(3)]

    assert [(await server.text("GET", url)).status for url in urls] == [404, 200, 200]


async def test_two_devices_write_in_turns_by_sequence_token(server):
    assert await server.json("GET", JSON) == (200, {"create_available": True})
    _, made = await server.json("POST", JSON, {"data": "hello"})
    path, first = f"{JSON}/{made['id']}", made["sequence_token"]
    assert made["expires_in_ms"] == 120_000
    server.clock.advance(20_000)

    status, read = await server.json("GET", path)
    assert (status, read) == (200, {"data": "hello", "sequence_token": first, "expires_in_ms": 100_000})
    status, written = await server.json("PUT", path, {"sequence_token": first, "data": "hi"})
    assert status == 200
    assert written["sequence_token"] != first

    again = await server.json("PUT", path, {"sequence_token": first, "data": "hi"})
    assert again == (200, written)
    status, stale = await server.json("PUT", path, {"sequence_token": first, "data": "other"})
    assert (status, stale["errcode"]) == (409, "IO_ELEMENT_MSC4388_CONCURRENT_WRITE")
    assert await server.json("DELETE", path) == (200, {})
    assert (await server.json("GET", path))[0] == 404


async def test_a_transaction_that_is_repeated_writes_once(server):
    _, made = await server.json("POST", JSON, {"data": "hello"})
    path = f"{JSON}/{made['id']}/1"
    body = {"sequence_token": made["sequence_token"], "data": "hi"}

    first = await server.json("PUT", path, body)

    assert await server.json("PUT", path, body) == first


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_dest": "document"},
        {"sec_fetch_mode": "navigate"},
        {"sec_fetch_user": "?1"},
        {"sec_fetch_site": "none"},
    ],
)
async def test_it_is_no_place_to_keep_web_pages(server, headers):
    _, made = await server.json("POST", JSON, {"data": "<h1>hello</h1>"})

    status, answer = await server.json("GET", f"{JSON}/{made['id']}", **headers)

    assert (status, answer["errcode"]) == (403, "M_FORBIDDEN")
    allowed = {"sec_fetch_dest": "empty", "sec_fetch_mode": "cors", "sec_fetch_site": "cross-site"}
    assert (await server.json("GET", f"{JSON}/{made['id']}", **allowed))[0] == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 400), ({"data": 7}, 400), ({"data": "é" * 2_049}, 413), ({"data": "é" * 2_048}, 200)],
)
async def test_bad_data_is_refused(server, body, status):
    assert (await server.json("POST", JSON, body))[0] == status


async def test_a_bad_write_is_refused(server):
    _, made = await server.json("POST", JSON, {"data": "x"})

    assert (await server.json("PUT", f"{JSON}/{made['id']}", {"data": "y"}))[0] == 400
    assert (await server.json("PUT", f"{JSON}/nothing", {"data": "y", "sequence_token": "x"}))[0] == 404


async def test_an_invalid_token_is_refused_though_none_is_needed(server):
    assert (await server.json("POST", JSON, {"data": "x"}, authorization="Bearer nonsense"))[0] == 401


async def test_the_server_announces_it(rooms_server):
    _, versions = await rooms_server.call("GET", "/_matrix/client/versions")
    assert versions["unstable_features"]["org.matrix.msc4108"] is True
    assert await rooms_server.call("GET", JSON) == (200, {"create_available": True})
