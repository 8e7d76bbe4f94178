"""Redirect URIs: which ones a client may register, and which of these a request names.

Spec: https://spec.matrix.org/v1.19/client-server-api/#redirect-uri-validation
"""

import re
from collections.abc import Iterable
from typing import Literal
from urllib.parse import SplitResult, urlsplit

__all__ = ["ApplicationType", "is_registered", "problem_of_redirect_uri", "shares_base", "split_https"]

ApplicationType = Literal["web", "native"]

URI_CHARACTERS_MAX = 2_048
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
# What RFC 3986 allows anywhere in a URI: no spaces, no quotes, nothing beyond ASCII.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]*")


def _split(uri: str) -> SplitResult | None:
    if len(uri) > URI_CHARACTERS_MAX or _URI.fullmatch(uri) is None:
        return None
    try:
        parts = urlsplit(uri)
        _ = parts.port  # raises if it is no number
    except ValueError:
        return None
    return parts


def split_https(uri: str) -> SplitResult | None:
    """The parts of an `https` URI with a host and without user and password; None if it is something else."""
    parts = _split(uri)
    if parts is None or parts.scheme != "https" or not parts.hostname or "@" in parts.netloc:
        return None
    return parts


def shares_base(parts: SplitResult, client_host: str) -> bool:
    """Whether the host is the client's or below it."""
    host = parts.hostname or ""
    return host == client_host or host.endswith("." + client_host)


def problem_of_redirect_uri(uri: str, kind: ApplicationType, client_host: str) -> str | None:
    """What is wrong with a redirect URI, as a sentence; None if it may be registered.

    Args:
        uri: to be registered.
        kind: of application.
        client_host: host of the client's own URI, in lower case.
    """
    parts = _split(uri)
    if parts is None:
        return f"{uri[:100]!a} is no URI."
    if "#" in uri:
        return f"{uri} has a fragment."
    if parts.scheme == "https":
        return _problem_of_https(uri, client_host)
    if kind == "web":
        return f"{uri} must use the scheme https."
    if parts.scheme == "http":
        return _problem_of_loopback(uri, parts)
    return _problem_of_private_scheme(uri, parts, client_host)


def _problem_of_https(uri: str, client_host: str) -> str | None:
    parts = split_https(uri)
    if parts is None:
        return f"{uri} has no host, or has a user name or password."
    return None if shares_base(parts, client_host) else f"{uri} is not on {client_host} or below it."


def _problem_of_loopback(uri: str, parts: SplitResult) -> str | None:
    if parts.hostname not in _LOOPBACK or "@" in parts.netloc:
        return f"{uri} may use http only on localhost, 127.0.0.1 or [::1]."
    # With a colon and nothing after it there is no port either, but no need to allow it.
    return None if not parts.netloc.rpartition("]")[2].count(":") else f"{uri} must not have a port."


def _problem_of_private_scheme(uri: str, parts: SplitResult, client_host: str) -> str | None:
    reverse = ".".join(reversed(client_host.split(".")))
    # Without a dot it could be the scheme of something else, such as javascript.
    if "." not in parts.scheme or not (parts.scheme == reverse or parts.scheme.startswith(reverse + ".")):
        return f"{uri} must use a scheme that begins with {reverse}."
    if uri[len(parts.scheme) + 1 :].startswith("//"):
        return f"{uri} must not have a host: one slash or none after the scheme."
    return None


def is_registered(uri: str, registered: Iterable[str], kind: ApplicationType) -> bool:
    """Whether a request names a registered URI: exactly, but for the port of a loopback address."""
    known = set(registered)
    if uri in known:
        return True
    parts = _split(uri)
    if kind != "native" or parts is None or parts.scheme != "http" or parts.hostname not in _LOOPBACK:
        return False
    if parts.port is None or "@" in parts.netloc or "#" in uri:
        return False
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return parts._replace(netloc=host).geturl() in known
