"""A client of the WebSocket of Isthmus, whose connection comes back by itself.

A whole bot:

    async with Client("https://matrix.example.org") as bot:
        await bot.login("echo", "a secret")
        async for message in bot.messages():
            await bot.send_text(message.room_id, message.body)

See docs/websocket.md.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Any, Self

import aiohttp

from clients.websocket_client.calls import Calls
from clients.websocket_client.connection import Connection
from clients.websocket_client.delta import RoomEvent
from clients.websocket_client.errors import (
    ClientClosed,
    ClientError,
    ConnectionLost,
    DeadlineExceeded,
    Refused,
    StreamReplaced,
)
from clients.websocket_client.frames import Answer, Problem, Pushed, stop_frame, token_frame
from clients.websocket_client.stream import SyncStream
from clients.websocket_client.wire import Dial, Wire, dial
from homeserver.runtime.backoff import Backoff
from homeserver.runtime.randomness import Randomness, SystemRandomness

__all__ = ["Client"]

REQUEST_S_DEFAULT = 60.0
REQUESTS_IN_FLIGHT_MAX = 32
"""As many as the server takes; one more waits here."""
DELAY_MS_MIN = 250
DELAY_MS_MAX = 30_000
RETRY_S_DEFAULT = 1.0
_REPEATABLE = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PUT"})
_ANY_REQUEST = "/_matrix/client/versions"

Pause = Callable[[float], Awaitable[None]]


class Client(Calls):
    """One device of one user.

    To be used as `async with Client(…) as client`, or with `open` and `close`. Opening fails if the server
    cannot be reached; afterwards a lost connection is made again, at growing intervals of up to half a
    minute, for as long as the client is open. The sync stream goes on where it was, and requests that wait
    are made again if that can do no harm, until their deadline.

    Args:
        base_url: where the homeserver is, such as `https://matrix.example.org`.
        access_token: of a session there is already; else call `login`.
        user_id: whose token that is; `typing` and `set_presence` need it.
        http: to share connections' settings; it stays open. None: the client has its own.
        dial: how to open a wire instead, for tests.
        randomness: for transaction IDs, and so that many clients do not come back in step.
        pause: how to wait for so many seconds before trying again.

    Attributes:
        access_token: the token in use.
        reconnects: how many times the connection was made again.
    """

    def __init__(
        self,
        base_url: str,
        *,
        access_token: str | None = None,
        user_id: str = "",
        http: aiohttp.ClientSession | None = None,
        dial: Dial | None = None,
        randomness: Randomness | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        randomness = randomness or SystemRandomness()
        super().__init__(randomness)
        self.user_id = user_id
        self.access_token = access_token
        self._base_url = base_url
        self._http = http
        self._own_http: aiohttp.ClientSession | None = None
        self._dial = dial or self._dial_by_http
        self._backoff = Backoff(DELAY_MS_MIN, DELAY_MS_MAX, randomness)
        self._pause = pause
        self._slots = asyncio.Semaphore(REQUESTS_IN_FLIGHT_MAX)
        self._connection: Connection | None = None
        self._is_changed = asyncio.Event()
        self._failure: ClientError | None = ClientClosed("The client is not open.")
        self._stream: SyncStream | None = None
        self._keeping: asyncio.Task[None] | None = None
        self.reconnects = 0

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self, type_: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionLost: the server cannot be reached.
            ProtocolViolated: there is no such WebSocket.
        """
        try:
            connection = await self._connect()
        except BaseException:
            await self._close_http()
            raise
        self._failure = None
        self._publish(connection)
        self._keeping = asyncio.create_task(self._keep(connection))

    async def close(self) -> None:
        """Close the connection. Requests and the stream that wait fail with `ClientClosed`."""
        self._give_up(ClientClosed("The client was closed."))
        keeping, self._keeping = self._keeping, None
        if keeping is not None:
            keeping.cancel()
            await asyncio.wait([keeping])
        await self._close_http()
        if keeping is not None and not keeping.cancelled():
            keeping.result()  # an error of our own making

    async def authenticate(self, access_token: str) -> None:
        """Make all requests and streams from now on with this token; for instance after refreshing it."""
        self.access_token = access_token
        if self._connection is not None:
            await self._connection.say(token_frame(access_token))

    async def request(
        self, method: str, path: str, body: Any = None, *, timeout_s: float = REQUEST_S_DEFAULT
    ) -> Any:
        """Make any client-server request; as many at once as you like.

        A rate limit is waited out. If the connection is lost before the answer, the request is made again on
        the next one, except POST and PATCH, which may not be done twice.

        Args:
            method: upper-case HTTP method.
            path: percent-encoded, with the query if there is one; see `clients.websocket_client.calls.path`.
            body: what the JSON body holds; None: no body.
            timeout_s: the deadline in seconds, all waiting included.

        Returns:
            What the JSON of the answer holds; bytes if it is not JSON.

        Raises:
            Refused: the status is an error; it carries the errcode.
            DeadlineExceeded: no answer in time.
            ConnectionLost: the connection was lost before the answer to a POST or PATCH.
            ClientClosed: the client was closed.
        """
        try:
            async with asyncio.timeout(timeout_s), self._slots:
                return await self._request(method, path, body)
        except TimeoutError:
            raise DeadlineExceeded(f"No answer to {method} {path} within {timeout_s} s.") from None

    def sync(
        self,
        *,
        since: str | None = None,
        filter: str | dict[str, Any] | None = None,  # noqa: A002 - the specification's name
        use_state_after: bool = False,
        set_presence: str | None = None,
        thread_subscriptions: bool = False,
    ) -> SyncStream:
        """The sync stream: `async for delta in client.sync()`. There is one at a time; a new one ends it.

        Asking for the next delta acknowledges the one before, so a slow reader slows the stream, and nothing
        piles up.

        Args:
            since: the token of the last delta that was dealt with; None: the first delta is a complete sync.
            filter: a filter, or the ID of a stored one.
            use_state_after: tell state as of the end of the timeline.
            set_presence: how the user counts meanwhile: `online` (the default), `unavailable` or `offline`.
            thread_subscriptions: also tell which threads the user follows.

        Spec: https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
        """
        options = {
            "filter": filter,
            "use_state_after": use_state_after or None,
            "set_presence": set_presence,
            "thread_subscriptions": thread_subscriptions or None,
        }
        given = {name: value for name, value in options.items() if value is not None}
        return SyncStream(given, since, self._begin, self._end)

    async def messages(self, *, join_invites: bool = True) -> AsyncIterator[RoomEvent]:
        """Messages of others from now on, for bots; the rooms that one is invited to are joined.

        Messages that were there before, or came while the bot was not running, are passed over.
        """
        async with self.sync() as stream:
            is_history = True
            async for delta in stream:
                for room_id in delta.invited if join_invites else ():
                    with contextlib.suppress(Refused):  # the invitation may have been taken back
                        await self.join(room_id)
                for event in () if is_history else delta.timeline():
                    if event.type == "m.room.message" and event.sender != self.user_id:
                        yield event
                is_history = False

    # Requests.

    async def _request(self, method: str, path: str, body: Any) -> Any:
        while True:
            connection = await self._connected()
            try:
                answer = await connection.ask(method, path, body)
            except ConnectionLost:
                if method not in _REPEATABLE:
                    raise
                continue
            if answer.status == 429:
                await self._pause(Refused(429, answer.body).retry_after_s or RETRY_S_DEFAULT)
                continue
            return _body_of(answer)

    async def _connected(self) -> Connection:
        while True:
            if self._failure is not None:
                raise self._failure
            if self._connection is not None:
                return self._connection
            self._is_changed.clear()
            await self._is_changed.wait()

    # The stream.

    async def _begin(self, stream: SyncStream) -> None:
        if self._stream is not None:
            self._stream.fail(StreamReplaced("Another stream was started."))
        self._stream = None
        while True:
            connection = await self._connected()
            if connection.has_streamed:
                # What is under way of the stream before comes before the answer to this; nobody takes it.
                await connection.say(stop_frame())
                try:
                    await connection.ask("GET", _ANY_REQUEST)
                except ConnectionLost:
                    continue
                connection.has_streamed = False
            self._stream = stream
            await stream.start_on(connection)
            return

    async def _end(self, stream: SyncStream) -> None:
        if self._stream is stream:
            self._stream = None
            if self._connection is not None:
                await self._connection.say(stop_frame())

    def _take(self, heard: Pushed | Problem) -> None:
        stream = self._stream
        if stream is not None:
            if isinstance(heard, Problem):
                self._stream = None
            stream.take(heard)

    # The connection.

    async def _dial_by_http(self) -> Wire:
        if self._http is None and self._own_http is None:
            self._own_http = aiohttp.ClientSession()
        http = self._http or self._own_http
        assert http is not None
        return await dial(http, self._base_url)

    async def _connect(self) -> Connection:
        connection = Connection(await self._dial(), self._take)
        if self.access_token is not None:
            await connection.say(token_frame(self.access_token))
        if self._stream is not None:
            await self._stream.start_on(connection)
        return connection

    def _publish(self, connection: Connection) -> None:
        self._connection = connection
        self._is_changed.set()

    async def _keep(self, connection: Connection) -> None:
        try:
            while isinstance(reason := await self._run(connection), ConnectionLost):
                connection = await self._connect_again()
                self.reconnects += 1
                self._publish(connection)
            self._give_up(reason)
        except ClientError as error:
            self._give_up(error)
        finally:
            if self._failure is None:
                self._give_up(ClientClosed("The client failed; closing it tells how."))

    async def _run(self, connection: Connection) -> ClientError:
        """Take what comes until the connection is over; returns why it is."""
        try:
            return await connection.run()
        finally:
            self._connection = None
            if connection.has_heard:
                self._backoff.reset()
            await connection.close()

    async def _connect_again(self) -> Connection:
        while True:
            await self._pause(self._backoff.next_delay_ms() / 1000)
            with contextlib.suppress(ConnectionLost):
                return await self._connect()

    def _give_up(self, reason: ClientError) -> None:
        self._failure = reason
        self._is_changed.set()
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.fail(reason)

    async def _close_http(self) -> None:
        if self._own_http is not None:
            await self._own_http.close()
            self._own_http = None


def _body_of(answer: Answer) -> Any:
    if answer.status >= 400:
        raise Refused(answer.status, answer.body)
    return answer.body
