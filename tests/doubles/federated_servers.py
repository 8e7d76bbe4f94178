"""Whole servers that speak with each other without a wire.

What the client of one asks goes to the dispatcher of another, with nothing between them but a name.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlencode

import orjson

from federation.client.aliases import RemoteAliases
from federation.client.events import RemoteEvents
from federation.client.joins import FederatedJoins
from federation.client.keys import FederationKeys
from homeserver.app.build_federation import build_federation
from homeserver.app.build_identity import build_identity, server_rules
from homeserver.app.build_outgoing import unfederated
from homeserver.app.build_receiving import RemotePorts
from homeserver.app.build_sending import build_waiting
from homeserver.app.data_directory import DataDirectory
from homeserver.app.federation_edges import build_federation_edges
from homeserver.core.errors import RemoteRefused, Unauthorized, Unavailable
from homeserver.http.dispatch import RawRequest
from tests.doubles.rooms import RoomsServer

ORIGIN = "authorization"


class Wire:
    """What servers are there, and who can reach whom.

    Attributes:
        servers: by name.
        cut: pairs of names (who asks, who is asked) that cannot reach each other.
        asked: (origin, destination, method, path) of every request that arrived.
        before: awaited with (origin, destination, method, path) before a request arrives.
    """

    def __init__(self):
        self.servers = {}
        self.cut = set()
        self.asked = []
        self.before = None

    def paths(self, part):
        return [(origin, to) for origin, to, _, path in self.asked if part in path]


class WireClient:
    """A `FederationClient` over a wire."""

    def __init__(self, wire, origin):
        self._wire = wire
        self._origin = origin

    async def request(self, destination, method, path, *, query=None, content=None, **_):
        if self._wire.before is not None:
            await self._wire.before(self._origin, destination, method, path)
        server = self._wire.servers.get(destination)
        if server is None or destination == self._origin or (self._origin, destination) in self._wire.cut:
            raise Unavailable(f"{destination} does not answer.")
        self._wire.asked.append((self._origin, destination, method, path))
        target = f"{path}?{urlencode(query, doseq=True)}" if query else path
        body = content if isinstance(content, bytes) else b"" if content is None else orjson.dumps(content)
        response = await server.dispatcher.respond(
            RawRequest(method, target.encode(), {ORIGIN: self._origin}, body, "127.0.0.1")
        )
        answer = orjson.loads(response.body)
        if 400 <= response.status < 500 and response.status != 429:
            raise RemoteRefused(response.status, answer["errcode"], answer["error"], answer)
        if response.status >= 300:
            raise Unavailable(f"{destination} answers {response.status}: {answer}")
        return answer


class _BelievesOrigins:
    async def authenticate(self, signed):
        if signed.authorization is None:
            raise Unauthorized("Nobody says who asks.")
        return signed.authorization


class FederatedServer(RoomsServer):
    """Wired as the application wires it, but for the wire."""

    def __init__(self, name, database, directory, wire):
        super().__init__(database, directory)
        self.name = name
        self.wire = wire
        self.configuration = replace(self.configuration, server_name=name)
        self.federation = None

    async def start(self):
        await super().start()
        self.wire.servers[self.name] = self
        await self.services.rooms.entry.remote.rooms.joining.resume()
        return self

    async def close(self):
        self.wire.servers.pop(self.name, None)
        await super().close()

    async def outgoing(self, runtime):
        client = WireClient(self.wire, self.name)
        directory = DataDirectory(Path(self.configuration.data_directory), runtime.randomness)
        identity = build_identity(
            self.configuration, runtime, self.storage, directory.own_keys(self.name), client, self.stack
        )
        nowhere = unfederated(runtime)
        waiting = await build_waiting(
            self.name, runtime, self.storage, nowhere.regions, server_rules(self.configuration), self.stack
        )
        return replace(
            nowhere, servers=_BelievesOrigins(), identity=identity, client=client,
            ports=RemotePorts(RemoteEvents(client), identity.key_ring, nowhere.ports.policy),
            keys=FederationKeys(client), waiting=waiting, devices=waiting.outbox,
            joins=FederatedJoins(client), directory=RemoteAliases(client),
        )  # fmt: skip

    async def endpoints_for_servers(self, runtime, outgoing):
        self.federation = await build_federation(
            self.configuration, runtime, self.storage, self.services, outgoing, self.stack
        )
        return build_federation_edges(
            self.configuration, runtime, self.services, outgoing, self.federation
        )

    async def asks(self, other, method, path, content=None, **query):
        """Ask another server in this one's name; returns the answer, or the status and errcode of a no."""
        try:
            return await WireClient(self.wire, self.name).request(
                other.name, method, path, query=query, content=content
            )
        except RemoteRefused as error:
            return error.status, error.errcode


async def until(condition, *, attempts=1_000):
    """Wait for something that a server does by itself."""
    for _ in range(attempts):
        if await condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")
