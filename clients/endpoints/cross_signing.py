"""Cross-signing. Spec: https://spec.matrix.org/v1.19/client-server-api/#cross-signing ."""

from typing import Any

import msgspec

from homeserver.accounts.oauth.cross_signing_resets import CrossSigningResets
from homeserver.accounts.reauthentication import Reauthentication
from homeserver.core.errors import BadJson
from homeserver.core.public_keys import MASTER, SELF_SIGNING, USER_SIGNING
from homeserver.e2ee.cross_signing import CrossSigning
from homeserver.e2ee.signatures import Signatures
from homeserver.http.endpoint import RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response

__all__ = ["CrossSigningBody", "CrossSigningEndpoints"]


class CrossSigningBody(msgspec.Struct):
    """A user's signing keys, and how the user shows that they may replace them."""

    master_key: dict[str, Any] | None = None
    self_signing_key: dict[str, Any] | None = None
    user_signing_key: dict[str, Any] | None = None
    auth: dict[str, Any] | None = None


class CrossSigningEndpoints:
    """`/keys/device_signing/upload` and `/keys/signatures/upload`.

    Args:
        cross_signing: takes keys.
        signatures: takes signatures.
        reauthentication: has the user show once more who they are.
        resets: has the user approve it on the account page, where a client got its session by OAuth 2.0.
        reset_url: that page.
    """

    def __init__(
        self,
        *,
        cross_signing: CrossSigning,
        signatures: Signatures,
        reauthentication: Reauthentication,
        resets: CrossSigningResets,
        reset_url: str,
    ) -> None:
        self._cross_signing = cross_signing
        self._signatures = signatures
        self._reauthentication = reauthentication
        self._resets = resets
        self._reset_url = reset_url

    @endpoint(
        "POST",
        "/_matrix/client/v3/keys/device_signing/upload",
        rate_limit=RateLimit.PROFILE,
        body=CrossSigningBody,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysdevice_signingupload",
    )
    async def upload_signing_keys(self, request: Request) -> Response:
        """Take the user's signing keys; other ones than there are only after the user gave their password.

        One read if nothing changes, else a transaction more, and what the authentication takes.
        """
        body: CrossSigningBody = request.body
        user_id = request.requester.user_id
        by_usage = {
            MASTER: body.master_key, SELF_SIGNING: body.self_signing_key, USER_SIGNING: body.user_signing_key
        }  # fmt: skip
        given = {usage: key for usage, key in by_usage.items() if key is not None}

        async def confirm() -> None:
            parameters = {usage: key.get("keys") for usage, key in given.items()}
            if await self._resets.require(
                request.requester, body.auth, parameters=parameters, url=self._reset_url
            ):
                return
            await self._reauthentication.require(
                request.requester, "replace cross-signing keys", body.auth, parameters=parameters
            )

        await self._cross_signing.upload(user_id, given, confirm)
        return json_response({})

    @endpoint(
        "POST",
        "/_matrix/client/v3/keys/signatures/upload",
        rate_limit=RateLimit.MESSAGE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload",
    )
    async def upload_signatures(self, request: Request) -> Response:
        """Take signatures that the user made: one read, and a transaction if one of them is good."""
        if not all(isinstance(keys, dict) for keys in request.body.values()):
            raise BadJson("The body must map user IDs to objects: device ID or public key to signed key.")
        return json_response({"failures": await self._signatures.upload(request.requester, request.body)})
