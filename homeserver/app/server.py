"""A server from start to stop: builds it, opens its ports, and takes everything down in order."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clients.admission import AccountAdmission
from clients.websocket.protocol import PATH as WEBSOCKET_PATH
from homeserver.app.base_url import base_url_of
from homeserver.app.build import (
    Services,
    build_dispatcher,
    build_poll_lane,
    build_services,
    build_websockets,
)
from homeserver.app.build_federation import build_federation
from homeserver.app.build_outgoing import build_outgoing
from homeserver.app.data_directory import DataDirectory
from homeserver.app.edges import build_edges
from homeserver.app.federation_edges import build_federation_edges
from homeserver.app.health import HealthEndpoints
from homeserver.app.landing import LandingEndpoints, landing_page
from homeserver.app.listeners import Listeners, endpoints_for
from homeserver.app.metrics_endpoint import MetricsEndpoints
from homeserver.app.storage import Runtime, build_storage
from homeserver.app.version import VERSION
from homeserver.config.model import Configuration, Listener
from homeserver.http.adapter import make_site, websocket_upgrade
from homeserver.http.authenticate import ServerAuthenticator
from homeserver.http.endpoint import Endpoint, endpoints_of
from homeserver.runtime.metrics import Metrics

__all__ = ["Server", "base_url_of"]


@dataclass(frozen=True, slots=True)
class _Edges:
    endpoints: list[Endpoint]
    services: Services
    servers: ServerAuthenticator | None


class Server:
    """Everything that runs in this process.

    Args:
        configuration: of the server.
        runtime: clock, randomness and observer.
        metrics: what the metrics listener shows.
        reactor: Twisted's.
        register_command: what the landing page says to type to make a user.
    """

    def __init__(
        self,
        configuration: Configuration,
        runtime: Runtime,
        *,
        metrics: Metrics,
        reactor: Any,
        register_command: str,
    ) -> None:
        self._configuration = configuration
        self._runtime = runtime
        self._metrics = metrics
        self._reactor = reactor
        self._register_command = register_command
        self._stack = AsyncExitStack()
        self._listeners = Listeners(reactor)
        self._health: HealthEndpoints | None = None

    async def start(self) -> None:
        """Build all layers and accept requests; if that fails, what was started is stopped again."""
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise

    async def stop(self) -> None:
        """Finish requests, flush the journal and stop what was started, in the opposite order."""
        if self._health is not None:
            self._health.is_stopping = True
        await self._listeners.stop_accepting()
        await self._stack.aclose()

    async def _start(self) -> None:
        configuration, runtime, stack = self._configuration, self._runtime, self._stack
        storage = await build_storage(configuration, runtime, stack)
        data_directory = DataDirectory(Path(configuration.data_directory), runtime.randomness)
        data_directory.rotate(runtime.clock.now_ms())
        outgoing = await build_outgoing(
            configuration, runtime, storage, data_directory, self._reactor, stack
        )
        services = await build_services(configuration, runtime, storage, stack, outgoing)
        self._metrics.gauge(
            "isthmus_last_position", "Position assigned last.", lambda: storage.journal.last_position
        )
        self._health = HealthEndpoints(check_database=lambda: storage.database.fetch_one("SELECT 1"))
        stack.push_async_callback(self._listeners.close)
        endpoints = self._endpoints(services, self._health)
        if outgoing.is_federated:
            federation = await build_federation(configuration, runtime, storage, services, outgoing, stack)
            endpoints += build_federation_edges(configuration, runtime, services, outgoing, federation)
            for name, (description, read) in federation.destination_status.gauges.items():
                self._metrics.gauge(f"isthmus_federation_{name}", description, read)
        edges = _Edges(endpoints, services, outgoing.servers)
        for listener in configuration.listeners:
            await self._listen(listener, edges)
        await self._listen_for_scrapes(edges)
        if outgoing.is_federated:  # now that others can ask us for our keys
            await services.rooms.entry.remote.rooms.joining.resume()

    def _endpoints(self, services: Services, health: HealthEndpoints) -> list[Endpoint]:
        configuration = self._configuration
        base_url = base_url_of(configuration)
        page = landing_page(
            server_name=configuration.server_name, version=VERSION, base_url=base_url,
            command=self._register_command, registration=configuration.registration.mode,
        )  # fmt: skip
        endpoints = build_edges(configuration, self._runtime, services, base_url)
        return [*endpoints, *endpoints_of(health), *endpoints_of(LandingEndpoints(page=page))]

    async def _listen(self, listener: Listener, edges: _Edges) -> None:
        dispatcher = build_dispatcher(
            self._configuration, self._runtime, endpoints=endpoints_for(listener.apis, edges.endpoints),
            authenticator=edges.services.access_tokens, servers=edges.servers,
            admission=AccountAdmission(edges.services.account_care.seen.note),
        )  # fmt: skip
        upgrades = {}
        if "client" in listener.apis:
            websockets = build_websockets(
                self._runtime, edges.services, dispatcher, self._reactor, self._stack
            )
            upgrades[WEBSOCKET_PATH] = websocket_upgrade(websockets.factory)
        site = make_site(
            dispatcher, observer=self._runtime.observer, clock=self._runtime.clock, reactor=self._reactor,
            upgrades=upgrades, trust_forwarded_for=listener.trust_x_forwarded_for,
            header_bytes_max=self._configuration.limits.header_bytes_max,
        )  # fmt: skip
        if "client" in listener.apis:
            site.express = build_poll_lane(
                self._runtime, edges.services, self._stack, trust_forwarded_for=listener.trust_x_forwarded_for
            )
        await self._listeners.listen(listener, site)

    async def _listen_for_scrapes(self, edges: _Edges) -> None:
        section = self._configuration.metrics
        if not section.enabled:
            return
        endpoints = endpoints_of(MetricsEndpoints(metrics=self._metrics))
        dispatcher = build_dispatcher(
            self._configuration, self._runtime, endpoints=endpoints,
            authenticator=edges.services.access_tokens,
        )  # fmt: skip
        site = make_site(
            dispatcher, observer=self._runtime.observer, clock=self._runtime.clock, reactor=self._reactor,
            allow_browsers=False,
        )  # fmt: skip
        await self._listeners.listen(Listener(address=section.address, port=section.port), site)
