"""Logging users in at the region that is their home: implements `homeserver.accounts.ports.HomeRegions`."""

from collections.abc import Mapping
from typing import Any

from federation.client.client import FederationClient
from federation.regions import Regions
from homeserver.core.errors import Unavailable
from homeserver.core.identifiers import parse_user_id

__all__ = ["LOGIN_PATH", "RegionLogins"]

LOGIN_PATH = "/_matrix/federation/unstable/org.isthmus/region_login"
TIMEOUT_MS = 20_000
BODY_BYTES_MAX = 65_536
_TEXTS = ("user_id", "access_token", "device_id")
_FURTHER = ("home_server", "refresh_token", "expires_in_ms", "well_known")


class RegionLogins:
    """Hands logins on.

    Args:
        client: asks other servers.
        regions: the organisation's own.
    """

    def __init__(self, *, client: FederationClient, regions: Regions) -> None:
        self._client = client
        self._regions = regions

    def home_of(self, user: str) -> str | None:
        """The region that a user is of, if it is another one of ours."""
        try:
            server_name = parse_user_id(user).server_name
        except ValueError:
            return None
        return server_name if self._regions.is_region(server_name) else None

    async def log_in(self, region: str, login: Mapping[str, Any]) -> dict[str, Any]:
        """Log a user in there; returns what the client is told.

        Raises:
            RemoteRefused: the region does not let them in.
            Unavailable: it does not answer.
        """
        answer = await self._client.request(
            region, "POST", LOGIN_PATH, content=login, timeout_ms=TIMEOUT_MS, body_bytes_max=BODY_BYTES_MAX
        )
        if not isinstance(answer, dict) or not all(isinstance(answer.get(name), str) for name in _TEXTS):
            raise Unavailable(f"{region} answered with what is no session.")
        if not answer["user_id"].endswith(f":{region}") or not _says_where(answer.get("well_known")):
            raise Unavailable(f"{region} answered with a session that is not there.")
        return {name: answer[name] for name in (*_TEXTS, *_FURTHER) if name in answer}


def _says_where(well_known: Any) -> bool:
    homeserver = well_known.get("m.homeserver") if isinstance(well_known, dict) else None
    return isinstance(homeserver, dict) and isinstance(homeserver.get("base_url"), str)
