"""Drives one session: does its requests, pushes its deltas, lets go of it all when the connection ends."""

import asyncio
import math
from collections.abc import Hashable
from contextlib import nullcontext
from typing import Protocol

from clients.websocket.frames import RequestFrame, StartSync
from clients.websocket.session import (
    Closing,
    RequestMade,
    Session,
    StreamStarted,
    StreamStopped,
    WindowMoved,
)
from homeserver.core.errors import MatrixError, MissingToken, UnknownToken
from homeserver.core.requester import Admission, Requester
from homeserver.ephemeral.presence import Presence
from homeserver.http.authenticate import Authenticator
from homeserver.http.channel import Responder
from homeserver.http.dispatch import RawRequest
from homeserver.runtime.tasks import Tasks
from homeserver.sync.assemble import Delta
from homeserver.sync.filters import Filters
from homeserver.sync.follow import Follower, Sync
from homeserver.sync.request import SyncRequest, parse_since
from homeserver.sync.thread_subscriptions import THREADS_MAX
from homeserver.sync.waiter import Waiter

__all__ = ["Connection", "Services", "Wire"]

EVENTS_PER_DELTA_MAX = 100
CLOSE_GOING_AWAY = 1001
CLOSE_FAILED = 1011
_NOBODY = nullcontext()


class Wire(Protocol):
    """What carries the frames: autobahn, or a list in tests."""

    def send(self, frame: bytes) -> None:
        """Send one text message; ignored once the connection is closed."""

    def close(self, code: int, reason: str) -> None:
        """Close the connection."""

    def pause_reading(self) -> None:
        """Take no more bytes from the client."""

    def resume_reading(self) -> None:
        """Take bytes from the client again."""


class Services:
    """What all connections share."""

    def __init__(
        self,
        *,
        responder: Responder,
        authenticator: Authenticator,
        sync: Sync,
        filters: Filters,
        tasks: Tasks,
        presence: Presence | None = None,
    ) -> None:
        self.responder = responder
        self.authenticator = authenticator
        self.sync = sync
        self.filters = filters
        self.tasks = tasks
        self.presence = presence


