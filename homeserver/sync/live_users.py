"""The rooms of the users who are here, kept current from the bus; and what happened in them lately."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import orjson

from homeserver.core.changes import (
    AccountDataChange,
    EventChange,
    ForgetChange,
    ReceiptChange,
    StickyChange,
    ThreadSubscriptionChange,
    TypingChange,
)
from homeserver.core.content.ignored_users import IGNORED_USER_LIST, ignored_users_in
from homeserver.core.content.invite_permission import INVITE_PERMISSION_CONFIG, blocks_invites_in
from homeserver.core.positions import SyncToken
from homeserver.sync.account_data_news import AccountDataNews
from homeserver.sync.device_list_news import DeviceListNews
from homeserver.sync.gathering import GATHERED_READERS_MIN, RoomGathering
from homeserver.sync.live_rooms import READ_PRIVATE
from homeserver.sync.member_changes import UNKNOWN, is_told_alike, members_changed_by, membership_by
from homeserver.sync.ports import MembershipRow, SyncReads
from homeserver.sync.presence_news import PresenceNews
from homeserver.sync.room_of_user import MembershipChange, RoomOfUser
from homeserver.sync.thread_news import ThreadNews
from homeserver.sync.waiter import Waiter

__all__ = ["LiveUser", "LiveUsers", "MembershipChange", "News", "RoomOfUser"]

USERS_MAX = 10_000
RECENT_PER_USER_MAX = 1_000
FORGOTTEN_AT_ONCE = 200

HEEDED = (IGNORED_USER_LIST, INVITE_PERMISSION_CONFIG)

Place = tuple[int, str]
News = Place | tuple[Place, ...]
"""What is to be told: the (position, room ID) of one thing, or those of several, newest first."""


class LiveUser:
    """What is known of one user who is here.

    Attributes:
        user_id: whose it is.
        rooms: every room that the user has a membership of.
        account_data: what of it changed lately.
        ignored: whom the user does not want to hear.
        blocks_invites: the user does not want to be invited.
        presence: of whose presence the user is to be told.
        device_lists: whose devices the user is to ask for anew.
        threads: which threads the user began or ceased to follow lately.
        noted: how much has been noted, ever.
    """

    __slots__ = (
        "_dropped", "_floor", "_recent", "_waiters", "account_data", "blocks_invites", "device_lists",
        "ignored", "noted", "pins", "presence", "rooms", "threads", "user_id",
    )  # fmt: skip

    def __init__(self, user_id: str, floor: SyncToken) -> None:
        self.user_id = user_id
        self.rooms: dict[str, RoomOfUser] = {}
        self.account_data = AccountDataNews(floor)
        self.presence = PresenceNews(floor)
        self.device_lists = DeviceListNews(floor)
        self.threads = ThreadNews(floor)
        self.ignored: frozenset[str] = frozenset()
        self.blocks_invites = False
        self.noted = 0
        self.pins = 0
        self._floor = floor
        self._dropped: int | None = None
        self._recent: list[Place] = []
        self._waiters: set[Waiter] = set()

    @contextmanager
    def waiting(self) -> Iterator[Waiter]:
        """Lend a waiter that rings when something happens in one of the user's rooms."""
        waiter = Waiter()
        self.attach(waiter)
        try:
            yield waiter
        finally:
            self.detach(waiter)

    def attach(self, waiter: Waiter) -> None:
        """Ring this waiter when something happens in one of the user's rooms, until it is detached."""
        self._waiters.add(waiter)
        self.pins += 1  # a user with a session is not pushed out of memory

    def detach(self, waiter: Waiter) -> None:
        """Ring this waiter no more."""
        self.pins -= 1
        self._waiters.discard(waiter)

    def note(self, place: Place, *, is_quiet: bool = False) -> None:
        """Something happened at this (position, room ID): remember it, wake who waits.

        Args:
            place: where.
            is_quiet: nobody is woken yet.
        """
        self._remember(place)
        if not is_quiet:
            self.ring()

    def note_alike(self, place: Place) -> None:
        """As `note`, of something that is told to everybody in the same words."""
        self._remember(place)
        for waiter in self._waiters:
            waiter.ring_alike()

    def _remember(self, place: Place) -> None:
        self.noted += 1
        recent = self._recent
        recent.append(place)
        if len(recent) > RECENT_PER_USER_MAX:
            # Many at once: each time, all that follows moves up.
            self._dropped = recent[FORGOTTEN_AT_ONCE - 1][0]
            del recent[:FORGOTTEN_AT_ONCE]

    def heed(self, change: AccountDataChange) -> None:
        """Let account data that is the server's business take effect."""
        if change.room_id is not None or change.type not in HEEDED:
            return
        content = None if change.content is None else orjson.loads(change.content)
        if change.type == IGNORED_USER_LIST:
            self.ignored = ignored_users_in(content, self.user_id)
        else:
            self.blocks_invites = blocks_invites_in(content)

    def mark(self) -> None:
        """Something that is this user's alone is to be told: with the next ring, which may take a moment."""
        for waiter in self._waiters:
            waiter.mark()

    def ring(self) -> None:
        """Wake who waits."""
        for waiter in self._waiters:
            waiter.ring()

    def ring_alike(self) -> None:
        """Wake who waits for something that is told to everybody in the same words."""
        for waiter in self._waiters:
            waiter.ring_alike()

    def has_more_after(self, since: SyncToken, count: int) -> bool:
        """More than `count` things happened after `since`, as far as is known."""
        recent = self._recent
        return len(recent) > count and not since.covers(recent[-count - 1][0])

    def last_news(self, count: int) -> News:
        """What was noted last."""
        if count == 1:
            return self._recent[-1]
        return tuple(islice(reversed(self._recent), count))

    @property
    def floor(self) -> SyncToken | None:
        """From where on all that happened is remembered; None: so much did that some had to go."""
        return self._floor if self._dropped is None else None

    def recall(self, places: list[Place], since: SyncToken) -> None:
        """Remember also what happened before, all of it after `since`, oldest first."""
        self._recent[:0] = places
        self._floor = since

    def recent_after(self, since: SyncToken) -> list[tuple[int, str]] | None:
        """(position, room ID) of all that happened after `since`, oldest first; None if that is not known."""
        found: list[tuple[int, str]] = []
        for place in reversed(self._recent):
            if since.covers(place[0]):
                break
            found.append(place)
        if len(found) == len(self._recent) and not self._complete(since):
            return None
        found.reverse()
        return found

    def _complete(self, since: SyncToken) -> bool:
        if self._dropped is not None:
            return since.covers(self._dropped)
        return since.covers_all_of(self._floor)


