"""The account of whoever asks."""

from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["AccountEndpoints"]


class AccountEndpoints:
    """Tells users about their account."""

    @endpoint(
        "GET",
        "/_matrix/client/v3/account/whoami",
        rate_limit=RateLimit.READ,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3accountwhoami",
    )
    async def get_whoami(self, request: Request) -> Response:
        """Tell whose the access token is."""
        requester = request.requester
        return json_response(
            {
                "user_id": requester.user_id,
                "device_id": requester.device_id,
                "is_guest": requester.is_guest,
            }
        )
