"""The calls of the WebSocket client by name, and what its deltas tell."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.websocket_client.calls import path
from clients.websocket_client.delta import Delta
from clients.websocket_client.errors import ProtocolViolated
from clients.websocket_client.frames import Answer, Problem, Pushed, read_frame
from tests.doubles.websocket_peer import Peer, soon

ROOM = "!r/1:example.org"
IN_ROOM = "/_matrix/client/v3/rooms/%21r%2F1%3Aexample.org"


def test_segments_of_a_path_cannot_break_out():
    assert path("rooms", "!a/../b?c#d é:x", "leave") == (
        "/_matrix/client/v3/rooms/%21a%2F..%2Fb%3Fc%23d%20%C3%A9%3Ax/leave"
    )


@pytest.mark.parametrize(
    ("call", "method", "asked", "body", "answer", "result"),
    [
        (lambda c: c.create_room(name="x"), "POST", path("createRoom"), {"name": "x"},
         {"room_id": ROOM}, ROOM),
        (lambda c: c.join("#a:x"), "POST", path("join", "#a:x"), {}, {"room_id": ROOM}, ROOM),
        (lambda c: c.leave(ROOM), "POST", f"{IN_ROOM}/leave", {}, {}, None),
        (lambda c: c.invite(ROOM, "@b:x"), "POST", f"{IN_ROOM}/invite", {"user_id": "@b:x"}, {}, None),
        (lambda c: c.send_text(ROOM, "hi"), "PUT", f"{IN_ROOM}/send/m.room.message/t1",
         {"msgtype": "m.text", "body": "hi"}, {"event_id": "$1"}, "$1"),
        (lambda c: c.send(ROOM, "x.y", {"a": 1}, transaction_id="own"), "PUT", f"{IN_ROOM}/send/x.y/own",
         {"a": 1}, {"event_id": "$1"}, "$1"),
        (lambda c: c.send_state(ROOM, "m.room.topic", {"topic": "t"}), "PUT",
         f"{IN_ROOM}/state/m.room.topic/", {"topic": "t"}, {"event_id": "$2"}, "$2"),
        (lambda c: c.typing(ROOM, timeout_ms=5), "PUT", f"{IN_ROOM}/typing/%40alice%3Ax",
         {"typing": True, "timeout": 5}, {}, None),
        (lambda c: c.typing(ROOM, typing=False), "PUT", f"{IN_ROOM}/typing/%40alice%3Ax",
         {"typing": False}, {}, None),
        (lambda c: c.read(ROOM, "$1"), "POST", f"{IN_ROOM}/receipt/m.read/%241", {}, {}, None),
        (lambda c: c.read(ROOM, "$1", receipt_type="m.read.private", thread_id="main"), "POST",
         f"{IN_ROOM}/receipt/m.read.private/%241", {"thread_id": "main"}, {}, None),
        (lambda c: c.set_presence("online", "here"), "PUT", path("presence", "@alice:x", "status"),
         {"presence": "online", "status_msg": "here"}, {}, None),
        (lambda c: c.set_presence("offline"), "PUT", path("presence", "@alice:x", "status"),
         {"presence": "offline"}, {}, None),
    ],
)  # fmt: skip
async def test_a_call_is_the_request_of_the_specification(call, method, asked, body, answer, result):
    peer = Peer()
    async with peer.client(user_id="@alice:x") as client:
        called = await soon(call(client))
        peer.wire.answer(**answer)

        assert await called == result
        assert peer.wire.requests == [{"id": 1, "method": method, "path": asked, "body": body}]


@pytest.mark.parametrize("name", ["login", "register"])
async def test_who_logs_in_makes_all_further_requests(name):
    peer = Peer()
    async with peer.client() as client:
        entering = await soon(getattr(client, name)("alice", "a password"))
        peer.wire.answer(user_id="@alice:x", device_id="D", access_token="secret")
        await entering

        assert (client.user_id, client.device_id, client.access_token) == ("@alice:x", "D", "secret")
        assert peer.wire.said[1:] == [{"access_token": "secret"}]
        assert peer.wire.requests[0]["path"] == path(name)


async def test_every_event_has_a_transaction_of_its_own():
    peer = Peer()
    async with peer.client() as client:
        tasks = [await soon(client.send_text(ROOM, "same")) for _ in range(3)]
        paths = {request["path"] for request in peer.wire.requests}

        assert len(paths) == 3
        for task in tasks:
            task.cancel()


def test_a_delta_tells_events_room_by_room():
    timeline = {
        "events": [{"event_id": "$1", "type": "m.room.message", "sender": "@b:x", "content": {"body": "hi"}}]
    }
    rooms = {"join": {"!a": {"timeline": timeline}, "!b": {}}, "invite": {"!c": {}}, "leave": {"!d": {}}}
    delta = Delta({"next_batch": "s1", "rooms": rooms})

    (event,) = delta.timeline()
    told = (event.room_id, event.event_id, event.type, event.sender, event.body)
    assert told == ("!a", "$1", "m.room.message", "@b:x", "hi")
    assert (delta.token, set(delta.invited), set(delta.left)) == ("s1", {"!c"}, {"!d"})


@pytest.mark.parametrize("content", [None, 3, {}, {"body": 7}])
def test_a_malformed_event_has_no_text(content):
    timeline = {"events": [{"content": content}]}
    (event,) = Delta({"next_batch": "s1", "rooms": {"join": {"!a": {"timeline": timeline}}}}).timeline()

    assert (event.body, event.sender) == ("", "")


_keys = st.sampled_from(
    ["id", "status", "body", "base64", "sync", "next_batch", "error", "stream", "errcode"]
)
_json = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_keys | st.text(max_size=3), inner, max_size=4)
    ),
)


@given(_json.map(lambda value: orjson.dumps(value).decode()) | st.text(max_size=30))
def test_whatever_a_server_sends_is_a_frame_or_a_breach(text):
    try:
        heard = read_frame(text)
    except ProtocolViolated:
        return
    assert heard is None or isinstance(heard, Answer | Pushed | Problem)
