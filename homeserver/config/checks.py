"""Checks of single values of the configuration; each says what it expected."""

import ipaddress
import re
from typing import Any

from homeserver.core.content.retention import LIFETIME_MS_MAX
from homeserver.core.identifiers import is_opaque_identifier, is_valid_server_name
from homeserver.core.room_versions import ROOM_VERSIONS

__all__ = [
    "address", "address_ranges", "apis", "base_url", "class_lifetimes", "jwt_algorithm", "language",
    "lifetime", "lifetime_or_0", "opaque_identifier", "room_version", "server_name", "server_name_or_empty",
    "server_names", "web_page",
]  # fmt: skip

APIS = ("client", "federation", "admin", "health")
"""What a listener can serve."""
LIFETIME_MS_MIN = 86_400_000
"""What is younger may be told from memory, without a look at how long its room keeps it."""
CLASSES_MAX = 16
"""Each is some dozens of partitions, which every look at `events` has to pass by."""


def server_name(value: str) -> str | None:
    """A server name as the specification's grammar has it."""
    return None if is_valid_server_name(value) else "a host name, with :port if need be"


def server_name_or_empty(value: str) -> str | None:
    """Empty, or a server name."""
    return None if value == "" else server_name(value)


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


def server_names(values: tuple[str, ...]) -> str | None:
    """Names of servers."""
    return None if all(map(is_valid_server_name, values)) else "a list of host names, with :port if need be"


def jwt_algorithm(value: str) -> str | None:
    """An algorithm that tokens are signed with, and that proves something."""
    known = ("HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA")
    return None if value in known else "one of " + ", ".join(known)


def web_page(value: str) -> str | None:
    """An HTTP or HTTPS URL."""
    return None if re.fullmatch(r"https?://[^\s/?#]+\S*", value) else "a URL with http:// or https://"


def language(value: str) -> str | None:
    """A tag of a language."""
    fits = re.fullmatch(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*", value)
    return None if fits else "a language such as en or pt-BR"


def opaque_identifier(value: str) -> str | None:
    """An identifier of the specification's opaque grammar."""
    return None if is_opaque_identifier(value) else "1 to 255 of the characters A-Z, a-z, 0-9 and ._~-"


def room_version(value: str) -> str | None:
    """A room version that rooms can be made with."""
    return None if value in ROOM_VERSIONS else "one of the room versions " + ", ".join(ROOM_VERSIONS)


def lifetime(value: int) -> str | None:
    """A lifetime of events."""
    expected = f"milliseconds from {LIFETIME_MS_MIN} to {LIFETIME_MS_MAX}"
    return None if LIFETIME_MS_MIN <= value <= LIFETIME_MS_MAX else expected


def lifetime_or_0(value: int) -> str | None:
    """0, or a lifetime of events."""
    expected = None if value == 0 else lifetime(value)
    return None if expected is None else f"0, or {expected}"


def class_lifetimes(values: tuple[int, ...]) -> str | None:
    """The lifetimes of the retention classes."""
    fit = all(LIFETIME_MS_MIN <= value <= LIFETIME_MS_MAX for value in values)
    if fit and list(values) == sorted(set(values)) and 0 < len(values) <= CLASSES_MAX:
        return None
    return f"1 to {CLASSES_MAX} lifetimes in growing order, each from {LIFETIME_MS_MIN} to {LIFETIME_MS_MAX}"
