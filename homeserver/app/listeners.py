"""Opens the ports: a site for each listener, with the APIs that it serves, and closes them in good order."""

import asyncio
from collections.abc import Iterable
from typing import Any

from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ServerEndpoint, TCP6ServerEndpoint

from homeserver.config.model import Listener
from homeserver.http.adapter import HttpSite
from homeserver.http.endpoint import Endpoint
from homeserver.runtime.bridge import future_of

__all__ = ["ListenError", "Listeners", "endpoints_for", "url_of"]

BACKLOG_MAX = 1_024
"""Connections that the kernel keeps before they are accepted; after a restart all clients come at once."""

DRAIN_S_MAX = 5.0
"""How long requests may take to finish when the server stops; long polls are not waited for."""

_POLL_S = 0.02
_SESSIONS = b"isthmus"
_FEDERATION = ("/_matrix/federation/", "/_matrix/key/", "/.well-known/matrix/server")
_HEALTH = frozenset({"/health", "/ready"})


class ListenError(Exception):
    """A port cannot be opened; the message says which and why."""


def api_of(path: str) -> str:
    """The API that a path belongs to, as `apis` of a listener names it."""
    if path in _HEALTH:
        return "health"
    if path.startswith(_FEDERATION):
        return "federation"
    return "admin" if path.startswith("/_synapse/") else "client"


def endpoints_for(apis: Iterable[str], endpoints: Iterable[Endpoint]) -> list[Endpoint]:
    """The endpoints that a listener serves."""
    chosen = set(apis)
    return [one for one in endpoints if api_of(one.path) in chosen]


def url_of(address: str, port: int, *, is_tls: bool = False) -> str:
    """The base URL of a listener, as this machine reaches it."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104 - the name of "all of them"
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if is_tls else 'http'}://{shown}:{port}"


class Listeners:
    """The open ports of a server.

    Args:
        reactor: Twisted's.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._ports: list[Any] = []
        self._sites: list[HttpSite] = []

    async def listen(self, listener: Listener, site: HttpSite) -> int:
        """Open a port; returns its number.

        Raises:
            ListenError: it is in use, or may not be opened, or the certificate cannot be read.
        """
        try:
            endpoint = self._endpoint(listener)
            port = await future_of(endpoint.listen(site))
        except Exception as error:
            reason = getattr(error, "socketError", None) or error
            raise ListenError(f"Cannot listen on {listener.address}:{listener.port}: {reason}") from error
        self._ports.append(port)
        self._sites.append(site)
        number: int = port.getHost().port
        return number

    def _endpoint(self, listener: Listener) -> Any:
        options = {"backlog": BACKLOG_MAX, "interface": listener.address}
        if listener.tls_certificate:
            return SSL4ServerEndpoint(
                self._reactor, listener.port, _tls(listener), **options
            )
        kind = TCP6ServerEndpoint if ":" in listener.address else TCP4ServerEndpoint
        return kind(self._reactor, listener.port, **options)

    async def stop_accepting(self) -> None:
        """Close the ports; open connections live on."""
        while self._ports:
            stopped = self._ports.pop().stopListening()
            if stopped is not None:
                await future_of(stopped)

    async def close(self) -> None:
        """Accept nothing new, let requests finish, then end what is left."""
        await self.stop_accepting()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DRAIN_S_MAX
        while any(_is_at_work(site) for site in self._sites) and loop.time() < deadline:  # noqa: ASYNC110 - requests do not tell when they end
            await asyncio.sleep(_POLL_S)
        for site in self._sites:
            await site.close()


def _is_at_work(site: HttpSite) -> bool:
    """Whether a request is being answered that will end soon, so no long poll."""
    return any(
        not request.uri.partition(b"?")[0].endswith(b"/sync")
        for channel in site.channels
        if channel.is_busy
        for request in channel.requests[:1]
    )


def _tls(listener: Listener) -> Any:
    """TLS with the listener's certificate, for HTTP/1.1."""
    # Costs 10 MB of memory, which a server behind a proxy need not spend.
    from OpenSSL import SSL  # noqa: PLC0415 - only with TLS
    from twisted.internet.ssl import DefaultOpenSSLContextFactory  # noqa: PLC0415 - only with TLS

    factory = DefaultOpenSSLContextFactory(
        listener.tls_key, listener.tls_certificate, sslmethod=SSL.TLS_SERVER_METHOD
    )
    context: Any = factory.getContext()
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(listener.tls_certificate)
    if listener.tls_client_ca:
        context.load_verify_locations(listener.tls_client_ca)
        # Browsers and others need not ask their users which certificate to show: they have none of these.
        context.load_client_ca(listener.tls_client_ca.encode())
        # Who has none is let in: other servers and clients come here, too. One that is not valid ends the
        # connection. Sessions that are resumed must be of the same kind.
        context.set_verify(SSL.VERIFY_PEER, lambda *verdict: bool(verdict[-1]))
        context.set_session_id(_SESSIONS)
    return factory
