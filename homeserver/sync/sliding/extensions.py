"""The extensions of an answer: each tells its part, of the rooms in its scope."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from homeserver.core.positions import SyncToken
from homeserver.sync.live_inboxes import LiveInboxes
from homeserver.sync.live_rooms import LiveRooms
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.account_data import AccountDataExtension
from homeserver.sync.sliding.connections import Place, Until
from homeserver.sync.sliding.encryption import EncryptionPart
from homeserver.sync.sliding.entry import Entry
from homeserver.sync.sliding.ephemeral import ReceiptsExtension, TypingExtension
from homeserver.sync.sliding.lists import Listed
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.ports import SlidingReads
from homeserver.sync.sliding.request import RoomExtension, SlidingBody
from homeserver.sync.sliding.scopes import Scopes
from homeserver.sync.sliding.sticky_events import StickyPart
from homeserver.sync.sliding.to_device import ToDevicePart
from homeserver.sync.thread_subscriptions import THREADS_MAX, ThreadSubscriptions

__all__ = ["ExtensionParts", "Told"]


@dataclass(slots=True)
class Told:
    """What extensions go by.

    Attributes:
        place: where the connection is.
        news: the rooms in which something happened since.
        entries: what is told of rooms.
        is_settled: the rooms in scope are those of the place; only in `news` something can be new.
    """

    place: Place
    news: Collection[str]
    entries: Mapping[str, Entry]
    is_settled: bool = False


class ExtensionParts:
    """Asks every extension that is enabled."""

    def __init__(
        self, reads: SyncReads, sliding_reads: SlidingReads, live_rooms: LiveRooms, inboxes: LiveInboxes,
        encryption: EncryptionPart, sticky: StickyPart,
    ) -> None:  # fmt: skip
        self._encryption = encryption
        self._sticky = sticky
        self._to_device = ToDevicePart(inboxes)
        self._account_data = AccountDataExtension(reads)
        self._typing = TypingExtension(live_rooms)
        self._receipts = ReceiptsExtension(reads, sliding_reads, live_rooms)
        self._threads = ThreadSubscriptions(reads)

    async def tell(
        self, look: Look, body: SlidingBody, listed: Listed, told: Told, after: Place
    ) -> tuple[list[bytes], bool]:
        """The parts, and whether there is news in any; notes in the place what the connection has then."""
        asked, place, scopes = body.extensions, told.place, Scopes(look, listed)
        after.account_data, after.receipts = place.account_data, place.receipts
        after.device_lists, after.sticky, after.threads = place.device_lists, place.sticky, place.threads
        parts: list[bytes] = []
        found = is_new = False
        if asked is not None and _is_on(asked.account_data):
            scope = scopes.of(asked.account_data)
            part, found, after.account_data = await self._account_data.tell(
                look, scope, place.account_data, is_settled=told.is_settled
            )
            parts.append(b'"account_data":' + part)
        else:
            after.account_data = _behind(place.account_data, look.since)
        if asked is not None and _is_on(asked.receipts):
            scope = scopes.joined(asked.receipts)
            candidates = [one for one in told.news if one in scope] if told.is_settled else scope
            part, is_new, after.receipts = await self._receipts.tell(
                look, (scope, candidates), told.entries, place.receipts, told.news
            )
            found |= is_new
            parts.append(b'"receipts":' + part)
        else:
            after.receipts = _behind(place.receipts, look.since)
        if asked is not None and _is_on(asked.typing):
            scope = scopes.joined(asked.typing)
            candidates = [one for one in told.news if one in scope] if told.is_settled else scope
            part, is_new = self._typing.tell(look, candidates, told.entries)
            found |= is_new
            parts.append(b'"typing":' + part)
        if asked is not None and asked.to_device is not None and asked.to_device.enabled:
            part, is_new = await self._to_device.tell(look, asked.to_device)
            found |= is_new
            parts.append(b'"to_device":' + part)
        if asked is not None and asked.e2ee is not None and asked.e2ee.enabled:
            part, is_new = await self._encryption.tell(look, place.device_lists)
            found |= is_new
            parts.append(b'"e2ee":' + part)
            after.device_lists = look.now
        sticky = None if asked is None else asked.sticky_events
        if sticky is not None and sticky.enabled:
            part, is_new, after.sticky = await self._sticky.tell(
                look, sticky, listed, told.entries, place.sticky
            )
            found |= is_new
            parts.append(b'"org.matrix.msc4354.sticky_events":' + part)
        if asked is not None and asked.threads is not None and asked.threads.enabled:
            limit = min(asked.threads.limit, THREADS_MAX)
            told_threads = await self._threads.tell(look.user, place.threads, look.now, limit)
            after.threads = look.now
            found |= bool(told_threads)
            parts += told_threads
        if not told.is_settled:
            after.account_data = _of_rooms(after.account_data, after)
            after.receipts = _of_rooms(after.receipts, after)
        return parts, found


def _is_on(asked: RoomExtension | None) -> bool:
    return asked is not None and asked.enabled


def _behind(told: Until, since: SyncToken | None) -> Until:
    """What an extension that is off for once told before: it goes on from there when it is on again."""
    if None not in told.values():
        return told
    return {room_id: since if until is None else until for room_id, until in told.items()}


def _of_rooms(told: Until, after: Place) -> Until:
    """Forget what was told of rooms that the connection has nothing of any more."""
    return {room_id: until for room_id, until in told.items() if room_id in after.rooms or not room_id}
