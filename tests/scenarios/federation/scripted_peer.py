"""A server that does what a test says: it signs as servers do, and all else it may get wrong."""

import asyncio
import ssl
import time
from urllib.parse import quote

import aiohttp
import yarl
from aiohttp import web

from clients.load.fresh_server import free_port
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.event.builder import build_event, complete_template
from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import rules_for
from homeserver.core.signing import encode_lenient, sign_json
from tests.factory.room_timeline import signing_key_of


def path(*parts):
    """A path of the server-server API."""
    return "/_matrix/federation/" + "/".join(quote(part, safe="") for part in parts)


class ScriptedPeer:
    """A server of one user, Mallory.

    Args:
        authority: signs its certificate, and that of the others.

    Attributes:
        name: its server name.
        user_id: Mallory's.
        answers: by the name of an endpoint (`event`, `state_ids`, `get_missing_events`, …), what answers
            requests: `async def answer(request) -> web.StreamResponse | JSON`.
        asked: how often each endpoint was asked.
        received: PDUs that others sent.
        trust: for TLS connections to others.
    """

    def __init__(self, authority):
        self.port = free_port()
        self.name = f"localhost:{self.port}"
        self.user_id = f"@mallory:{self.name}"
        self.key = signing_key_of(self.name)
        self.answers = {}
        self.asked = {}
        self.received = []
        self._files = authority.issue(f"peer-{self.port}", "localhost")
        self.trust = ssl.create_default_context(cafile=str(authority.file))
        self._transactions = iter(range(10**9))
        self._runner = None
        self._http = None

    async def __aenter__(self):
        application = web.Application(client_max_size=2**26)
        application.router.add_get("/_matrix/key/v2/server", self._keys)
        for api in ("federation", "policy"):
            target = f"/_matrix/{api}/{{version}}/{{endpoint}}{{rest:.*}}"
            application.router.add_route("*", target, self._serve)
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(*map(str, self._files))
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=tls).start()
        connector = aiohttp.TCPConnector(ssl=self.trust)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=60))
        return self

    async def __aexit__(self, *_):
        await self._http.close()
        await self._runner.cleanup()

    async def _keys(self, _):
        told = {
            "server_name": self.name, "valid_until_ts": int(time.time() * 1000) + 86_400_000,
            "verify_keys": {self.key.key_id: {"key": self.key.public_key_base64}}, "old_verify_keys": {},
        }  # fmt: skip
        return web.json_response(sign_json(told, self.name, self.key))

    async def _serve(self, request):
        endpoint = request.match_info["endpoint"]
        self.asked[endpoint] = self.asked.get(endpoint, 0) + 1
        if endpoint in self.answers:
            answer = await self.answers[endpoint](request)
            return answer if isinstance(answer, web.StreamResponse) else web.json_response(answer)
        if endpoint == "send":
            pdus = (await request.json())["pdus"]
            self.received += pdus
            return web.json_response({"pdus": {}})
        return web.json_response({"errcode": "M_NOT_FOUND", "error": "Not here"}, status=404)

    def header(self, destination, method, target, content=None):
        """The `Authorization` header of a request."""
        signed = {"method": method, "uri": target, "origin": self.name, "destination": destination}
        if content is not None:
            signed["content"] = content
        signature = sign_json(signed, self.name, self.key)["signatures"][self.name][self.key.key_id]
        return (
            f'X-Matrix origin="{self.name}",destination="{destination}",'
            f'key="{self.key.key_id}",sig="{signature}"'
        )

    async def ask(self, destination, method, target, content=None):
        """Ask another server; returns status and body."""
        headers = {"Authorization": self.header(destination, method, target, content)}
        body = None
        if content is not None:
            body, headers["Content-Type"] = encode_lenient(content), "application/json"
        url = yarl.URL(f"https://{destination}{target}", encoded=True)  # what was signed is sent as it is
        async with self._http.request(method, url, data=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def send(self, destination, pdus=(), edus=()):
        """Send a transaction; returns what became of each PDU."""
        content = {
            "origin": self.name, "origin_server_ts": int(time.time() * 1000),
            "pdus": [one.pdu if isinstance(one, Event) else one for one in pdus], "edus": list(edus),
        }  # fmt: skip
        target = path("v1", "send", f"t{next(self._transactions)}-{time.time_ns()}")
        status, told = await self.ask(destination, "PUT", target, content)
        assert status == 200, told
        return told["pdus"]

    async def join(self, destination, room_id):
        """Join a room of another server; returns the copy of it."""
        versions = [str(number) for number in range(1, 13)]
        query = "&".join(f"ver={one}" for one in versions)
        target = path("v1", "make_join", room_id, self.user_id) + "?" + query
        status, made = await self.ask(destination, "GET", target)
        assert status == 200, made
        rules = rules_for(made["room_version"])
        event = complete_template(
            made["event"], rules=rules, room_id=room_id, user_id=self.user_id,
            content={"membership": "join"}, origin_server_ts=int(time.time() * 1000),
            server_name=self.name, signing_key=self.key,
        )  # fmt: skip
        status, told = await self.ask(
            destination, "PUT", path("v2", "send_join", room_id, event.event_id), dict(event.pdu)
        )
        assert status == 200, told
        return RoomCopy(self, room_id, rules, told, event)


class RoomCopy:
    """What the peer knows of a room.

    Attributes:
        state: by (type, state key).
        heads: what the next event follows.
    """

    def __init__(self, peer, room_id, rules, told, join):
        self.peer = peer
        self.room_id = room_id
        self.rules = rules
        events = [Event.from_pdu(pdu, rules) for pdu in told["state"]]
        self.auth_chain = [Event.from_pdu(pdu, rules) for pdu in told["auth_chain"]]
        self.state = {(event.type, event.state_key): event for event in events}
        self.state[join.type, join.state_key] = join
        self.heads = [join]

    def event(self, kind, content, state_key=None, **other):
        """An event of Mallory's that follows the heads; what is not given is as it should be."""
        sender = other.pop("sender", self.peer.user_id)
        selected = auth_types_for(self.rules, kind, sender, state_key, content)
        return build_event(**{
            "rules": self.rules, "type": kind, "sender": sender, "content": content, "state_key": state_key,
            "room_id": self.room_id, "prev_events": list(self.heads),
            "auth_events": [self.state[key] for key in selected if key in self.state],
            "depth": 1 + max((head.depth for head in self.heads if isinstance(head, Event)), default=1),
            "origin_server_ts": int(time.time() * 1000), "server_name": self.peer.name,
            "signing_key": self.peer.key, **other,
        })  # fmt: skip

    def message(self, body, **other):
        """A text message."""
        return self.event("m.room.message", {"msgtype": "m.text", "body": body}, **other)

    async def say(self, destination, body):
        """Say something, as an honest server does."""
        event = self.message(body)
        results = await self.peer.send(destination, [event])
        assert results.get(event.event_id, {}) == {}, results
        self.heads = [event]
        return event


async def trickle(request, seconds):
    """An answer that comes byte by byte, slower than anybody should wait for."""
    answer = web.StreamResponse(headers={"Content-Type": "application/json"})
    await answer.prepare(request)
    give_up = time.monotonic() + seconds
    await answer.write(b'{"pdus":[')
    while time.monotonic() < give_up:
        try:
            await answer.write(b" ")
        except (ConnectionError, RuntimeError):
            break
        await asyncio.sleep(0.5)
    return answer
