"""Asks servers for their signing keys, and for those of others that they know.

Spec: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
"""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from homeserver.core.errors import Unavailable
from homeserver.core.server_keys import VerifyKey, parse_keys
from homeserver.core.signing import verify_json
from homeserver.runtime.clock import Clock

__all__ = ["Fetched", "Requests", "ServerKeyRequests"]

TIMEOUT_MS, NOTARY_TIMEOUT_MS = 10_000, 30_000
ANSWER_BYTES_MAX = 65_536
NOTARY_ANSWER_BYTES_MAX = 4_194_304
ANSWERS_PER_SERVER_MAX = 20
"""A notary may know several: more than one where a server changed its keys."""

Fetched = tuple[dict[str, VerifyKey], dict[str, Any]]
"""The keys of a server, and what it said, as it signed it."""


class Requests(Protocol):
    """Asks other servers."""

    async def request(
        self,
        destination: str,
        method: str,
        path: str,
        *,
        content: Mapping[str, Any] | None = None,
        timeout_ms: int = 30_000,
        body_bytes_max: int = 10_485_760,
        is_authenticated: bool = True,
    ) -> Any:
        """Ask a server; returns the decoded JSON of its answer.

        Raises:
            RemoteRefused: it says no.
            Unavailable: it gives no answer.
        """


class ServerKeyRequests:
    """Asks for signing keys. What comes back has been checked, as far as it can be.

    Args:
        requests: carries the questions.
        clock: keys are valid for some time from now on.
    """

    def __init__(self, requests: Requests, clock: Clock) -> None:
        self._requests = requests
        self._clock = clock

    async def fetch(self, server_name: str) -> Fetched:
        """Ask a server for its own keys.

        Raises:
            MatrixError: it does not tell them.
        """
        answer = await self._requests.request(
            server_name, "GET", "/_matrix/key/v2/server", timeout_ms=TIMEOUT_MS,
            body_bytes_max=ANSWER_BYTES_MAX, is_authenticated=False,
        )  # fmt: skip
        try:
            return parse_keys(answer, server_name, self._clock.now_ms()), answer
        except ValueError as error:
            raise Unavailable(f"{server_name} does not tell its signing keys: {error}") from None

    async def query(
        self, notary: str, notary_keys: Mapping[str, VerifyKey], wanted: Mapping[str, Mapping[str, int]]
    ) -> dict[str, list[Fetched]]:
        """Ask a server for the keys of others; returns those that it knows, by server.

        Args:
            notary: whom to ask.
            notary_keys: its keys, since it signs what it knows.
            wanted: server name to key ID to until when the key should be valid.

        Raises:
            MatrixError: it does not answer.
        """
        criteria = {
            name: {key_id: {"minimum_valid_until_ts": until_ms} for key_id, until_ms in keys.items()}
            for name, keys in wanted.items()
        }
        answer = await self._requests.request(
            notary, "POST", "/_matrix/key/v2/query", content={"server_keys": criteria},
            timeout_ms=NOTARY_TIMEOUT_MS, body_bytes_max=NOTARY_ANSWER_BYTES_MAX, is_authenticated=False,
        )  # fmt: skip
        entries = answer.get("server_keys") if isinstance(answer, dict) else None
        found: dict[str, list[Fetched]] = {}
        for entry in entries if isinstance(entries, list) else ():
            name = entry.get("server_name") if isinstance(entry, dict) else None
            if not isinstance(name, str) or name not in wanted:
                continue
            if len(found.get(name, ())) >= ANSWERS_PER_SERVER_MAX:
                continue
            try:
                keys = parse_keys(entry, name, self._clock.now_ms())
            except ValueError:
                continue
            if _is_signed(entry, notary, notary_keys):
                found.setdefault(name, []).append((keys, entry))
        return found


def _is_signed(entry: Mapping[str, Any], notary: str, notary_keys: Mapping[str, VerifyKey]) -> bool:
    key_ids: Collection[str] = [key_id for key_id, key in notary_keys.items() if not key.is_old]
    return any(verify_json(entry, notary, key_id, notary_keys[key_id].public_key) for key_id in key_ids)

