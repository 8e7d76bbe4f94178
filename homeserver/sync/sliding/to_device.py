"""The extension `to_device`: what other devices sent to this one. It has a place of its own beside `pos`.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/3885
"""

import orjson

from homeserver.core.errors import InvalidParam
from homeserver.core.positions import PartialToken, SyncToken
from homeserver.sync.live_inboxes import MESSAGES_PER_ANSWER_MAX, LiveInboxes
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.request import ToDeviceExtension

__all__ = ["ToDevicePart", "place_of"]

_BEGINNING = "0"


def place_of(asked: ToDeviceExtension) -> SyncToken | None:
    """Read up to where a client has been told; None for one that begins.

    Raises:
        InvalidParam: it is no place that this server gave.
    """
    if asked.since is None or asked.since == _BEGINNING:
        return None
    try:
        return SyncToken.parse(asked.since)
    except ValueError as error:
        raise InvalidParam(f"extensions.to_device.since: {error}") from None


class ToDevicePart:
    """Tells of messages. What the client says that it has been told is not kept any longer."""

    def __init__(self, inboxes: LiveInboxes) -> None:
        self._inboxes = inboxes

    async def tell(self, look: Look, asked: ToDeviceExtension) -> tuple[bytes, bool]:
        """The next messages, and whether there are any."""
        since = place_of(asked)
        inbox = self._inboxes.of(look.requester)
        messages, has_more = await inbox.waiting(since, look.now, min(asked.limit, MESSAGES_PER_ANSWER_MAX))
        if has_more:
            place: SyncToken = PartialToken.of(look.now, messages[-1][0])
        elif since is None or messages:
            # Never back, should the client have heard of more than was published here.
            place = look.now if since is None else look.now.merge(since)
        else:
            place = since
        events = b",".join([message for _, message in messages])
        return b'{"next_batch":%b,"events":[%b]}' % (orjson.dumps(place.encode()), events), bool(messages)
