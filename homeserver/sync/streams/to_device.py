"""What other devices sent to the one that syncs: `to_device`, in order, until it says that it was told.

Spec: https://spec.matrix.org/v1.19/client-server-api/#extensions-to-sync
"""

from homeserver.core.positions import PartialToken, SyncToken
from homeserver.sync.body import Body
from homeserver.sync.live_inboxes import Inbox
from homeserver.sync.request import Window

__all__ = ["tell_to_device"]


async def tell_to_device(inbox: Inbox, window: Window, body: Body) -> SyncToken:
    """Tell the next messages; returns where that leaves the client, which knows if more are waiting."""
    messages, has_more = await inbox.waiting(window.since, window.now)
    if not messages:
        return window.next_batch
    body.is_shared = False
    body.to_device = [message for _, message in messages]
    if has_more:
        return PartialToken.of(window.next_batch, messages[-1][0])
    return window.next_batch
