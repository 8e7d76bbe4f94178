"""Puts together the connections to other servers."""

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from federation.client.availability import AlwaysAvailable, AskedAnyway
from federation.client.client import FederationClient
from federation.client.connecting import Connecting
from federation.client.connections import PublicPages, ServerConnections
from federation.client.discovered import Discovered
from federation.client.dns import DnsServices, make_resolver
from federation.client.ports import Availability
from federation.client.tls import public_context
from federation.client.transport import Transport
from federation.regions import Regions, read_regions
from homeserver.app.build_identity import server_rules
from homeserver.app.storage import Runtime
from homeserver.config.model import Configuration
from homeserver.core.server_keys import OwnKeys
from homeserver.runtime.outgoing_http import AddressRules

__all__ = ["Clients", "build_clients", "build_regions"]


def build_regions(configuration: Configuration) -> Regions:
    """Read what is configured of the organisation's own servers.

    Raises:
        ValueError: a file of certificates or keys cannot be read.
    """
    return read_regions(configuration.server_name, configuration.regions)


@dataclass(frozen=True, slots=True)
class Clients:
    """What asks other servers.

    Attributes:
        ordinary: leaves alone those that do not answer.
        insistent: asks those, too; for what a person waits for.
        at_any_time: asks those, too; for keys, by which those are known that ask us.
    """

    ordinary: FederationClient
    insistent: FederationClient
    at_any_time: FederationClient


def build_clients(
    configuration: Configuration,
    runtime: Runtime,
    own: OwnKeys,
    regions: Regions,
    availability: Availability,
    *,
    reactor: Any,
    stack: AsyncExitStack,
) -> Clients:
    """Make what asks other servers.

    Args:
        configuration: says with whom to speak, what may be reached and who is believed.
        runtime: what everything takes.
        own: our keys.
        regions: the organisation's own servers.
        availability: knows which servers are to be left alone.
        reactor: Twisted's.
        stack: takes what is to be undone.
    """
    exchanges = _connections(configuration, runtime, regions, reactor, stack)
    rules = server_rules(configuration)

    def make(availability: Availability) -> FederationClient:
        return FederationClient(
            server_name=own.server_name, key=own.signing_key, exchanges=exchanges, availability=availability,
            may_ask=rules.allow,
        )  # fmt: skip

    return Clients(
        ordinary=make(availability), insistent=make(AskedAnyway(availability)),
        at_any_time=make(AlwaysAvailable()),
    )  # fmt: skip


def _connections(
    configuration: Configuration, runtime: Runtime, regions: Regions, reactor: Any, stack: AsyncExitStack
) -> ServerConnections:
    context = public_context(configuration.outgoing.ca_file)
    transport = Transport(Connecting(AddressRules(configuration.outgoing.allowed_ranges)))
    stack.push_async_callback(transport.close)
    services = DnsServices(make_resolver(reactor))
    stack.callback(services.close)
    discovered = Discovered(
        pages=PublicPages(transport, context), services=services, clock=runtime.clock,
        randomness=runtime.randomness,
    )  # fmt: skip
    stack.push_async_callback(discovered.close)
    return ServerConnections(
        transport=transport, discovered=discovered, regions=regions, context=context,
        observer=runtime.observer,
    )  # fmt: skip
