"""Paths of requests to other servers, with identifiers as their parts."""

from urllib.parse import quote

__all__ = ["path"]


def path(template: str, *values: str) -> str:
    """Fill the `{}` of a template, each value percent-encoded whole: a `/` in it starts no new part.

    Args:
        template: e.g. `/_matrix/federation/v1/state/{}`.
        values: one for each `{}`; what holds half of a surrogate pair is encoded as a question mark.
    """
    return template.format(*[quote(value, safe="", errors="replace") for value in values])
