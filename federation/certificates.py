"""For whom a certificate of an organisation's own authority is: what its names say of a server name.

A certificate is bound to a server name by a subject alternative name of the kind URI, `matrix://SERVER_NAME`,
which `homeserver region issue` writes. Where a certificate has no such name, as those that other tools make,
the host names and addresses that it is for count, with any port.
"""

from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

from federation.places import split_server_name

__all__ = ["is_bound_to", "names_of_peer", "uri_of"]

_SCHEME = "matrix://"


def uri_of(server_name: str) -> str:
    """The URI by which a certificate is bound to a server."""
    return _SCHEME + server_name


def names_of_peer(certificate: Any) -> frozenset[str]:
    """The names in what `getpeercert` tells of a verified certificate: `DNS:…`, `IP:…` and `URI:…`."""
    pairs: Iterable[Any] = (certificate or {}).get("subjectAltName", ())
    kinds = {"DNS": "DNS", "IP Address": "IP", "URI": "URI"}
    return frozenset(f"{kinds[kind]}:{value}" for kind, value in pairs if kind in kinds)


def is_bound_to(names: Collection[str], server_name: str) -> bool:
    """Whether a certificate with these names is that of a server."""
    bound = [name for name in names if name.startswith("URI:" + _SCHEME)]
    if bound:
        return f"URI:{uri_of(server_name)}" in bound
    try:
        parts = split_server_name(server_name)
    except ValueError:
        return False
    if not parts.is_address:
        return any(name.startswith("DNS:") and name[4:].lower() == parts.host.lower() for name in names)
    address = ip_address(parts.host)
    return any(name.startswith("IP:") and _is_address(name[3:], address) for name in names)


def _is_address(text: str, address: IPv4Address | IPv6Address) -> bool:
    try:
        return ip_address(text.strip()) == address
    except ValueError:
        return False
