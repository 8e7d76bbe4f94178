"""Requests that this server makes to others, to public addresses only unless the operator allows more.

A name is looked up once, its addresses are checked, and the connection goes to one that passed: so a name
whose addresses change between the check and the connection gains nothing. Redirects are not followed.
"""

import asyncio
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from twisted.internet import ssl
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectError as TwistedConnectError
from twisted.internet.error import ConnectingCancelledError, ConnectionDone
from twisted.internet.protocol import Protocol
from twisted.web.client import Agent, ResponseDone, ResponseFailed
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from homeserver.core.errors import Unavailable
from homeserver.runtime.bridge import future_of

__all__ = ["AddressRules", "OutgoingHttp"]

_NAT64 = IPv6Network("64:ff9b::/96")
_NO_ANSWER = "Another server that is needed for this does not answer; try again later."


class AddressRules:
    """Which addresses may be reached.

    Args:
        allowed_ranges: networks in CIDR form, beside every public address.
    """

    def __init__(self, allowed_ranges: Sequence[str] = ()) -> None:
        self._allowed: list[IPv4Network | IPv6Network] = [ip_network(one) for one in allowed_ranges]

    def allow(self, text: str) -> bool:
        """Whether an IP address may be reached."""
        address: IPv4Address | IPv6Address = ip_address(text.partition("%")[0])
        if any(address.version == network.version and address in network for network in self._allowed):
            return True
        if isinstance(address, IPv6Address):
            # An IPv4 address in other clothes is what it is.
            inner = address.ipv4_mapped or address.sixtofour
            if inner is None and address in _NAT64:
                inner = IPv4Address(int(address) & 0xFFFFFFFF)
            if inner is not None:
                return self.allow(str(inner))
        return address.is_global and not address.is_multicast


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    is_tls: bool


class OutgoingHttp:
    """Sends requests and reads answers, both bounded.

    Args:
        reactor: Twisted's.
        rules: which addresses may be reached.
        ca_file: PEM file with further certificate authorities; empty: none.
        timeout_ms: for the whole of a request.
        body_bytes_max: longer answers are given up.
    """

    def __init__(
        self,
        *,
        reactor: Any,
        rules: AddressRules,
        ca_file: str = "",
        timeout_ms: int = 10_000,
        body_bytes_max: int = 1_048_576,
    ) -> None:
        self._reactor = reactor
        self._rules = rules
        self._trust: Any = _Trust(Path(ca_file).read_text("ascii") if ca_file else "")
        self._timeout_ms = timeout_ms
        self._body_bytes_max = body_bytes_max

    async def get(self, url: str, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send a GET; returns the status and the body of the answer.

        Raises:
            Unavailable: there was no answer in time, it was too long, or the address may not be reached.
        """
        return await self._request("GET", url, b"", headers)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """Send a POST; returns the status and the body of the answer.

        Raises:
            Unavailable: there was no answer in time, it was too long, or the address may not be reached.
        """
        return await self._request("POST", url, body, headers)

    async def _request(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                return await self._exchange(method, url, body, headers)
        except (
            TimeoutError, OSError, ValueError, TwistedConnectError, ConnectingCancelledError,
            ConnectionDone, ResponseFailed, _TooLongError,
        ) as error:  # fmt: skip
            raise Unavailable(_NO_ANSWER) from error

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: Mapping[str, str]
    ) -> tuple[int, bytes]:
        target = _target_of(url)
        endpoint = _FixedEndpoint(self._endpoint(target, await self._address_of(target)))
        make_agent: Any = Agent.usingEndpointFactory  # untyped
        agent = make_agent(self._reactor, endpoint)
        fields = Headers({name: [value] for name, value in headers.items()})
        fields.setRawHeaders("User-Agent", ["Isthmus"])
        producer = _Body(body) if body else None
        response = await future_of(agent.request(method.encode(), url.encode("ascii"), fields, producer))
        received: Deferred[bytes] = Deferred()
        response.deliverBody(_Reader(received, self._body_bytes_max))
        return response.code, await future_of(received)

    async def _address_of(self, target: _Target) -> str:
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        for *_, place in found:
            if self._rules.allow(str(place[0])):
                return str(place[0])
        raise ValueError(f"{target.host} has no address that may be reached")

    def _endpoint(self, target: _Target, address: str) -> Any:
        kind = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        # zope's interfaces are no types to mypy.
        endpoint: Any = kind(self._reactor, address, target.port)
        if not target.is_tls:
            return endpoint
        return wrapClientTLS(ssl.optionsForClientTLS(target.host, trustRoot=self._trust), endpoint)


class _TooLongError(Exception):
    """An answer over the limit."""


@implementer(IAgentEndpointFactory)
class _FixedEndpoint:
    """Connects to what was looked up and checked before."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    def endpointForURI(self, uri: Any) -> Any:  # noqa: N802 - Twisted's name
        del uri
        return self._endpoint


class _Reader(Protocol):
    """Gathers a body."""

    def __init__(self, received: "Deferred[bytes]", bytes_max: int) -> None:
        self._received = received
        self._left = bytes_max
        self._parts: list[bytes] = []

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._left -= len(data)
        if self._left < 0:
            self._end(_TooLongError())
            transport: Any = self.transport
            if transport is not None:
                transport.loseConnection()
            return
        self._parts.append(data)

    def connectionLost(self, reason: Any = None) -> None:  # noqa: N802 - Twisted's name
        if reason is None or reason.check(ResponseDone, PotentialDataLoss):
            self._end(None)
        else:
            self._end(ConnectionResetError("the answer broke off"))

    def _end(self, error: Exception | None) -> None:
        if self._received.called:
            return
        if error is None:
            self._received.callback(b"".join(self._parts))
        else:
            self._received.errback(error)


class _Body:
    """A body that is there already, as Twisted wants it."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self.length = len(body)

    def startProducing(self, consumer: Any) -> "Deferred[None]":  # noqa: N802 - Twisted's name
        consumer.write(self._body)
        done: Deferred[None] = Deferred()
        done.callback(None)
        return done

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Nothing is left to pause."""

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """Nothing is left to stop."""


def _target_of(url: str) -> _Target:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        raise ValueError("no URL of a web server")
    is_tls = parts.scheme == "https"
    return _Target(parts.hostname, parts.port or (443 if is_tls else 80), is_tls)


@implementer(IOpenSSLTrustRoot)
class _Trust:
    """The authorities of the machine, and further ones."""

    def __init__(self, pem: str) -> None:
        end = "-----END CERTIFICATE-----"
        parts = [one + end for one in pem.split(end) if "BEGIN CERTIFICATE" in one]
        self._further = [ssl.Certificate.loadPEM(one.encode()).original for one in parts]

    def _addCACertsToContext(self, context: Any) -> None:  # noqa: N802 - Twisted's name
        context.set_default_verify_paths()
        for certificate in self._further:
            context.get_cert_store().add_cert(certificate)
