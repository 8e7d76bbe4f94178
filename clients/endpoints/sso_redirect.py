"""Where clients of the legacy sign-in send the browser of somebody who wants to log in.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-login-via-sso
"""

from collections.abc import Mapping, Sequence
from typing import Any

from clients.oauth.browser import login_path, refusal
from clients.oauth.paths import REGISTER
from clients.oauth.sso import asked_redirect, sso_path
from clients.oauth.upstream import upstream_path
from homeserver.config.sign_in import SignInProvider
from homeserver.core.errors import MatrixError, NotFound
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["SsoRedirectEndpoints", "sso_flow"]

_PATH = "/_matrix/client/v3/login/sso/redirect"


def sso_flow(providers: Sequence[SignInProvider]) -> Mapping[str, Any]:
    """How `GET /login` tells of it; the pages know passwords too, so aware clients need nothing else.

    Args:
        providers: that clients can show a button of each for.
    """
    flow: dict[str, Any] = {"type": "m.login.sso", "oauth_aware_preferred": True}
    if providers:
        flow["identity_providers"] = [
            {
                "id": one.id,
                "name": one.name or one.id,
                **({"icon": one.icon} if one.icon else {}),
                **({"brand": one.brand} if one.brand else {}),
            }
            for one in providers
        ]
    return flow


class SsoRedirectEndpoints:
    """Sends browsers to our pages; from there they go to a provider, if that is wanted.

    Args:
        provider_ids: that there are.
        base_url: where browsers reach our pages: their cookies belong there.
    """

    def __init__(self, *, provider_ids: Sequence[str], base_url: str) -> None:
        self._provider_ids = frozenset(provider_ids)
        self._base_url = base_url.rstrip("/")

    @endpoint(
        "GET",
        _PATH,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3loginssoredirect",
    )
    async def redirect(self, request: Request) -> Response:
        """Send the browser to where people choose how to sign in, or make an account."""
        try:
            path = sso_path(asked_redirect(request))
        except MatrixError as error:
            return refusal(error)
        if request.query_maybe("action") == "register":
            path = login_path(path, page_path=REGISTER)
        return self._found(path)

    @endpoint(
        "GET",
        _PATH + "/{idpId}",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.READ,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3loginssoredirectidpid",
    )
    async def redirect_to_provider(self, request: Request) -> Response:
        """Send the browser on its way to one provider."""
        provider_id = request.parameters["idpId"]
        try:
            path = sso_path(asked_redirect(request))
            if provider_id not in self._provider_ids:
                raise NotFound("There is no such way to sign in here. Go back to your app.")
        except MatrixError as error:
            return refusal(error)
        return self._found(upstream_path(provider_id, path))

    def _found(self, path: str) -> Response:
        headers = {"Location": self._base_url + path, "Cache-Control": "no-store"}
        return Response(302, b"", content_type="text/plain", headers=headers)
