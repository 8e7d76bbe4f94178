"""Whatever another server answers, our users are told that it cannot be: never that we are at fault."""

from urllib.parse import quote

import orjson
import pytest

from homeserver.core.canonical_json import encode_plain
from homeserver.http.response import Response
from homeserver.runtime.observation import Failure
from tests.doubles.garbage import Garbage

ROUNDS = 25


class Liar:
    """Stands between a server and those who ask it, and spoils some of what it answers."""

    def __init__(self, server, garbage):
        self._server = server
        self._garbage = garbage
        self.dispatcher = self
        self.spoiled = 0

    async def respond(self, raw):
        response = await self._server.dispatcher.respond(raw)
        if response.status != 200 or self._garbage.chance.random() < 0.3 or b"/send/" in raw.target:
            return response
        self.spoiled += 1
        return Response(body=encode_plain(self._garbage.spoiled(orjson.loads(response.body))))


async def actions(here, hal, tess, number):
    """Have a user ask for all that another server answers."""
    wishes = {"preset": "public_chat", "room_version": "11", "room_alias_name": f"r{number}",
              "visibility": "public"}  # fmt: skip
    room = (await tess.ask("POST", "/createRoom", wishes))["room_id"]
    door = {"room_version": "11", "initial_state": [
        {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "knock"}}]}  # fmt: skip
    closed = (await tess.ask("POST", "/createRoom", door))["room_id"]
    ours = (await hal.ask("POST", "/createRoom", {"room_version": "11"}))["room_id"]
    at, alias, person = quote(room), quote(f"#r{number}:there.example"), quote(tess.user_id)
    v1 = "/_matrix/client/v1"
    yield "GET", f"/_matrix/client/v3/profile/{person}", None
    yield "GET", f"/_matrix/client/v3/directory/room/{alias}", None
    yield "GET", "/_matrix/client/v3/publicRooms?server=there.example", None
    yield "POST", "/_matrix/client/v3/publicRooms?server=there.example", {"filter": {}}
    yield "POST", "/_matrix/client/v3/keys/query", {"device_keys": {tess.user_id: []}}
    claims = {tess.user_id: {"D": "signed_curve25519"}}
    yield "POST", "/_matrix/client/v3/keys/claim", {"one_time_keys": claims}
    yield "GET", f"{v1}/room_summary/{at}?via=there.example", None
    yield "POST", f"/_matrix/client/v3/join/{at}?via=there.example", {}
    yield "POST", f"/_matrix/client/v3/join/{alias}", {}
    yield "GET", f"/_matrix/client/v3/rooms/{at}/messages?dir=b&limit=100", None
    yield "GET", f"{v1}/rooms/{at}/timestamp_to_event?dir=f&ts=0", None
    yield "GET", f"{v1}/rooms/{at}/hierarchy", None
    yield "GET", "/_matrix/client/v3/sync?timeout=0", None
    yield "POST", f"/_matrix/client/v3/knock/{quote(closed)}?via=there.example", {}
    yield "POST", f"/_matrix/client/v3/rooms/{quote(closed)}/leave", {}
    yield "POST", f"/_matrix/client/v3/rooms/{quote(ours)}/invite", {"user_id": tess.user_id}
    yield "POST", f"/_matrix/client/v3/rooms/{at}/leave", {}


@pytest.mark.parametrize("seed", [1])
async def test_lies_are_never_our_fault(here, there, hal, tess, wire, seed, monkeypatch):
    # What fails later, in a task that a request set going, is our fault too.
    monkeypatch.setattr("tests.doubles.rooms.RequestFailed", Failure)
    garbage = Garbage(seed, [tess.user_id, hal.user_id, "here.example", "there.example"])
    liar = Liar(there, garbage)
    statuses = {}
    for number in range(ROUNDS):
        async for method, target, body in actions(here, hal, tess, number):
            wire.servers[there.name] = liar
            status, answer = await here.call(method, target, body, token=hal.token)
            wire.servers[there.name] = there
            assert here.failures == [], (method, target)
            assert status < 500 or "request_id" not in answer, (method, target, answer)
            statuses[status] = statuses.get(status, 0) + 1

    assert liar.spoiled > ROUNDS * 5
    assert statuses[200] > ROUNDS * 3
