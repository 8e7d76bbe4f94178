"""A client of the WebSocket of Isthmus: requests as frames, and the pushed sync stream.

The frames are described in docs/websocket.md.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import orjson

from clients.load.api import ApiError

__all__ = ["WebSocketClient", "connected"]

_PATH = "/_matrix/client/unstable/org.isthmus.websocket/v1"
_PROTOCOL = "org.isthmus.v1.json"
_ANSWER_SECONDS_MAX = 60

Delta = dict[str, Any]


class WebSocketClient:
    """One open connection. `follow` must run for answers and deltas to arrive."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, on_delta: Callable[[Delta], None]) -> None:
        self._socket = socket
        self._on_delta = on_delta
        self._ids = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}

    async def start_sync(self, since: str | None, sync_filter: str | None = None) -> None:
        """Ask for the stream of deltas after the token `since`; None: from the beginning."""
        options = {"since": since, "filter": sync_filter}
        await self._say({"sync": {name: value for name, value in options.items() if value is not None}})

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Make one client-server request as a frame.

        Raises:
            ApiError: its status is not 200.
            ConnectionError: the connection ended first.
        """
        number = next(self._ids)
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        frame = {"id": number, "method": method, "path": path}
        await self._say(frame if body is None else {**frame, "body": body})
        told = await asyncio.wait_for(answer, _ANSWER_SECONDS_MAX)
        if told["status"] != 200:
            raise ApiError(told["status"], orjson.dumps(told.get("body")))
        found: dict[str, Any] = told["body"]
        return found

    async def follow(self) -> None:
        """Take what arrives until the connection ends; each delta is acknowledged once it is dealt with.

        Raises:
            ConnectionError: the server ended the stream or the connection.
        """
        try:
            async for message in self._socket:
                await self._take(orjson.loads(message.data))
            raise ConnectionError("The WebSocket was closed.")
        finally:
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("The WebSocket was closed."))
                    answer.exception()  # nobody may be waiting any more

    async def _take(self, frame: dict[str, Any]) -> None:
        if "sync" in frame:
            self._on_delta(frame["sync"])
            await self._say({"ack": frame["sync"]["next_batch"]})
        elif "id" in frame:
            answer = self._answers.pop(frame["id"], None)
            if answer is not None and not answer.done():
                answer.set_result(frame)
        elif "error" in frame:
            raise ConnectionError(f"The server refused a frame: {frame['error']}")

    async def _say(self, frame: dict[str, Any]) -> None:
        await self._socket.send_str(orjson.dumps(frame).decode())


@contextlib.asynccontextmanager
async def connected(
    http: aiohttp.ClientSession, base_url: str, access_token: str, on_delta: Callable[[Delta], None]
) -> AsyncIterator[WebSocketClient]:
    """Open the WebSocket of the homeserver at `base_url` and close it at the end of the block."""
    headers = {"Authorization": f"Bearer {access_token}"}
    async with http.ws_connect(
        base_url + _PATH, protocols=[_PROTOCOL], headers=headers, max_msg_size=0
    ) as socket:
        yield WebSocketClient(socket, on_delta)
