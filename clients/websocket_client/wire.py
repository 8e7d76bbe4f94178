"""What carries the frames: a WebSocket of aiohttp, or something simpler in tests."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import aiohttp

from clients.websocket_client.errors import ConnectionLost, ProtocolViolated

__all__ = ["PATH", "SUBPROTOCOL", "Dial", "Wire", "dial"]

PATH = "/_matrix/client/unstable/org.isthmus.websocket/v1"
SUBPROTOCOL = "org.isthmus.v1.json"

MESSAGE_BYTES_MAX = 128 * 1024 * 1024
"""A complete sync is one message, and an account may be in many rooms."""
SILENCE_S_MAX = 75.0
"""The server pings every 30 s; after this long without a sign of it, it is gone."""
CONNECT_S_MAX = 30.0
CLOSE_S_MAX = 5.0

_OUR_FAULT = {1002, 1003, 1007, 1008, 1009, 1010}
_CLOSES = {aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING, aiohttp.WSMsgType.CLOSED}


class Wire(Protocol):
    """One open WebSocket."""

    async def send(self, text: str) -> None:
        """Send one text message; waits while the server does not read.

        Raises:
            ConnectionLost: it is closed.
        """

    async def receive(self) -> str:
        """The next text message.

        Raises:
            ConnectionLost: it was closed.
            ProtocolViolated: it was closed for a fault that would repeat itself.
        """

    async def close(self) -> None:
        """Say goodbye and close; again is nothing."""


Dial = Callable[[], Awaitable[Wire]]
"""Opens a wire; raises `ConnectionLost`, or `ProtocolViolated` where trying again cannot help."""


class _AiohttpWire:
    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, text: str) -> None:
        try:
            await self._socket.send_str(text)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:
            raise ConnectionLost(f"Cannot send: {error}") from None

    async def receive(self) -> str:
        try:
            message = await self._socket.receive()
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost(f"The connection broke: {error!r}") from None
        if message.type is aiohttp.WSMsgType.TEXT:
            text: str = message.data
            return text
        code = self._socket.close_code
        why = f"code {code}, {message.extra or message.data or 'no reason given'}"
        if code in _OUR_FAULT or message.type not in _CLOSES | {aiohttp.WSMsgType.ERROR}:
            raise ProtocolViolated(f"The WebSocket cannot go on: {why}")
        raise ConnectionLost(f"The WebSocket was closed: {why}", code)

    async def close(self) -> None:
        await self._socket.close()


async def dial(http: aiohttp.ClientSession, base_url: str) -> Wire:
    """Open the WebSocket of the homeserver at `base_url`.

    Raises:
        ConnectionLost: it cannot be reached now.
        ProtocolViolated: what is there speaks no such WebSocket.
    """
    timeout = aiohttp.ClientWSTimeout(ws_receive=SILENCE_S_MAX, ws_close=CLOSE_S_MAX)
    url = base_url.rstrip("/") + PATH
    try:
        async with asyncio.timeout(CONNECT_S_MAX):
            socket = await http.ws_connect(
                url, protocols=[SUBPROTOCOL], timeout=timeout, max_msg_size=MESSAGE_BYTES_MAX
            )
    except aiohttp.WSServerHandshakeError as error:
        if error.status in {400, 401, 403, 404, 405, 426}:
            raise ProtocolViolated(f"No WebSocket of Isthmus there: HTTP {error.status}") from None
        raise ConnectionLost(f"The handshake failed: HTTP {error.status}") from None
    except (aiohttp.ClientError, OSError) as error:
        raise ConnectionLost(f"Cannot connect: {error!r}") from None
    if socket.protocol != SUBPROTOCOL:
        await socket.close()
        raise ProtocolViolated("The server does not speak the subprotocol.")
    return _AiohttpWire(socket)
