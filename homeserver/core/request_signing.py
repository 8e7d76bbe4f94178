"""What a request to another server signs, so that it knows which homeserver asks.

Spec: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
"""

from collections.abc import Mapping
from typing import Any

from homeserver.core.canonical_json import encode_lenient
from homeserver.core.signing import SigningKey

__all__ = ["authorization_header", "signed_bytes"]


def signed_bytes(
    method: str, uri: str, content: bytes | None, *, origin: str, destination: str | None
) -> bytes:
    """What the signature of a request covers.

    Args:
        method: of HTTP, in upper case.
        uri: path and query, from `/_matrix` on.
        content: the body in canonical JSON; None: there is none.
        origin: the server name of who asks.
        destination: that of who is asked; None: older servers leave it out.
    """
    signed: dict[str, str] = {} if destination is None else {"destination": destination}
    signed |= {"method": method, "origin": origin, "uri": uri}
    rest = encode_lenient(signed)
    # `content` is the first of the keys, and most of the bytes: what is encoded already is not decoded.
    return rest if content is None else b'{"content":' + content + b"," + rest[1:]


def authorization_header(
    method: str,
    uri: str,
    content: Mapping[str, Any] | bytes | None,
    *,
    origin: str,
    destination: str,
    key: SigningKey,
) -> str:
    """The `Authorization` header of a signed request.

    Args:
        method: of HTTP, in upper case.
        uri: path and query, from `/_matrix` on.
        content: the body as an object, or in canonical JSON; None: there is none.
        origin: the server name of who asks.
        destination: that of who is asked.
        key: of who asks.
    """
    if content is not None and not isinstance(content, bytes):
        content = encode_lenient(content)
    message = signed_bytes(method, uri, content, origin=origin, destination=destination)
    signature = key.sign(message)
    return f'X-Matrix origin="{origin}",destination="{destination}",key="{key.key_id}",sig="{signature}"'
