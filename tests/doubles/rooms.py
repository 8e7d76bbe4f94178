"""A whole server without a socket: accounts, rooms and sync on a real database, behind the dispatcher."""

import itertools
from contextlib import AsyncExitStack
from urllib.parse import quote

import orjson

from clients.admission import AccountAdmission
from homeserver.app.build import build_dispatcher, build_services
from homeserver.app.edges import build_edges
from homeserver.app.storage import Runtime, Storage
from homeserver.cluster.bus import LocalBus
from homeserver.config.model import (
    Configuration,
    PasswordsSection,
    RateLimitsSection,
    RegistrationSection,
)
from homeserver.http.dispatch import RawRequest
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import RequestFailed
from homeserver.runtime.randomness import SystemRandomness
from homeserver.sync.notifier import Notifier
from homeserver.sync.reads import StoredReads
from storage.interning import Interning
from storage.journal import Journal
from storage.writers import Writers

V3 = "/_matrix/client/v3"
PASSWORD = "correct horse battery staple"


class RoomsServer:
    """Wired as the application wires it; `restart` makes a new one on the same database."""

    def __init__(self, database, directory):
        self.database = database
        self.configuration = Configuration(
            server_name="localhost",
            data_directory=str(directory),
            registration=RegistrationSection(mode="open"),
            passwords=PasswordsSection(memory_kib=8, time_cost=1, parallelism=1),
            rate_limits=RateLimitsSection(enabled=False),
        )
        self.clock = SystemClock()
        self.network = {}  # outgoing: an `OutgoingRequests`
        self.failures = []
        self.transactions = itertools.count(1)
        self.stack = AsyncExitStack()

    async def start(self):
        runtime = Runtime(self.clock, SystemRandomness(), self._observe, **self.network)
        interning, bus = Interning(self.database), LocalBus()
        reads = StoredReads(self.database, interning)
        lease = await Writers(self.database, runtime.clock).acquire(takes_over=True)
        presence = self.configuration.presence
        notifier = await Notifier.start(
            bus, reads, presence_members_max=presence.room_members_max if presence.enabled else 0
        )
        self.stack.callback(notifier.stop)
        journal = Journal(self.database, lease, runtime.clock, bus.publish, self._observe)
        self.stack.push_async_callback(journal.close)
        await journal.start()
        self.storage = Storage(self.database, interning, bus, journal, reads, notifier)
        outgoing = await self.outgoing(runtime)
        self.services = await build_services(
            self.configuration, runtime, self.storage, self.stack, outgoing
        )
        edges = build_edges(self.configuration, runtime, self.services, "http://127.0.0.1:8008")
        self.dispatcher = build_dispatcher(
            self.configuration,
            runtime,
            endpoints=[*edges, *await self.endpoints_for_servers(runtime, outgoing)],
            authenticator=self.services.access_tokens,
            servers=None if outgoing is None else outgoing.servers,
            admission=AccountAdmission(self.services.account_care.seen.note),
        )
        return self

    async def outgoing(self, runtime):
        """The ways to other servers; None: there are none."""
        return

    async def endpoints_for_servers(self, runtime, outgoing):
        """What other servers may ask."""
        return ()

    async def restart(self):
        await self.close()
        await self.start()

    async def close(self):
        await self.stack.aclose()

    def _observe(self, observation):
        if isinstance(observation, RequestFailed):
            self.failures.append(observation.error)

    async def call(self, method, path, body=None, *, token=None):
        """Ask; returns the status and the decoded body."""
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        encoded = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        response = await self.dispatcher.respond(
            RawRequest(method, path.encode(), headers, encoded, "127.0.0.1")
        )
        if self.failures:
            raise self.failures.pop()
        return response.status, orjson.loads(response.body)

    async def user(self, username):
        """Register somebody; returns who asks as them."""
        body = {"username": username, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
        status, answer = await self.call("POST", f"{V3}/register", body)
        assert status == 200, answer
        return User(self, answer)


class User:
    """Asks a `RoomsServer` as one user; what is not asked for with `try_` must succeed."""

    def __init__(self, server, answer):
        self.server = server
        self.user_id = answer["user_id"]
        self.token = answer["access_token"]

    async def try_(self, method, path, body=None):
        """Ask; returns the status, and the errcode or the whole body."""
        status, answer = await self.server.call(method, V3 + path, body, token=self.token)
        return status, answer.get("errcode", answer) if isinstance(answer, dict) else answer

    async def ask(self, method, path, body=None):
        status, answer = await self.server.call(method, V3 + path, body, token=self.token)
        assert status == 200, answer
        return answer

    async def get(self, path):
        return await self.ask("GET", path)

    async def create(self, **wishes):
        """Make a room; returns its ID."""
        return (await self.ask("POST", "/createRoom", wishes))["room_id"]

    async def act(self, room_id, action, **body):
        """Do one of the things to a room that are a `POST`."""
        return await self.ask("POST", f"/rooms/{quote(room_id)}/{action}", body)

    async def try_act(self, room_id, action, **body):
        return await self.try_("POST", f"/rooms/{quote(room_id)}/{action}", body)

    async def send(self, room_id, text="hello", *, transaction_id=None, event_type="m.room.message"):
        """Send a message; returns its event ID."""
        path = self.send_path(room_id, transaction_id, event_type)
        return (await self.ask("PUT", path, message(text)))["event_id"]

    async def try_send(self, room_id, content=None, *, transaction_id=None):
        path = self.send_path(room_id, transaction_id, "m.room.message")
        return await self.try_("PUT", path, message("hello") if content is None else content)

    def send_path(self, room_id, transaction_id, event_type):
        name = transaction_id or f"t{next(self.server.transactions)}"
        return f"/rooms/{quote(room_id)}/send/{event_type}/{name}"

    async def redact(self, room_id, event_id, **body):
        """Redact an event; returns the redaction's ID."""
        return (await self.ask("PUT", self.redact_path(room_id, event_id), body))["event_id"]

    async def try_redact(self, room_id, event_id, **body):
        return await self.try_("PUT", self.redact_path(room_id, event_id), body)

    def redact_path(self, room_id, event_id):
        return f"/rooms/{quote(room_id)}/redact/{quote(event_id, safe='')}/t{next(self.server.transactions)}"

    async def set_state(self, room_id, event_type, content, state_key=""):
        """Set state; returns the event ID."""
        answer = await self.ask("PUT", state_path(room_id, event_type, state_key), content)
        return answer["event_id"]

    async def try_set_state(self, room_id, event_type, content, state_key=""):
        return await self.try_("PUT", state_path(room_id, event_type, state_key), content)

    async def state(self, room_id, event_type, state_key=""):
        """Read the content of state."""
        return await self.get(state_path(room_id, event_type, state_key))

    async def all_state(self, room_id):
        """Read every state event, by type and state key."""
        events = await self.get(f"/rooms/{quote(room_id)}/state")
        return {(event["type"], event["state_key"]): event for event in events}

    async def messages(self, room_id, query="dir=b&limit=100"):
        return await self.get(f"/rooms/{quote(room_id)}/messages?{query}")

    async def texts(self, room_id, query="dir=b&limit=100"):
        """Read the bodies of the messages of a page."""
        chunk = (await self.messages(room_id, query))["chunk"]
        return [event["content"].get("body") for event in chunk if event["type"] == "m.room.message"]

    async def event(self, room_id, event_id):
        return await self.get(f"/rooms/{quote(room_id)}/event/{quote(event_id, safe='')}")

    async def membership(self, room_id, user_id):
        """Read what somebody's member event says."""
        return (await self.state(room_id, "m.room.member", user_id))["membership"]


def message(text):
    return {"msgtype": "m.text", "body": text}


def state_path(room_id, event_type, state_key=""):
    return f"/rooms/{quote(room_id)}/state/{event_type}/{quote(state_key, safe='')}"