class _Loading:
    """A user whose rooms are being read: what comes meanwhile of memberships and account data."""

    __slots__ = ("account_data", "done", "missed")

    def __init__(self, done: "asyncio.Future[LiveUser]") -> None:
        self.done = done
        self.missed: list[EventChange | ForgetChange] = []
        self.account_data: dict[str, AccountDataChange] = {}  # what is heeded, by type


class LiveUsers:
    """All users who are here: those with a session, and as many of the others as there is room for.

    Attributes:
        receipts: holds those of rooms with many readers back for a moment.
    """

    def __init__(
        self, reads: SyncReads, heard: Callable[[], SyncToken], *, users_max: int = USERS_MAX
    ) -> None:
        self._reads = reads
        self._heard = heard
        self._users_max = users_max
        self._users: OrderedDict[str, LiveUser] = OrderedDict()
        self._joined: dict[str, set[LiveUser]] = {}
        self._loading: dict[str, _Loading] = {}
        self.receipts = RoomGathering(self._ring_room)

    async def find(self, user_id: str) -> LiveUser:
        """The user, read from the database if need be."""
        user = self._users.get(user_id)
        if user is not None:
            self._users.move_to_end(user_id)
            return user
        loading = self._loading.get(user_id)
        if loading is None:
            # Listen first, then read: what is committed in between is seen by the one or the other.
            loading = self._loading[user_id] = _Loading(asyncio.get_running_loop().create_future())
            task = asyncio.ensure_future(self._load(user_id, loading))
            loading.done.add_done_callback(lambda _: task)  # holds the task until it is done
        return await asyncio.shield(loading.done)

    def get(self, user_id: str) -> LiveUser | None:
        """The user, if here."""
        return self._users.get(user_id)

    def joined(self, room_id: str) -> Collection[LiveUser]:
        """Those who are here and in a room."""
        return self._joined.get(room_id, ())

    def heard(self) -> SyncToken:
        """Up to where everything has been published."""
        return self._heard()

    def take_in(self, change: EventChange) -> None:
        """Update memberships, remember where something happened, wake those whom it concerns."""
        targets: dict[str, LiveUser] = {}
        for user_id in members_changed_by(change):
            loading = self._loading.get(user_id)
            if loading is not None:
                loading.missed.append(change)
            if user_id in self._users:
                targets[user_id] = self._users[user_id]
        self.receipts.tell(change.room_id)
        place = (change.position, change.room_id)
        is_alike = is_told_alike(change)
        # By identity: to look at the IDs of 1,000 users is to look at 1,000 more places in memory.
        sender, concerned = self._users.get(change.event.sender), set(targets.values())
        for user in self._joined.get(change.room_id, ()):
            if user in concerned:
                continue
            if is_alike and user is not sender:
                user.note_alike(place)
            else:
                user.note(place)
        for user in targets.values():
            self._apply(user, change)
            user.note(place)

    def take_in_live(self, change: ReceiptChange | StickyChange | TypingChange) -> None:
        """Remember that something is to be told that is not in the timeline; wake those whom it concerns."""
        place = (change.position, change.room_id)
        if isinstance(change, ReceiptChange):
            self._take_in_receipt(change, place)
            return
        self.receipts.tell(change.room_id)
        for user in self._joined.get(change.room_id, ()):
            user.note_alike(place)

    def _take_in_receipt(self, change: ReceiptChange, place: Place) -> None:
        if change.type == READ_PRIVATE:
            user = self._users.get(change.user_id)
            if user is not None:
                user.note(place)
            return
        readers = self._joined.get(change.room_id, ())
        waits = len(readers) >= GATHERED_READERS_MIN and self.receipts.holds_back(change.room_id)
        who_reads = self._users.get(change.user_id)
        for user in readers:
            if waits and user is not who_reads:
                user.note(place, is_quiet=True)
            else:
                user.note_alike(place)

    def _ring_room(self, room_id: str) -> None:
        for user in self._joined.get(room_id, ()):
            user.ring_alike()

    def take_in_account_data(self, change: AccountDataChange) -> None:
        """Remember what a user set or deleted, wake the user's sessions and nobody else's."""
        user = self._users.get(change.user_id)
        if user is not None:
            user.heed(change)
            user.account_data.take_in(change)
            user.ring()
        elif change.room_id is None and change.type in HEEDED:
            loading = self._loading.get(change.user_id)
            if loading is not None:
                loading.account_data[change.type] = change

    def take_in_thread_subscription(self, change: ThreadSubscriptionChange) -> None:
        """Remember which thread a user follows now, or no more; wake the user's sessions, nobody else's."""
        if (user := self._users.get(change.user_id)) is not None:
            user.threads.take_in(change)
            user.ring()

    def take_in_forgetting(self, change: ForgetChange) -> None:
        """Remember that a user wants to hear no more of a room."""
        user, loading = self._users.get(change.user_id), self._loading.get(change.user_id)
        if loading is not None:
            loading.missed.append(change)
        if user is not None and change.room_id in user.rooms:
            user.rooms[change.room_id].forget()

    async def _load(self, user_id: str, loading: _Loading) -> None:
        try:
            rows = await self._reads.memberships_of(user_id)
            heeded = await self._reads.account_data_of_types(user_id, HEEDED)
        except BaseException as error:  # whoever waits for the user is told, cancellation included
            del self._loading[user_id]
            loading.done.set_exception(error)
            loading.done.exception()  # nobody may be waiting any more
            if not isinstance(error, Exception):
                raise
            return
        del self._loading[user_id]
        # What happened in the user's rooms is noted from here on: nothing was while the rows were read.
        user = LiveUser(user_id, self._heard())
        for account_data in (*heeded, *loading.account_data.values()):
            user.heed(account_data)
        self._put(user, rows)
        for change in loading.missed:
            if isinstance(change, EventChange):
                self._apply(user, change)
            elif change.room_id in user.rooms:
                user.rooms[change.room_id].forget()
        loading.done.set_result(user)

    def _put(self, user: LiveUser, rows: Iterable[MembershipRow]) -> None:
        for row in rows:
            user.rooms[row.room_id] = RoomOfUser(
                row.room_id, row.position, UNKNOWN, row.membership, is_forgotten=row.forgotten
            )
            if row.membership == "join":
                self._joined.setdefault(row.room_id, set()).add(user)
        self._users[user.user_id] = user
        if len(self._users) > self._users_max:
            self._push_out()

    def _push_out(self) -> None:
        # Whoever is in use right now (pinned) stays; the newest, just loaded, is about to be used.
        others = islice(self._users.values(), len(self._users) - 1)
        idle = next((user for user in others if not user.pins), None)
        if idle is None:
            return
        del self._users[idle.user_id]
        for room in idle.rooms.values():
            self._leave(idle, room.room_id)

    def _apply(self, user: LiveUser, change: EventChange) -> None:
        membership, before = membership_by(change, user.user_id)
        room = user.rooms.get(change.room_id)
        if room is None:
            user.rooms[change.room_id] = RoomOfUser(change.room_id, change.position, before, membership)
        elif change.position > room.position:
            room.changed(change.position, room.membership, membership)
        else:
            return  # the read saw it already
        if membership == "join":
            self._joined.setdefault(change.room_id, set()).add(user)
        else:
            self._leave(user, change.room_id)

    def _leave(self, user: LiveUser, room_id: str) -> None:
        joined = self._joined.get(room_id)
        if joined is not None:
            joined.discard(user)
            if not joined:
                del self._joined[room_id]
