"""The WebSocket session: bytes in, events and frames out."""

import contextlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.websocket.frames import (
    AccessToken,
    Acknowledge,
    RequestFrame,
    StartSync,
    StopSync,
    answer_frame,
    decode_frame,
)
from clients.websocket.resume import Unacknowledged
from clients.websocket.session import (
    Closing,
    RequestMade,
    Session,
    StreamStarted,
    StreamStopped,
    WindowMoved,
)
from homeserver.core.errors import BadJson, NotJson, UnknownToken


def request(request_id, **fields):
    return orjson.dumps({"id": request_id, "method": "GET", "path": "/_matrix/client/versions", **fields})


def errcodes(frames):
    return [orjson.loads(frame)["error"]["errcode"] for frame in frames]


def test_each_frame_is_known_by_its_key():
    assert decode_frame(request(7, body={"a": 1})) == RequestFrame(
        7, "GET", "/_matrix/client/versions", b'{"a":1}'
    )
    assert decode_frame(b'{"access_token":"secret"}') == AccessToken("secret")
    assert decode_frame(b'{"sync":{}}') == StartSync(None, None, use_state_after=False)
    assert decode_frame(b'{"sync":{"since":"s1","filter":{"room":{}}}}') == StartSync(
        "s1", '{"room":{}}', use_state_after=False
    )
    assert decode_frame(b'{"ack":"s1"}') == Acknowledge("s1")
    assert decode_frame(b'{"stop":true}') == StopSync()


@pytest.mark.parametrize(
    ("data", "errcode"),
    [
        (b"", "M_NOT_JSON"),
        (b"{", "M_NOT_JSON"),
        (b"\xff", "M_NOT_JSON"),
        (b"[]", "M_BAD_JSON"),
        (b"{}", "M_BAD_JSON"),
        (b'{"ack":1}', "M_BAD_JSON"),
        (b'{"sync":[]}', "M_BAD_JSON"),
        (b'{"method":"GET","path":"/"}', "M_BAD_JSON"),
        (b'{"id":1,"method":"get","path":"/"}', "M_BAD_JSON"),
        (b'{"id":1,"method":"GET","path":"http://elsewhere/"}', "M_BAD_JSON"),
        (b'{"id":1,"method":"GET","path":"/a b"}', "M_BAD_JSON"),
        (b'{"id":' + b"9" * 30 + b',"method":"GET","path":"/"}', "M_BAD_JSON"),
        (b'{"id":"' + b"x" * 65 + b'","method":"GET","path":"/"}', "M_BAD_JSON"),
    ],
)
def test_what_is_no_frame_is_answered_with_an_error_and_the_session_goes_on(data, errcode):
    session = Session()

    assert session.receive(data) is None
    assert errcodes(session.outgoing()) == [errcode]
    assert session.outgoing() == []
    assert isinstance(session.receive(request(1)), RequestMade)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"id":7,"method":"get","path":"/"}', {"id": 7}),
        (b'{"id":"a","method":"GET","path":"no"}', {"id": "a"}),
        (b'{"id":7,"method":"GET"}', {"id": 7}),
        (b'{"method":"GET","path":"/"}', {}),
        (b'{"id":1,"method":"GET","path":"/"}', {}),  # in flight already: the answer to come is another's
    ],
)
def test_an_error_names_the_request_whose_answer_it_is(data, told):
    session = Session()
    session.receive(request(1))

    session.receive(data)

    (frame,) = map(orjson.loads, session.outgoing())
    assert frame.pop("error")["errcode"] == "M_BAD_JSON"
    assert frame == told


def test_too_many_bad_frames_close_the_connection():
    session = Session()

    events = [session.receive(b"{") for _ in range(11)]

    assert events[:-1] == [None] * 10
    assert events[-1] == Closing(1008, "too many bad frames")


def test_requests_carry_the_token_of_their_time():
    session = Session("first")

    assert session.receive(request(1)).access_token == "first"
    assert session.receive(b'{"access_token":"second"}') is None
    assert session.receive(request(2)).access_token == "second"


