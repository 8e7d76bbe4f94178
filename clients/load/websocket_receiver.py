"""Receive over the WebSocket of Isthmus."""

import aiohttp

from clients.load.api import MatrixApi
from clients.load.receivers import Ledger
from clients.websocket_client.client import Client
from clients.websocket_client.delta import Delta
from clients.websocket_client.stream import SyncStream

__all__ = ["WebSocketReceiver"]

# As most clients ask. Without a limit of the timeline the server pages forward, so that a burst is no gap.
FILTER = {"room": {"state": {"lazy_load_members": True}}}


class WebSocketReceiver:
    """Receives pushed deltas; the client comes back by itself when the connection ends."""

    def __init__(self, http: aiohttp.ClientSession, api: MatrixApi, ledger: Ledger) -> None:
        self._api = api
        self._ledger = ledger
        self._client = Client(api.base_url, access_token=api.access_token, user_id=api.user_id, http=http)
        self._stream: SyncStream = self._client.sync(filter=FILTER)

    async def begin(self) -> None:
        """Connect, and take the complete sync with which the stream begins."""
        await self._client.open()
        self._take(await anext(self._stream))

    async def follow(self) -> None:
        """Receive until cancelled."""
        try:
            async for delta in self._stream:
                self._take(delta)
        finally:
            await self._client.close()

    def _take(self, delta: Delta) -> None:
        for event in delta.timeline():
            self._ledger.delivered(self._api.user_id, event.event)
