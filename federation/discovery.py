"""The rules by which a server is found by its name. They ask for what they need and wait for nothing.

Spec: https://spec.matrix.org/v1.19/server-server-api/#server-discovery
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from federation.places import DEFAULT_PORT, Place, ServerName, split_server_name
from homeserver.core.identifiers import is_valid_server_name

__all__ = ["NeedDelegation", "NeedServices", "Service", "Steps", "by_priority", "discover"]

HOSTS_MAX = 8
"""More of what a service's records name is not tried."""


@dataclass(frozen=True, slots=True)
class NeedDelegation:
    """The text of `m.server` in `/.well-known/matrix/server` of a host; None where it says nothing."""

    host: str


@dataclass(frozen=True, slots=True)
class NeedServices:
    """The SRV records of a name, in the order in which they are to be tried; none if there are none."""

    name: str


@dataclass(frozen=True, slots=True)
class Service:
    """An SRV record."""

    priority: int
    weight: int
    host: str
    port: int


Steps = Generator[NeedDelegation | NeedServices, str | Sequence[Service] | None, Place]
"""Yields needs, is sent what answers them, and returns the place."""


def discover(name: str) -> Steps:
    """Find a server.

    Args:
        name: a valid server name.

    Raises:
        ValueError: the name has a port that is none.
    """
    # Steps 1 and 2 of the specification.
    asked = split_server_name(name)
    if asked.is_address or asked.port is not None:
        return _plain(name, asked)
    # Step 3.
    delegated = yield NeedDelegation(asked.host)
    if isinstance(delegated, str) and (found := _delegated(delegated)) is not None:
        if found.is_address or found.port is not None:
            return _plain(delegated, found)
        return (yield from _by_service(found.host))
    # Steps 4 to 6.
    return (yield from _by_service(asked.host))


def _delegated(text: str) -> ServerName | None:
    """The name that a host says is its server, if it is one."""
    if not is_valid_server_name(text):
        return None
    try:
        return split_server_name(text)
    except ValueError:
        return None


def _plain(name: str, parts: ServerName) -> Place:
    return Place(name, parts.host, ((parts.host, parts.port or DEFAULT_PORT),))


def _by_service(host: str) -> Steps:
    for service in ("_matrix-fed", "_matrix"):
        records = yield NeedServices(f"{service}._tcp.{host}")
        if records and not isinstance(records, str):
            # The root as the host means that there is no such service here, and none is to be guessed.
            hosts = tuple((one.host, one.port) for one in records if one.host.strip(".") and one.port)
            return Place(host, host, hosts[:HOSTS_MAX])
    return Place(host, host, ((host, DEFAULT_PORT),))


def by_priority(services: Sequence[Service], chances: Sequence[float]) -> list[Service]:
    """Put services into the order in which they are to be tried (RFC 2782).

    Args:
        services: in any order.
        chances: a number from 0 up to 1 for each; they decide among those of one priority, by weight.
    """
    left = sorted(services, key=lambda one: (one.priority, one.weight, one.host, one.port))
    ordered: list[Service] = []
    for chance in chances:
        if not left:
            break
        equals = [one for one in left if one.priority == left[0].priority]
        ordered.append(_drawn(equals, chance))
        left.remove(ordered[-1])
    return ordered


def _drawn(services: Sequence[Service], chance: float) -> Service:
    """One of them: each as often as its weight says; those of weight 0 hardly ever, but not never."""
    threshold = chance * sum(one.weight or 0.01 for one in services)
    for one in services:
        threshold -= one.weight or 0.01
        if threshold < 0:
            return one
    return services[-1]
