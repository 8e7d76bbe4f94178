"""Receive over the WebSocket of Isthmus."""

import contextlib
from typing import Any

import aiohttp

from clients.load.api import MatrixApi
from clients.load.receivers import Ledger
from clients.load.websocket_client import connected

__all__ = ["WebSocketReceiver"]


class WebSocketReceiver:
    """Receives pushed deltas; reconnects with its last token when the connection ends."""

    def __init__(self, http: aiohttp.ClientSession, api: MatrixApi, ledger: Ledger) -> None:
        self._http = http
        self._api = api
        self._ledger = ledger
        self._since: str | None = None

    async def begin(self) -> None:
        """Do the initial sync over HTTP; the stream resumes from its token."""
        self._since = (await self._api.sync(None, 0))["next_batch"]

    async def follow(self) -> None:
        """Receive until cancelled."""
        while True:
            with contextlib.suppress(ConnectionError):
                async with connected(
                    self._http, self._api.base_url, self._api.access_token, self._take
                ) as client:
                    await client.start_sync(self._since)
                    await client.follow()

    def _take(self, delta: dict[str, Any]) -> None:
        self._since = delta["next_batch"]
        for room in delta.get("rooms", {}).get("join", {}).values():
            for event in room.get("timeline", {}).get("events", ()):
                self._ledger.delivered(self._api.user_id, event)
