"""A thin client of the client-server API: what a load run asks, and nothing else.

Spec: https://spec.matrix.org/v1.19/client-server-api/
"""

import hashlib
import hmac
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson

__all__ = ["ApiError", "MatrixApi"]

_REQUEST_TIMEOUT = aiohttp.ClientTimeout(total=90)
_PASSWORD = "load-generator-password"  # noqa: S105 - of throw-away accounts on the server under load

_FILTER = quote('{"room":{"state":{"lazy_load_members":true},"timeline":{"limit":1000}}}')


class ApiError(Exception):
    """The server answered with an error."""

    def __init__(self, status: int, body: bytes) -> None:
        super().__init__(f"HTTP {status}: {body[:300].decode(errors='replace')}")
        self.status = status


class MatrixApi:
    """One user's view of a homeserver."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str) -> None:
        self._http = http
        self._base_url = base_url
        self._headers: dict[str, str] = {}
        self._username = ""
        self.user_id = ""
        self.access_token = ""

    @property
    def base_url(self) -> str:
        """Where the homeserver is."""
        return self._base_url

    async def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Make one request; `path` begins with a slash and is encoded already.

        Raises:
            ApiError: the status is not 200.
        """
        content = None if body is None else orjson.dumps(body)
        async with self._http.request(
            method, self._base_url + path, data=content, headers=self._headers, timeout=_REQUEST_TIMEOUT
        ) as answer:
            payload = await answer.read()
            if answer.status != 200:
                raise ApiError(answer.status, payload)
        decoded: dict[str, Any] = orjson.loads(payload)
        return decoded

    async def register(self, username: str, shared_secret: str | None) -> None:
        """Make an account and take its access token."""
        body: dict[str, Any]
        if shared_secret is None:
            body = {"username": username, "password": _PASSWORD, "auth": {"type": "m.login.dummy"}}
            answer = await self.call("POST", "/_matrix/client/v3/register", body)
        else:
            nonce = (await self.call("GET", "/_synapse/admin/v1/register"))["nonce"]
            parts = (nonce, username, _PASSWORD, "notadmin")
            mac = hmac.new(shared_secret.encode(), "\0".join(parts).encode(), hashlib.sha1).hexdigest()
            body = {"nonce": nonce, "username": username, "password": _PASSWORD, "admin": False, "mac": mac}
            answer = await self.call("POST", "/_synapse/admin/v1/register", body)
        self._enter(username, answer)

    async def another_device(self) -> "MatrixApi":
        """Log the same user in once more."""
        other = MatrixApi(self._http, self._base_url)
        identifier = {"type": "m.id.user", "user": self._username}
        body = {"type": "m.login.password", "identifier": identifier, "password": _PASSWORD}
        other._enter(self._username, await other.call("POST", "/_matrix/client/v3/login", body))
        return other

    def _enter(self, username: str, answer: dict[str, Any]) -> None:
        self._username = username
        self.user_id, self.access_token = answer["user_id"], answer["access_token"]
        self._headers = {"Authorization": f"Bearer {self.access_token}"}

    async def create_private_room(self, name: str) -> str:
        """Make a private room that members of the run may join without an invitation; returns its ID."""
        rules = {"type": "m.room.join_rules", "state_key": "", "content": {"join_rule": "public"}}
        body = {"preset": "private_chat", "name": name, "initial_state": [rules]}
        answer = await self.call("POST", "/_matrix/client/v3/createRoom", body)
        return str(answer["room_id"])

    async def join(self, room_id: str) -> None:
        """Join a room."""
        await self.call("POST", f"/_matrix/client/v3/join/{quote(room_id, safe='')}", {})

    async def send(self, room_id: str, transaction_id: str, body: str) -> str:
        """Send a text message; returns its event ID."""
        path = f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}/send/m.room.message/{transaction_id}"
        answer = await self.call("PUT", path, {"msgtype": "m.text", "body": body})
        return str(answer["event_id"])

    async def sync(self, since: str | None, timeout_ms: int) -> dict[str, Any]:
        """One /sync, members lazily.

        Timelines have up to 1,000 events a room, so that a burst is no gap.
        """
        query = f"?timeout={timeout_ms}&filter=" + _FILTER
        if since is not None:
            query += "&since=" + quote(since, safe="")
        return await self.call("GET", "/_matrix/client/v3/sync" + query)
