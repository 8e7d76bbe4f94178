"""What this server lets its users do."""

from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.http.endpoint import endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.rooms.delayed_events import WAITING_PER_USER_MAX

__all__ = ["CapabilitiesEndpoints"]


class CapabilitiesEndpoints:
    """Tells the capabilities.

    Args:
        default_room_version: of new rooms.
        delayed_event_ms_max: how long an event can wait.
        may_change_addresses: whether users add e-mail addresses and phone numbers.
    """

    def __init__(
        self, *, default_room_version: str, delayed_event_ms_max: int, may_change_addresses: bool
    ) -> None:
        assert default_room_version in ROOM_VERSIONS
        capabilities = {
            "m.change_password": {"enabled": True},
            "m.room_versions": {
                "default": default_room_version,
                "available": dict.fromkeys(ROOM_VERSIONS, "stable"),
            },
            "m.profile_fields": {"enabled": True},
            # COMPAT: deprecated since v1.16, older clients read only these.
            "m.set_displayname": {"enabled": True},
            "m.set_avatar_url": {"enabled": True},
            "m.3pid_changes": {"enabled": may_change_addresses},
            "m.get_login_token": {"enabled": True},
            "m.forget_forced_upon_leave": {"enabled": False},
            "org.matrix.msc4140.delayed_events": {
                "max_delay_ms": delayed_event_ms_max,
                "max_scheduled": WAITING_PER_USER_MAX,
            },
        }
        self._answer = json_response({"capabilities": capabilities})
        moderation = {"m.account_moderation": {"suspend": True, "lock": True}}
        self._answer_to_admins = json_response({"capabilities": {**capabilities, **moderation}})

    @endpoint(
        "GET",
        "/_matrix/client/v3/capabilities",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3capabilities",
    )
    async def get_capabilities(self, request: Request) -> Response:
        """Tell the capabilities."""
        return self._answer_to_admins if request.requester.is_admin else self._answer
