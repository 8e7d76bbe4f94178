"""Where the access token of a request is found, and the ports behind which it is known who asks.

Spec: https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from homeserver.core.errors import Forbidden, MissingToken
from homeserver.core.requester import Admission, Requester
from homeserver.http.endpoint import Authentication

__all__ = ["Authenticator", "ServerAuthenticator", "SignedRequest", "access_token_of", "requester_of"]


class Authenticator(Protocol):
    """Knows whose an access token is."""

    async def authenticate(self, token: str) -> Requester:
        """The requester that `token` stands for.

        Raises:
            UnknownToken: it is not, or no longer, valid.
        """

    def known(self, token: str) -> Admission | None:
        """What `token` stands for, if that can be said without looking it up."""

    def is_valid(self, admission: Admission) -> bool:
        """Whether what a token stood for is so still."""


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What the signature of another server covers, as it came.

    Attributes:
        method: upper-case HTTP method.
        uri: path and query, percent-encoded, as the other server wrote them.
        authorization: the header; None: there is none.
        body: undecoded; empty: there is none.
        content: decodes the body; raises a `MatrixError` where that cannot be done.
        certificate_names: tells the names in the certificate of the connection's other end, verified; none:
            it showed none.
    """

    method: str
    uri: str
    authorization: str | None
    body: bytes
    content: Callable[[], Any]
    certificate_names: Callable[[], frozenset[str]] = frozenset


class ServerAuthenticator(Protocol):
    """Knows the other servers by their signing keys."""

    async def authenticate(self, signed: SignedRequest) -> str:
        """The name of the server that made a request.

        Raises:
            Unauthorized: the request does not show that.
            Unavailable: the keys of the server cannot be had at present.
            Forbidden: this server does not speak with that one.
        """


def access_token_of(headers: Mapping[str, str], query: Mapping[str, list[str]]) -> str | None:
    """The access token of a request, if it has one."""
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, token = authorization.partition(" ")
        if scheme == "Bearer" or scheme.lower() == "bearer":
            return token.strip() or None
    # COMPAT: the query parameter is deprecated since v1.11 of the specification; older clients still use it.
    values = query.get("access_token")
    return values[0] if values and values[0] else None


async def requester_of(
    authentication: Authentication,
    headers: Mapping[str, str],
    query: Mapping[str, list[str]],
    authenticator: Authenticator,
) -> Requester | None:
    """Who asks, as far as the endpoint wants to know.

    Raises:
        Forbidden: only administrators may call the endpoint.
        MissingToken: the endpoint needs a token and there is none.
        UnknownToken: the token is not valid.
    """
    if authentication is Authentication.NONE:
        return None
    token = access_token_of(headers, query)
    if token is None:
        if authentication is Authentication.OPTIONAL:
            return None
        raise MissingToken("Give an access token in the Authorization header.")
    requester = await authenticator.authenticate(token)
    if authentication is Authentication.ADMIN and not requester.is_admin:
        raise Forbidden("Only administrators of this server may do this.")
    return requester
