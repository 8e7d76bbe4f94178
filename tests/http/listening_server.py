"""A server on a real reactor and a free port, which it prints; for the one test that opens sockets."""

import asyncio

import uvloop
from twisted.internet import asyncioreactor

LOOP = uvloop.new_event_loop()
asyncio.set_event_loop(LOOP)
asyncioreactor.install(LOOP)

from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol  # noqa: E402 - after the reactor
from twisted.internet import reactor  # noqa: E402 - after the reactor

from homeserver.http.adapter import make_site, websocket_upgrade  # noqa: E402 - after the reactor
from homeserver.http.dispatch import Dispatcher  # noqa: E402 - after the reactor
from homeserver.http.endpoint import Authentication, RateLimit, endpoint, endpoints_of  # noqa: E402 - after the reactor
from homeserver.http.response import Response, json_response  # noqa: E402 - after the reactor
from homeserver.http.router import Router  # noqa: E402 - after the reactor
from homeserver.runtime.clock import SystemClock  # noqa: E402 - after the reactor
from homeserver.runtime.observation import ignore_observations  # noqa: E402 - after the reactor

PUBLIC = {"authentication": Authentication.NONE, "rate_limit": RateLimit.NONE, "spec": "a test"}


class Endpoints:
    def __init__(self):
        self.given_up = 0

    @endpoint("GET", "/large", **PUBLIC)
    async def large(self, request):
        return Response(body=b"x" * 5_000_000, content_type="text/plain")

    @endpoint("POST", "/echo", body=dict, **PUBLIC)
    async def echo(self, request):
        return json_response(request.body)

    @endpoint("GET", "/wait", **PUBLIC)
    async def wait(self, request):
        try:
            await asyncio.Event().wait()
        finally:
            self.given_up += 1

    @endpoint("GET", "/given_up", **PUBLIC)
    async def count(self, request):
        return json_response(self.given_up)


class EchoProtocol(WebSocketServerProtocol):
    def onMessage(self, payload, isBinary):  # noqa: N802, N803 - autobahn's names
        address = self.http_headers["x-isthmus-client-address"]
        self.sendMessage(address.encode() + b" " + payload, isBinary)


def main():
    factory = WebSocketServerFactory()
    factory.protocol = EchoProtocol
    dispatcher = Dispatcher(
        router=Router(endpoints_of(Endpoints())),
        authenticator=None,
        rate_limits=None,
        observer=ignore_observations,
    )
    site = make_site(
        dispatcher,
        observer=ignore_observations,
        clock=SystemClock(),
        reactor=reactor,
        upgrades={"/ws": websocket_upgrade(factory)},
    )
    port = reactor.listenTCP(0, site, interface="127.0.0.1")
    print(port.getHost().port, flush=True)  # noqa: T201 - how the test learns it
    reactor.run()


main()
