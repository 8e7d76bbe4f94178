"""Checks of single values of the configuration; each says what it expected."""

import ipaddress
from typing import Any

from homeserver.core.identifiers import is_valid_server_name
from homeserver.core.room_versions import ROOM_VERSIONS

__all__ = ["address", "address_ranges", "apis", "base_url", "room_version", "server_name"]

APIS = ("client", "admin", "health")
"""What a listener can serve; federation joins with the federation edge."""


def server_name(value: str) -> str | None:
    """A server name as the specification's grammar has it."""
    return None if is_valid_server_name(value) else "a host name, with :port if need be"


def address(value: str) -> str | None:
    """An IP address to listen on."""
    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "an IPv4 or IPv6 address"
    return None


def address_ranges(values: tuple[str, ...]) -> str | None:
    """IP networks in CIDR form."""
    try:
        for value in values:
            ipaddress.ip_network(value)
    except ValueError:
        return "a list of networks such as 10.0.0.0/8"
    return None


def apis(values: tuple[str, ...]) -> str | None:
    """Names of the APIs that a listener can serve."""
    known = set(values) <= set(APIS)
    return None if known and values else "a list of at least one of " + ", ".join(APIS)


def base_url(value: Any) -> str | None:
    """Empty, or an HTTP or HTTPS URL."""
    return (
        None if value == "" or value.startswith(("http://", "https://")) else "a URL with http:// or https://"
    )


def room_version(value: str) -> str | None:
    """A room version that rooms can be made with."""
    return None if value in ROOM_VERSIONS else "one of the room versions " + ", ".join(ROOM_VERSIONS)
