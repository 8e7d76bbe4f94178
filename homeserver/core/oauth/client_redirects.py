"""Where clients of the legacy sign-in want the browser back, with a login token.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-login-via-sso
"""

import re
from collections.abc import Sequence
from urllib.parse import quote, unquote_plus, urlsplit

__all__ = ["LOGIN_TOKEN", "is_trusted", "place_of", "redirect_of", "with_login_token"]

LOGIN_TOKEN = "loginToken"  # noqa: S105 - the name of a parameter

_CHARACTERS_MAX = 4_000
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_NOT_IN_URLS = re.compile(r"[\x00-\x20\x7f\"<>\\^`{|}\ud800-\udfff]")
# What runs or shows something in the browser itself, and reaches no client.
_NO_CLIENTS = frozenset({
    "about", "blob", "chrome", "data", "file", "filesystem", "ftp", "javascript", "mailto", "resource",
    "vbscript", "view-source", "ws", "wss",
})  # fmt: skip


def redirect_of(text: str) -> str | None:
    """A client's redirect URL, in ASCII; None if it is none that a token may be sent to."""
    if not text or len(text) > _CHARACTERS_MAX or _NOT_IN_URLS.search(text) is not None:
        return None
    try:
        # Letters of other scripts are meant as their UTF-8; what is escaped already stays so.
        url = quote(text, safe="%!#$&'()*+,/:;=?@[]~")
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    if _SCHEME.fullmatch(parts.scheme) is None or parts.scheme in _NO_CLIENTS or parts.username is not None:
        return None
    if parts.scheme in {"http", "https"} and _HOST.fullmatch(parts.netloc) is None:
        return None
    return url


def place_of(url: str) -> tuple[str, bool]:
    """Who gets the token, as people can recognise it; and whether that is a website.

    Args:
        url: as `redirect_of` returns it.
    """
    parts = urlsplit(url)
    if parts.scheme in {"http", "https"}:
        return parts.netloc, True
    return f"{parts.scheme}:", False


def is_trusted(url: str, trusted: Sequence[str]) -> bool:
    """Whether a client's redirect URL is at one of the places that the operator trusts.

    Args:
        url: as `redirect_of` returns it.
        trusted: URLs; what is below their path is trusted with them.
    """
    asked = urlsplit(url)
    if "/.." in unquote_plus(asked.path) or "\\" in unquote_plus(asked.path):
        return False
    for each in trusted:
        known = urlsplit(each)
        if (asked.scheme, asked.netloc.lower()) != (known.scheme, known.netloc.lower()):
            continue
        path = known.path.rstrip("/")
        if asked.path.rstrip("/") == path or asked.path.startswith(path + "/"):
            return True
    return False


def with_login_token(url: str, token: str) -> str:
    """A client's redirect URL with the token; one that is there already is taken out first.

    Args:
        url: as `redirect_of` returns it.
        token: of URL-safe characters.
    """
    before, mark, fragment = url.partition("#")
    path, _, query = before.partition("?")
    kept = [one for one in query.split("&") if one and unquote_plus(one.partition("=")[0]) != LOGIN_TOKEN]
    return f"{path}?{'&'.join([*kept, f'{LOGIN_TOKEN}={token}'])}{mark}{fragment}"