class Connection:
    """One client's connection."""

    __slots__ = (
        "_admission", "_admitted_token", "_client_address", "_follower", "_follows_for", "_is_over",
        "_is_writable", "_requests", "_room_made", "_services", "_session", "_stream", "_wire",
    )  # fmt: skip

    def __init__(
        self, services: Services, wire: Wire, *, access_token: str | None = None, client_address: str = ""
    ) -> None:
        self._services = services
        self._wire = wire
        self._client_address = client_address
        self._session = Session(access_token)
        self._requests: set[asyncio.Task[None]] | None = None  # most connections sleep nearly always
        self._stream: asyncio.Task[None] | None = None
        self._follower: Follower | None = None
        self._is_writable = True
        self._is_over = False
        self._room_made = Waiter()
        self._admission: Admission | None = None
        self._admitted_token: str | None = None
        self._follows_for: Requester | None = None

    def message(self, data: bytes) -> None:
        """Take one message of the client."""
        if self._is_over:
            return
        event = self._session.receive(data)
        for frame in self._session.outgoing():
            self._wire.send(frame)
        match event:
            case RequestMade():
                self._begin_answer(event)
            case WindowMoved():
                if self._follower is not None:
                    self._follower.acknowledge(event.token)
                self._room_made.ring()
            case StreamStarted():
                self._stop_stream()
                self._stream = self._services.tasks.start(self._push(event.options), "websocket stream")
            case StreamStopped():
                self._stop_stream()
            case Closing():
                self.close(event.code, event.reason)
            case None:
                pass

    def pause(self) -> None:
        """The client does not read fast enough: send no deltas, and take no requests, until it does."""
        self._is_writable = False
        self._wire.pause_reading()

    def resume(self) -> None:
        """The client reads again."""
        self._is_writable = True
        self._room_made.ring()
        self._wire.resume_reading()

    def close(self, code: int = CLOSE_GOING_AWAY, reason: str = "the server stops") -> None:
        """Close the connection from our side."""
        self.lost()
        self._wire.close(code, reason)

    def lost(self) -> None:
        """Let go: the connection is over."""
        self._is_over = True
        self._stop_stream()
        for task in self._requests or ():
            task.cancel()

    def _begin_answer(self, made: RequestMade) -> None:
        task = self._services.tasks.start(self._answer(made), "websocket request")
        if self._requests is None:
            self._requests = set()
        self._requests.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        assert self._requests is not None, "it was there when the request was made"
        self._requests.discard(task)
        if not self._requests:
            self._requests = None

    def _stop_stream(self) -> None:
        if self._stream is not None:
            self._stream.cancel()
            self._stream = self._follower = None

    async def _answer(self, made: RequestMade) -> None:
        request = made.request
        response = await self._services.responder.respond(self._raw(request, made.access_token))
        self._wire.send(
            self._session.answer(request.request_id, response.status, response.body, response.content_type)
        )

    def _raw(self, request: RequestFrame, access_token: str | None) -> RawRequest:
        headers = {"content-type": "application/json"}
        if access_token is not None:
            headers["authorization"] = "Bearer " + access_token
        return RawRequest(request.method, request.path.encode(), headers, request.body, self._client_address)

    async def _push(self, options: StartSync) -> None:
        try:
            requester = await self._requester()
            request = SyncRequest(
                requester,
                filter=await self._services.filters.chosen(requester.user_id, options.filter),
                since=parse_since(options.since),
                use_state_after=options.use_state_after,
                timeline_limit_default=EVENTS_PER_DELTA_MAX,
                events_max=EVENTS_PER_DELTA_MAX,
                threads_max=THREADS_MAX if options.thread_subscriptions else 0,
            )
            presence = self._services.presence
            here = _NOBODY if presence is None else presence.here(requester, options.set_presence)
            async with here, self._services.sync.following(request) as follower:
                self._follower = follower
                await self._follow(follower, requester)
        except MatrixError as error:
            self._wire.send(self._session.fail_stream(error))
        except Exception:
            self.close(CLOSE_FAILED, "the server failed")
            raise  # the supervisor of the tasks tells the observer

    async def _follow(self, follower: Follower, requester: Requester) -> None:
        self._admission = None
        is_first = True
        while True:
            # Look only once there is room: what happens until then is coalesced into what is seen.
            await self._room()
            delta, more = await follower.look()
            if is_first or not delta.is_empty:
                current = await self._requester()
                if current is not requester and current != requester:
                    raise UnknownToken("The access token is now another session's; start the stream anew.")
                body = await follower.with_key_counts(delta) if is_first else delta.body
                self._wire.send(self._session.delta(delta.token.encode(), body))
                is_first = False
                body = b""
            del delta  # it may be large, and the sleep long
            if not more:
                self._follows_for = requester
                await follower.listen(self._tell)

    def _tell(self) -> Hashable:
        """Push what many are told alike, without waking the stream's task; see `Listener`."""
        session, admission, follower = self._session, self._admission, self._follower
        if follower is None or not self._is_writable or not session.may_push:
            return None
        if (
            admission is None
            or session.access_token is not self._admitted_token
            or not admission.is_good
            or admission.expires_ms != math.inf
        ) and not self._is_admitted(self._follows_for):
            return None
        delta = follower.glance()
        if type(delta) is not Delta:
            return delta
        if not delta.is_empty:
            self._wire.send(session.shared_delta(delta))
        return True

    def _is_admitted(self, requester: Requester | None) -> bool:
        """Say whether the token stands for the requester still; False also if it must be looked up."""
        authenticator, token = self._services.authenticator, self._session.access_token
        admission = self._admission
        if admission is None or token is not self._admitted_token or not authenticator.is_valid(admission):
            admission = None if token is None else authenticator.known(token)
            if admission is not None and admission.requester != requester:
                admission = None
            self._admission, self._admitted_token = admission, token
        return admission is not None

    async def _room(self) -> None:
        while True:
            self._room_made.clear()
            if self._is_writable and self._session.may_push:
                return
            await self._room_made.wait(None)

    async def _requester(self) -> Requester:
        token = self._session.access_token
        if token is None:
            raise MissingToken("Give an access token before starting the stream.")
        # Known by now, so this is a look-up; a session that was logged out hears no more.
        return await self._services.authenticator.authenticate(token)
