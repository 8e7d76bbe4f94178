"""Our WebSocket client as a program: see commands.py."""

import asyncio
from urllib.parse import quote

import aiohttp
from commands import serve
from picture import Picture

from clients.websocket_client.calls import path
from clients.websocket_client.client import Client
from clients.websocket_client.errors import ClientError, Refused
from clients.websocket_client.wire import dial


class Device:
    """One device: the client, which comes back by itself, and the picture that its deltas make."""

    def __init__(self, session):
        self._session = session
        self._picture = Picture()
        self._http = None
        self._wire = None
        self._since = None
        self._client = None
        self._following = None

    async def _dial(self):
        self._wire = await dial(self._http, self._session["base_url"])
        return self._wire

    async def start(self):
        self._http = aiohttp.ClientSession()
        await self.resume()

    async def resume(self):
        session = self._session
        self._client = Client(
            session["base_url"],
            access_token=session["access_token"],
            user_id=session["user_id"],
            dial=self._dial,
        )
        await self._client.open()
        self._following = asyncio.create_task(self._follow())

    async def _follow(self):
        async for delta in self._client.sync(since=self._since):
            self._picture.take(delta.body)
            self._since = delta.token

    async def stop(self):
        self._following.cancel()
        await self._client.close()
        failures = await asyncio.gather(self._following, return_exceptions=True)
        assert isinstance(failures[0], (asyncio.CancelledError, ClientError)), failures

    async def cut(self):
        """Lose the connection without a goodbye."""
        self._wire._socket._response.connection.transport.abort()

    async def act(self, action):
        try:
            body = await self._client.request(
                action["method"], action["path"], action.get("body"), timeout_s=30
            )
        except Refused as error:
            return {"status": error.status, "body": error.body}
        except ClientError as error:
            return {"status": None, "body": {"error": repr(error)}}
        return {"status": 200, "body": body}

    async def _page(self, room_id, token):
        return await self._client.request(
            "GET", f"{path('rooms', room_id, 'messages')}?dir=b&limit=50&from={quote(token)}"
        )

    async def view(self):
        if self._following.done():
            self._following.result()
        return await self._picture.view(self._page)


if __name__ == "__main__":
    asyncio.run(serve(Device))
