"""How many one-time keys devices have left: read once, and again only after they changed."""

from collections import OrderedDict

import orjson

from homeserver.core.changes import KeyCountsChange
from homeserver.core.positions import SyncToken
from homeserver.core.requester import Requester
from homeserver.sync.live_users import LiveUsers
from homeserver.sync.ports import SyncReads
from storage.tables.one_time_keys import KeyCounts

__all__ = ["LiveKeyCounts", "key_counts_json"]

DEVICES_MAX = 50_000
_USUAL = "signed_curve25519"
# COMPAT: clients upload keys when they see a count that is low, not when they see none.
_NONE_LEFT = {_USUAL: 0}


class LiveKeyCounts:
    """Remembers what the devices that ask have left, as it is told.

    Args:
        reads: of what is not known.
        users: who is to be woken.
        devices_max: are remembered.
    """

    def __init__(self, reads: SyncReads, users: LiveUsers, *, devices_max: int = DEVICES_MAX) -> None:
        self._reads = reads
        self._users = users
        self._devices_max = devices_max
        self._told: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._changed: OrderedDict[tuple[str, str], int] = OrderedDict()

    def take_in(self, change: KeyCountsChange) -> None:
        """Forget what a device had, and wake its user's sessions."""
        key = (change.user_id, change.device_id)
        self._told.pop(key, None)
        self._changed[key] = change.position
        self._changed.move_to_end(key)
        if len(self._changed) > self._devices_max:
            self._changed.popitem(last=False)  # it is told with whatever else is
        user = self._users.get(change.user_id)
        if user is not None:
            user.ring()

    def is_news(self, requester: Requester, since: SyncToken | None) -> bool:
        """Whether it has changed since a place, as far as is known."""
        position = self._changed.get((requester.user_id, requester.device_id))
        return position is not None and (since is None or not since.covers(position))

    def part_at_hand(self, requester: Requester) -> bytes | None:
        """The members of a sync's JSON object that tell it, if it is known."""
        key = (requester.user_id, requester.device_id)
        told = self._told.get(key)
        if told is not None:
            self._told.move_to_end(key)
        return told

    async def part(self, requester: Requester) -> bytes:
        """The members of a sync's JSON object that tell it; one read if it is not known."""
        told = self.part_at_hand(requester)
        if told is not None:
            return told
        key = (requester.user_id, requester.device_id)
        changed = self._changed.get(key)
        told = key_counts_json(await self._reads.devices.key_counts(*key))
        if self._changed.get(key) == changed:  # else it may be old already
            self._told[key] = told
            if len(self._told) > self._devices_max:
                self._told.popitem(last=False)
        return told


def key_counts_json(counts: KeyCounts) -> bytes:
    """Encode what a device has left as members of a JSON object."""
    return b'"device_one_time_keys_count":%b,"device_unused_fallback_key_types":%b' % (
        orjson.dumps({**_NONE_LEFT, **counts.one_time}), orjson.dumps(list(counts.unused_fallback)),
    )  # fmt: skip
