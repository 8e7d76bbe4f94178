"""Knows which server made a request, by its signature.

Spec: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from federation.x_matrix import XMatrix, parse_x_matrix
from homeserver.core.canonical_json import encode_lenient
from homeserver.core.errors import BadJson, Forbidden, Unauthorized, Unavailable
from homeserver.core.request_signing import signed_bytes
from homeserver.http.authenticate import SignedRequest

__all__ = ["RequestSignatures", "Servers"]

LONG_BODY_BYTES_MIN = 262_144
"""What is longer is not encoded anew while all others wait, since nobody knows yet who sent it."""

LONG_BODIES_AT_ONCE_MAX = 2
"""Encoded anew at a time: decoded, they are many times as large."""


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
        self._turns = asyncio.Semaphore(LONG_BODIES_AT_ONCE_MAX)

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
        # Most servers send the canonical JSON that they signed. What is signed here ends in strings that are
        # written in one way only, so nothing but the body can have stood before them.
        if not await self._is_signed(signed, claimed, signed.body or None):
            canonical = await self._canonical(signed)
            if canonical is None or not await self._is_signed(signed, claimed, canonical):
                raise Unauthorized(f"The signature is not that of {origin} on this request.")
        self._heard_from(origin)
        return origin

    async def _canonical(self, signed: SignedRequest) -> bytes | None:
        if len(signed.body) <= LONG_BODY_BYTES_MIN:
            return _canonical(signed)
        async with self._turns:
            return await asyncio.to_thread(_canonical, signed)

    async def _is_signed(self, signed: SignedRequest, claimed: XMatrix, content: bytes | None) -> bool:
        origin, key_id = claimed.origin, claimed.key_id
        message = signed_bytes(
            signed.method, signed.uri, content, origin=origin, destination=claimed.destination
        )
        is_signed = await self._signatures.verify_request(origin, key_id, message, claimed.signature)
        if is_signed is None:
            raise Unavailable(f"The key {key_id} of {origin} cannot be had, or is not valid now.")
        return is_signed


def _canonical(signed: SignedRequest) -> bytes | None:
    """The content in canonical JSON; None: it is that already, or there is none."""
    if not signed.body:
        return None
    try:
        canonical = encode_lenient(signed.content())
    except ValueError:
        raise BadJson("The body has no canonical JSON.") from None
    return None if canonical == signed.body else canonical
