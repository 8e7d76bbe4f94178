"""Asks policy servers to sign events.

Spec: https://spec.matrix.org/v1.19/server-server-api/#policy-servers
"""

from collections.abc import Mapping
from typing import Any

from federation.client.client import FederationClient
from homeserver.core.errors import Unavailable

__all__ = ["FederationPolicy"]

TIMEOUT_MS = 10_000
BODY_BYTES_MAX = 65_536


class FederationPolicy:
    """Implements `homeserver.rooms.ports.PolicySigning`.

    Args:
        client: asks.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def sign(self, server: str, pdu: Mapping[str, Any]) -> Mapping[str, Any]:
        """Ask a policy server for its signature of an event.

        Spec: https://spec.matrix.org/v1.19/server-server-api/#post_matrixpolicyv1sign

        Returns:
            Signatures by server name and key ID, unchecked.

        Raises:
            RemoteRefused: it does not want the event in the room.
            Unavailable: it does not answer.
        """
        answer = await self._client.request(
            server, "POST", "/_matrix/policy/v1/sign", content=pdu, timeout_ms=TIMEOUT_MS,
            body_bytes_max=BODY_BYTES_MAX,
        )  # fmt: skip
        if not isinstance(answer, dict):
            raise Unavailable(f"{server} answered with what is no JSON object.")
        return answer
