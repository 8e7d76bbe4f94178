"""Servers that have signing keys, and what one of ours knows of them, on a network that is a dictionary."""

import asyncio

from federation.client.server_keys import ServerKeyRequests
from federation.keyring import KeyRing
from federation.known_keys import KnownKeys
from homeserver.core.errors import Unavailable
from homeserver.core.server_keys import OwnKeys, VerifyKey
from homeserver.core.signing import SigningKey, sign_json
from homeserver.runtime.randomness import SystemRandomness
from storage.tables.server_keys import KnownServer

US = "us.example"
DAY_MS = 86_400_000


class KeysInMemory:
    """Stands for the tables `server_keys` and `server_key_answers`."""

    def __init__(self):
        self.known, self.answers, self.reads = {}, {}, 0

    async def find(self, server_names):
        self.reads += 1
        return [self.known.get(name, KnownServer()) for name in server_names]

    async def put(self, server_name, known, answer):
        self.known[server_name] = known
        self.answers[server_name] = answer

    async def answer(self, server_name):
        return self.answers.get(server_name)


class KeyServer:
    """A server with signing keys: `server.key` signs at present."""

    def __init__(self, name, clock, number=1):
        self.name, self.clock = name, clock
        self.own = OwnKeys(name, self._key(number))
        self.lifetime_ms = DAY_MS
        self.is_down = False
        self.hides = False
        self.asked = 0
        self.answers_as = None

    @property
    def key(self):
        return self.own.signing_key

    def _key(self, number):
        return SigningKey.generate(f"{self.name} {number}".encode()[:32].ljust(32), f"a_{number}")

    def rotate(self, number):
        old = VerifyKey(self.key.public_key, self.clock.now_ms(), is_old=True)
        self.own = OwnKeys(self.name, self._key(number), {**self.own.old_keys, self.key.key_id: old})

    def published(self):
        return self.own.published(self.clock.now_ms() + self.lifetime_ms)

    def sign(self, value):
        return sign_json(value, self.name, self.key)


class KeyNetwork:
    """The servers; asks them as a `FederationClient` does, and takes a turn of the loop for it."""

    def __init__(self, clock):
        self.clock = clock
        self.servers = {}
        self.asked = []
        self.silence = None  # an event: names that are no servers are waited for until it is set

    def add(self, name):
        return self.servers.setdefault(name, KeyServer(name, self.clock))

    async def request(self, destination, method, path, *, content=None, **options):
        assert options["is_authenticated"] is False
        self.asked.append((destination, path))
        await asyncio.sleep(0)
        server = self.servers.get(destination)
        if server is None and self.silence is not None:
            await self.silence.wait()
        if server is None or server.is_down:
            raise Unavailable(f"{destination} does not answer.")
        if server.answers_as is not None:
            return server.answers_as
        if method == "GET":
            server.asked += 1
            return server.published()
        return {"server_keys": [server.sign(one) for one in self._known_to(server, content)]}

    def _known_to(self, notary, content):
        for name in content["server_keys"]:
            if (server := self.servers.get(name)) is not None and not server.hides:
                yield server.published()


def key_ring(network, clock, *, notaries=(), table=None, observer=lambda observation: None, own=None):
    """A key ring of ours on that network."""
    known = KnownKeys(
        own=own or OwnKeys(US, SigningKey.generate(b"u" * 32, "a_us")),
        table=table or KeysInMemory(),
        requests=ServerKeyRequests(network, clock),
        notaries=notaries,
        clock=clock,
        randomness=SystemRandomness(),
        observer=observer,
    )
    return KeyRing(known=known, clock=clock)


def signed_event(clock, *signers, sent_ms=None, **changes):
    """A PDU, signed by servers (or by keys)."""
    pdu = {
        "type": "m.room.message",
        "sender": "@x:a.example",
        "room_id": "!r:a.example",
        "content": {"body": "hello"},
        "origin_server_ts": clock.now_ms() if sent_ms is None else sent_ms,
        "depth": 5,
        "hashes": {"sha256": "x"},
        "prev_events": [],
        "auth_events": [],
    } | changes
    # What is signed is what a redaction would leave.
    signed = pdu | {"content": {}}
    for server in signers:
        signed = server.sign(signed)
    return signed | {"content": pdu["content"], "unsigned": {"age": 1}}
