"""The authorization request: what a client sends a browser with, and where its answer goes.

Spec: https://spec.matrix.org/v1.19/client-server-api/#authorisation-code-flow and RFC 6749, section 4.1
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode, urlsplit

from homeserver.core.oauth.client_metadata import AUTHORIZATION_CODE, ClientMetadata
from homeserver.core.oauth.errors import OAuthError
from homeserver.core.oauth.pkce import CHALLENGE_METHOD, is_challenge
from homeserver.core.oauth.redirect_uris import is_registered
from homeserver.core.oauth.scopes import Scope, parse_scope

__all__ = ["AuthorizationRequest", "ReturnAddress", "parse_authorization_request", "return_address_of"]

_STATE_CHARACTERS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class ReturnAddress:
    """Where the browser is sent back to; only made of a redirect URI that the client has registered.

    Attributes:
        redirect_uri: as the request gave it.
        mode: whether the answer goes into the query or the fragment.
        state: the client's own, given back as it was.
    """

    redirect_uri: str
    mode: Literal["query", "fragment"]
    state: str | None

    def uri(self, answer: Mapping[str, str]) -> str:
        """The URI that carries an answer."""
        parameters = dict(answer) if self.state is None else {**answer, "state": self.state}
        encoded = urlencode(parameters)
        if self.mode == "fragment":
            return f"{self.redirect_uri}#{encoded}"
        joint = "&" if urlsplit(self.redirect_uri).query else "?"
        return f"{self.redirect_uri.removesuffix('?')}{joint}{encoded}"

    def uri_of_error(self, error: OAuthError) -> str:
        """The URI that carries an error."""
        return self.uri({"error": error.code, "error_description": error.error})


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """A request that may be shown to a user.

    Attributes:
        client_id: who asks.
        address: where the answer goes.
        scope: for what.
        code_challenge: of PKCE, method S256.
        wants_new_account: the client asked to begin with registration.
    """

    client_id: str
    address: ReturnAddress
    scope: Scope
    code_challenge: str
    wants_new_account: bool


def return_address_of(query: Mapping[str, list[str]], client: ClientMetadata) -> ReturnAddress:
    """Where the answer to a request goes.

    Raises:
        OAuthError: the redirect URI is missing or not a registered one: nobody may be sent anywhere.
    """
    uris = query.get("redirect_uri", [])
    if len(uris) != 1:
        raise OAuthError("invalid_request", "Give redirect_uri once.")
    if not is_registered(uris[0], client.redirect_uris, client.kind):
        raise OAuthError("invalid_request", "This redirect_uri is not one that the client has registered.")
    states = query.get("state", [])
    mode: Literal["query", "fragment"] = "fragment" if query.get("response_mode") == ["fragment"] else "query"
    # A state that is given twice or is far too long is given back to nobody.
    single = len(states) == 1 and len(states[0]) <= _STATE_CHARACTERS_MAX
    return ReturnAddress(uris[0], mode, states[0] if single else None)


def parse_authorization_request(
    client_id: str, query: Mapping[str, list[str]], client: ClientMetadata, address: ReturnAddress
) -> AuthorizationRequest:
    """Check the rest of a request, whose client and redirect URI are good.

    Raises:
        OAuthError: to be told at the return address.
    """
    single = _single(query)
    if AUTHORIZATION_CODE not in client.grant_types:
        raise OAuthError("unauthorized_client", "The client is not registered for this grant.")
    if single.get("response_type") != "code":
        raise OAuthError("unsupported_response_type", "response_type must be code.")
    if single.get("response_mode", "query") not in {"query", "fragment"}:
        raise OAuthError("invalid_request", "response_mode must be query or fragment.")
    if len(single.get("state", "")) > _STATE_CHARACTERS_MAX:
        raise OAuthError("invalid_request", f"state must have at most {_STATE_CHARACTERS_MAX} characters.")
    for name in ("request", "request_uri"):
        if name in single:
            raise OAuthError(f"{name}_not_supported", f"Give the parameters themselves, not a {name}.")
    challenge = _challenge(single)
    scope = parse_scope(single.get("scope", ""))
    prompts = single.get("prompt", "").split()
    if "none" in prompts:
        raise OAuthError("interaction_required", "Users are always asked here.")
    return AuthorizationRequest(client_id, address, scope, challenge, "create" in prompts)


def _single(query: Mapping[str, list[str]]) -> dict[str, str]:
    for name, values in query.items():
        if len(values) > 1:
            raise OAuthError("invalid_request", f"Give {name[:50]!a} once.")
    return {name: values[0] for name, values in query.items()}


def _challenge(single: Mapping[str, str]) -> str:
    # Without a method, RFC 7636 means `plain`, which is no protection.
    if single.get("code_challenge_method") != CHALLENGE_METHOD:
        raise OAuthError("invalid_request", "PKCE is required: code_challenge_method must be S256.")
    challenge = single.get("code_challenge", "")
    if not is_challenge(challenge):
        raise OAuthError("invalid_request", "PKCE is required: give a code_challenge made with S256.")
    return challenge
