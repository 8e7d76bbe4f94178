"""The frames of the WebSocket as values: what a client may say, and what the server says.

Described in docs/websocket.md.
"""

import base64
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import orjson

from homeserver.core.errors import BadJson, MatrixError, NotJson

__all__ = [
    "AccessToken", "Acknowledge", "BadRequestFrame", "ClientFrame", "RequestFrame", "RequestId", "StartSync",
    "StopSync", "answer_frame", "decode_frame", "delta_frame", "error_frame",
]  # fmt: skip

RequestId = int | str

REQUEST_ID_BYTES_MAX = 64
REQUEST_ID_MAX = 2**53 - 1
PATH_BYTES_MAX = 16_384
TOKEN_BYTES_MAX = 8_192
METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})


@dataclass(frozen=True, slots=True)
class RequestFrame:
    """Any client-server request."""

    request_id: RequestId
    method: str
    path: str
    body: bytes


@dataclass(frozen=True, slots=True)
class AccessToken:
    """The token with which this connection's requests are made from now on."""

    token: str


@dataclass(frozen=True, slots=True)
class StartSync:
    """Start the sync stream, or start it anew."""

    since: str | None
    filter: str | None
    use_state_after: bool
    set_presence: str | None = None
    thread_subscriptions: bool = False


@dataclass(frozen=True, slots=True)
class Acknowledge:
    """The delta with this token, and all before it, have been dealt with."""

    token: str


@dataclass(frozen=True, slots=True)
class StopSync:
    """End the sync stream."""


ClientFrame = RequestFrame | AccessToken | StartSync | Acknowledge | StopSync


class BadRequestFrame(BadJson):
    """A request that is none, but whose `id` can be read: whoever waits for its answer is to hear of it."""

    def __init__(self, error: str, request_id: RequestId) -> None:
        super().__init__(error)
        self.request_id = request_id


class _SyncOptions(msgspec.Struct):
    since: str | None = None
    filter: str | dict[str, Any] | None = None
    use_state_after: bool = False
    set_presence: Literal["offline", "online", "unavailable"] | None = None
    thread_subscriptions: bool = False


class _Wire(msgspec.Struct):
    """Every member that some frame has; which of them is there says which frame it is."""

    id: int | str | None = None
    method: str | None = None
    path: str | None = None
    body: msgspec.Raw = msgspec.Raw(b"")
    access_token: str | None = None
    sync: _SyncOptions | None = None
    ack: str | None = None
    stop: bool = False


_DECODER = msgspec.json.Decoder(_Wire)


def decode_frame(data: bytes) -> ClientFrame:
    """Read one frame of a client.

    Raises:
        NotJson: it is no JSON.
        BadJson: it is JSON, but no frame.
    """
    try:
        wire = _DECODER.decode(data)
    except msgspec.ValidationError as error:
        raise BadJson(f"Not a frame: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotJson("Each message must be one JSON object in UTF-8.") from None
    if wire.method is not None:
        return _request(wire)
    if wire.ack is not None:
        return Acknowledge(wire.ack)
    if wire.sync is not None:
        asked, chosen = wire.sync, wire.sync.filter
        text = orjson.dumps(chosen).decode() if isinstance(chosen, dict) else chosen
        return StartSync(
            asked.since, text, asked.use_state_after, asked.set_presence, asked.thread_subscriptions
        )
    if wire.access_token is not None:
        if len(wire.access_token) > TOKEN_BYTES_MAX:
            raise BadJson("The access token is too long.")
        return AccessToken(wire.access_token)
    if wire.stop:
        return StopSync()
    raise BadJson("Not a frame: give method, access_token, sync, ack or stop.")


def _request(wire: _Wire) -> RequestFrame:
    if wire.id is None or wire.method is None:
        raise BadJson("A request has id, method and path.")
    if isinstance(wire.id, int):
        if abs(wire.id) > REQUEST_ID_MAX:
            raise BadJson("The id of a request, if it is a number, is at most 2^53 - 1.")
    elif len(wire.id.encode()) > REQUEST_ID_BYTES_MAX:
        raise BadJson(f"The id of a request, if it is a string, has at most {REQUEST_ID_BYTES_MAX} bytes.")
    path = wire.path or ""
    wrong = _wrong_with(wire.method, path)
    if wrong is not None:
        raise BadRequestFrame(wrong, wire.id)
    return RequestFrame(wire.id, wire.method, path, bytes(wire.body))


def _wrong_with(method: str, path: str) -> str | None:
    if method not in METHODS:
        return "The method of a request is an HTTP method in capitals."
    if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
        return "The path of a request starts with / and is percent-encoded."
    if len(path) > PATH_BYTES_MAX:
        return f"The path of a request has at most {PATH_BYTES_MAX} bytes."
    return None


def answer_frame(
    request_id: RequestId, status: int, body: bytes, content_type: str = "application/json"
) -> bytes:
    """The answer to a request; JSON bodies are spliced in as they are."""
    head = b'{"id":%b,"status":%d,' % (orjson.dumps(request_id), status)
    if content_type.startswith("application/json"):
        return head + b'"body":' + (body or b"{}") + b"}"
    fields = orjson.dumps({"content_type": content_type, "base64": base64.b64encode(body).decode()})
    return head + fields[1:]


def delta_frame(delta: bytes) -> bytes:
    """One delta of the sync stream: the body of a /sync response."""
    return b'{"sync":' + delta + b"}"


def error_frame(error: MatrixError, *, stream: bool = False) -> bytes:
    """Tell of a bad frame, with its `id` if it has a legible one, or of the end of the sync stream."""
    fields: dict[str, Any] = {"error": error.body()}
    if isinstance(error, BadRequestFrame):
        fields["id"] = error.request_id
    if stream:
        fields["stream"] = True
    return orjson.dumps(fields)
