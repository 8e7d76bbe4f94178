"""Which versions of the specification are served."""

from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["VersionsEndpoints"]

# Clients take this as a set and choose the paths that they call by it. What is here is as v1.19 has it.
_VERSIONS = [f"v1.{minor}" for minor in range(1, 20)]
_UNSTABLE_FEATURES = {
    # Deletion of account data.
    "org.matrix.msc3391": True,
    # COMPAT: clients look for these although the version says it: profile fields (v1.16).
    "uk.tcpip.msc4133": True,
    "uk.tcpip.msc4133.stable": True,
    # Likewise: mutual rooms (v1.19).
    "uk.half-shot.msc2666.query_mutual_rooms.stable": True,
    # Delayed events.
    "org.matrix.msc4140": True,
    # Sticky events.
    "org.matrix.msc4354": True,
    # Dehydrated devices.
    "org.matrix.msc3814": True,
    # Simplified sliding sync: some clients sign in nowhere else.
    "org.matrix.simplified_msc3575": True,
    # Thread subscriptions (MSC4306), and their extension of sliding sync (MSC4308).
    "org.matrix.msc4306": True,
    # Moderators read redacted content.
    "fi.mau.msc2815": True,
}
_HEADERS = {
    "Cache-Control": "public, max-age=600, s-maxage=3600, stale-while-revalidate=600",
    "Vary": "Authorization",
}


class VersionsEndpoints:
    """Answers the first question of every client.

    Args:
        software_version: of this server.
        offers_rendezvous: whether devices can find each other here to sign in by QR code.
    """

    def __init__(self, *, software_version: str, offers_rendezvous: bool = False) -> None:
        # What is missing counts as false.
        rendezvous = {"org.matrix.msc4108": True} if offers_rendezvous else {}
        body = {
            "versions": _VERSIONS,
            "unstable_features": _UNSTABLE_FEATURES | rendezvous,
            "server": {"name": "Isthmus", "version": software_version},
        }
        answer = json_response(body)
        self._answer = Response(answer.status, answer.body, answer.content_type, _HEADERS)

    # A token is allowed and ignored, so that expired ones do no harm.
    @endpoint(
        "GET",
        "/_matrix/client/versions",
        authentication=Authentication.NONE,
        rate_limit=RateLimit.NONE,
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientversions",
    )
    async def get_versions(self, request: Request) -> Response:
        """Tell the versions."""
        del request
        return self._answer
