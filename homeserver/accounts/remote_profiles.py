"""Profiles of users of other servers: asked for when somebody wants to see one, and remembered for a while.

Spec: https://spec.matrix.org/v1.19/server-server-api/#get_matrixfederationv1queryprofile
"""

from collections.abc import Mapping
from typing import Any

import orjson

from homeserver.accounts.ports import RemoteProfiles
from homeserver.core.errors import Forbidden, MatrixError, NotFound, RemoteRefused, Unavailable
from homeserver.core.identifiers import parse_user_id
from homeserver.runtime.clock import Clock
from storage.cache import LruCache

__all__ = ["KnownRemoteProfiles"]

KEPT_MAX = 10_000
KEPT_MS = 300_000
KEPT_REFUSAL_MS = 60_000
PROFILE_BYTES_MAX = 65_536
_TEXTS = ("displayname", "avatar_url")
_STATUS_FORBIDDEN = 403


class KnownRemoteProfiles:
    """Asks other servers for profiles.

    Args:
        remote: asks one.
        clock: for how long an answer is remembered.
    """

    def __init__(self, *, remote: RemoteProfiles, clock: Clock) -> None:
        self._remote = remote
        self._clock = clock
        self._kept: LruCache[str, tuple[int, Mapping[str, Any] | MatrixError]] = LruCache(KEPT_MAX)

    async def get(self, user_id: str) -> dict[str, Any]:
        """Every field that the user's server tells.

        Raises:
            Forbidden: it does not tell profiles.
            NotFound: there is no such user.
            Unavailable: it does not answer.
        """
        now_ms = self._clock.monotonic_ms()
        kept = self._kept.get(user_id)
        if kept is None or now_ms >= kept[0]:
            found = await self._ask(user_id)
            is_refused = isinstance(found, MatrixError)
            kept = (now_ms + (KEPT_REFUSAL_MS if is_refused else KEPT_MS), found)
            self._kept.put(user_id, kept)
        if isinstance(kept[1], Forbidden):
            raise Forbidden(kept[1].error)
        if isinstance(kept[1], MatrixError):
            raise NotFound(kept[1].error)
        return dict(kept[1])

    async def _ask(self, user_id: str) -> Mapping[str, Any] | MatrixError:
        """Ask the user's server; returns a refusal, and raises where there is no answer."""
        try:
            answer = await self._remote.profile(parse_user_id(user_id).server_name, user_id)
        except RemoteRefused as refused:
            if refused.status == _STATUS_FORBIDDEN:
                return Forbidden("The server of that user does not tell profiles.")
            return NotFound("The server of that user knows no such user.")
        profile = {
            key: value
            for key, value in answer.items()
            if key not in _TEXTS or (isinstance(value, str) and value)
        }
        try:
            size_bytes = len(orjson.dumps(profile))
        except TypeError as error:
            raise Unavailable("The server of that user answers with what is no profile.") from error
        if size_bytes > PROFILE_BYTES_MAX:
            raise Unavailable("The server of that user answers with what is no profile.")
        return profile
