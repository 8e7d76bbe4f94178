"""Sends transactions to other servers.

Spec: https://spec.matrix.org/v1.19/server-server-api/#put_matrixfederationv1sendtxnid
"""

from federation.client.client import FederationClient
from federation.client.paths import path

__all__ = ["Transactions"]

TIMEOUT_MS = 60_000
"""The other server may have to ask around before it can tell what it makes of an event."""
ANSWER_BYTES_MAX = 1_048_576
REASON_CHARACTERS_MAX = 500


class Transactions:
    """Sends transactions.

    Args:
        client: carries them.
    """

    def __init__(self, client: FederationClient) -> None:
        self._client = client

    async def send(self, destination: str, transaction_id: str, body: bytes) -> dict[str, str]:
        """Send a transaction; returns what the server says against events in it, by event ID.

        Args:
            destination: to whom.
            transaction_id: the same whenever the same is sent again.
            body: the transaction as canonical JSON.

        Raises:
            RemoteRefused: the server does not take it.
            Unavailable: the server does not answer.
        """
        answer = await self._client.request(
            destination, "PUT", path("/_matrix/federation/v1/send/{}", transaction_id), content=body,
            timeout_ms=TIMEOUT_MS, body_bytes_max=ANSWER_BYTES_MAX,
        )  # fmt: skip
        pdus = answer.get("pdus") if isinstance(answer, dict) else None
        if not isinstance(pdus, dict):
            return {}  # it has taken it, all the same
        return {
            event_id: str(result["error"])[:REASON_CHARACTERS_MAX]
            for event_id, result in pdus.items()
            if isinstance(result, dict) and result.get("error")
        }
