"""The keys of devices. Spec: https://spec.matrix.org/v1.19/client-server-api/#key-distribution ."""

from typing import Annotated, Any

import msgspec

from homeserver.core.errors import MissingParam
from homeserver.core.positions import SyncToken
from homeserver.e2ee.device_keys import DeviceKeys
from homeserver.e2ee.one_time_keys import OneTimeKeys
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.sync.notifier import Notifier
from homeserver.sync.request import parse_since

__all__ = ["ClaimBody", "KeysEndpoints", "QueryBody", "UploadBody"]

REMOTE_TIMEOUT_MS_DEFAULT = 10_000
REMOTE_TIMEOUT_MS_MAX = 30_000

_TimeoutMs = Annotated[int, msgspec.Meta(ge=0)]


class UploadBody(msgspec.Struct):
    """The keys of a device; what is left out stays as it is."""

    device_keys: dict[str, Any] | None = None
    one_time_keys: dict[str, Any] | None = None
    fallback_keys: dict[str, Any] | None = None


class QueryBody(msgspec.Struct):
    """Whose keys are wanted: user ID to device IDs, none for all of them."""

    device_keys: dict[str, list[str]]
    timeout: _TimeoutMs = REMOTE_TIMEOUT_MS_DEFAULT


class ClaimBody(msgspec.Struct):
    """Of which devices a key is wanted: user ID to device ID to algorithm."""

    one_time_keys: dict[str, dict[str, str]]
    timeout: _TimeoutMs = REMOTE_TIMEOUT_MS_DEFAULT


class KeysEndpoints:
    """`/keys/upload`, `/keys/query`, `/keys/claim` and `/keys/changes`.

    Args:
        device_keys: takes and tells identity keys.
        one_time_keys: takes other keys and hands them out.
        notifier: knows whose devices changed.
    """

    def __init__(self, *, device_keys: DeviceKeys, one_time_keys: OneTimeKeys, notifier: Notifier) -> None:
        self._device_keys = device_keys
        self._one_time_keys = one_time_keys
        self._notifier = notifier

    @endpoint(
        "POST",
        "/_matrix/client/v3/keys/upload",
        rate_limit=RateLimit.MESSAGE,
        body=UploadBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysupload",
    )
    async def upload_keys(self, request: Request) -> Response:
        """Take the keys of the device that asks: a transaction for each kind that is new, and one read."""
        body: UploadBody = request.body
        user_id, device_id = request.requester.user_id, request.requester.device_id
        identity = None
        if body.device_keys is not None:
            identity = self._device_keys.check(user_id, device_id, body.device_keys)
        # Once the device is known, others want its one-time keys.
        await self._one_time_keys.add(user_id, device_id, body.one_time_keys or {}, body.fallback_keys or {})
        if identity is not None:
            await self._device_keys.set(user_id, device_id, identity)
        counts = await self._one_time_keys.counts(user_id, device_id)
        # COMPAT: clients upload keys when they see a count that is low, not when they see none.
        return json_response({"one_time_key_counts": {"signed_curve25519": 0, **counts.one_time}})

    @endpoint(
        "POST",
        "/_matrix/client/v3/keys/query",
        body=QueryBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery",
    )
    async def query_keys(self, request: Request) -> Response:
        """Tell the devices and keys of users: one read, however many they are."""
        body: QueryBody = request.body
        timeout_ms = min(body.timeout, REMOTE_TIMEOUT_MS_MAX)
        told = await self._device_keys.query(request.requester, body.device_keys, timeout_ms=timeout_ms)
        return json_response(told)

    @endpoint(
        "POST",
        "/_matrix/client/v3/keys/claim",
        rate_limit=RateLimit.MESSAGE,
        body=ClaimBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysclaim",
    )
    async def claim_keys(self, request: Request) -> Response:
        """Hand out a key of each device: one statement, however many they are."""
        body: ClaimBody = request.body
        told, failures = await self._one_time_keys.claim(
            request.requester, body.one_time_keys, timeout_ms=min(body.timeout, REMOTE_TIMEOUT_MS_MAX)
        )
        return json_response({"one_time_keys": told, "failures": failures})

    @endpoint(
        "GET",
        "/_matrix/client/v3/keys/changes",
        spec="https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3keyschanges",
    )
    async def get_key_changes(self, request: Request) -> Response:
        """Tell whose devices changed between two places of `/sync`: no read for a client that is here."""
        since, until = _token(request, "from"), _token(request, "to")
        user = await self._notifier.users.find(request.requester.user_id)
        # What is newer than `to` does no harm, and with what was heard here nothing is missing.
        until = until.merge(self._notifier.heard)
        changed, left = await self._notifier.device_lists.between(user, since, until)
        return json_response({"changed": changed, "left": left})


def _token(request: Request, name: str) -> SyncToken:
    token = parse_since(request.query_text(name))
    if token is None:
        raise MissingParam(f"Give the query parameter {name}.")
    return token
