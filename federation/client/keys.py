"""Calls for the devices of users of other servers, and for their keys.

Spec: https://spec.matrix.org/v1.19/server-server-api/#end-to-end-encryption
"""

from collections.abc import Mapping
from typing import Any

from federation.client.client import FederationClient
from federation.client.paths import path
from homeserver.core.errors import Unavailable

__all__ = ["FederationKeys"]

TIMEOUT_MS = 30_000


class FederationKeys:
    """Asks servers for keys; implements `homeserver.e2ee.key_ports.RemoteKeys`.

    Args:
        client: asks.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def query(
        self, server_name: str, device_keys: Mapping[str, list[str]]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Ask a server for its users' keys.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysquery

        Returns:
            `device_keys`, `master_keys` and `self_signing_keys`, by user ID, as far as they have that form.
        """
        answer = await self._post(server_name, "query", {"device_keys": device_keys})
        told = {
            section: _objects(answer.get(section))
            for section in ("device_keys", "master_keys", "self_signing_keys")
        }
        told["device_keys"] = {user_id: _objects(devices) for user_id, devices in told["device_keys"].items()}
        return told

    async def claim(
        self, server_name: str, one_time_keys: Mapping[str, Mapping[str, str]]
    ) -> Mapping[str, Mapping[str, Any]]:
        """Ask a server for one-time keys of its users' devices.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#post_matrixfederationv1userkeysclaim
        """
        answer = await self._post(server_name, "claim", {"one_time_keys": one_time_keys})
        told = _objects(answer.get("one_time_keys"))
        return {user_id: _objects(devices) for user_id, devices in told.items()}

    async def devices(self, server_name: str, user_id: str) -> Mapping[str, Any]:
        """Ask a server for all devices of one of its users.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1userdevicesuserid
        """
        target = path("/_matrix/federation/v1/user/devices/{}", user_id)
        answer = await self._client.request(server_name, "GET", target, timeout_ms=TIMEOUT_MS)
        return _object(server_name, answer)

    async def _post(self, server_name: str, what: str, content: Mapping[str, Any]) -> Mapping[str, Any]:
        target = f"/_matrix/federation/v1/user/keys/{what}"
        answer = await self._client.request(
            server_name, "POST", target, content=content, timeout_ms=TIMEOUT_MS
        )
        return _object(server_name, answer)


def _object(server_name: str, answer: object) -> Mapping[str, Any]:
    if not isinstance(answer, dict):
        raise Unavailable(f"{server_name} answered with what is no JSON object.")
    return answer


def _objects(value: object) -> dict[str, dict[str, Any]]:
    """Those values of an object that are objects; none, if it is none."""
    if not isinstance(value, dict):
        return {}
    return {name: each for name, each in value.items() if isinstance(each, dict)}
