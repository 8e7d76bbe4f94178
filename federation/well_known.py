"""What `/.well-known/matrix/server` of a host says, and for how long that is to be believed.

Spec: https://spec.matrix.org/v1.19/server-server-api/#getwell-knownmatrixserver
"""

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin, urlsplit

from homeserver.core.canonical_json import parse_json
from homeserver.core.identifiers import is_valid_server_name

__all__ = [
    "BODY_BYTES_MAX", "DEFAULT_LIFETIME_MS", "LIFETIME_MS_MAX", "LIFETIME_MS_MIN", "NeedPage", "Page",
    "Reading", "read_well_known",
]  # fmt: skip

BODY_BYTES_MAX = 51_200
REDIRECTS_MAX = 5
DEFAULT_LIFETIME_MS = 86_400_000
LIFETIME_MS_MAX = 172_800_000
LIFETIME_MS_MIN = 300_000
"""A host that wants no caching at all would be asked with each request."""

_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age\s*=\s*\"?([0-9]{1,10})\"?(?:$|[\s,;])", re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[\s,])no-(?:store|cache)(?:$|[\s,;])", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class NeedPage:
    """A page of a web server; None if it does not come.

    Attributes:
        host: to connect to; host name or IP address, without brackets.
        port: to connect to.
        host_header: what the `Host` header says.
        target: path and query.
    """

    host: str
    port: int
    host_header: str
    target: str


@dataclass(frozen=True, slots=True)
class Page:
    """An answer of a web server; the names of its headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Reading:
    """What a host says.

    Attributes:
        delegated: the server that it names; None: it says nothing of use.
        lifetime_ms: how long to believe that; 0 where it says nothing.
    """

    delegated: str | None
    lifetime_ms: int = 0


_NOTHING = Reading(None)


def read_well_known(host: str) -> Generator[NeedPage, Page | None, Reading]:
    """Ask a host for its server, and follow where it redirects to, over TLS only.

    Args:
        host: a host name.
    """
    url = f"https://{host}/.well-known/matrix/server"
    for _ in range(REDIRECTS_MAX + 1):
        need = _need(url)
        if need is None:
            return _NOTHING
        page = yield need
        if page is None:
            return _NOTHING
        if page.status in _REDIRECTS:
            url = _joined(url, page.headers.get("location", ""))
            continue
        return _reading(page) if page.status == 200 else _NOTHING
    return _NOTHING


def _joined(url: str, location: str) -> str:
    try:
        return urljoin(url, location.strip()) if location else ""
    except ValueError:
        return ""


def _need(url: str) -> NeedPage | None:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or parts.username is not None or port == 0:
        return None
    shown = f"[{host}]" if ":" in host else host
    header = shown if port is None else f"{shown}:{port}"
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # Nothing that could end a line of the request, or the request.
    if not is_valid_server_name(header) or not target.isascii() or not target.isprintable() or " " in target:
        return None
    return NeedPage(host, port or 443, header, target)


def _reading(page: Page) -> Reading:
    if len(page.body) > BODY_BYTES_MAX:
        return _NOTHING
    try:
        content = parse_json(page.body)
    except ValueError:
        return _NOTHING
    delegated = content.get("m.server") if isinstance(content, dict) else None
    if not isinstance(delegated, str) or not is_valid_server_name(delegated):
        return _NOTHING
    lifetime_ms = _lifetime_ms(page.headers)
    return Reading(delegated, min(max(lifetime_ms, LIFETIME_MS_MIN), LIFETIME_MS_MAX))


def _lifetime_ms(headers: Mapping[str, str]) -> int:
    control = headers.get("cache-control", "")
    if _NOT_KEPT.search(control):
        return 0
    if match := _MAX_AGE.search(control):
        age = headers.get("age", "0").strip()
        past_s = int(age) if age.isascii() and age.isdigit() and len(age) < 10 else 0
        return (int(match[1]) - past_s) * 1000
    if "expires" in headers:
        try:
            end, now = (parsedate_to_datetime(headers[name]) for name in ("expires", "date"))
            return int((end - now).total_seconds() * 1000)
        except (ValueError, TypeError, KeyError, OverflowError):
            # An invalid date, such as 0, is in the past (RFC 9111); without a date beside it none is of use.
            return 0
    return DEFAULT_LIFETIME_MS
