"""The content of `m.room.server_acl`: which servers may take part in a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mroomserver_acl
"""

import re
from typing import Any

from homeserver.core.event.pdu import Event

__all__ = ["ServerAcl"]

# By the grammar of server names, which also has numbers that no address has: 01.2.3.4 might lead somewhere.
_IPV4_LITERAL = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


class ServerAcl:
    """A room's access control list, read once and asked often."""

    __slots__ = ("_allow", "_allow_ip_literals", "_deny", "_exists")

    def __init__(self, content: dict[str, Any] | None) -> None:
        """Take the content, or None for a room that lets all servers in."""
        self._exists = content is not None
        content = content or {}
        self._allow_ip_literals = content.get("allow_ip_literals") is not False
        self._allow = _Globs(content.get("allow"))
        self._deny = _Globs(content.get("deny"))

    @classmethod
    def of(cls, event: Event | None) -> "ServerAcl":
        """Read the list of a room from its `m.room.server_acl`, if it has one."""
        return cls(None if event is None else event.content)

    def allows(self, server_name: str) -> bool:
        """Say whether a server may take part."""
        if not self._exists:
            return True
        host = _without_port(server_name.lower())
        if not self._allow_ip_literals and _is_ip_literal(host):
            return False
        if self._deny.match(host):
            return False
        return self._allow.match(host)


def _without_port(server_name: str) -> str:
    if server_name.startswith("["):
        return server_name.partition("]")[0] + "]"
    return server_name.partition(":")[0]


def _is_ip_literal(host: str) -> bool:
    return host.startswith("[") or _IPV4_LITERAL.fullmatch(host) is not None


class _Globs:
    """Patterns with `*` and `?`, any of which may match.

    By hand: a regular expression with many asterisks can take for ever to fail, and lists are long.
    """

    __slots__ = ("_plain", "_split")

    def __init__(self, value: Any) -> None:
        texts = [text.lower() for text in value if isinstance(text, str)] if isinstance(value, list) else []
        self._plain = frozenset(text for text in texts if "*" not in text and "?" not in text)
        self._split = tuple([text.split("*") for text in dict.fromkeys(texts) if text not in self._plain])

    def match(self, text: str) -> bool:
        return text in self._plain or any(_matches(parts, text) for parts in self._split)


def _matches(parts: list[str], text: str) -> bool:
    """Match the parts between the asterisks of a pattern: each at the first place where it fits."""
    first, last = parts[0], parts[-1]
    if len(parts) == 1:
        return len(text) == len(first) and _fits(first, text, 0)
    end = len(text) - len(last)
    if end < len(first) or not _fits(first, text, 0) or not _fits(last, text, end):
        return False
    here = len(first)
    for part in parts[1:-1]:
        here = _find(part, text, here, end)
        if here < 0:
            return False
        here += len(part)
    return True


def _fits(part: str, text: str, start: int) -> bool:
    if "?" not in part:
        return text.startswith(part, start)
    return all(char in ("?", text[start + index]) for index, char in enumerate(part))


def _find(part: str, text: str, start: int, end: int) -> int:
    if "?" not in part:
        return text.find(part, start, end)
    return next((here for here in range(start, end - len(part) + 1) if _fits(part, text, here)), -1)
