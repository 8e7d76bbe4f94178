"""Signing a request to another server, so that it knows which homeserver asks.

Spec: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
"""

from collections.abc import Mapping
from typing import Any

from homeserver.core.signing import SigningKey, sign_json

__all__ = ["authorization_header"]


def authorization_header(
    method: str,
    uri: str,
    content: Mapping[str, Any] | None,
    *,
    origin: str,
    destination: str,
    key: SigningKey,
) -> str:
    """The `Authorization` header of a signed request.

    Args:
        method: of HTTP, in upper case.
        uri: path and query, from `/_matrix` on.
        content: the body as an object; None: there is none.
        origin: the server name of who asks.
        destination: that of who is asked.
        key: of who asks.
    """
    request: dict[str, Any] = {"method": method, "uri": uri, "origin": origin, "destination": destination}
    if content is not None:
        request["content"] = content
    signature = sign_json(request, origin, key)["signatures"][origin][key.key_id]
    return f'X-Matrix origin="{origin}",destination="{destination}",key="{key.key_id}",sig="{signature}"'
