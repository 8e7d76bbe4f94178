"""The users of a scenario: each has a device on every kind of client, and one more for plain REST."""

import asyncio
from dataclasses import dataclass
from urllib.parse import quote

KINDS = ("nio", "js", "sliding", "websocket")
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Rest:
    """Plain requests of one session."""

    http: object
    base_url: str
    access_token: str

    async def call(self, method, path, body=None):
        """Make one request; returns status and body."""
        headers = {"Authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        async with self.http.request(method, self.base_url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json()

    async def get(self, path):
        """What there is; fails if it cannot be got."""
        status, body = await self.call("GET", "/_matrix/client" + path)
        assert status == 200, (path, status, body)
        return body


@dataclass(frozen=True, eq=False)
class Person:
    """One user.

    Attributes:
        name: as stories call them.
        user_id: as the server does.
        sessions: by kind of client, what a program needs to act as that device.
        rest: plain requests of a session of its own, which never syncs live.
    """

    name: str
    user_id: str
    sessions: dict
    rest: Rest


async def make_person(http, base_url, name, prefix):
    """Register a user and log in on all devices."""
    nobody = Rest(http, base_url, "")
    body = {"username": f"{prefix}-{name}", "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    status, first = await nobody.call("POST", "/_matrix/client/v3/register", body)
    assert status == 200, first
    login = {
        "type": "m.login.password",
        "identifier": {"type": "m.id.user", "user": first["user_id"]},
        "password": PASSWORD,
    }
    told = await asyncio.gather(*(nobody.call("POST", "/_matrix/client/v3/login", login) for _ in KINDS))
    sessions = {
        kind: {
            "kind": kind,
            "base_url": base_url,
            "user_id": first["user_id"],
            "device_id": session["device_id"],
            "access_token": session["access_token"],
        }
        for kind, (_, session) in zip(KINDS, told, strict=True)
    }
    return Person(name, first["user_id"], sessions, Rest(http, base_url, first["access_token"]))


def room_path(room_id, rest):
    """The path of something in a room, without the prefix of all paths."""
    return f"/v3/rooms/{quote(room_id, safe='')}/{rest}"
