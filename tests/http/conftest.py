import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from twisted.internet.address import IPv4Address
from twisted.internet.task import Clock as ReactorClock
from twisted.internet.testing import StringTransport

from homeserver.core.errors import UnknownToken
from homeserver.core.requester import Admission, Requester
from homeserver.http.adapter import HttpSite, make_site
from homeserver.http.dispatch import BodyLimits, Dispatcher, RawRequest
from homeserver.http.endpoint import Authentication, Endpoint, RateLimit
from homeserver.http.response import Response
from homeserver.http.router import Router
from homeserver.runtime.observation import Observation


class FakeClock:
    def __init__(self):
        self.milliseconds = 1_700_000_000_000

    def now_ms(self):
        return self.milliseconds

    def monotonic_ms(self):
        return self.milliseconds


class FakeAuthenticator:
    def __init__(self):
        self.requesters = {
            "alice-token": Requester("@alice:localhost", "DEVICE", 1),
            "admin-token": Requester("@admin:localhost", "DEVICE", 2, is_admin=True),
        }

    async def authenticate(self, token):
        requester = self.requesters.get(token)
        if requester is None:
            raise UnknownToken("This access token is not valid.", soft_logout=False)
        return requester

    def known(self, token):
        requester = self.requesters.get(token)
        return None if requester is None else Admission(requester, math.inf)

    def is_valid(self, admission):
        return admission.requester in self.requesters.values()


def endpoint_of(
    respond, *, method="GET", path="/path", authentication=Authentication.NONE, body=None, **attributes
) -> Endpoint:
    values: dict[str, Any] = {"rate_limit": RateLimit.NONE, "spec": "https://spec.matrix.org/v1.19/"}
    return Endpoint(method, path, respond, authentication, body=body, **(values | attributes))


async def answer_nothing(request):
    return Response()


def dispatcher_of(
    *endpoints, observer=None, rate_limits=None, body_bytes_max=1_048_576, **others
) -> Dispatcher:
    return Dispatcher(
        router=Router(endpoints),
        authenticator=FakeAuthenticator(),
        rate_limits=rate_limits,
        observer=observer or (lambda observation: None),
        limits=BodyLimits(bytes_max=body_bytes_max),
        **others,
    )


@dataclass
class Responder:
    """Answers as told, at once or when released."""

    answer: Callable[[RawRequest], Response] = lambda raw: Response()
    body_bytes_max: int = 1000
    requests: list[RawRequest] = field(default_factory=list)
    released: asyncio.Event | None = None
    cancelled: int = 0

    def body_bytes_max_of(self, method, target):
        return 5000 if target.startswith(b"/large") else self.body_bytes_max

    async def respond(self, raw):
        self.requests.append(raw)
        if self.released is not None:
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        return self.answer(raw)


class Wire(StringTransport):
    """The transport of one connection, which remembers how it ended."""

    half_closed = False
    aborted = False

    def loseWriteConnection(self):  # noqa: N802 - Twisted's name
        self.half_closed = True

    def abortConnection(self):  # noqa: N802 - Twisted's name
        self.aborted = True


@dataclass
class Connection:
    channel: Any
    wire: Wire

    async def exchange(self, data: bytes) -> bytes:
        """Send bytes, let the server work, and return what came back."""
        self.wire.clear()
        self.channel.dataReceived(data)
        for _ in range(10):
            await asyncio.sleep(0)
        return self.wire.value()


@dataclass
class Listener:
    site: HttpSite
    responder: Any
    reactor: ReactorClock
    observations: list[Observation]

    def connect(self) -> Connection:
        channel = self.site.buildProtocol(None)
        wire = Wire(peerAddress=IPv4Address("TCP", "192.0.2.1", 54321))
        channel.makeConnection(wire)
        return Connection(channel, wire)


@pytest.fixture
def listen():
    def listen_with(responder=None, **options) -> Listener:
        responder = responder or Responder()
        reactor = ReactorClock()
        observations: list[Observation] = []
        site = make_site(
            responder, observer=observations.append, clock=FakeClock(), reactor=reactor, **options
        )
        return Listener(site, responder, reactor, observations)

    return listen_with


@pytest.fixture
def make_responder():
    return Responder


@pytest.fixture
def make_endpoint():
    return endpoint_of


@pytest.fixture
def make_dispatcher():
    return dispatcher_of


@pytest.fixture
def clock():
    return FakeClock()
