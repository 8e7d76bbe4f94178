"""What lets a client that runs in a browser on another origin talk to this server.

Spec: https://spec.matrix.org/v1.19/client-server-api/#web-browser-clients
"""

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CORS_HEADERS"]

CORS_HEADERS: Mapping[str, str] = MappingProxyType({
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, PUT, DELETE, OPTIONS",
    "Access-Control-Allow-Headers": "X-Requested-With, Content-Type, Authorization, If-Match, If-None-Match",
})
"""On every response, and all there is to say to OPTIONS. HEAD is served, so it is allowed as well."""
