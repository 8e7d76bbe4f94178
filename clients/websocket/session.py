"""One WebSocket connection as a state machine without I/O: bytes in, events out, frames to send out.

Described in docs/websocket.md. The driver (`connection`) does what the events say and writes what `answer`,
`delta` and `fail_stream` return.
"""

from dataclasses import dataclass

import orjson

from clients.websocket.frames import (
    AccessToken,
    Acknowledge,
    RequestFrame,
    RequestId,
    StartSync,
    StopSync,
    answer_frame,
    decode_frame,
    delta_frame,
    error_frame,
)
from clients.websocket.resume import Unacknowledged
from homeserver.core.errors import BadJson, LimitExceeded, MatrixError
from homeserver.sync.assemble import Delta

__all__ = ["Closing", "Event", "RequestMade", "Session", "StreamStarted", "StreamStopped", "WindowMoved"]

REQUESTS_IN_FLIGHT_MAX = 32
BAD_FRAMES_MAX = 10
CLOSE_POLICY = 1008


@dataclass(frozen=True, slots=True)
class RequestMade:
    """Do this request and give its answer to `Session.answer`."""

    request: RequestFrame
    access_token: str | None


@dataclass(frozen=True, slots=True)
class StreamStarted:
    """Start the sync stream with these options; the one before is over."""

    options: StartSync
    access_token: str | None


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The client wants no more deltas."""


@dataclass(frozen=True, slots=True)
class WindowMoved:
    """Deltas were acknowledged, up to the one with this token: there is room for more."""

    token: str


@dataclass(frozen=True, slots=True)
class Closing:
    """Close the connection."""

    code: int
    reason: str


Event = RequestMade | StreamStarted | StreamStopped | WindowMoved | Closing


class Session:
    """What is known of one connection: its token, requests in flight, deltas on their way.

    Attributes:
        access_token: the token of the client at this time.
        may_push: a delta may be sent now.
    """

    __slots__ = (
        "_bad_frames", "_in_flight", "_outgoing", "_streaming", "_unacknowledged", "access_token", "may_push",
    )  # fmt: skip

    def __init__(self, access_token: str | None = None, unacknowledged: Unacknowledged | None = None) -> None:
        self.access_token = access_token
        self._bad_frames = 0
        self._in_flight: set[RequestId] = set()
        self._outgoing: list[bytes] = []
        self._streaming = False
        self._unacknowledged = Unacknowledged() if unacknowledged is None else unacknowledged
        self.may_push = False

    @property
    def requests_in_flight(self) -> int:
        """How many requests wait for their answer."""
        return len(self._in_flight)

    @property
    def streaming(self) -> bool:
        """The client has started the stream and it is not over."""
        return self._streaming

    def receive(self, data: bytes) -> Event | None:
        """Take one message of the client; None if there is nothing to do but send `outgoing`."""
        try:
            frame = decode_frame(data)
            if isinstance(frame, Acknowledge):
                return self._acknowledge(frame.token)
            if isinstance(frame, RequestFrame):
                return self._request(frame)
        except MatrixError as error:
            return self._bad_frame(error)
        if isinstance(frame, AccessToken):
            self.access_token = frame.token
            return None
        self._unacknowledged.clear()
        if isinstance(frame, StopSync):
            self._streaming = self.may_push = False
            return StreamStopped()
        self._streaming = self.may_push = True
        return StreamStarted(frame, self.access_token)

    def outgoing(self) -> list[bytes]:
        """The frames that `receive` made, to be sent in this order; each is given once."""
        frames, self._outgoing = self._outgoing, []
        return frames

    def answer(
        self, request_id: RequestId, status: int, body: bytes, content_type: str = "application/json"
    ) -> bytes:
        """The frame that answers a request in flight."""
        self._in_flight.remove(request_id)
        return answer_frame(request_id, status, body, content_type)

    def delta(self, token: str, body: bytes) -> bytes:
        """The frame of one delta; only while `may_push`."""
        assert self.may_push, "no room for another delta"
        frame = delta_frame(body)
        self.may_push = self._unacknowledged.sent(token, len(frame))
        return frame

    def shared_delta(self, delta: Delta) -> bytes:
        """The frame of one delta that others get, too; only while `may_push`."""
        frame = delta.frame
        if frame is None:
            frame = delta.frame = delta_frame(delta.body)
        self.may_push = self._unacknowledged.sent(delta.token.encode(), len(frame))
        return frame

    def fail_stream(self, error: MatrixError) -> bytes:
        """The stream cannot go on: the frame that says so."""
        self._streaming = self.may_push = False
        self._unacknowledged.clear()
        return error_frame(error, stream=True)

    def _acknowledge(self, token: str) -> WindowMoved | None:
        if not self._unacknowledged.acknowledge(token):
            return None
        self.may_push = self._streaming and self._unacknowledged.has_room
        return WindowMoved(token)

    def _request(self, frame: RequestFrame) -> Event | None:
        if frame.request_id in self._in_flight:
            raise BadJson("A request with this id is in flight already.")
        if len(self._in_flight) >= REQUESTS_IN_FLIGHT_MAX:
            error = LimitExceeded(
                f"At most {REQUESTS_IN_FLIGHT_MAX} requests may be in flight.", retry_after_ms=100
            )
            self._outgoing.append(answer_frame(frame.request_id, 429, _encode(error)))
            return None
        self._in_flight.add(frame.request_id)
        return RequestMade(frame, self.access_token)

    def _bad_frame(self, error: MatrixError) -> Event | None:
        self._outgoing.append(error_frame(error))
        self._bad_frames += 1
        if self._bad_frames > BAD_FRAMES_MAX:
            return Closing(CLOSE_POLICY, "too many bad frames")
        return None


def _encode(error: MatrixError) -> bytes:
    return orjson.dumps(error.body())
