"""The extension `e2ee`: whose devices the client is to ask for, and what its own has left of keys.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/3884
"""

import orjson

from homeserver.core.positions import SyncToken
from homeserver.sync.live_device_lists import LiveDeviceLists
from homeserver.sync.live_key_counts import LiveKeyCounts
from homeserver.sync.sliding.look import Look

__all__ = ["EncryptionPart"]


class EncryptionPart:
    """Tells of device lists from where it told of them last, and always of keys."""

    def __init__(self, device_lists: LiveDeviceLists, key_counts: LiveKeyCounts) -> None:
        self._device_lists = device_lists
        self._key_counts = key_counts

    async def tell(self, look: Look, since: SyncToken | None) -> tuple[bytes, bool]:
        """What is new, and whether that is anything.

        Args:
            look: who looks, up to where.
            since: up to where the connection was told of device lists; None: it was never.
        """
        counts = await self._key_counts.part(look.requester)
        if since is None:  # who begins knows of nobody's devices yet
            return b"{%b}" % counts, False
        changed: list[str] = []
        left: list[str] = []
        if not look.user.device_lists.is_quiet_since(since):
            changed, left = await self._device_lists.between(look.user, since, look.now)
        lists = orjson.dumps({"changed": changed, "left": left})
        is_new = bool(changed or left) or self._key_counts.is_news(look.requester, since)
        return b'{"device_lists":%b,%b}' % (lists, counts), is_new
