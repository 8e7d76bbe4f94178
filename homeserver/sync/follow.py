"""Following the streams: what a long poll does once and a WebSocket does for as long as it lasts."""

from collections.abc import Hashable, Sequence

from homeserver.core.positions import PartialToken, SyncToken
from homeserver.runtime.clock import Clock
from homeserver.sync.assemble import Assembler, Delta
from homeserver.sync.fan_out import Bell, FanOut, Listener
from homeserver.sync.live_inboxes import Inbox
from homeserver.sync.live_users import LiveUser, News
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import SyncRequest
from homeserver.sync.shared_deltas import SharedDeltas
from homeserver.sync.waiter import Sleep

__all__ = ["Follower", "Sync"]

KNOWN_MAX = 100
_NOBODY: frozenset[tuple[str, str]] = frozenset()
SHARED_MAX = 200
"""What many have not heard yet is hardly more than this: the receipts of a moment in a large room."""


class Follower:
    """One session's way along the streams: each delta begins where the one before it ended."""

    __slots__ = (
        "_assembler", "_bell", "_inbox", "_is_plain", "_known", "_noted", "_notifier", "_request", "_shared",
        "_since", "_user", "_view",
    )  # fmt: skip

    def __init__(
        self,
        request: SyncRequest,
        user: LiveUser,
        bell: Bell,
        inbox: Inbox,
        *,
        notifier: Notifier,
        assembler: Assembler,
        shared: SharedDeltas,
    ) -> None:
        self._request = request
        self._user = user
        self._bell = bell
        self._inbox = inbox
        self._notifier = notifier
        self._assembler = assembler
        self._shared = shared
        self._since = request.since
        self._view = shared.view_of(request)
        self._known: frozenset[tuple[str, str]] = _NOBODY  # (room ID, user ID) of members told, some of them
        self._noted: int | None = None  # how much of the user's news was told; None if that is not known
        # Nothing waited for the device, and nobody is ignored. What changes that rings the bell as private.
        self._is_plain = False

    async def look(self) -> tuple[Delta, bool]:
        """The next delta, maybe empty, at once; and whether there is more behind it."""
        heard, news = self._notifier.heard, self._shared_news()
        delta = None if news is None else self._find(heard, news)
        if delta is not None:
            self._bell.clear()
            return delta, False
        # Forget rings first: what is published from here on, while the delta is made too, rings again.
        self._bell.clear()
        noted = self._user.noted
        if self._has_heard_all(heard):
            self._since, self._noted, self._is_plain = heard, noted, not self._user.ignored
            return _nothing(heard), False
        if self._noted is None and self._request.events_max and self._since is not None:
            await self._notifier.recall(self._user, self._since)
        now = self._stop_at(heard)
        delta = await self._assembler.assemble(self._request, self._user, self._since, now, self._inbox)
        self._since = delta.token
        is_up_to_date = delta.token is heard
        self._noted = noted if is_up_to_date else None
        self._is_plain = self._inbox.is_quiet and not self._user.ignored
        if news is not None and delta.is_shared and is_up_to_date:
            self._shared.put(heard, self._view, news, delta)
        is_partial = delta.token.sticky_after is not None or isinstance(delta.token, PartialToken)
        return delta, is_partial or now is not self._notifier.heard

    def _has_heard_all(self, heard: SyncToken) -> bool:
        """Say whether there is nothing to tell, as mostly when a long poll begins; False if in doubt."""
        since = self._since
        return since is not None and not self._request.full_state and since == heard and self._is_quiet(heard)

    def _is_quiet(self, since: SyncToken) -> bool:
        user = self._user
        return (
            self._inbox.is_quiet
            and user.account_data.is_quiet_since(since)
            and user.presence.is_quiet_since(since)
            and user.device_lists.is_quiet_since(since)
        )

    @property
    def token(self) -> str | None:
        """Where the delta before left the client."""
        return None if self._since is None else self._since.encode()

    @property
    def has_news(self) -> bool:
        """Something has happened since the last look, as far as bells can tell."""
        return self._bell.has_rung

    def clear(self) -> None:
        """All that has happened has been told."""
        self._bell.clear()

    def has_caught_up(self) -> bool:
        """Say whether a follower who has just begun has nothing to be told; False if in doubt."""
        heard, noted = self._notifier.heard, self._user.noted
        self._bell.clear()
        if not self._has_heard_all(heard):
            return False
        self._since, self._noted, self._is_plain = heard, noted, not self._user.ignored
        return True

    def move_on(self) -> Delta | None:
        """The delta that tells nothing, if nothing happened for the reader since the last; else None."""
        since, bell = self._since, self._bell
        if since is None or bell.has_rung or bell.is_private or self._noted != self._user.noted:
            return None
        if not self._is_quiet(since):
            return None
        self._since = self._notifier.heard
        return _nothing(self._since)

    def glance(self) -> Delta | Hashable:
        """The next delta, if it is at hand because somebody else was told the same.

        If it is not, a name for what would be told; or None, if it is told to nobody else.
        """
        news = self._shared_news()
        if news is None:
            return None
        heard = self._notifier.heard
        delta = self._find(heard, news)
        if delta is not None:
            return delta
        for other in self._shared.find(heard, self._view, news):
            return self._view, news, frozenset(self._strangers((*other.senders, *other.introduced)))
        return self._view, news

    def _shared_news(self) -> News | None:
        """All that is new, if it is told to everybody in the same words."""
        noted = self._noted
        if noted is None or not self._is_plain or self._bell.is_private:
            return None
        count = self._user.noted - noted
        return self._user.last_news(count) if 0 < count <= SHARED_MAX else None

    def _find(self, heard: SyncToken, news: News) -> Delta | None:
        for delta in self._shared.find(heard, self._view, news):
            if self._known.issuperset(delta.senders) or not self._strangers(delta.senders):
                if delta.introduced and not self._introduce(delta):
                    continue
                self._since, self._noted = heard, self._user.noted
                return delta
        return None

    def _introduce(self, delta: Delta) -> bool:
        """Take note of the members who are told because they speak; False if one of them is known already."""
        introduced = delta.introduced
        if len(self._strangers(introduced)) < len(introduced):
            return False
        for room_id, user_id in introduced:
            self._assembler.lazy_members.tell(
                self._request.requester.session_id, room_id, (user_id,), delta.token
            )
        self._note_known(introduced)
        return True

    def _strangers(self, members: Sequence[tuple[str, str]]) -> Sequence[tuple[str, str]]:
        """Those of (room ID, user ID) whom the session lacks; if there are none, it is remembered."""
        session_id, lazy_members = self._request.requester.session_id, self._assembler.lazy_members
        strangers = [
            (room_id, user_id)
            for room_id, user_id in members
            if (room_id, user_id) not in self._known
            and lazy_members.untold(session_id, room_id, (user_id,), self._since)
        ]
        if not strangers:
            self._note_known(members)
        return strangers

    def _note_known(self, members: Sequence[tuple[str, str]]) -> None:
        # So it stays for as long as the session goes on from what it was told.
        self._known = _NOBODY if len(self._known) > KNOWN_MAX else self._known
        self._known = self._known.union(members)

    def with_key_counts_at_hand(self, delta: Delta) -> bytes | None:
        """As `with_key_counts`; None if what the device has left must be looked up."""
        part = self._notifier.key_counts.part_at_hand(self._request.requester)
        return None if part is None or delta.has_key_counts else b"%b,%b}" % (delta.body[:-1], part)

    async def with_key_counts(self, delta: Delta) -> bytes:
        """The body of a delta, with what the device has left of keys, changed or not."""
        if delta.has_key_counts:
            return delta.body
        part = await self._notifier.key_counts.part(self._request.requester)
        return b"%b,%b}" % (delta.body[:-1], part)

    async def wait(self, timeout_s: float | None = None) -> bool:
        """Sleep until something happens that was not looked at; False if the time ran out first."""
        return await self._bell.wait(timeout_s)

    async def listen(self, listener: Listener) -> None:
        """Sleep until something happens that the listener, by way of `glance`, could not tell."""
        await self._bell.listen(listener)

    def rest(self, listener: Listener, sleep: Sleep) -> None:
        """Like `listen`, without a task: what the listener could not tell ends the sleep."""
        self._bell.rest(listener, sleep)

    def rise(self) -> None:
        """Rest no more."""
        self._bell.rise()

    def acknowledge(self, token: str) -> None:
        """Take note that the client has got the delta with this token, and all before it."""
        if not self._inbox.is_quiet:
            self._inbox.acknowledge(SyncToken.parse(token))

    def _stop_at(self, heard: SyncToken) -> SyncToken:
        """How far to look: where paging forward is asked for, only as far as one page of events."""
        events_max = self._request.events_max
        if not events_max or self._since is None:
            return heard
        if not self._user.has_more_after(self._since, events_max):
            return heard
        recent = self._user.recent_after(self._since)
        if recent is None:
            return heard
        now = self._notifier.live_rooms.of_this_life(self._since)
        for position, _ in recent[:events_max]:
            now = now.advance(position)
        return now


