"""Whose devices the client is to ask for, and whose no more: `device_lists`."""

import orjson

from homeserver.sync.body import Body
from homeserver.sync.live_device_lists import LiveDeviceLists
from homeserver.sync.request import Window
from homeserver.sync.spans import Span

__all__ = ["DeviceLists"]


class DeviceLists:
    """Tells of device lists, whatever the filter says: it is about rooms and events."""

    def __init__(self, live: LiveDeviceLists) -> None:
        self._live = live

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:
        """Nothing: a client that begins knows of nobody's devices yet."""

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:  # noqa: ARG002 - a Stream
        """Those who changed, and those who went."""
        assert window.since is not None, "an increment has a beginning"
        changed, left = await self._live.between(window.user, window.since, window.now)
        if changed or left:
            lists = orjson.dumps({"changed": changed, "left": left})
            body.further.append(b'"device_lists":%b' % lists)
