"""The frames of the WebSocket from the client's side: what it says, and what it hears.

Described in docs/websocket.md. No I/O.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Any

import orjson

from clients.websocket_client.errors import ProtocolViolated

__all__ = [
    "Answer", "Heard", "Problem", "Pushed", "acknowledge_frame", "read_frame", "request_frame", "stop_frame",
    "sync_frame", "token_frame",
]  # fmt: skip

_BAD_REQUEST = 400


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request; a request that the server could not read counts as answered with 400.

    Attributes:
        body: what the JSON held; bytes if it was not JSON.
    """

    request_id: int | str
    status: int
    body: Any


@dataclass(frozen=True, slots=True)
class Pushed:
    """One delta of the sync stream: the body of a `/sync` response, and how many characters that is."""

    token: str
    body: dict[str, Any]
    size: int


@dataclass(frozen=True, slots=True)
class Problem:
    """A frame of ours was bad, or (`is_of_stream`) the sync stream is over."""

    body: dict[str, Any]
    is_of_stream: bool


Heard = Answer | Pushed | Problem


def request_frame(request_id: int, method: str, path: str, body: Any = None) -> str:
    """Any client-server request; a `body` of None is left out."""
    frame = {"id": request_id, "method": method, "path": path}
    return _text(frame if body is None else {**frame, "body": body})


def token_frame(access_token: str) -> str:
    """Who asks from now on."""
    return _text({"access_token": access_token})


def sync_frame(options: dict[str, Any], since: str | None) -> str:
    """Start the stream behind the token `since`; None: from the beginning."""
    return _text({"sync": options if since is None else {**options, "since": since}})


def acknowledge_frame(token: str) -> str:
    """The delta with this token, and all before it, have been dealt with."""
    return _text({"ack": token})


def stop_frame() -> str:
    """End the stream."""
    return _text({"stop": True})


def read_frame(text: str) -> Heard | None:
    """Read one frame of the server; None if it is of a kind that this client does not know.

    Raises:
        ProtocolViolated: it is no frame.
    """
    try:
        frame = orjson.loads(text)
        if "sync" in frame:
            return Pushed(frame["sync"]["next_batch"], frame["sync"], len(text))
        if "status" in frame:
            return Answer(frame["id"], frame["status"], _body_of(frame))
        if "error" in frame and "id" in frame:
            return Answer(frame["id"], _BAD_REQUEST, frame["error"])
        if "error" in frame:
            return Problem(frame["error"], frame.get("stream") is True)
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise ProtocolViolated(f"The server sent what is no frame ({error!r}): {text[:200]}") from None
    return None


def _body_of(frame: dict[str, Any]) -> Any:
    return base64.b64decode(frame["base64"], validate=True) if "base64" in frame else frame["body"]


def _text(frame: dict[str, Any]) -> str:
    return orjson.dumps(frame).decode()
