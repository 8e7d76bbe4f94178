"""The calls that nearly every client makes, by name; everything else goes through `request`."""

import itertools
from abc import ABC, abstractmethod
from typing import Any
from urllib.parse import quote

from homeserver.runtime.randomness import Randomness

__all__ = ["Calls", "path"]

TYPING_MS_DEFAULT = 30_000


def path(*segments: str) -> str:
    """A path of the client-server API: `path("rooms", room_id, "leave")`; each segment is percent-encoded."""
    return "/_matrix/client/v3/" + "/".join(quote(segment, safe="") for segment in segments)


class Calls(ABC):
    """Logging in, rooms, messages, typing, receipts, presence.

    Every call raises what `request` raises.

    Attributes:
        user_id: who is logged in; empty while nobody is.
        device_id: as which device.

    Spec: https://spec.matrix.org/v1.19/client-server-api/
    """

    def __init__(self, randomness: Randomness) -> None:
        self.user_id = ""
        self.device_id = ""
        # Two processes of one user must not use the same transaction IDs.
        self._transactions = randomness.token_urlsafe(9)
        self._numbers = itertools.count(1)

    @abstractmethod
    async def request(self, method: str, path: str, body: Any = None, *, timeout_s: float = ...) -> Any:
        """Make one request; returns the body of its answer."""

    @abstractmethod
    async def authenticate(self, access_token: str) -> None:
        """Make all requests from now on with this token."""

    async def login(self, username: str, password: str, *, device_id: str | None = None) -> None:
        """Log in with a password; all requests from now on are this user's."""
        body: dict[str, Any] = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": username},
            "password": password,
        }
        if device_id is not None:
            body["device_id"] = device_id
        await self._enter(await self.request("POST", path("login"), body))

    async def register(self, username: str, password: str) -> None:
        """Make an account, on a server where that takes no more, and be logged in with it."""
        body = {"username": username, "password": password, "auth": {"type": "m.login.dummy"}}
        await self._enter(await self.request("POST", path("register"), body))

    async def create_room(self, **options: Any) -> str:
        """Make a room; `options` are the members of the request's body. Returns the room's ID."""
        return str((await self.request("POST", path("createRoom"), options))["room_id"])

    async def join(self, room: str) -> str:
        """Join a room by its ID or an alias; returns the ID."""
        return str((await self.request("POST", path("join", room), {}))["room_id"])

    async def leave(self, room_id: str) -> None:
        """Leave a room, or decline an invitation."""
        await self.request("POST", path("rooms", room_id, "leave"), {})

    async def invite(self, room_id: str, user_id: str) -> None:
        """Invite a user."""
        await self.request("POST", path("rooms", room_id, "invite"), {"user_id": user_id})

    async def send(
        self, room_id: str, type_: str, content: dict[str, Any], *, transaction_id: str | None = None
    ) -> str:
        """Send an event; returns its ID.

        It is in the room once, however often it must be asked for on new connections.

        Args:
            room_id: where.
            type_: such as `m.room.message`.
            content: of the event.
            transaction_id: what makes it the same event when the caller asks again; None: it is a new one.
        """
        transaction_id = transaction_id or f"{self._transactions}{next(self._numbers)}"
        asked = path("rooms", room_id, "send", type_, transaction_id)
        return str((await self.request("PUT", asked, content))["event_id"])

    async def send_text(self, room_id: str, text: str) -> str:
        """Send a message; returns the event's ID."""
        return await self.send(room_id, "m.room.message", {"msgtype": "m.text", "body": text})

    async def send_state(self, room_id: str, type_: str, content: dict[str, Any], state_key: str = "") -> str:
        """Set a piece of a room's state; returns the event's ID."""
        answer = await self.request("PUT", path("rooms", room_id, "state", type_, state_key), content)
        return str(answer["event_id"])

    async def typing(self, room_id: str, *, typing: bool = True, timeout_ms: int = TYPING_MS_DEFAULT) -> None:
        """Say that one types, for at most `timeout_ms`, or does no more."""
        body: dict[str, Any] = {"typing": True, "timeout": timeout_ms} if typing else {"typing": False}
        await self.request("PUT", path("rooms", room_id, "typing", self.user_id), body)

    async def read(
        self, room_id: str, event_id: str, *, receipt_type: str = "m.read", thread_id: str | None = None
    ) -> None:
        """Say that one has read up to an event: publicly, as `m.read.private`, or as `m.fully_read`."""
        body = {} if thread_id is None else {"thread_id": thread_id}
        await self.request("POST", path("rooms", room_id, "receipt", receipt_type, event_id), body)

    async def set_presence(self, presence: str, status_msg: str | None = None) -> None:
        """Say how one is: `online`, `unavailable` or `offline`, with a message for others to see."""
        body = (
            {"presence": presence} if status_msg is None else {"presence": presence, "status_msg": status_msg}
        )
        await self.request("PUT", path("presence", self.user_id, "status"), body)

    async def _enter(self, answer: dict[str, Any]) -> None:
        self.user_id, self.device_id = answer["user_id"], answer["device_id"]
        await self.authenticate(answer["access_token"])
