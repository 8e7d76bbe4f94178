"""Where a client finds what it needs to sign in by OAuth 2.0."""

from clients.oauth.account_views import ACTIONS
from clients.oauth.paths import ACCOUNT, AUTHORIZE, DEVICE_AUTHORIZATION, REGISTRATION, REVOCATION, TOKEN
from homeserver.core.errors import Unrecognized
from homeserver.core.oauth.client_metadata import AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["AuthMetadataEndpoints"]

_SPEC = "https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1auth_metadata"


class AuthMetadataEndpoints:
    """Tells the metadata of the authorization server, which is this server.

    Args:
        base_url: where browsers and clients reach this server.
        enabled: false: there is only the legacy API.
        may_register: whether people may make accounts on the web pages.
    """

    def __init__(self, *, base_url: str, enabled: bool, may_register: bool) -> None:
        base = base_url.rstrip("/")
        self._enabled = enabled
        self._metadata = {
            "issuer": base + "/",
            "authorization_endpoint": base + AUTHORIZE,
            "token_endpoint": base + TOKEN,
            "device_authorization_endpoint": base + DEVICE_AUTHORIZATION,
            "registration_endpoint": base + REGISTRATION,
            "revocation_endpoint": base + REVOCATION,
            "response_types_supported": ["code"],
            "response_modes_supported": ["query", "fragment"],
            "grant_types_supported": [AUTHORIZATION_CODE, REFRESH_TOKEN, DEVICE_CODE],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
            "account_management_uri": base + ACCOUNT,
            "account_management_actions_supported": list(ACTIONS),
            "prompt_values_supported": ["create"] if may_register else [],
        }

    @endpoint(
        "GET",
        "/_matrix/client/v1/auth_metadata",
        # COMPAT: the name before v1.15 of the specification.
        "/_matrix/client/unstable/org.matrix.msc2965/auth_metadata",
        # RFC 8414 has it there.
        "/.well-known/oauth-authorization-server",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        spec=_SPEC,
    )
    async def get_metadata(self, request: Request) -> Response:
        """Tell the metadata."""
        del request
        if not self._enabled:
            raise Unrecognized("This server does not offer OAuth 2.0; use the login API.")
        return json_response(self._metadata)
