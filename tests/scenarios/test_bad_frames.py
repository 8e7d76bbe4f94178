"""Whatever is sent over the WebSocket, one hears why: an error frame, an answer, or a close with a reason."""

import base64
import contextlib
import json
import os
import socket
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.load.fresh_server import CONFIGURATION
from clients.websocket.frames import RequestFrame, decode_frame
from clients.websocket.protocol import PATH, SUBPROTOCOL
from homeserver.core.errors import MatrixError

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(240)]

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PROBE = {"id": "probe", "method": "GET", "path": "/_matrix/client/versions"}


class RawSocket:
    """A WebSocket client that says exactly what it is told to say."""

    def __init__(self, port):
        self.port = port
        self.connect()

    def connect(self):
        self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [
            f"GET {PATH} HTTP/1.1", "Host: x", "Upgrade: websocket", "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        ]  # fmt: skip
        self._socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self._file = self._socket.makefile("rb")
        assert self._file.readline().startswith(b"HTTP/1.1 101 ")
        while self._file.readline() != b"\r\n":
            pass

    def close(self):
        self._file.close()
        self._socket.close()

    def say(self, payload, first=0x80 | TEXT, *, masked=True):
        size = len(payload)
        head = bytes([first])
        mask_bit = 0x80 if masked else 0
        if size < 126:
            head += bytes([mask_bit | size])
        elif size < 65_536:
            head += bytes([mask_bit | 126]) + struct.pack("!H", size)
        else:
            head += bytes([mask_bit | 127]) + struct.pack("!Q", size)
        self._send(head + (b"\0\0\0\0" if masked else b"") + payload)

    def say_frame(self, frame):
        self.say(json.dumps(frame).encode())

    def _send(self, data):
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)  # what the server said before is still there to be read

    def hear(self):
        """The next frame: (opcode, payload)."""
        head = self._file.read(2)
        assert len(head) == 2, "the connection ended without a close frame"
        size = head[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._file.read(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._file.read(8))
        return head[0] & 15, self._file.read(size)

    def hear_until_answer(self, request_id):
        """JSON of all that comes up to the answer to a request; None where the server closed, with why."""
        heard = []
        while True:
            opcode, payload = self.hear()
            if opcode == CLOSE:
                (code,) = struct.unpack("!H", payload[:2])
                assert payload[2:], f"closed with {code} and no reason"
                return None, code
            if opcode == TEXT:
                heard.append(json.loads(payload))
                if heard[-1].get("id") == request_id:
                    return heard[:-1], 0


@pytest.fixture
def raw(server_of_module):
    one = RawSocket(server_of_module.port)
    yield one
    one.close()


@pytest.fixture(scope="module")
def token(server_of_module):
    one = RawSocket(server_of_module.port)
    body = {"username": "frames", "password": "a password here", "auth": {"type": "m.login.dummy"}}
    one.say_frame({"id": 1, "method": "POST", "path": "/_matrix/client/v3/register", "body": body})
    _, payload = one.hear()
    one.close()
    return json.loads(payload)["body"]["access_token"]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
keys = st.sampled_from(["id", "method", "path", "body", "access_token", "sync", "ack", "stop"])
parts = json_values | st.sampled_from([
    "GET", "PUT", "POST", "get", "/_matrix/client/v3/sync?timeout=0", "/_matrix/client/v3/createRoom", "/",
    {"since": "s1nonsense"}, {"filter": "nonsense"}, {"filter": {"room": 7}}, {"set_presence": "away"}, True,
])  # fmt: skip
frames = st.one_of(
    st.dictionaries(keys, parts, min_size=1, max_size=4).map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.text(max_size=30).map(str.encode),
    st.sampled_from([b"", b"{", b"[" * 50_000, b'{"id":1,"method":"GET","path":"' + b"/x" * 20_000 + b'"}']),
)


def _expected(data):
    """What the server must say of this frame: "error", the ID of a request, or None: nothing."""
    try:
        frame = decode_frame(data)
    except MatrixError:
        return "error"
    return frame.request_id if isinstance(frame, RequestFrame) else None


def test_any_text_gets_an_error_an_answer_or_a_close_with_a_reason(raw, token):
    @settings(
        max_examples=400, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(frames)
    def attack(data):
        expected = _expected(data)
        if expected == PROBE["id"]:
            return
        raw.say(data)
        raw.say_frame(PROBE)
        heard, code = raw.hear_until_answer(PROBE["id"])
        if heard is None:
            assert code == 1008
            assert expected == "error"
        if heard is None or (expected is None and b"sync" not in data):
            raw.close()  # a new connection, as its errors are counted and its token may be nonsense now
            raw.connect()
            raw.say_frame({"access_token": token})
            return
        errors = [frame["error"] for frame in heard if "error" in frame]
        assert all(error["errcode"].startswith("M_") and error["error"] for error in errors)
        if expected == "error":
            assert errors
        answers = [frame for frame in heard if "status" in frame]
        assert all(answer["status"] < 500 for answer in answers)

    raw.say_frame({"access_token": token})
    attack()


def test_a_request_is_answered_whatever_its_body_is(raw, token):
    @settings(
        max_examples=200, deadline=None, database=None, derandomize=True,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(
        st.sampled_from(
            ["createRoom", "join/x", "user/x/filter", "rooms/x/read_markers", "keys/query", "login"]
        ),
        json_values,
    )
    def attack(path, body):
        frame = {"id": "asked", "method": "POST", "path": f"/_matrix/client/v3/{path}", "body": body}
        raw.say(json.dumps(frame).encode())
        opcode, payload = raw.hear()
        assert opcode == TEXT
        answer = json.loads(payload)
        assert answer.get("error") or answer["id"] == "asked"
        assert answer.get("status", 400) < 500, (path, body)
        if "error" in answer:  # no JSON at all, as NaN is none
            raw.close()
            raw.connect()
            raw.say_frame({"access_token": token})

    raw.say_frame({"access_token": token})
    attack()


@pytest.mark.parametrize(
    ("frame", "codes"),
    [
        ({"payload": b"x", "first": 0x80 | BINARY}, {1003}),
        ({"payload": b"\xff\xfe"}, {1007}),
        ({"payload": b"{}", "masked": False}, {1002}),
        ({"payload": b"{}", "first": 0xC0 | TEXT}, {1002}),
        ({"payload": b"{}", "first": 0x80 | 3}, {1002}),
        ({"payload": b"{}", "first": 0x80}, {1002}),
        ({"payload": b"x" * 126, "first": 0x80 | PING}, {1002}),
        ({"payload": b"x", "first": PING}, {1002}),
        ({"payload": b"x" * 2_000_000}, {1009}),
        ({"payload": b"x", "first": 0x80 | CLOSE}, {1002}),
        ({"payload": struct.pack("!H", 1005), "first": 0x80 | CLOSE}, {1002}),
        ({"payload": struct.pack("!H", 1000) + b"x" * 124, "first": 0x80 | CLOSE}, {1002}),
        ({"payload": struct.pack("!H", 1000) + b"x" * 2_000_000, "first": 0x80 | CLOSE}, {1002}),
        ({"payload": struct.pack("!H", 1000), "first": 0x80 | CLOSE, "masked": False}, {1002}),
        ({"payload": struct.pack("!H", 1000), "first": CLOSE}, {1002}),
        ({"payload": struct.pack("!H", 1000) + b"\xff", "first": 0x80 | CLOSE}, {1007}),
    ],
)
def test_what_breaks_the_protocol_closes_with_a_code_and_a_reason(raw, frame, codes):
    raw.say(**frame)
    raw.say_frame(PROBE)

    heard, code = raw.hear_until_answer(PROBE["id"])

    assert heard is None
    assert code in codes


def test_the_limit_of_a_message_is_that_of_bodies(raw):
    assert "body_bytes_max" not in CONFIGURATION  # so it is the default, 1 MiB
    frame = {**PROBE, "id": 1, "body": "x" * 2**20}

    raw.say_frame(frame)

    opcode, payload = raw.hear()
    assert opcode == TEXT
    assert json.loads(payload)["id"] == 1
