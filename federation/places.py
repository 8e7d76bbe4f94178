"""Where a server is: what its name says, and what is known once it is found."""

from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

__all__ = ["DEFAULT_PORT", "Place", "ServerName", "split_server_name"]

DEFAULT_PORT = 8448


@dataclass(frozen=True, slots=True)
class ServerName:
    """A server name, taken apart.

    Attributes:
        host: a host name or an IP address, which has no brackets here.
        port: None: the name has none.
        is_address: whether the host is an IP address.
    """

    host: str
    port: int | None
    is_address: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how a server is reached.

    Attributes:
        host_header: what the `Host` header of requests says.
        tls_name: host name or IP address (without brackets) that the server's certificate must be for.
        hosts: where to connect to, in the order in which they are tried: host name or IP address, and port.
    """

    host_header: str
    tls_name: str
    hosts: tuple[tuple[str, int], ...]


def split_server_name(name: str) -> ServerName:
    """Take apart a name that keeps the grammar of server names (`is_valid_server_name`).

    Raises:
        ValueError: its port is no port.
    """
    if name.startswith("["):
        host, _, rest = name[1:].partition("]")
        port = rest[1:]
    else:
        host, _, port = name.partition(":")
    if port and not 0 < int(port) < 65_536:
        raise ValueError(f"{port} is no TCP port")
    return ServerName(host, int(port) if port else None, _is_address(host))


def _is_address(host: str) -> bool:
    try:
        IPv6Address(host) if ":" in host else IPv4Address(host)
    except AddressValueError:
        return False
    return True
