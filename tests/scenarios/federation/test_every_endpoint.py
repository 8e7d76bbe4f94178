"""Every endpoint of the server-server API of v1.19 is served, but for media, and for policy servers' own."""

import pytest

from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.scripted_peer import ScriptedPeer
from tests.scenarios.federation.servers import Isthmus

pytestmark = pytest.mark.scenario

V1, V2 = "/_matrix/federation/v1", "/_matrix/federation/v2"
ENDPOINTS = [
    ("GET", "/.well-known/matrix/server"),
    ("GET", "/_matrix/key/v2/server"),
    ("GET", "/_matrix/key/v2/query/a.example"),
    ("POST", "/_matrix/key/v2/query"),
    ("GET", f"{V1}/version"),
    ("GET", f"{V1}/openid/userinfo"),
    ("PUT", f"{V1}/send/1"),
    ("GET", f"{V1}/event/$a"),
    ("GET", f"{V1}/event_auth/!r/$a"),
    ("GET", f"{V1}/state/!r"),
    ("GET", f"{V1}/state_ids/!r"),
    ("GET", f"{V1}/backfill/!r"),
    ("POST", f"{V1}/get_missing_events/!r"),
    ("GET", f"{V1}/timestamp_to_event/!r"),
    ("GET", f"{V1}/make_join/!r/@a:b"),
    ("GET", f"{V1}/make_leave/!r/@a:b"),
    ("GET", f"{V1}/make_knock/!r/@a:b"),
    ("PUT", f"{V1}/send_join/!r/$a"),
    ("PUT", f"{V2}/send_join/!r/$a"),
    ("PUT", f"{V1}/send_leave/!r/$a"),
    ("PUT", f"{V2}/send_leave/!r/$a"),
    ("PUT", f"{V1}/send_knock/!r/$a"),
    ("PUT", f"{V1}/invite/!r/$a"),
    ("PUT", f"{V2}/invite/!r/$a"),
    ("PUT", f"{V1}/3pid/onbind"),
    ("PUT", f"{V1}/exchange_third_party_invite/!r"),
    ("GET", f"{V1}/publicRooms"),
    ("POST", f"{V1}/publicRooms"),
    ("GET", f"{V1}/hierarchy/!r"),
    ("GET", f"{V1}/query/profile"),
    ("GET", f"{V1}/query/directory"),
    ("GET", f"{V1}/user/devices/@a:b"),
    ("POST", f"{V1}/user/keys/query"),
    ("POST", f"{V1}/user/keys/claim"),
]


@pytest.fixture(scope="module")
def server():
    with running(Isthmus) as (one,):
        yield one


async def test_every_endpoint_is_served_and_takes_no_harm_of_nonsense(server):
    answers = {}
    async with ScriptedPeer(server.authority) as peer:
        for method, target in ENDPOINTS:
            for content in ({}, {"pdus": 1, "edus": {}, "device_keys": [], "one_time_keys": 5, "limit": "x"}):
                given = None if method == "GET" else content
                status, answer = await peer.ask(server.name, method, target, given)
                answers[method, target] = status, answer.get("errcode")

    assert [asked for asked, told in answers.items() if told[1] == "M_UNRECOGNIZED"] == []
    assert [(asked, told) for asked, told in answers.items() if told[0] >= 500] == []
