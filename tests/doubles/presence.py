"""A whole server whose clock is moved by hand, and what clients ask it of presence."""

from urllib.parse import quote

import orjson

from homeserver.core.requester import Requester
from tests.doubles.accounts import MovableClock
from tests.doubles.rooms import RoomsServer


class PresenceServer(RoomsServer):
    def __init__(self, database, directory):
        super().__init__(database, directory)
        self.clock = MovableClock()

    @property
    def presence(self):
        return self.services.ephemeral.presence

    async def restart(self):
        await self.close()
        self.clock.advance(1_000)  # as it takes
        await self.start()

    async def after(self, milliseconds):
        self.clock.advance(milliseconds)
        await self.presence.sweep()


def path(user):
    return f"/presence/{quote(user.user_id)}/status"


async def put(user, presence, status_msg=None):
    body = {"presence": presence} | ({} if status_msg is None else {"status_msg": status_msg})
    return await user.try_("PUT", path(user), body)


async def synced(user, since=None, query=""):
    """Sync without being marked as online; returns the token, and presence by user."""
    wanted = f"/sync?set_presence=offline{query}" + ("" if since is None else f"&since={since}")
    answer = await user.get(wanted)
    events = answer.get("presence", {}).get("events", [])
    assert all(event["type"] == "m.presence" for event in events)
    told = {event["sender"]: event["content"] for event in events}
    assert len(told) == len(events)
    return answer["next_batch"], told


def filtered(wanted):
    return "&filter=" + quote(orjson.dumps({"presence": wanted}))


async def poll(user, **query):
    """Sync as a client does that says nothing of presence."""
    return await user.get("/sync?" + "&".join(f"{name}={value}" for name, value in query.items()))


def requester(user):
    return Requester(user.user_id, "ELSEWHERE", 0)
