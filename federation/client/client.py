"""Requests to other servers: signed, sent, and their answers decoded.

Spec: https://spec.matrix.org/v1.19/server-server-api/#request-authentication
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode

from federation.client.answers import decoded
from federation.client.ports import Availability, Exchanges, OutgoingRequest
from homeserver.core.canonical_json import encode_lenient
from homeserver.core.errors import RemoteRefused, Unavailable
from homeserver.core.identifiers import is_valid_server_name
from homeserver.core.request_signing import authorization_header
from homeserver.core.signing import SigningKey

__all__ = ["FederationClient"]

TIMEOUT_MS = 30_000
BODY_BYTES_MAX = 10_485_760
_NO_QUERY: Mapping[str, str | Sequence[str]] = MappingProxyType({})


class FederationClient:
    """Asks other servers in the name of this one.

    Args:
        server_name: this server.
        key: signs the requests.
        exchanges: carries them.
        availability: knows which servers are to be left alone.
        may_ask: whether the operator lets this server speak with another.
    """

    def __init__(
        self,
        *,
        server_name: str,
        key: SigningKey,
        exchanges: Exchanges,
        availability: Availability,
        may_ask: Callable[[str], bool],
    ) -> None:
        self._server_name = server_name
        self._key = key
        self._exchanges = exchanges
        self._availability = availability
        self._may_ask = may_ask

    async def request(
        self,
        destination: str,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | Sequence[str]] = _NO_QUERY,
        content: Mapping[str, Any] | bytes | None = None,
        timeout_ms: int = TIMEOUT_MS,
        body_bytes_max: int = BODY_BYTES_MAX,
        is_authenticated: bool = True,
    ) -> Any:
        """Ask a server; returns the decoded JSON of its answer, of any shape.

        Args:
            destination: name of the server that is asked.
            method: of HTTP, in upper case.
            path: percent-encoded; see `federation.client.paths`.
            query: parameters; a parameter with several values is there several times.
            content: the body, or its canonical JSON; None: there is none.
            timeout_ms: for all of it.
            body_bytes_max: of the answer.
            is_authenticated: False: the request is not signed.

        Raises:
            RemoteRefused: it says no (400 to 499, other than 429).
            Unavailable: it gives no answer, or none of use, or is not asked at all.
        """
        self._check(destination)
        target = f"{path}?{urlencode(query, doseq=True, quote_via=quote)}" if query else path
        body = b"" if content is None else content if isinstance(content, bytes) else _encoded(content)
        request = OutgoingRequest(
            method=method, target=target, body=body, timeout_ms=timeout_ms, body_bytes_max=body_bytes_max,
            authorization=self._authorization(destination, method, target, body) if is_authenticated else "",
        )  # fmt: skip
        try:
            result = decoded(destination, await self._exchanges.exchange(destination, request))
        except RemoteRefused:
            self._availability.succeeded(destination)
            raise
        except Unavailable:
            self._availability.failed(destination)
            raise
        self._availability.succeeded(destination)
        return result

    def _check(self, destination: str) -> None:
        if not is_valid_server_name(destination):
            raise Unavailable("That is no name of a server.")
        if destination == self._server_name:
            raise Unavailable("This server does not ask itself.")
        if not self._may_ask(destination):
            raise Unavailable(f"This server does not speak with {destination}.")
        self._availability.check(destination)

    def _authorization(self, destination: str, method: str, target: str, body: bytes) -> str:
        return authorization_header(
            method, target, body or None, origin=self._server_name, destination=destination, key=self._key
        )


def _encoded(content: Mapping[str, Any]) -> bytes:
    try:
        return encode_lenient(content)
    except ValueError as error:
        raise Unavailable("What was to be sent to another server has no JSON.") from error
