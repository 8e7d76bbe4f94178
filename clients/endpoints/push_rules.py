"""Push rules: so far only the predefined ones can be read, which clients do before their first sync."""

from homeserver.core.push_rules.predefined import predefined_ruleset
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["PushRulesEndpoints"]


class PushRulesEndpoints:
    """Tells a user's push rules."""

    @endpoint(
        "GET",
        "/_matrix/client/v3/pushrules/",
        # COMPAT: some clients leave the last slash away.
        "/_matrix/client/v3/pushrules",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules",
    )
    async def get_rules(self, request: Request) -> Response:
        """Tell all rules."""
        return json_response({"global": predefined_ruleset(request.requester.user_id)})

    @endpoint(
        "GET",
        "/_matrix/client/v3/pushrules/global/",
        "/_matrix/client/v3/pushrules/global",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrulesglobal",
    )
    async def get_global_rules(self, request: Request) -> Response:
        """Tell the rules that hold on all devices, which are all."""
        return json_response(predefined_ruleset(request.requester.user_id))
