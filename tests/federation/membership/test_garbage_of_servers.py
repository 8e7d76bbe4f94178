"""Whatever another server sends to any endpoint, it is told what is wrong: never that we are at fault."""

from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from homeserver.app.data_directory import DataDirectory
from homeserver.core.canonical_json import encode_plain
from homeserver.core.redaction import redact
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.signing import content_hash, sign_json
from homeserver.http.dispatch import RawRequest
from homeserver.runtime.observation import Failure
from homeserver.runtime.randomness import SystemRandomness
from tests.doubles.federated_servers import ORIGIN
from tests.doubles.garbage import Garbage

REQUESTS = 1_200
QUERY = (
    "event_id", "limit", "v", "ver", "user_id", "room_alias", "field", "ts", "dir", "since", "suggested_only",
    "omit_members", "minimum_valid_until_ts",
)  # fmt: skip
V11 = ROOM_VERSIONS["11"]


class Peer:
    """The other server, as far as it sends what it should not."""

    def __init__(self, server, garbage, events, names):
        directory = Path(server.configuration.data_directory)
        self.name = server.name
        self.key = DataDirectory(directory, SystemRandomness()).signing_key()
        self.garbage, self.events, self.names = garbage, events, names

    def event(self):
        """An event that is nearly right, and mostly signed."""
        event = self.garbage.spoiled(self.garbage.chance.choice(self.events))
        if isinstance(event, dict) and self.garbage.chance.random() < 0.8:
            with suppress(ValueError, TypeError, AttributeError):
                event["hashes"] = {"sha256": content_hash(event, V11)}
                event["signatures"] = {}
                event["signatures"] = sign_json(redact(event, V11), self.name, self.key)["signatures"]
        return event

    def edu(self):
        here, there, room, event, *_ = self.names
        key = {"user_id": there, "device_id": "D", "algorithms": [], "keys": {}, "signatures": {}}
        receipt = {"event_ids": [event], "data": {"ts": 1}}
        edus = {
            "m.typing": {"room_id": room, "user_id": there, "typing": True},
            "m.receipt": {room: {"m.read": {there: receipt}}},
            "m.presence": {"push": [{"user_id": there, "presence": "online", "last_active_ago": 1}]},
            "m.direct_to_device": {
                "sender": there, "type": "t", "message_id": "1", "messages": {here: {"*": {"a": 1}}},
            },
            "m.device_list_update": {"user_id": there, "device_id": "D", "stream_id": 1, "keys": key},
            "m.signing_key_update": {"user_id": there, "master_key": key, "self_signing_key": key},
        }  # fmt: skip
        kind = self.garbage.chance.choice([*edus])
        return {"edu_type": kind, "content": self.garbage.spoiled(edus[kind])}

    def body(self, path):
        """What an endpoint takes, spoiled."""
        here, event = self.names[0], self.names[3]
        if "/send/" in path:
            some = range(self.garbage.chance.randrange(4))
            right = {"origin": self.name, "origin_server_ts": 1, "pdus": [self.event() for _ in some],
                     "edus": [self.edu() for _ in some]}  # fmt: skip
        elif "/get_missing" in path:
            right = {"earliest_events": [event], "latest_events": [event], "limit": 5, "min_depth": 0}
        elif "/keys/query" in path:
            right = {"device_keys": {here: ["D"]}}
        elif "/keys/claim" in path:
            right = {"one_time_keys": {here: {"D": "signed_curve25519"}}}
        elif "/key/v2/query" in path:
            right = {"server_keys": {self.name: {"ed25519:1": {"minimum_valid_until_ts": 5}}}}
        elif "/invite/" in path and "v2" in path:
            right = {"event": self.event(), "room_version": "11", "invite_room_state": [self.event()]}
        elif "/publicRooms" in path:
            right = {"limit": 3, "since": "x", "filter": {"generic_search_term": "x"}}
        else:
            return self.event()
        return self.garbage.spoiled(right)

    def target(self, path):
        """The path with something in place of each parameter, and a query."""
        here, there, room, event, *_ = self.names
        right = {"{roomId}": room, "{eventId}": event, "{userId}": there, "{serverName}": self.name}
        is_right = self.garbage.chance.random() < 0.8
        parts = [
            one if one[:1] != "{"
            else quote(right.get(one, here) if is_right else self.garbage.text(), safe="")
            for one in path.split("/")
        ]  # fmt: skip
        asked = [name for name in QUERY if self.garbage.chance.random() < 0.15]
        query = "&".join(f"{name}={quote(self.garbage.text())}" for name in asked)
        return f"{'/'.join(parts)}?{query}"


@pytest.fixture
async def names(here, there, hal, tess):
    """A room of both, and what there is to name in it."""
    room = (await hal.ask("POST", "/createRoom", {"preset": "public_chat", "room_version": "11"}))["room_id"]
    await tess.ask("POST", f"/join/{quote(room)}?via=here.example", {})
    said = {"msgtype": "m.text", "body": "hello"}
    event = (await hal.ask("PUT", f"/rooms/{quote(room)}/send/m.room.message/1", said))["event_id"]
    return [hal.user_id, tess.user_id, room, event, "here.example", "there.example"]


@pytest.mark.parametrize("seed", [1, 2])
async def test_garbage_is_never_our_fault(here, there, names, seed, monkeypatch):
    # What fails later, in a task that a request set going, is our fault too.
    monkeypatch.setattr("tests.doubles.rooms.RequestFailed", Failure)
    path = f"/_matrix/federation/v1/state/{quote(names[2])}"
    state = await there.asks(here, "GET", path, event_id=names[3])
    peer = Peer(there, Garbage(seed, names), state["pdus"], names)
    served = ("/_matrix/federation/", "/_matrix/key/")
    endpoints = [one for one in here.dispatcher._router.endpoints if one.path.startswith(served)]
    statuses = {}
    for number in range(REQUESTS):
        endpoint = endpoints[number % len(endpoints)]
        target = peer.target(endpoint.path)
        body = b"" if endpoint.method == "GET" else encode_plain(peer.body(endpoint.path))
        headers = {ORIGIN: there.name}
        response = await here.dispatcher.respond(
            RawRequest(endpoint.method, target.encode(), headers, body, "127.0.0.1")
        )
        assert here.failures == [], (endpoint.method, target, body)
        assert response.status < 500, (endpoint.method, target, body)
        statuses[response.status] = statuses.get(response.status, 0) + 1

    assert statuses[200] > REQUESTS / 20
