"""The grammar of identifiers.

Spec: https://spec.matrix.org/v1.19/appendices/#identifier-grammar
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv6Address

__all__ = [
    "IDENTIFIER_BYTES_MAX", "EventId", "RoomAlias", "RoomId", "UserId", "is_namespaced_identifier",
    "is_opaque_identifier", "is_valid_localpart", "is_valid_server_name", "parse_event_id",
    "parse_room_alias", "parse_room_id", "parse_user_id", "server_name_of",
]  # fmt: skip

IDENTIFIER_BYTES_MAX = 255

_LOCALPART = re.compile(r"[a-z0-9._=/+-]+")
_OPAQUE = re.compile(r"[0-9A-Za-z._~-]{1,255}")
_NAMESPACED = re.compile(r"[a-z][a-z0-9._-]{0,254}")
_SERVER_NAME = re.compile(r"(?:\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\]|[0-9A-Za-z.-]{1,255})(?::[0-9]{1,5})?")
_NOT_IN_LOCALPART = re.compile("[\0\ud800-\udfff]")
_SERVER_NAMES_CACHED_MAX = 4_096


@dataclass(frozen=True, slots=True)
class UserId:
    """A user ID, `@localpart:server_name`."""

    localpart: str
    server_name: str

    def __str__(self) -> str:
        return f"@{self.localpart}:{self.server_name}"


@dataclass(frozen=True, slots=True)
class RoomAlias:
    """A room alias, `#localpart:server_name`."""

    localpart: str
    server_name: str

    def __str__(self) -> str:
        return f"#{self.localpart}:{self.server_name}"


@dataclass(frozen=True, slots=True)
class RoomId:
    """A room ID: `!opaque_id:server_name`, or `!opaque_id` from room version 12 on."""

    opaque_id: str
    server_name: str | None

    def __str__(self) -> str:
        return f"!{self.opaque_id}" if self.server_name is None else f"!{self.opaque_id}:{self.server_name}"


@dataclass(frozen=True, slots=True)
class EventId:
    """An event ID: `$opaque_id:server_name` in room versions 1 and 2, `$opaque_id` after that."""

    opaque_id: str
    server_name: str | None

    def __str__(self) -> str:
        return f"${self.opaque_id}" if self.server_name is None else f"${self.opaque_id}:{self.server_name}"


def parse_user_id(text: str, *, historical: bool = True) -> UserId:
    """Take a user ID apart.

    Args:
        text: what may be a user ID.
        historical: accept what older versions of the specification allowed in localparts, as is required
            of the senders of events; False for accounts that are to be made.

    Raises:
        ValueError: not a user ID, and why.
    """
    localpart, server_name = _split(text, "@", "A user ID", "@localpart:server.name")
    if server_name is None:
        raise ValueError("A user ID ends in a colon and a server name.")
    if not historical and not _LOCALPART.fullmatch(localpart):
        raise ValueError("The localpart of a user ID holds only the characters a-z, 0-9 and ._=-/+")
    return UserId(localpart, server_name)


def parse_room_alias(text: str) -> RoomAlias:
    """Take a room alias apart.

    Raises:
        ValueError: not a room alias, and why.
    """
    localpart, server_name = _split(text, "#", "A room alias", "#localpart:server.name")
    if server_name is None:
        raise ValueError("A room alias ends in a colon and a server name.")
    return RoomAlias(localpart, server_name)


def parse_room_id(text: str) -> RoomId:
    """Take a room ID of any room version apart.

    Raises:
        ValueError: not a room ID, and why.
    """
    opaque_id, server_name = _split(text, "!", "A room ID", "!opaque or !opaque:server.name")
    if not opaque_id and server_name is None:
        raise ValueError("A room ID has something after its sigil.")
    return RoomId(opaque_id, server_name)


def parse_event_id(text: str) -> EventId:
    """Take an event ID of any room version apart.

    Raises:
        ValueError: not an event ID, and why.
    """
    opaque_id, server_name = _split(text, "$", "An event ID", "$opaque or $opaque:server.name")
    if not opaque_id and server_name is None:
        raise ValueError("An event ID has something after its sigil.")
    return EventId(opaque_id, server_name)


def _split(text: str, sigil: str, what: str, form: str) -> tuple[str, str | None]:
    if not text.startswith(sigil):
        raise ValueError(f"{what} has the form {form}")
    if _NOT_IN_LOCALPART.search(text):
        raise ValueError(f"{what} holds no NUL and no half of a surrogate pair.")
    if len(text) * 4 > IDENTIFIER_BYTES_MAX and len(text.encode()) > IDENTIFIER_BYTES_MAX:
        raise ValueError(f"{what} has at most {IDENTIFIER_BYTES_MAX} bytes.")
    localpart, colon, server_name = text[1:].partition(":")
    if not colon:
        return localpart, None
    if not is_valid_server_name(server_name):
        raise ValueError(f"{what} ends in a valid server name.")
    return localpart, server_name


@lru_cache(_SERVER_NAMES_CACHED_MAX)
def is_valid_server_name(text: str) -> bool:
    """Whether the text is a host name or IP address, with or without a port."""
    match = _SERVER_NAME.fullmatch(text)
    if match is None:
        return False
    if (ipv6 := match["ipv6"]) is None:
        return True
    try:
        IPv6Address(ipv6)
    except AddressValueError:
        return False
    return True


def is_valid_localpart(text: str) -> bool:
    """Whether an account with this localpart may be made (its length, with the server name, aside)."""
    return _LOCALPART.fullmatch(text) is not None


def is_opaque_identifier(text: str) -> bool:
    """Whether the text keeps the grammar of opaque identifiers, as registration tokens do."""
    return _OPAQUE.fullmatch(text) is not None


def is_namespaced_identifier(text: str) -> bool:
    """Whether the text keeps the common namespaced identifier grammar, as profile fields do."""
    return _NAMESPACED.fullmatch(text) is not None


def server_name_of(text: str) -> str | None:
    """Tell what follows the first colon of an identifier, unchecked; None if there is none."""
    return text.partition(":")[2] or None
