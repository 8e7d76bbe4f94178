"""SRV records, from the name servers that this machine asks."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.names import client, dns
from twisted.names.error import DNSNameError, DNSQueryTimeoutError, DomainError, ResolverError

from federation.discovery import Service
from homeserver.runtime.bridge import future_of

__all__ = ["DnsServices", "Services", "ServicesReader", "make_resolver"]

TIMEOUT_S = (1, 3, 5)
"""How long a name server may take to answer, the first time it is asked, the second time and the third."""

SERVICES_MAX = 100
NOT_FOUND_LIFETIME_MS = 300_000


@dataclass(frozen=True, slots=True)
class Services:
    """What was found, in any order.

    Attributes:
        found: the records; empty: there are none, or nobody knows.
        lifetime_ms: for how long that is so; 0: nobody knows.
    """

    found: tuple[Service, ...]
    lifetime_ms: int


class ServicesReader(Protocol):
    """Reads SRV records."""

    def services(self, name: str) -> Coroutine[Any, Any, Services]:
        """Those of a name."""


class DnsServices:
    """Asks name servers.

    Args:
        resolver: Twisted's, as `make_resolver` makes it.
    """

    def __init__(self, resolver: Any) -> None:
        self._resolver = resolver

    async def services(self, name: str) -> Services:
        """The SRV records of a name."""
        try:
            answers, _, _ = await future_of(self._resolver.lookupService(name, timeout=TIMEOUT_S))
        except DNSNameError:
            return Services((), NOT_FOUND_LIFETIME_MS)
        except (DNSQueryTimeoutError, DomainError, ResolverError, OSError, ValueError, EOFError):
            return Services((), 0)
        records = [one for one in answers if one.type == dns.SRV][:SERVICES_MAX]
        if not records:
            return Services((), NOT_FOUND_LIFETIME_MS)
        lifetime_ms = min(int(one.ttl) for one in records) * 1000
        return Services(tuple(_service(one.payload) for one in records), lifetime_ms)

    def close(self) -> None:
        """Look no more for changes of what this machine asks."""
        call = getattr(self._resolver, "_parseCall", None)
        if call is not None and call.active():
            call.cancel()


def make_resolver(reactor: Any) -> Any:
    """What asks the name servers that this machine asks, and keeps nothing.

    Args:
        reactor: Twisted's.
    """
    make: Any = client.Resolver  # untyped
    return make(resolv="/etc/resolv.conf", reactor=reactor)


def _service(record: Any) -> Service:
    host = record.target.name.decode("ascii", "replace")
    return Service(record.priority, record.weight, host, record.port)