def test_an_answer_splices_json_and_wraps_what_is_not():
    assert answer_frame("a", 200, b'{"x":1}') == b'{"id":"a","status":200,"body":{"x":1}}'
    assert orjson.loads(answer_frame(1, 200, b"\x00\x01", "image/png")) == {
        "id": 1, "status": 200, "content_type": "image/png", "base64": "AAE=",
    }  # fmt: skip


def test_the_request_over_the_limit_is_answered_at_once():
    session = Session()
    for number in range(32):
        assert isinstance(session.receive(request(number)), RequestMade)

    assert session.receive(request(32)) is None
    (frame,) = session.outgoing()
    assert orjson.loads(frame)["id"] == 32
    assert orjson.loads(frame)["status"] == 429

    session.answer(5, 200, b"{}")
    assert isinstance(session.receive(request(33)), RequestMade)


def test_an_id_in_flight_cannot_be_used_again_until_it_is_answered():
    session = Session()
    session.receive(request("a"))

    assert session.receive(request("a")) is None
    assert errcodes(session.outgoing()) == ["M_BAD_JSON"]
    session.answer("a", 200, b"{}")
    assert isinstance(session.receive(request("a")), RequestMade)


def test_deltas_stop_at_the_window_and_go_on_after_an_acknowledgement():
    session = Session("token", Unacknowledged(deltas_max=2))
    assert not session.may_push
    assert isinstance(session.receive(b'{"sync":{}}'), StreamStarted)

    assert session.delta("one", b'{"next_batch":"one"}') == b'{"sync":{"next_batch":"one"}}'
    session.delta("two", b"{}")
    assert not session.may_push
    assert session.receive(b'{"ack":"unheard of"}') is None
    assert not session.may_push
    assert isinstance(session.receive(b'{"ack":"two"}'), WindowMoved)
    assert session.may_push
    assert session.receive(b'{"ack":"one"}') is None


def test_one_delta_may_be_of_any_size_but_no_other_follows_it():
    session = Session("token", Unacknowledged(bytes_max=10))
    session.receive(b'{"sync":{}}')
    session.delta("one", b"x" * 100)

    assert not session.may_push


def test_a_stream_that_starts_anew_or_stops_has_nothing_on_its_way():
    session = Session("token", Unacknowledged(deltas_max=1))
    session.receive(b'{"sync":{}}')
    session.delta("one", b"{}")

    assert isinstance(session.receive(b'{"sync":{"since":"one"}}'), StreamStarted)
    assert session.may_push
    assert isinstance(session.receive(b'{"stop":true}'), StreamStopped)
    assert not session.may_push


def test_a_failed_stream_is_over_and_says_why():
    session = Session("token")
    session.receive(b'{"sync":{}}')

    frame = orjson.loads(session.fail_stream(UnknownToken("Logged out.")))

    assert frame == {"error": {"errcode": "M_UNKNOWN_TOKEN", "error": "Logged out."}, "stream": True}
    assert not session.may_push


@given(st.binary(max_size=200))
def test_garbage_is_a_frame_or_an_error_never_anything_else(data):
    with contextlib.suppress(NotJson, BadJson):
        decode_frame(data)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
KEYS = st.sampled_from(["id", "method", "path", "body", "access_token", "sync", "ack", "stop"])


@given(st.lists(st.dictionaries(KEYS, JSON | st.sampled_from(["GET", "/x", {}, {"since": "s"}]))))
def test_any_json_leaves_the_session_in_order(frames):
    session = Session()
    for frame in frames:
        event = session.receive(orjson.dumps(frame))
        assert all(orjson.loads(out) for out in session.outgoing())
        if isinstance(event, Closing):
            return
        if isinstance(event, RequestMade):
            session.answer(event.request.request_id, 200, b"{}")
        assert session.requests_in_flight == 0
