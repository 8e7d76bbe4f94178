"""GET /sync and the stored filters, as requests."""

from urllib.parse import quote

import orjson
import pytest

from clients.endpoints.filters import FiltersEndpoints
from clients.endpoints.sync import SyncEndpoints
from homeserver.core.errors import UnknownToken
from homeserver.http.dispatch import Dispatcher, RawRequest
from homeserver.http.endpoint import endpoints_of
from homeserver.http.router import Router
from homeserver.sync.filters import Filters
from tests.sync.sync_world import World, requester

ALICE = "@alice:example.org"
ROOM = "!room:example.org"
FILTERS = f"/_matrix/client/v3/user/{quote(ALICE)}/filter"


class Authenticator:
    async def authenticate(self, token):
        if token != "alice":
            raise UnknownToken("No such token.")
        return requester(ALICE)


class Api:
    """The endpoints behind a dispatcher."""

    def __init__(self, world, database):
        filters = Filters(database)
        owners = (SyncEndpoints(sync=world.sync, filters=filters), FiltersEndpoints(filters=filters))
        self.dispatcher = Dispatcher(
            router=Router([endpoint for owner in owners for endpoint in endpoints_of(owner)]),
            authenticator=Authenticator(),
            rate_limits=None,
            observer=lambda observation: None,
        )

    async def ask(self, method, target, body=b"", token="alice"):
        headers = {"authorization": f"Bearer {token}"} if token else {}
        response = await self.dispatcher.respond(RawRequest(method, target.encode(), headers, body))
        return response.status, orjson.loads(response.body)


@pytest.fixture
async def api(database):
    world = World()
    await world.start()
    world.create(ROOM, ALICE)
    await database.execute("INSERT INTO accounts (user_id, created_ms) VALUES (%s, 0)", ALICE)
    api = Api(world, database)
    api.world = world
    yield api
    world.notifier.stop()


async def test_sync_answers_with_the_rooms_and_a_token_to_go_on_with(api):
    status, first = await api.ask("GET", "/_matrix/client/v3/sync?set_presence=offline&timeout=0")
    assert status == 200
    sent = api.world.send(ROOM, ALICE, body="news")

    _, second = await api.ask("GET", f"/_matrix/client/v3/sync?since={first['next_batch']}&timeout=30000")

    (event,) = second["rooms"]["join"][ROOM]["timeline"]["events"]
    assert event["event_id"] == sent


@pytest.mark.parametrize(
    ("query", "errcode"),
    [
        ("since=nonsense", "M_INVALID_PARAM"),
        ("since=s1AAAA", "M_INVALID_PARAM"),
        ("timeout=soon", "M_INVALID_PARAM"),
        ("timeout=-1", "M_INVALID_PARAM"),
        ("timeout=--1", "M_INVALID_PARAM"),
        ("timeout=-", "M_INVALID_PARAM"),
        ("full_state=maybe", "M_INVALID_PARAM"),
        ("set_presence=asleep", "M_INVALID_PARAM"),
        ("filter=12345", "M_INVALID_PARAM"),
        ("filter=nonsense", "M_INVALID_PARAM"),
        ("filter={", "M_BAD_JSON"),
        ("filter=" + quote('{"room":[]}'), "M_BAD_JSON"),
    ],
)
async def test_sync_refuses_what_it_cannot_read(api, query, errcode):
    status, answer = await api.ask("GET", f"/_matrix/client/v3/sync?{query}")

    assert (status, answer["errcode"]) == (400, errcode)


async def test_sync_wants_a_token(api):
    status, answer = await api.ask("GET", "/_matrix/client/v3/sync", token=None)

    assert (status, answer["errcode"]) == (401, "M_MISSING_TOKEN")


async def test_a_stored_filter_is_read_again_and_used(api):
    wanted = {"room": {"timeline": {"types": ["m.room.create"], "limit": 1}}}
    status, stored = await api.ask("POST", FILTERS, orjson.dumps(wanted))
    assert status == 200

    assert await api.ask("GET", f"{FILTERS}/{stored['filter_id']}") == (200, wanted)
    assert await api.ask("POST", FILTERS, orjson.dumps(wanted)) == (200, stored)
    _, answer = await api.ask("GET", f"/_matrix/client/v3/sync?filter={stored['filter_id']}")
    events = answer["rooms"]["join"][ROOM]["timeline"]["events"]
    assert [event["type"] for event in events] == ["m.room.create"]


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "errcode"),
    [
        ("POST", FILTERS, b'{"room":{"timeline":{"limit":"many"}}}', 400, "M_BAD_JSON"),
        ("POST", FILTERS, b"[]", 400, "M_BAD_JSON"),
        ("POST", FILTERS, b"{", 400, "M_NOT_JSON"),
        ("GET", FILTERS + "/999", b"", 404, "M_NOT_FOUND"),
        ("GET", FILTERS + "/x", b"", 404, "M_NOT_FOUND"),
        ("GET", FILTERS + "/" + "9" * 30, b"", 404, "M_NOT_FOUND"),
        ("POST", FILTERS.replace("alice", "bob"), b"{}", 403, "M_FORBIDDEN"),
        ("GET", FILTERS.replace("alice", "bob") + "/1", b"", 403, "M_FORBIDDEN"),
        ("POST", FILTERS, b'{"x":"' + b"x" * 70_000 + b'"}', 413, "M_TOO_LARGE"),
    ],
)
async def test_filters_that_are_none_are_refused(api, method, target, body, status, errcode):
    told, answer = await api.ask(method, target, body)

    assert (told, answer["errcode"]) == (status, errcode)
