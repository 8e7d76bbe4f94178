"""The reader of the bus: keeps what sync remembers current, and wakes the sessions that are concerned."""

from collections.abc import Callable, Sequence

from homeserver.cluster.bus import Bus
from homeserver.core.changes import (
    AccountDataChange,
    Change,
    DeviceListChange,
    EventChange,
    ForgetChange,
    KeyCountsChange,
    PresenceChange,
    ReceiptChange,
    StickyChange,
    ThreadSubscriptionChange,
    ToDeviceChange,
    TypingChange,
)
from homeserver.core.positions import SyncToken
from homeserver.sync.live_device_lists import LiveDeviceLists
from homeserver.sync.live_inboxes import LiveInboxes
from homeserver.sync.live_key_counts import LiveKeyCounts
from homeserver.sync.live_presence import ROOM_MEMBERS_MAX_DEFAULT, LivePresence
from homeserver.sync.live_rooms import LiveRooms
from homeserver.sync.live_stickies import LiveStickies
from homeserver.sync.live_users import LiveUser, LiveUsers
from homeserver.sync.members import RoomMembers
from homeserver.sync.ports import SyncReads
from homeserver.sync.recall import recall
from homeserver.sync.room_cache import RoomCache
from homeserver.sync.room_watch import RoomWatch

__all__ = ["Notifier"]


class Notifier:
    """Takes in every commit, in one step of the loop: whoever looks after it sees all of it.

    Attributes:
        heard: up to where everything has been published; what a sync answers with.
        rooms: recent events by room.
        users: the users who are here.
        members: members by room, for summaries.
        live_rooms: who types in rooms, and who has read how far lately.
        live_stickies: which events are sticky now.
        presence: how everybody is, and who is told of whom.
        inboxes: what waits for the devices that are here.
        device_lists: whose devices those who are here are to ask for.
        key_counts: how many one-time keys the devices that are here have left.
        watch: who looks into rooms that they are not in.
    """

    def __init__(
        self, reads: SyncReads, heads: SyncToken, *, presence_members_max: int = ROOM_MEMBERS_MAX_DEFAULT
    ) -> None:
        self.heard = heads
        self.rooms = RoomCache(heads)
        self.users = LiveUsers(reads, lambda: self.heard)
        self.members = RoomMembers(reads)
        self.watch = RoomWatch()
        self.inboxes = LiveInboxes(reads)
        self.device_lists = LiveDeviceLists(reads, self.users)
        self.key_counts = LiveKeyCounts(reads, self.users)
        self.live_rooms = LiveRooms(heads)
        self.live_stickies = LiveStickies(heads)
        self.presence = LivePresence(reads, self.users, presence_members_max)
        self._reads = reads
        self._unsubscribe: Callable[[], None] | None = None

    @classmethod
    async def start(
        cls, bus: Bus, reads: SyncReads, *, presence_members_max: int = ROOM_MEMBERS_MAX_DEFAULT
    ) -> "Notifier":
        """Read where the writers stand and follow the bus from there.

        Call it once this process holds its lease, since a late flush of a predecessor would go unheard until
        then, and before anything is written.

        Args:
            bus: to follow.
            reads: of what is not remembered.
            presence_members_max: in rooms of more, nobody is told of anybody's presence; 0: nowhere.
        """
        notifier = cls(reads, await reads.heads(), presence_members_max=presence_members_max)
        notifier._unsubscribe = bus.subscribe(notifier.take_in)
        return notifier

    def be_born(self, position: int) -> None:
        """Take note of where the life of this process begins among what is live and not stored."""
        self.heard = self.heard.advance(position)
        self.live_rooms.be_born(position)

    async def recall(self, user: LiveUser, since: SyncToken) -> None:
        """Let a user know what happened in their rooms after `since`, as far as that can be."""
        await recall(user, since, self._reads)

    def stop(self) -> None:
        """Follow the bus no more."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None
        self.presence.close()
        self.users.receipts.close()

    def take_in(self, changes: Sequence[Change]) -> None:
        """Take in one commit: first remember, then move the token, so that no reader sees half of it."""
        heard = self.heard
        for change in changes:
            heard = heard.advance(change.position)
            if isinstance(change, EventChange):
                self._take_in_event(change)
            elif isinstance(change, AccountDataChange):
                self.users.take_in_account_data(change)
            elif isinstance(change, ReceiptChange | TypingChange):
                self.live_rooms.take_in(change)
                self.users.take_in_live(change)
            elif isinstance(change, ToDeviceChange):
                self.inboxes.take_in(change)
            elif isinstance(change, StickyChange) and not change.is_soft_failed:
                self.live_stickies.take_in_late(change)
                self.users.take_in_live(change)
            elif isinstance(change, DeviceListChange):
                self.device_lists.take_in(change)
            else:
                self._take_in_rare(change)
        self.heard = heard

    def _take_in_rare(self, change: Change) -> None:
        if isinstance(change, PresenceChange):
            self.presence.take_in(change)
        elif isinstance(change, KeyCountsChange):
            self.key_counts.take_in(change)
        elif isinstance(change, ThreadSubscriptionChange):
            self.users.take_in_thread_subscription(change)
        elif isinstance(change, ForgetChange):
            self.users.take_in_forgetting(change)

    def _take_in_event(self, change: EventChange) -> None:
        if change.is_withheld and not (change.resets or change.removed):
            return
        self.rooms.append(change)
        self.members.take_in(change)
        self.live_stickies.take_in(change)
        self.users.take_in(change)
        self.presence.take_in_event(change)
        self.device_lists.take_in_event(change)
        self.watch.ring(change.room_id)