def _nothing(token: SyncToken) -> Delta:
    return Delta(token, b'{"next_batch":"%b"}' % token.encode().encode(), is_empty=True)


class Following:
    """A follower for the duration of a block. A generator would cost twice as much, and each poll has one."""

    __slots__ = ("_assembler", "_bell", "_inbox", "_notifier", "_request", "_shared", "_user")

    _user: LiveUser
    _inbox: Inbox

    def __init__(
        self, request: SyncRequest, notifier: Notifier, assembler: Assembler, shared: SharedDeltas,
        fan_out: FanOut,
    ) -> None:  # fmt: skip
        self._request = request
        self._notifier = notifier
        self._assembler = assembler
        self._shared = shared
        self._bell = Bell(fan_out)

    async def __aenter__(self) -> Follower:
        return self._begin(await self._notifier.users.find(self._request.requester.user_id))

    async def __aexit__(self, *_: object) -> None:
        self.leave()

    def enter_at_once(self) -> Follower | None:
        """Begin the block without waiting, if nothing must be read for it; else None."""
        user = self._notifier.users.get(self._request.requester.user_id)
        return None if user is None else self._begin(user)

    def leave(self) -> None:
        """End the block."""
        self._user.detach(self._bell)
        self._inbox.detach(self._bell)
        self._bell.follow_up()

    def _begin(self, user: LiveUser) -> Follower:
        request, notifier = self._request, self._notifier
        self._user = user
        self._inbox = notifier.inboxes.of(request.requester)
        if request.since is not None:
            self._inbox.acknowledge(request.since)
        self._user.attach(self._bell)
        self._inbox.attach(self._bell)
        return Follower(
            request, self._user, self._bell, self._inbox, notifier=notifier, assembler=self._assembler,
            shared=self._shared,
        )  # fmt: skip


class Sync:
    """The service behind `/sync` and the WebSocket."""

    def __init__(self, *, reads: SyncReads, notifier: Notifier, clock: Clock) -> None:
        self._notifier = notifier
        self._clock = clock
        self._assembler = Assembler(reads=reads, notifier=notifier, clock=clock)
        self._shared = SharedDeltas()
        self._fan_out = FanOut()

    def following(self, request: SyncRequest) -> "Following":
        """Follow the streams for the duration of a block: from before the first look, nothing is missed."""
        return Following(request, self._notifier, self._assembler, self._shared, self._fan_out)

    async def respond(self, request: SyncRequest) -> bytes:
        """The body of a `/sync` response: at once if there is anything to tell, else when there is."""
        async with self.following(request) as follower:
            delta, more = await follower.look()
            if request.since is None or request.full_state or request.timeout_ms <= 0:
                return await follower.with_key_counts(delta)
            deadline_ms = self._clock.monotonic_ms() + request.timeout_ms
            while delta.is_empty:
                left_ms = deadline_ms - self._clock.monotonic_ms()
                if left_ms <= 0 or not (more or await follower.wait(left_ms / 1000)):
                    break
                delta, more = await follower.look()
            return await follower.with_key_counts(delta)
