"""Knows which server made a request, by its signature.

Spec: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
"""

from collections.abc import Callable, Iterator
from typing import Protocol

from federation.x_matrix import parse_x_matrix
from homeserver.core.canonical_json import encode_lenient
from homeserver.core.errors import BadJson, Forbidden, Unauthorized, Unavailable
from homeserver.core.request_signing import signed_bytes
from homeserver.http.authenticate import SignedRequest

__all__ = ["RequestSignatures", "Servers"]


class RequestSignatures(Protocol):
    """Verifies signatures of requests."""

    async def verify_request(self, origin: str, key_id: str, signed: bytes, signature: bytes) -> bool | None:
        """Whether a server signed a request with one of its present keys; None: the key cannot be had."""


class Servers:
    """Tells who made a request.

    Args:
        server_name: of this server.
        signatures: verifies them.
        may_speak_with: whether the operator lets this server speak with another.
        heard_from: told of each server that made a request: it lives.
    """

    def __init__(
        self,
        *,
        server_name: str,
        signatures: RequestSignatures,
        may_speak_with: Callable[[str], bool],
        heard_from: Callable[[str], None],
    ) -> None:
        self._server_name = server_name
        self._signatures = signatures
        self._may_speak_with = may_speak_with
        self._heard_from = heard_from

    async def authenticate(self, signed: SignedRequest) -> str:
        """The name of the server that made a request.

        Raises:
            Unauthorized: the request does not show that.
            Unavailable: the keys of the server cannot be had at present.
            Forbidden: this server does not speak with that one.
        """
        if signed.authorization is None:
            raise Unauthorized("Requests to a server carry the header Authorization: X-Matrix.")
        claimed = parse_x_matrix(signed.authorization)
        origin = claimed.origin
        # COMPAT: before v1.3 of the specification there was no destination.
        if claimed.destination not in {None, self._server_name}:
            raise Unauthorized(f"This is {self._server_name}, and the request is for another server.")
        if origin == self._server_name:
            raise Unauthorized("This server does not ask itself.")
        if not self._may_speak_with(origin):
            raise Forbidden(f"This server does not speak with {origin}.")
        for content in _contents(signed):
            message = signed_bytes(
                signed.method, signed.uri, content, origin=origin, destination=claimed.destination
            )
            verdict = await self._signatures.verify_request(
                origin, claimed.key_id, message, claimed.signature
            )
            if verdict:
                self._heard_from(origin)
                return origin
            if verdict is None:
                raise Unavailable(f"The key {claimed.key_id} of {origin} cannot be had, or is not valid now.")
        raise Unauthorized(f"The signature is not that of {origin} on this request.")


def _contents(signed: SignedRequest) -> Iterator[bytes | None]:
    """What the content may have been, as it was signed."""
    if not signed.body:
        yield None
        return
    # Most servers send the canonical JSON that they signed. What is signed here ends in strings that are
    # written in one way only, so nothing but the body can have stood before them.
    yield signed.body
    try:
        canonical = encode_lenient(signed.content())
    except ValueError:
        raise BadJson("The body has no canonical JSON.") from None
    if canonical != signed.body:
        yield canonical
