"""Finds the endpoint that answers a method and a path."""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from urllib.parse import unquote

from homeserver.core.errors import InvalidParam, MethodNotAllowed, Unrecognized
from homeserver.http.endpoint import Endpoint

__all__ = ["Router"]

_NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})


class _Node:
    """What is known of the paths that share a beginning; one level per segment."""

    __slots__ = ("endpoints", "parameter", "segments")

    def __init__(self) -> None:
        self.segments: dict[str, _Node] = {}
        self.parameter: _Node | None = None
        self.endpoints: dict[str, tuple[Endpoint, tuple[str, ...]]] = {}

    def add(self, endpoint: Endpoint) -> None:
        """Enter an endpoint below this node, which is the root.

        Raises:
            ValueError: another endpoint has the same method and path.
        """
        node = self
        names: list[str] = []
        for segment in endpoint.path.split("/"):
            if segment.startswith("{") and segment.endswith("}"):
                names.append(segment[1:-1])
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.segments.setdefault(segment, _Node())
        if endpoint.method in node.endpoints:
            raise ValueError(f"{endpoint.method} {endpoint.path} is declared twice")
        node.endpoints[endpoint.method] = endpoint, tuple(names)

    def find(self, segments: list[str], index: int) -> "tuple[_Node, list[str]] | None":
        """The node that the rest of `segments` leads to, and the segments that stand for parameters."""
        node = self
        values: list[str] = []
        for position in range(index, len(segments)):
            segment = segments[position]
            named = node.segments.get(segment)
            if named is not None and node.parameter is None:
                node = named
                continue
            # Where both may lead on, the name goes first.
            if named is not None and (found := named.find(segments, position + 1)) is not None:
                return found[0], [*values, *found[1]]
            # An empty parameter has a meaning only at the end, as in `/state/{type}/{state_key}`.
            if node.parameter is None or not (segment or position == len(segments) - 1):
                return None
            node = node.parameter
            values.append(segment)
        return (node, values) if node.endpoints else None


class Router:
    """All endpoints, by path and method."""

    def __init__(self, endpoints: Iterable[Endpoint]) -> None:
        self._root = _Node()
        self._exact: dict[str, _Node] = {}
        self.endpoints = tuple(endpoints)
        for endpoint in self.endpoints:
            self._root.add(endpoint)
        for endpoint in self.endpoints:
            # Most requests ask for a path without parameters; it is found in one step.
            if "{" not in endpoint.path and (found := self._root.find(endpoint.path.split("/"), 0)):
                self._exact[endpoint.path] = found[0]

    def match(self, method: str, path: str) -> tuple[Endpoint, Mapping[str, str]]:
        """The endpoint for `method` on `path` (percent-encoded, without the query), and its parameters.

        Raises:
            InvalidParam: a parameter is no percent-encoded UTF-8.
            MethodNotAllowed: the path exists, but not with this method.
            Unrecognized: there is no such path.
        """
        found = self._find(path)
        if found is None:
            raise Unrecognized("This server has no such endpoint.")
        node, values = found
        entry = node.endpoints.get(method)
        if entry is None and method == "HEAD":
            entry = node.endpoints.get("GET")
        if entry is None:
            raise MethodNotAllowed(f"This endpoint answers only {', '.join(sorted(node.endpoints))}.")
        endpoint, names = entry
        if not names:
            return endpoint, _NO_PARAMETERS
        return endpoint, dict(zip(names, map(_decoded, values), strict=True))

    def methods_of(self, path: str) -> list[str]:
        """The methods that `path` can be asked with, in alphabetical order."""
        found = self._find(path)
        return sorted(found[0].endpoints) if found else []

    def _find(self, path: str) -> tuple[_Node, list[str]] | None:
        # COMPAT: clients written before v1.1 of the specification ask for r0, which v3 took over unchanged.
        if path.startswith("/_matrix/client/r0/"):
            path = "/_matrix/client/v3/" + path[19:]
        if (exact := self._exact.get(path)) is not None:
            return exact, []
        return self._root.find(path.split("/"), 0)


def _decoded(segment: str) -> str:
    return _unquoted(segment) if "%" in segment else segment


@lru_cache(4096)
def _unquoted(segment: str) -> str:
    try:
        text = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        raise InvalidParam("The path must be percent-encoded UTF-8.") from None
    # No identifier holds NUL, and PostgreSQL has no text with it.
    if "\0" in text:
        raise InvalidParam("The path must not hold the character NUL.")
    return text
