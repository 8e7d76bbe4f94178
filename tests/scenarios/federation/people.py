"""A user of one of the servers, who keeps what a client keeps of its syncs."""

import asyncio
import itertools
import time
from urllib.parse import quote

import aiohttp

from clients.load.api import MatrixApi

_FILTER = quote('{"room":{"timeline":{"limit":1000}}}')
_PATIENCE_S = 30
_EMPTY_PAGES_MAX = 20
_numbers = itertools.count(1)


def encoded(*parts):
    """A path of parts in which nothing may be a slash."""
    return "/".join(quote(part, safe="") for part in parts)


class Room:
    """What a client knows of one room."""

    def __init__(self):
        self.membership = ""
        self.state = {}
        self.timeline = []
        self.invite_state = []
        self.receipts = {}
        self.typing = []

    def take(self, membership, told):
        """Note what a sync said."""
        self.membership = membership
        for key in ("invite_state", "knock_state"):
            if key in told:
                self.invite_state = told[key]["events"]
        for event in told.get("state", {}).get("events", ()):
            self.state[event["type"], event["state_key"]] = event
        for event in told.get("timeline", {}).get("events", ()):
            self.timeline.append(event)
            if "state_key" in event:
                self.state[event["type"], event["state_key"]] = event
        for event in told.get("ephemeral", {}).get("events", ()):
            self._take_ephemeral(event)

    def _take_ephemeral(self, event):
        if event["type"] == "m.typing":
            self.typing = event["content"]["user_ids"]
        elif event["type"] == "m.receipt":
            for event_id, kinds in event["content"].items():
                for user_id in kinds.get("m.read", ()):
                    self.receipts[user_id] = event_id

    def bodies(self):
        """What was said, in the order of the timeline."""
        return [event["content"].get("body") for event in self.timeline if event["type"] == "m.room.message"]

    def members(self, membership="join"):
        """The users with a membership."""
        return {
            key
            for (kind, key), event in self.state.items()
            if kind == "m.room.member" and event["content"].get("membership") == membership
        }


class Person(MatrixApi):
    """A user with one device that syncs only when it waits for something.

    Attributes:
        rooms: by room ID, what the syncs told so far.
        to_device: messages to the device.
        devices_changed: users whose devices changed.
        presence: by user, the last content.
    """

    def __init__(self, http, server):
        super().__init__(http, server.base_url)
        self.server = server
        self._since = None
        self.rooms = {}
        self.to_device = []
        self.devices_changed = set()
        self.presence = {}

    @classmethod
    async def come(cls, http, server, name):
        """Register under a name that is free for sure."""
        person = cls(http, server)
        await person.register(f"{name}-{next(_numbers)}", None)
        await person.take_in()
        return person

    def room(self, room_id):
        """What is known of a room."""
        return self.rooms.setdefault(room_id, Room())

    async def take_in(self, timeout_ms=0):
        """Sync once."""
        query = f"?timeout={timeout_ms}&filter={_FILTER}"
        if self._since:
            query += f"&since={quote(self._since)}"
        told = await self.call("GET", "/_matrix/client/v3/sync" + query)
        self._since = told["next_batch"]
        for membership in ("leave", "join", "knock", "invite"):  # who left may be invited again by now
            for room_id, room in told.get("rooms", {}).get(membership, {}).items():
                self.room(room_id).take(membership, room)
        self.to_device += told.get("to_device", {}).get("events", ())
        self.devices_changed |= set(told.get("device_lists", {}).get("changed", ()))
        for event in told.get("presence", {}).get("events", ()):
            self.presence[event["sender"]] = event["content"]

    async def until(self, what, find, patience_s=_PATIENCE_S):
        """Sync until something is there; returns it."""
        give_up = time.monotonic() + patience_s
        while not (found := find()):
            if time.monotonic() > give_up:
                raise AssertionError(f"{self.user_id} waited in vain for {what}\n{self.server.told()}")
            try:
                await self.take_in(1000)
            except (aiohttp.ClientConnectionError, aiohttp.ServerDisconnectedError):
                await asyncio.sleep(0.1)  # the server is down for the moment
        return found

    async def sees(self, room_id, body, patience_s=_PATIENCE_S):
        """Until somebody said something; returns the event."""
        return await self.until(f"{body!r}", lambda: self._said(room_id, body), patience_s)

    def _said(self, room_id, body):
        found = (event for event in self.room(room_id).timeline if event["content"].get("body") == body)
        return next(found, None)

    async def sees_member(self, room_id, user_id, membership):
        """Until a user has a membership."""
        return await self.until(
            f"{user_id} in {membership}", lambda: user_id in self.room(room_id).members(membership)
        )

    async def is_in(self, room_id, membership):
        """Until the own room list has a room under `join`, `invite`, `knock` or `leave`."""
        return await self.until(
            f"{room_id} under {membership}", lambda: self.room(room_id).membership == membership
        )

    async def client(self, method, *parts, body=None, query=""):
        """A client-server request by the parts of its path."""
        return await self.call(method, f"/_matrix/client/v3/{encoded(*parts)}{query}", body)

    async def make_room(self, **more):
        """Make a room; returns its ID."""
        body = {"preset": "private_chat", **more}
        return (await self.client("POST", "createRoom", body=body))["room_id"]

    async def join_by(self, room, *via):
        """Join by ID or alias, over servers; returns the room's ID."""
        query = "?" + "&".join(f"via={quote(one)}&server_name={quote(one)}" for one in via) if via else ""
        return (await self.client("POST", "join", room, body={}, query=query))["room_id"]

    async def act(self, room_id, verb, user_id=None, **more):
        """Invite, leave, kick, ban, unban."""
        body = {**({"user_id": user_id} if user_id else {}), **more}
        return await self.client("POST", "rooms", room_id, verb, body=body)

    async def say(self, room_id, body):
        """Send a message; returns its event ID."""
        return await self.send(room_id, f"n{next(_numbers)}", body)

    async def set_state(self, room_id, kind, content, state_key=""):
        """Set a piece of state; returns its event ID."""
        path = f"/_matrix/client/v3/{encoded('rooms', room_id, 'state', kind, state_key)}"
        return (await self.call("PUT", path, content))["event_id"]

    async def full_state(self, room_id):
        """The room's state by (type, state key), as event IDs."""
        events = await self.client("GET", "rooms", room_id, "state")
        return {(event["type"], event["state_key"]): event["event_id"] for event in events}

    async def history(self, room_id, count=1000):
        """The room's last events back from now, the newest first."""
        found, start, empty = [], "", 0
        while len(found) < count and empty < _EMPTY_PAGES_MAX:
            query = f"?dir=b&limit=100{start}"
            page = await self.client("GET", "rooms", room_id, "messages", query=query)
            found += page["chunk"]
            empty = 0 if page["chunk"] else empty + 1
            if not page.get("end"):
                break
            start = "&from=" + quote(page["end"])
        return found[:count]


async def same_state(room_id, *people, patience_s=_PATIENCE_S):
    """Until all see the same state of a room; returns it."""
    give_up = time.monotonic() + patience_s
    while True:
        states = [await person.full_state(room_id) for person in people]
        if all(state == states[0] for state in states):
            return states[0]
        if time.monotonic() > give_up:
            different = {
                key: [state.get(key) for state in states]
                for key in set().union(*states)
                if len({state.get(key) for state in states}) > 1
            }
            raise AssertionError(f"different states: {different}\n{people[-1].server.told()}")
        await asyncio.sleep(0.2)
